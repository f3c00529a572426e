"""A folder of downloads within a bound, shared by any number of processes."""

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
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from ...base import LockFile
from ...errors import SourceError
from .locks import NO_LINK, alone_in, entry_locks
from .options import Fetching
from .urls import data_type, is_data, public_name, shown

_FACTS = "facts.json"
# Reserved for the facts of an entry, and for those of the video that are remembered beside it.
_EXTRA_BYTES = 4096
# A clean-up has to look at every entry, so it makes room for several downloads.
_FILL_AFTER_CLEANING = 0.9
_LONGEST_NAME = 80
_MOST_FACTS = 2**16
_OUR_NAMES = re.compile(r"[0-9a-f]{40}|\.[0-9a-f]{32}\.(part|gone)|\.holds|\.ledger|\.[0-9a-f]{40}\.lock")
# Seconds between two attempts to begin what another thread or process is doing.
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Facts:
    """The facts that are noted about a download."""

    file: str
    """Its name."""
    num_bytes: int
    """Its size; a file of another size was cut short."""
    version: str | None
    """The server's identifier of these contents, if there is one."""
    key: str = ""
    """An identifier of this download, different from those of all others."""


class DownloadCache:
    """Downloads by their URLs. Each has a folder, named by a hash, which appears when it is complete.

    Everything in the cache, including unfinished downloads, stays within the bound: room is reserved before
    it is filled. The least recently used downloads are removed first, but none that is in use: while those
    in use need more room than there is, the bound is exceeded.

    No other user may look into it, and no link in it is followed.

    Args:
        fetching: The folder and the bound.
    """

    def __init__(self, fetching: Fetching):
        self._fetching, self.bound = fetching, fetching.room_bytes
        fetching.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = Path(os.path.realpath(fetching.folder))
        _make_private(self.folder)
        self._locks = entry_locks(self.folder)

    @contextmanager
    def held(self, source: str) -> Iterator[Path]:
        """Yield the place of a download, there or not; it is not removed before the end of the block."""
        name = entry_name(source, self._fetching)
        self._locks.acquire(name)
        try:
            yield self.folder / name
        finally:
            self._locks.release(name)
            with suppress(OSError):
                self._shrink()

    @contextmanager
    def turn(self, entry: Path, check: Callable[[], None]) -> Iterator[None]:
        """Run one such block for an entry at a time, in any process.

        Args:
            entry: The entry that the block fetches.
            check: Called now and then while this waits; an exception ends the waiting.
        """
        lock = LockFile(entry)
        while not lock.acquire():
            check()
            time.sleep(_PAUSE_SECONDS)
        with lock:
            yield

    def find(self, entry: Path) -> Facts | None:
        """Return the facts of an entry if it is complete, and mark it as used now."""
        with suppress(OSError, ValueError, TypeError, RecursionError):
            if not stat.S_ISDIR(entry.lstat().st_mode):
                return None
            with os.fdopen(os.open(entry / _FACTS, os.O_RDONLY | NO_LINK), "rb") as file:
                facts = Facts(**json.loads(file.read(_MOST_FACTS)))
            if facts.file in ("", os.curdir, os.pardir) or facts.file != os.path.basename(facts.file):
                return None  # it leads somewhere else
            found = os.lstat(entry / facts.file)
            if stat.S_ISREG(found.st_mode) and found.st_size == facts.num_bytes:
                # The time of modification stays: by it, readers see that the file is still the same.
                os.utime(entry / facts.file, ns=(time.time_ns(), found.st_mtime_ns))
                return facts
        return None

    @contextmanager
    def new(self, source: str, entry: Path) -> Iterator[Download]:
        """Yield a download to be filled; unless it is committed, it is removed at the end of the block."""
        name = f".{uuid.uuid4().hex}.part"
        self._locks.acquire(name)
        download = Download(self, source, entry, self.folder / name)
        try:
            yield download
        finally:
            download.discard()
            self._locks.release(name)

    def _shrink(self) -> None:
        """Return to the bound, which may be exceeded while more is in use."""
        with alone_in(self.folder, wait=False) as ledger:
            total = _noted(ledger)
            if total is not None and total > self.bound:
                _note(ledger, self.clean(self.bound, wait=False))

    def clean(self, limit: int, *, wait: bool = True) -> int:
        """Remove unused entries until they take no more than the limit; return how many bytes are left."""
        for path in self.folder.glob(".*.lock"):
            if _OUR_NAMES.fullmatch(path.name):  # left by a process that was killed, unless it is in use
                with LockFile(path.with_name(path.name[1:-5])) as lock:
                    lock.acquire()
        entries = sorted(_entries(self.folder), reverse=True)
        total = sum(size for *_, size in entries)
        goal = limit * _FILL_AFTER_CLEANING if total > limit else limit
        while entries and (total > goal or not entries[-1][0]):
            _, _, name, size = entries.pop()
            with self._locks.unused(name, wait=wait) as is_unused:
                if is_unused:
                    self.remove(self.folder / name)
                    total -= size
        return total

    def remove(self, entry: Path) -> None:
        """Remove an entry, renaming it first, so that nobody finds half of it."""
        gone = self.folder / f".{uuid.uuid4().hex}.gone"
        with suppress(OSError):
            os.rename(entry, gone)
            if gone.is_symlink() or not gone.is_dir():
                gone.unlink()
            else:
                shutil.rmtree(gone, ignore_errors=True)


