"""A file of marks that others may change, too: what was not read is never overwritten."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..base import Identity, LockFile, Target, free_path, new_lock, read_content
from ..errors import printable
from .format import Contents, marks_text, parsed_marks
from .merge import Keep, merge

CHOICES: dict[Keep, str] = {"both": "keep both", "theirs": "take theirs", "mine": "keep mine"}
_SAY = (
    'keep="both" joins them, keep="theirs" takes those in the file, keep="mine" replaces them '
    "(the version before stays beside it)"
)


# A turn takes milliseconds.
_PATIENCE_SECONDS = 3.0


class MarksChanged(FileExistsError):
    """The file has marks that were not read, and that do not go together with those to be written.

    Args:
        details: Why, in words.
    """

    def __init__(self, details: str):
        super().__init__(f"{details}; {_SAY}")
        self.details = details


class OtherVideo(FileExistsError):
    """The file has marks of another video."""


class MarksFile:
    """A file of marks, and what was seen in it last.

    Before it is written for the first time, what it holds is copied beside it, as `<name>.before.json`: marks
    are written each second or so while a person makes them, and the version of a second ago is of no use.

    Args:
        path: The file, which may not be there yet.
        num_frames: How many frames the video has, where that is known.
    """

    def __init__(self, path: str | os.PathLike[str], num_frames: int | None = None):
        self.path, self._num_frames = Path(os.path.abspath(path)), num_frames
        self._text: bytes | None = None
        self._base: Contents | None = None  # None: never looked into
        self._has_copy = False
        self._lock = new_lock()

    @property
    def before(self) -> Path:
        """The path of the version before: clip.mp4.marks.json -> clip.mp4.marks.before.json."""
        return self.path.with_name(f"{self.path.name.removesuffix('.json')}.before.json")

    def expect_nothing(self) -> None:
        """Note that there is no such file yet: one that appears has been made meanwhile."""
        self._base = Contents()

    def read(self, video: Identity | None = None) -> Contents:
        """Return what it holds; from now on, that may be replaced.

        Args:
            video: The video that the marks must be of, where they say of which they are; None takes any.

        Raises:
            FileNotFoundError: There is no such file.
            OtherVideo: It has marks of another video.
            ValueError: It is no file of marks.
        """
        with self._lock:
            text = read_content(self.path)
            base = parsed_marks(text, self.path, self._num_frames)
            self._check_video(base, video)
            self._text, self._base = text, base
            return base

    def write(self, mine: Contents, keep: Keep | None = None) -> Contents:
        """Write marks; what others have changed since it was read last is joined with them.

        Args:
            mine: The marks.
            keep: What counts where others have changed the same, or where nobody has read what is there.

        Returns:
            What is in the file now.

        Raises:
            MarksChanged: They have changed the same, or it was never read, and `keep` is None.
            OtherVideo: It has marks of another video.
            ValueError: There is a file that holds no marks.
        """
        with self._lock, LockFile(Path(os.path.realpath(self.path))) as turn:
            turn.acquire_within(_PATIENCE_SECONDS)
            found = self._found()
            is_known = found is None or found == self._text
            merged = mine if is_known else self._merged(found or b"", mine, keep)
            text = marks_text(merged)
            if text != found:
                with Target(self.path) as target:
                    target.partial.write_bytes(text)
                    if found is not None and (keep or not self._has_copy):
                        self._copy(found)
                    target.commit()
            self._text, self._base = text, merged
            return merged

    def _found(self) -> bytes | None:
        with suppress(FileNotFoundError):
            return read_content(self.path)
        return None

    def _merged(self, found: bytes, mine: Contents, keep: Keep | None) -> Contents:
        theirs = parsed_marks(found, self.path, self._num_frames)
        self._check_video(theirs, mine.video)
        if self._base is None and keep is None and mine != theirs:
            raise MarksChanged(f"{printable(self.path)} has marks that were not read")
        merged = merge(self._base or Contents(), mine, theirs, keep or "both")
        if merged.conflicts and keep is None:
            raise MarksChanged(
                f"{printable(self.path)} was changed by somebody else, and the same marks were changed here: "
                f"{'; '.join(merged.conflicts)}"
            )
        if self._base is None and keep in ("theirs", "mine"):
            return replace(mine if keep == "mine" else theirs, video=mine.video or theirs.video)
        return merged.contents

    def _check_video(self, contents: Contents, video: Identity | None) -> None:
        if contents.video and video and contents.video != video:
            raise OtherVideo(
                f"{printable(self.path)} has marks of another video, and is left as it is; "
                "choose another name"
            )

    def _copy(self, found: bytes) -> None:
        """Keep what is about to be replaced, with its permissions. Only an older copy makes room for it."""
        place = self.before
        try:
            parsed_marks(read_content(place), place)
        except FileNotFoundError:
            pass
        except ValueError:
            place = free_path(place)
        with Target(place) as target:
            target.partial.write_bytes(found)
            shutil.copymode(self.path, target.partial)
            target.commit()
        self._has_copy = True
