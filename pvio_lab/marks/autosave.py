"""Marks that save themselves: read when a video is opened, written soon after each change."""

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
from .beside import Found, MarkedVideo, find_marks
from .contents import Contents, Keep
from .marks import Marks
from .marks_file import MarksChanged, OtherVideo, marks_text

# The time from a change until the marks are saved, with all other changes until then.
DELAY_SECONDS = 1.0
_CHOICES: dict[Any, str] = {"both": "keep both", "theirs": "take theirs", "mine": "keep mine"}

State = dict[str, Any]

_log = logging.getLogger("pvio_lab")
_open: WeakSet[AutoSave] = WeakSet()


def _state(text: str, *, at: float | None = None, wrong: bool = False, choices: Any = None) -> State:
    return {
        "text": text,
        "at": at,
        "wrong": wrong,
        "choices": [list(pair) for pair in (choices or {}).items()],
    }


_WAITING = _state("not saved yet")


class AutoSave:
    """Marks of one video that save themselves.

    While they cannot be saved, because a question is open or the disk is full, they are kept in
    `<file name>.marks.unsaved.json`.

    `tell` is called with the state of saving, as a page gets it: `text`; `at`, the time of saving in seconds
    since 1970 or None; `wrong`; and `choices`, pairs of a word for `answer` and a text for a button.
    """

    def __init__(self, marks: Marks, video: MarkedVideo, tell: Callable[[State], None]):
        self._marks, self._video, self._tell = marks, video, tell
        folder = video.folders[0] if video.folders else Path.cwd()
        self._working_folder = video.working_folder or folder
        self.path = folder / video.file_name
        """The file."""
        self._saved = Contents()
        self._told = self._settled = _state("")
        self._trouble = ""
        self._unsaved_name = f"{video.name}.marks.unsaved.json"
        self._unsaved: Path | None = None
        self._offered: Path | None = None
        self._lock, self._telling = new_rlock(), new_rlock()
        self._hurry, self._owner = threading.Event(), os.getpid()
        self._saver: Latest[None] = Latest(lambda _: self._save_soon(), self._failed, "pvio_lab marks")
        self._end = marks.observe(lambda _: self._on_change())
        _open.add(self)

    def open(self) -> None:
        """Read the marks that the video has."""
        for other in list(_open):  # the video may be open in another cell, where it was marked a moment ago
            other.flush()
        self._marks.video = self._video.identity()
        found = find_marks(self._video, is_shown=True)
        if found.path is not None and found.path.name != self._video.old_file_name:
            self.path = found.path
            self._saved = self._marks.file(found.path).read(self._marks.video)
        else:
            self._go_to(self.path)
            self._saved = found.contents
        self._marks.take_in(Contents(), self._saved)
        self._tell_opened(found)

    def save(self, keep: Keep | None = None, *, always: bool = False) -> bool:
        """Save the marks now, if they have changed, or `always`; return whether they are saved."""
        with self._lock:
            if self._marks.contents == self._saved and not (always or self._trouble):
                if self._told is _WAITING:  # what was changed was changed back
                    self._say(self._settled)
                return True
            try:
                self._write(keep)
            except (OSError, ValueError) as error:
                self._ask(error)
                return False
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
            keep: Any = choice if choice in _CHOICES else None
            self.save(keep, always=True)

    def load(self) -> None:
        """Read the file again; `undo` brings the marks of now back."""
        with self._lock:
            self._saved = self._marks.file(self.path).read(self._marks.video)
            again = Marks()
            again.take_in(Contents(), self._saved)
            self._marks.replace(again)
            self._settle(_state(f"read from {self._called(self.path)}"))

    def close(self) -> None:
        """Save what is not saved yet, and end; can be called twice."""
        self._end()
        self._hurry.set()
        self._saver.close()
        self.flush()
        _open.discard(self)

    def flush(self, *, at_exit: bool = False) -> None:
        """Save what is not saved yet, without asking anything; at the exit there is no page any more."""
        if at_exit:
            self._tell = lambda _: None
        if os.getpid() == self._owner and not self.save():
            place = f"are in {printable(self._unsaved)}" if self._unsaved else "could not be kept anywhere"
            _log.warning("%s; the marks %s", self._trouble, place)

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
        """Make this the file from now on. If there is one, nobody has read it."""
        self.path = path
        self._marks.file(path)

    def _on_change(self) -> None:
        if self._trouble or self._marks.contents != self._saved:
            with self._telling:
                if not self._trouble and self._told is not _WAITING:
                    self._say(_WAITING)
            self._saver.ask(None)

    def _save_soon(self) -> None:
        self._hurry.wait(DELAY_SECONDS)
        self.save()

    def _failed(self, error: Exception) -> None:
        self._say(_state(f"not saved: {type(error).__name__}: {error}", wrong=True))

    def _ask(self, error: Exception) -> None:
        """Say why they are not saved, and what can be done; and keep them in another file meanwhile."""
        details, choices = str(error), self._rename()
        if isinstance(error, MarksChanged):
            details, choices = error.details, _CHOICES
        elif isinstance(error, OtherVideo):
            choices = self._offer(self.path) | choices
        elif isinstance(error, OSError):
            choices = {"again": "try again"}
        self._trouble = f"not saved: {_short(details, self.path)}"
        self._keep_aside()
        aside = f"; meanwhile they are in {self._unsaved.name}" if self._unsaved else ""
        self._say(_state(self._trouble + aside, wrong=True, choices=choices))

    def _offer(self, path: Path) -> dict[Any, str]:
        self._offered = path
        return {"take": f"take the marks in {path.name}"}

    def _rename(self) -> dict[Any, str]:
        return {"rename": f"save as {free_path(self.path).name}"}

    def _keep_aside(self) -> None:
        text = marks_text(self._marks.contents)
        cache = user_cache_folder()  # where nothing else may be written to
        for folder in dict.fromkeys((self.path.parent, self._working_folder, cache)):
            with suppress(OSError, ValueError):
                if folder == cache:
                    folder.mkdir(parents=True, exist_ok=True)
                place = self._unsaved or free_path(folder / self._unsaved_name)
                write_whole(place, text)
                self._unsaved = place
                return

    def _tell_opened(self, found: Found) -> None:
        texts = [] if found.path is None else [f"read from {self._called(found.path)}"]
        choices: dict[Any, str] = {}
        folders = self._video.folders
        told = [each for each in found.refused if each.path.parent in folders or each.path == self.path]
        for path, reason, has_marks in told:
            texts.append(f"left alone: {_short(reason, path)}")
            if found.path is None:
                choices |= self._offer(path) if has_marks else {}
                choices |= self._rename() if path == self.path else {}
        for folder in dict.fromkeys((self.path.parent, self._working_folder)):
            if (folder / self._unsaved_name).exists():
                texts.append(f"{self._unsaved_name} has marks that could not be saved earlier")
        is_wrong = bool(told) and found.path is None
        self._settle(_state("; ".join(texts), wrong=is_wrong, choices=choices))

    def _settle(self, state: State) -> None:
        """Say what is true until the next change."""
        self._trouble, self._settled = "", state
        self._say(state)

    def _say(self, state: State) -> None:
        with self._telling:
            self._told = state
            self._tell(state)

    def _called(self, path: Path) -> str:
        return path.name + ("" if path.parent in self._video.folders else " in the working folder")


def _short(text: str, path: Path) -> str:
    """Return a message about a file with its name in place of the whole path."""
    return text.replace(printable(path), printable(path.name))


@atexit.register
def _save_at_exit() -> None:
    for each in list(_open):
        each.flush(at_exit=True)
