"""Keeps marks in their file: reads them when a video is opened, and saves them soon after each change."""

from __future__ import annotations

import atexit
import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ..base import Latest, free_path, new_rlock, write_whole
from ..errors import printable
from ..read import user_cache_folder
from .file import CHOICES, MarksChanged, OtherVideo
from .format import Contents, marks_text
from .marks import Marks
from .merge import Keep
from .places import Found, Marked, find_marks

# So long after a change the marks are saved; what is changed meanwhile is saved with it.
DELAY_SECONDS = 1.0

_log = logging.getLogger("pvio_lab")
_open: WeakSet[MarkKeeper] = WeakSet()


class MarkKeeper:
    """Keeps the marks of one video.

    While they cannot be saved, because a question is open or the disk is full, they are kept in
    `<file name>.marks.unsaved.json`.

    Args:
        marks: The marks, which are empty.
        video: The video.
        tell: Is told how it stands, as a page gets it: `text`; `at`, the time of saving in seconds since 1970
            or None; `wrong`; and `choices`, of which `answer` takes the first part.
    """

    def __init__(self, marks: Marks, video: Marked, tell: Callable[[dict[str, Any]], None]):
        self._marks, self._video, self._tell = marks, video, tell
        folder = video.folders[0] if video.folders else Path.cwd()
        self._working_folder = video.working_folder or folder
        self.path = folder / video.file_name
        """The file."""
        self._saved, self._state = Contents(), _state("")
        self._trouble, self._is_waiting = "", False
        self._unsaved: Path | None = None
        self._offered: Path | None = None
        self._lock, self._hurry, self._owner = new_rlock(), threading.Event(), os.getpid()
        self._telling = new_rlock()
        self._saver: Latest[None] = Latest(lambda _: self._save_soon(), self._failed, "pvio_lab marks")
        self._end = marks.observe(lambda _: self._on_change())
        _open.add(self)

    def open(self) -> None:
        """Read the marks that the video has."""
        save_all()  # the same video may be open in another cell, where something was marked a moment ago
        self._marks.video = self._video.identity()
        found = find_marks(self._video, is_shown=True)
        if found.path is not None and found.path.name != self._video.old_file_name:
            self.path = found.path
            contents = self._marks.file(found.path).read(self._marks.video)
        else:
            self._go_to(self.path)
            contents = found.contents
        self._saved = contents
        self._marks.take_in(Contents(), contents)
        self._tell_opened(found)

    def save(self, keep: Keep | None = None, *, always: bool = False) -> bool:
        """Save the marks now, if they have changed; return whether they are saved.

        Args:
            keep: What counts where others have changed the same.
            always: Save even if they have not changed.
        """
        with self._lock:
            if self._marks.contents == self._saved and not (always or self._trouble):
                if self._is_waiting:  # what was changed was changed back
                    self._settle(self._state)
                return True
            try:
                self._write(keep)
            except (OSError, ValueError) as error:
                self._ask(error)
                return False
            self._trouble = ""
            if self._unsaved is not None:
                self._unsaved.unlink(missing_ok=True)
                self._unsaved = None
            self._settle(_state(f"in {self._called(self.path)}", at=time.time()))
            return True

    def answer(self, choice: str) -> None:
        """Do what was chosen, and save."""
        with self._lock:
            if choice == "rename":
                self._go_to(free_path(self.path))
            elif choice == "take" and self._offered is not None:
                self._marks.take_in(Contents(), self._marks.file(self._offered).read())
            keep: Any = choice if choice in CHOICES else None
            self.save(keep, always=True)

    def load(self) -> None:
        """Read the file again; the marks that are here now come back by undoing it."""
        with self._lock:
            self._saved = self._marks.file(self.path).read(self._marks.video)
            again = Marks()
            again.take_in(Contents(), self._saved)
            self._marks.replace(again)
            self._trouble = ""
            self._settle(_state(f"read from {self._called(self.path)}"))

    def close(self) -> None:
        """Save what is not saved yet, and end; can be called twice."""
        self._end()
        self._hurry.set()
        self._saver.close()
        self.flush()
        _open.discard(self)

    def flush(self) -> None:
        """Save what is not saved yet, without asking anything."""
        if os.getpid() == self._owner and not self.save():
            place = f"are in {printable(self._unsaved)}" if self._unsaved else "could not be kept anywhere"
            _log.warning("%s; the marks %s", self._trouble, place)

    def flush_at_exit(self) -> None:
        """Save what is not saved yet; no page hears of it any more."""
        self._tell = lambda _: None
        self.flush()

    def _write(self, keep: Keep | None) -> None:
        mine = self._marks.contents
        try:
            merged = self._marks.file(self.path).write(mine, keep)
        except OSError as error:
            elsewhere = self._working_folder / self._video.file_name
            is_closed = isinstance(error, PermissionError) or error.errno == errno.EROFS
            if not is_closed or self.path == elsewhere:
                raise
            self._go_to(elsewhere)
            merged = self._marks.file(self.path).write(mine, keep)
        self._saved = merged
        self._marks.take_in(mine, merged)

    def _go_to(self, path: Path) -> None:
        """From now on, this is the file. If there is one, nobody has read it."""
        self.path = path
        if not os.path.lexists(path):
            self._marks.file(path).expect_nothing()

    def _on_change(self) -> None:
        if self._trouble or self._marks.contents != self._saved:
            with self._telling:
                if not self._trouble and not self._is_waiting:
                    self._is_waiting = True
                    self._tell(_state("not saved yet"))
            self._saver.ask(None)

    def _save_soon(self) -> None:
        self._hurry.wait(DELAY_SECONDS)
        self.save()

    def _failed(self, error: Exception) -> None:
        self._tell(_state(f"not saved: {type(error).__name__}: {error}", wrong=True))

    def _ask(self, error: Exception) -> None:
        """Say why they are not saved, and what can be done; and keep them in another file meanwhile."""
        words = getattr(error, "details", "") or str(error)
        choices: dict[str, str]
        if isinstance(error, MarksChanged):
            choices = {name: words for name, words in CHOICES.items()}
        elif isinstance(error, OtherVideo):
            choices = self._offer(self.path) | self._rename()
        else:
            choices = {"again": "try again"} if isinstance(error, OSError) else self._rename()
        self._trouble = f"not saved: {_short(words, self.path)}"
        self._keep_aside()
        aside = f"; meanwhile they are in {self._unsaved.name}" if self._unsaved else ""
        self._tell(_state(self._trouble + aside, wrong=True, choices=choices))

    def _offer(self, path: Path) -> dict[str, str]:
        """Offer the marks in this file, which are not taken by themselves."""
        self._offered = path
        return {"take": f"take the marks in {path.name}"}

    def _rename(self) -> dict[str, str]:
        return {"rename": f"save as {free_path(self.path).name}"}

    def _keep_aside(self) -> None:
        text = marks_text(self._marks.contents)
        cache = user_cache_folder()  # where nothing else may be written to
        for folder in dict.fromkeys((self.path.parent, self._working_folder, cache)):
            with suppress(OSError, ValueError):
                if folder == cache:
                    folder.mkdir(parents=True, exist_ok=True)
                place = self._unsaved or free_path(folder / f"{self._video.name}.marks.unsaved.json")
                write_whole(place, text)
                self._unsaved = place
                return

    def _tell_opened(self, found: Found) -> None:
        words = [] if found.path is None else [f"read from {self._called(found.path)}"]
        choices: dict[str, str] = {}
        others = [each for each in found.others if each.path.parent in self._video.folders]
        others += [each for each in found.others if each.path == self.path and each not in others]
        for other in others:
            words.append(f"left alone: {_short(other.trouble, other.path)}")
            if found.path is None:
                choices |= self._offer(other.path) if other.has_marks else {}
                choices |= self._rename() if other.path == self.path else {}
        for folder in dict.fromkeys((self.path.parent, self._working_folder)):
            left = folder / f"{self._video.name}.marks.unsaved.json"
            words += [f"{left.name} has marks that could not be saved earlier"] if left.exists() else []
        is_wrong = bool(others) and found.path is None
        self._settle(_state("; ".join(words), wrong=is_wrong, choices=choices))

    def _settle(self, state: dict[str, Any]) -> None:
        """Tell how it stands, as long as nothing is changed."""
        with self._telling:
            self._state, self._is_waiting = state, False
            self._tell(state)

    def _called(self, path: Path) -> str:
        return path.name + ("" if path.parent in self._video.folders else " in the working folder")


def _state(
    text: str, *, at: float | None = None, wrong: bool = False, choices: dict[str, str] | None = None
) -> dict[str, Any]:
    pairs = [list(pair) for pair in (choices or {}).items()]
    return {"text": text, "at": at, "wrong": wrong, "choices": pairs}


def _short(words: str, path: Path) -> str:
    """Return a message about a file with its name in place of the whole path."""
    return words.replace(printable(path), printable(path.name))


def save_all() -> None:
    """Save the marks of all browsers that are open."""
    for keeper in list(_open):
        keeper.flush()


@atexit.register
def _save_at_exit() -> None:
    for keeper in list(_open):
        keeper.flush_at_exit()
