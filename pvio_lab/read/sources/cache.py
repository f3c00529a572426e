"""A folder of downloads with a bound, shared by any number of processes."""

from __future__ import annotations

import filecmp
import hashlib
import json
import mimetypes
import os
import re
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from ...errors import SourceError
from .locks import NO_LINK, alone_in, alone_now, holds_in
from .options import Fetching
from .urls import public_name, shown

_FACTS = "facts.json"
# Taken for the facts of an entry, and for those of the video that are remembered beside it.
_EXTRA_BYTES = 4096
# A clean-up looks at every entry, so that it makes room for many.
_FILL_AFTER_CLEANING = 0.9
_LONGEST_NAME = 80
_MOST_FACTS = 2**16
_OUR_NAMES = re.compile(r"[0-9a-f]{40}|\.[0-9a-f]{32}\.(part|gone)|\.holds|\.ledger")


@dataclass(frozen=True)
class Facts:
    """What is noted about a download."""

    file: str
    """Its name."""
    num_bytes: int
    """Its size; a file of another one was cut short."""
    version: str | None
    """What the server calls these contents, if it does."""


class DownloadCache:
    """Downloads by their URL. Each has a folder, named by a hash, which appears when it is complete.

    All that is in the folder, downloads that are being made among it, stays within the bound: room is taken
    before it is filled. What was not used for longest is removed, unless it is in use: while more is in use
    at the same time than there is room for, the bound is exceeded.

    No other user may look into it, and no link in it is followed.

    Args:
        fetching: Where it is, and how large it may become.
    """

    def __init__(self, fetching: Fetching):
        self._fetching, self._bound = fetching, fetching.room_bytes
        fetching.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = Path(os.path.realpath(fetching.folder))
        _make_private(self.folder)
        self._holds = holds_in(self.folder)

    @contextmanager
    def held(self, source: str) -> Iterator[Path]:
        """Where the download of a source is, or will be; it is not removed while the block runs."""
        name = _entry_name(source, self._fetching)
        self._holds.take(name)
        try:
            yield self.folder / name
        finally:
            self._holds.drop(name)
            self._shrink()

    def turn(self, entry: Path, check: Callable[[], None]) -> AbstractContextManager[None]:
        """Run one such block for an entry at a time, in any process.

        Args:
            entry: What the block fetches.
            check: Called now and then while it waits; raises where that shall stop.
        """
        return self._holds.turn(entry.name, check)

    def state(self, entry: Path) -> tuple[int, int] | None:
        """Return something that changes whenever the entry is fetched."""
        with suppress(OSError):
            found = os.lstat(entry / _FACTS)
            return found.st_ino, found.st_mtime_ns
        return None

    def find(self, entry: Path) -> Facts | None:
        """What is noted about an entry, if it is there and whole; it counts as used now."""
        with suppress(OSError, ValueError, TypeError, RecursionError):
            if not stat.S_ISDIR(entry.lstat().st_mode):
                return None
            with os.fdopen(os.open(entry / _FACTS, os.O_RDONLY | NO_LINK), "rb") as file:
                facts = Facts(**json.loads(file.read(_MOST_FACTS)))
            if facts.file in ("", os.curdir, os.pardir) or facts.file != os.path.basename(facts.file):
                return None  # it leads to somewhere else
            found = os.lstat(entry / facts.file)
            if stat.S_ISREG(found.st_mode) and found.st_size == facts.num_bytes:
                # The time of change stays: it tells whether a file is still the same.
                os.utime(entry / facts.file, ns=(time.time_ns(), found.st_mtime_ns))
                return facts
        return None

    @contextmanager
    def new(self, source: str, entry: Path) -> Iterator[Download]:
        """A download to be filled; what is not committed at the end of the block is removed."""
        name = f".{uuid.uuid4().hex}.part"
        self._holds.take(name)
        download = Download(self, source, entry, self.folder / name)
        try:
            yield download
        finally:
            download.discard()
            self._holds.drop(name)

    def take_room(self, count: int, partial: Path, size: int, source: str) -> None:
        """Room for so many bytes more; the file to be filled is given its size, so that all can see it.

        Raises:
            SourceError: It does not fit, even if nothing else is there.
        """
        if size + _EXTRA_BYTES > self._bound:
            raise SourceError(
                f"{shown(source)} does not fit into the cache: it takes {size} bytes, and "
                f"cache_bytes={self._bound}; allow more (also by PVIO_LAB_CACHE_BYTES), or keep it in memory "
                "or in a temporary file"
            )
        with alone_in(self.folder) as ledger:
            total = _noted(ledger)
            if total is None or total + count > self._bound:
                total = self._clean(self._bound - count)
            _note(ledger, total + count)
            os.truncate(partial, size)

    def publish(self, partial: Path, entry: Path, facts: Facts) -> bool:
        """A complete download gets its name; False when the same contents have it: others may read them.

        Call this only with the turn for the entry, and while it is held.
        """
        is_same = self.find(entry) and filecmp.cmp(partial / facts.file, entry / facts.file, shallow=False)
        with alone_in(self.folder):
            if is_same:
                os.replace(partial / _FACTS, entry / _FACTS)
                return False
            if os.path.lexists(entry):
                self._remove(entry)  # its room is found again at the next clean-up
            os.rename(partial, entry)
            return True

    def remove_partial(self, partial: Path, room: int) -> None:
        """In one step with its room: a clean-up in between would count that twice."""
        with alone_in(self.folder) as ledger:
            shutil.rmtree(partial, ignore_errors=True)
            total = _noted(ledger)
            if total is not None:
                _note(ledger, total - room)

    def _shrink(self) -> None:
        """Keep to the bound again, after more was in use."""
        with suppress(OSError), alone_now(self.folder) as ledger:
            total = _noted(ledger) if ledger else None
            if ledger and total is not None and total > self._bound:
                _note(ledger, self._clean(self._bound))

    def _clean(self, limit: int) -> int:
        """Removes what nobody uses, until the limit is kept; how many bytes are left."""
        entries = sorted(_entries(self.folder), reverse=True)
        total = sum(size for *_, size in entries)
        goal = limit * _FILL_AFTER_CLEANING if total > limit else limit
        while entries and (total > goal or not entries[-1][0]):
            _, _, name, size = entries.pop()
            with self._holds.unused(name) as is_unused:
                if is_unused:
                    self._remove(self.folder / name)
                    total -= size
        return total

    def _remove(self, entry: Path) -> None:
        """First out of the way, as one step: nobody finds half an entry."""
        gone = self.folder / f".{uuid.uuid4().hex}.gone"
        with suppress(OSError):
            os.rename(entry, gone)
            if gone.is_symlink() or not gone.is_dir():
                gone.unlink()
            else:
                shutil.rmtree(gone, ignore_errors=True)


