"""A folder of downloads within a bound, shared by any number of processes."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ...base import LockFile
from ...errors import SourceError
from .attempts import Attempts
from .entry_locks import entry_locks, ledger_of, private
from .stream import ResumableStream
from .urls import file_name, shown

if TYPE_CHECKING:
    from .fetching import Fetching

_FACTS = "facts.json"
# Reserved for the facts of an entry, and for those of the video that are remembered beside it.
_EXTRA_BYTES = 4096
# A clean-up has to look at every entry, so it makes room for several downloads.
_FILL_AFTER_CLEANING = 0.9
_MOST_FACTS = 2**16
_MOST_PIECE_BYTES, _PIECES_PER_BLOCK = 2**20, 16
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
    """

    def __init__(self, fetching: Fetching):
        self.bound = fetching.room_bytes
        fetching.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = Path(os.path.realpath(fetching.folder))
        _make_private(self.folder)
        self._locks = entry_locks(self.folder)

    @contextmanager
    def held(self, name: str) -> Iterator[Path]:
        """Yield the place of an entry, there or not; it is not removed before the end of the block."""
        try:
            with self._locks.used(name):
                yield self.folder / name
        finally:  # return to the bound, which may be exceeded while more is in use
            with suppress(OSError), ledger_of(self.folder, wait=False) as ledger:
                if ledger.num_bytes is not None and ledger.num_bytes > self.bound:
                    ledger.num_bytes = self.clean(self.bound, wait=False)

    @contextmanager
    def turn(self, entry: Path, check: Callable[[], None]) -> Iterator[None]:
        """Run one such block for an entry at a time, in any process; `check` may end the waiting."""
        with LockFile(entry) as lock:
            while not lock.acquire():
                check()
                time.sleep(_PAUSE_SECONDS)
            yield

    def find(self, entry: Path) -> Facts | None:
        """Return the facts of an entry if it is complete, and mark it as used now."""
        with suppress(OSError, ValueError, TypeError, RecursionError):
            if not stat.S_ISDIR(entry.lstat().st_mode):
                return None
            with open(entry / _FACTS, "rb", opener=private) as file:
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
        """Yield a download to be filled; unless it is committed, it is removed at the end of the block.

        The caller holds the entry, and has the `turn` for it.
        """
        place = self.folder / f".{uuid.uuid4().hex}.part"
        with self._locks.used(place.name):
            download = Download(self, source, entry, place)
            try:
                place.mkdir(mode=0o700)
                open(download.file, "xb", opener=private).close()
                yield download
            finally:
                download.discard()

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
    """An unfinished download: a hidden folder, which becomes an entry of the cache when it is complete."""

    def __init__(self, cache: DownloadCache, source: str, entry: Path, place: Path):
        self._cache, self._source, self._entry, self._place = cache, source, entry, place
        self._room = 0
        self.file = place / file_name(source)

    def reserve(self, num_bytes: int) -> None:
        """Reserve room for a file of this size, and give it that size, for other processes to see."""
        bound, more = self._cache.bound, num_bytes + _EXTRA_BYTES - self._room
        if more <= 0:
            return
        if num_bytes + _EXTRA_BYTES > bound:
            raise SourceError(
                f"{shown(self._source)} does not fit into the cache: it takes {num_bytes} bytes, and "
                f"cache_bytes={bound}; allow more, or set PVIO_LAB_CACHE_BYTES"
            )
        with ledger_of(self._cache.folder) as ledger:
            total = ledger.num_bytes
            if total is None or total + more > bound:
                total = self._cache.clean(bound - more)
            ledger.num_bytes = total + more
            self._room += more
            os.truncate(self.file, num_bytes)

    def fill(self, stream: ResumableStream) -> Facts:
        """Write all bytes of a stream, and become an entry."""
        self.reserve(stream.num_bytes or 0)
        size, pieces = 0, iter(partial(stream.read_piece, _MOST_PIECE_BYTES), b"")
        with open(self.file, "r+b") as file:
            while block := list(islice(pieces, _PIECES_PER_BLOCK)):  # to reserve is slow on some file systems
                size += sum(map(len, block))
                self.reserve(size)
                file.writelines(block)
        return self.commit(size, stream.version)

    def commit(self, num_bytes: int, version: str | None) -> Facts:
        """Give the complete download its name; the same contents stay, as others may be reading them."""
        os.truncate(self.file, num_bytes)
        facts = Facts(self.file.name, num_bytes, version, key=uuid.uuid4().hex)
        with open(self._place / _FACTS, "xb", opener=private) as file:
            file.write(json.dumps(asdict(facts)).encode())
        old = self._entry / facts.file
        is_same = self._cache.find(self._entry) and filecmp.cmp(self.file, old, shallow=False)
        with ledger_of(self._cache.folder):
            if is_same:
                os.replace(self._place / _FACTS, self._entry / _FACTS)
            else:
                if os.path.lexists(self._entry):
                    self._cache.remove(self._entry)  # the next clean-up notices the room that this makes
                os.rename(self._place, self._entry)
                self._room = 0
        return facts

    def discard(self) -> None:
        """Remove what was not committed and its reservation at once, or a clean-up would count both."""
        if self._room or self._place.exists():
            with ledger_of(self._cache.folder) as ledger:
                shutil.rmtree(self._place, ignore_errors=True)
                if ledger.num_bytes is not None:
                    ledger.num_bytes -= self._room


@contextmanager
def held_download(source: str, fetching: Fetching) -> Iterator[tuple[str, int]]:
    """Yield the file of a URL, fetched unless it is there, and the number of attempts that this took."""
    with ExitStack() as stack:
        try:
            cache = DownloadCache(fetching)
            entry = stack.enter_context(cache.held(entry_name(source, fetching)))
            facts, attempts = _find_or_fetch(cache, entry, Attempts(source, fetching))
        except OSError as error:
            raise SourceError(
                f"the cache folder {fetching.folder} cannot be used: {error.strerror or error}; choose "
                "another one with cache_dir or PVIO_LAB_CACHE"
            ) from None
        if facts.num_bytes > (fetching.max_bytes or facts.num_bytes):
            raise SourceError(f"{shown(source)} has more than max_bytes={fetching.max_bytes} bytes")
        yield str(entry / facts.file), attempts


def _find_or_fetch(cache: DownloadCache, entry: Path, attempts: Attempts) -> tuple[Facts, int]:
    facts = before = cache.find(entry)
    if facts is not None and not attempts.fetching.revalidate:
        return facts, 0
    with cache.turn(entry, attempts.check_time):
        facts = cache.find(entry)
        if facts is not None and facts != before:  # somebody has fetched it meanwhile
            return facts, 0
        with ResumableStream(attempts, facts.version if facts else None) as stream:
            if facts is None or not stream.is_known:
                with cache.new(attempts.source, entry) as download:
                    facts = download.fill(stream)
        return facts, attempts.count


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