class Download:
    """An unfinished download: a hidden folder, which is renamed when it is complete.

    Args:
        cache: The cache to which it will belong.
        source: Its URL.
        entry: The name that it will get. The caller holds it, and has the `turn` for it.
        partial: The name that it has until then.
    """

    def __init__(self, cache: DownloadCache, source: str, entry: Path, partial: Path):
        self._cache, self._source, self._entry, self._partial = cache, source, entry, partial
        self._room = 0
        partial.mkdir(mode=0o700)
        self.file = partial / file_name(source)
        _write_new(self.file)

    def reserve(self, num_bytes: int) -> None:
        """Reserve room for a file of this size, and give it that size, for other processes to see.

        Raises:
            SourceError: It is larger than the whole cache.
        """
        bound, room = self._cache.bound, num_bytes + _EXTRA_BYTES
        if room <= self._room:
            return
        if room > bound:
            raise SourceError(
                f"{shown(self._source)} does not fit into the cache: it takes {num_bytes} bytes, and "
                f"cache_bytes={bound}; allow more, or set PVIO_LAB_CACHE_BYTES"
            )
        more = room - self._room
        with alone_in(self._cache.folder) as ledger:
            total = _noted(ledger)
            if total is None or total + more > bound:
                total = self._cache.clean(bound - more)
            _note(ledger, total + more)
            os.truncate(self.file, num_bytes)
        self._room = room

    def commit(self, num_bytes: int, version: str | None) -> Facts:
        """Give the complete download its name; the same contents stay, as others may be reading them."""
        os.truncate(self.file, num_bytes)
        facts = Facts(self.file.name, num_bytes, version, key=uuid.uuid4().hex)
        _write_new(self._partial / _FACTS, json.dumps(asdict(facts)).encode())
        old = self._entry / facts.file
        is_same = self._cache.find(self._entry) and filecmp.cmp(self.file, old, shallow=False)
        with alone_in(self._cache.folder):
            if is_same:
                os.replace(self._partial / _FACTS, self._entry / _FACTS)
            else:
                if os.path.lexists(self._entry):
                    self._cache.remove(self._entry)  # the next clean-up notices the room that this makes
                os.rename(self._partial, self._entry)
                self._room = 0
        return facts

    def discard(self) -> None:
        """Remove what was not committed and its reservation at once, or a clean-up would count both."""
        if self._room or self._partial.exists():
            with alone_in(self._cache.folder) as ledger:
                shutil.rmtree(self._partial, ignore_errors=True)
                total = _noted(ledger)
                if total is not None:
                    _note(ledger, total - self._room)
            self._room = 0


def entry_name(source: str, fetching: Fetching) -> str:
    """Return a hash of everything that determines the contents, and of nothing else."""
    # Those who may not use private addresses never find what was fetched from one.
    key = f"{fetching.allow_private} {source}"
    if fetching.headers:  # a server may show other contents to somebody else
        headers = sorted((name.lower(), value) for name, value in fetching.headers.items())
        key += f" {_digest(json.dumps(headers))}"
    return _digest(key)[:40]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def file_name(source: str) -> str:
    """Return a name for a download that people recognize, and that any system accepts.

    >>> file_name("https://host/videos/My%20clip.mp4?token=1"), file_name("data:video/mp4;base64,AAAA")
    ('My_clip.mp4', 'data.mp4')
    """
    if is_data(source):
        return f"data{mimetypes.guess_extension(data_type(source)) or ''}"
    path = unquote(public_name(source).split("::")[0].partition("://")[2].partition("?")[0])
    name = re.sub(r"[^\w.-]", "_", path.rstrip("/").rpartition("/")[2], flags=re.ASCII)
    stem, suffix = os.path.splitext(name)
    return f"{stem[:_LONGEST_NAME].lstrip('.') or 'video'}{suffix[:10]}"


def _write_new(path: Path, contents: bytes = b"") -> None:
    """Write a new file that no other user can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK, 0o600), "wb") as file:
        file.write(contents)


def _make_private(folder: Path) -> None:
    """Keep other users out of the folder, unless it contains other things, too."""
    if sys.platform == "win32":
        return
    found = folder.stat()
    is_open = stat.S_IMODE(found.st_mode) & 0o077 and found.st_uid == os.geteuid()
    if is_open and all(_OUR_NAMES.fullmatch(name) for name in os.listdir(folder)):
        folder.chmod(0o700)


def _entries(folder: Path) -> Iterator[tuple[bool, float, str, int]]:
    """Yield each entry of the cache: whether it is complete, when it was used, its name, its size."""
    for each in os.scandir(folder):
        if _OUR_NAMES.fullmatch(each.name) and each.is_dir(follow_symlinks=False):
            found = list(_stats(each.path))
            sizes = [each.st_size for each in found] or [0]
            used = max((each.st_atime for each in found), default=0.0)
            yield not each.name.startswith("."), used, each.name, max(sum(sizes), max(sizes) + _EXTRA_BYTES)


def _stats(folder: str) -> Iterator[os.stat_result]:
    """Yield the facts of the files in a folder, which may vanish meanwhile."""
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