class Download:
    """A download that is being made.

    Args:
        cache: Where it will be.
        source: Its URL.
        entry: The name it will get.
        partial: The name it has until then.
    """

    def __init__(self, cache: DownloadCache, source: str, entry: Path, partial: Path):
        self._cache, self._source, self._entry, self._partial = cache, source, entry, partial
        self._room = 0
        partial.mkdir(mode=0o700)
        self.file = partial / file_name(source)
        _write_new(self.file)

    def expect(self, num_bytes: int) -> None:
        """Takes room for a file of this size."""
        room = num_bytes + _EXTRA_BYTES
        if room > self._room:
            self._cache.take_room(room - self._room, self.file, num_bytes, self._source)
            self._room = room

    def commit(self, num_bytes: int, version: str | None) -> Facts:
        """It is complete, and gets its name; what is there and the same stays, as others may read it."""
        os.truncate(self.file, num_bytes)
        facts = Facts(self.file.name, num_bytes, version)
        _write_new(self._partial / _FACTS, json.dumps(asdict(facts)).encode())
        if self._cache.publish(self._partial, self._entry, facts):
            self._room = 0
        return facts

    def discard(self) -> None:
        """Removes what was not committed."""
        if self._room or self._partial.exists():
            self._cache.remove_partial(self._partial, self._room)
            self._room = 0


def _entry_name(source: str, fetching: Fetching) -> str:
    """Return a hash of all that decides about the contents, and of nothing else."""
    # What was fetched from a private address is never found by those who may not go there.
    key = f"{fetching.allow_private} {source}"
    if fetching.headers:  # a server may show other things to somebody else
        headers = sorted((name.lower(), value) for name, value in fetching.headers.items())
        key += f" {_digest(json.dumps(headers))}"
    return _digest(key)[:40]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_name(source: str) -> str:
    """A name for a download that people recognize, and any system takes.

    >>> file_name("https://host/videos/My%20clip.mp4?token=1"), file_name("data:video/mp4;base64,AAAA")
    ('My_clip.mp4', 'data.mp4')
    """
    if source[:5].lower() == "data:":
        kind = re.split("[;,]", source[5:85])[0]
        return f"data{mimetypes.guess_extension(kind) or ''}"
    path = unquote(public_name(source).split("::")[0].partition("://")[2].partition("?")[0])
    stem, suffix = os.path.splitext(
        re.sub(r"[^\w.-]", "_", path.rstrip("/").rpartition("/")[2], flags=re.ASCII)
    )
    return f"{stem[:_LONGEST_NAME].lstrip('.') or 'video'}{suffix[:10]}"


def _write_new(path: Path, contents: bytes = b"") -> None:
    """Write a new file that no other user can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK, 0o600), "wb") as file:
        file.write(contents)


def _make_private(folder: Path) -> None:
    """Keep other users out of the folder; one that holds other things, too, is left as it is."""
    if sys.platform == "win32":
        return
    found = folder.stat()
    is_open = stat.S_IMODE(found.st_mode) & 0o077 and found.st_uid == os.geteuid()
    if is_open and all(_OUR_NAMES.fullmatch(name) for name in os.listdir(folder)):
        folder.chmod(0o700)


def _entries(folder: Path) -> Iterator[tuple[bool, float, str, int]]:
    """All of ours in the folder: whether it is complete, when it was used, its name, its size."""
    for each in os.scandir(folder):
        if _OUR_NAMES.fullmatch(each.name) and each.is_dir(follow_symlinks=False):
            found = list(_stats(each.path))
            size = sum(each.st_size for each in found)
            largest = max((each.st_size for each in found), default=0)
            used = max((each.st_atime for each in found), default=0.0)
            yield not each.name.startswith("."), used, each.name, max(size, largest + _EXTRA_BYTES)


def _stats(folder: str) -> Iterator[os.stat_result]:
    """Of the files in a folder, which may vanish meanwhile."""
    with suppress(FileNotFoundError):
        for each in os.scandir(folder):
            with suppress(FileNotFoundError):
                yield each.stat(follow_symlinks=False)


def _noted(ledger: IO[bytes]) -> int | None:
    ledger.seek(0)
    text = ledger.read(32).strip()
    return int(text) if text.isdigit() else None


def _note(ledger: IO[bytes], total: int) -> None:
    ledger.truncate(0)  # it is open for appending, so that writing begins there
    ledger.write(b"%d" % max(total, 0))
    ledger.flush()
