"""A file appears under its name when it is complete, or not at all."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from pvio_lab import VideoWriter
from pvio_lab.base import LockFile, Partial, Target, clear_partials, files, hidden_files, write_whole

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
needs_posix = pytest.mark.skipif(os.name != "posix", reason="needs the names and links of POSIX")
NAMES = ["with spaces.mp4", 'quote\'s "and" more.mp4', "100%d %s.mp4", "line\nbreak.mp4", "-leading.mp4"]
NAMES += ["映画 ñ 🎬.mp4", "a" * 246 + ".mp4", "é" * 123 + ".mp4", "x" + "é" * 122 + ".mp4"]


def names_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "a.mp4"
    for old, new in ((None, b"first"), (b"first", b"second")):
        with Target(path) as target:
            target.partial.write_bytes(new)
            assert (path.read_bytes() if path.exists() else None) == old
            target.commit()
        assert path.read_bytes() == new
        assert names_in(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit])
def test_an_exception_discards(tmp_path, error):
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(error), Target(tmp_path / "a.mp4") as target:  # noqa: PT012
        target.partial.write_bytes(b"half")
        raise error
    assert names_in(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"old"


def test_what_is_not_committed_or_is_forgotten_is_discarded(tmp_path):
    with Target(tmp_path / "a.mp4"):
        pass
    Target(tmp_path / "b.mp4")
    gc.collect()
    assert names_in(tmp_path) == []
    target = Target(tmp_path / "c.mp4")
    target.commit()
    target.discard()
    target.discard()
    assert names_in(tmp_path) == ["c.mp4"]


def test_what_is_open_when_python_ends_is_discarded(tmp_path):
    code = "import sys; from pvio_lab.base import Target; kept = Target(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.mp4"], check=True)
    assert names_in(tmp_path) == []


@needs_fork
def test_a_forked_child_removes_nothing(tmp_path):
    with Target(tmp_path / "a.mp4") as target:
        child = os.fork()
        if not child:
            target.discard()
            os._exit(0)
        os.waitpid(child, 0)
        assert target.partial.exists()


@needs_posix
@pytest.mark.parametrize("name", NAMES)
def test_any_name(tmp_path, name):
    with Target(tmp_path / name, ending=".part.png") as target:
        assert target.partial.parent == tmp_path
        assert target.partial.name.encode().startswith(b".")  # no half characters
        assert target.partial.name.endswith(".part.png")
        target.commit()
    assert names_in(tmp_path) == [name]


def test_a_relative_name_stays_where_it_was_meant(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with Target("a.mp4") as target:
        monkeypatch.chdir(tmp_path / "elsewhere")
        target.commit()
    assert (tmp_path / "a.mp4").exists()


@needs_posix
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.mp4").symlink_to(tmp_path / "disk" / "real.mp4")
    with Target(tmp_path / "a.mp4") as target:
        target.commit()
    assert (tmp_path / "a.mp4").is_symlink()
    assert names_in(tmp_path / "disk") == ["real.mp4"]


def read_only(path):
    path.write_bytes(b"old")
    path.chmod(0o444)


def linked_twice(path):
    path.write_bytes(b"old")
    os.link(path, path.with_name("b.mp4"))


def pipe(path):
    os.mkfifo(path)


@needs_posix
@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (Path.touch, FileExistsError, r"a\.mp4 exists; overwrite=True replaces it"),
        (Path.mkdir, IsADirectoryError, "is a directory; give the name of a file"),
        (read_only, PermissionError, "is read-only"),
        (pipe, ValueError, "is not a regular file"),
        (linked_twice, FileExistsError, "one of 2 hard links"),
    ],
)
def test_what_may_not_be_replaced_stays(tmp_path, make, error, words):
    make(tmp_path / "a.mp4")
    before, names = (tmp_path / "a.mp4").lstat(), names_in(tmp_path)
    with pytest.raises(error, match=words):
        Target(tmp_path / "a.mp4", overwrite=make is not Path.touch)
    assert (tmp_path / "a.mp4").lstat() == before
    assert names_in(tmp_path) == names


@pytest.mark.parametrize("has_links", [True, False])
def test_it_does_not_overwrite_what_appears_meanwhile(tmp_path, monkeypatch, has_links):
    if not has_links:
        monkeypatch.delattr(os, "link", raising=False)
    with Target(tmp_path / "a.mp4", overwrite=False) as target:
        (tmp_path / "a.mp4").write_bytes(b"other")
        with pytest.raises(FileExistsError, match="has appeared meanwhile"):
            target.commit()
    with Target(tmp_path / "b.mp4", overwrite=False) as target:
        target.commit()
    assert names_in(tmp_path) == ["a.mp4", "b.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"other"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere to write to; make it first"):
        Target(tmp_path / "nowhere" / "a.mp4")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        Target(tmp_path / "a.mp4")


def test_the_folder_goes_away_meanwhile(tmp_path):
    (tmp_path / "short").mkdir()
    with Target(tmp_path / "short" / "a.mp4") as target:
        target.partial.unlink()
        (tmp_path / "short").rmdir()
        with pytest.raises(FileNotFoundError):
            target.commit()


def write_letters(path, letter):
    with Target(path) as target:
        target.partial.write_bytes(letter * 1_000_000)
        target.commit()


def test_many_at_once_leave_one_whole_file(tmp_path):
    letters = [bytes([number]) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_letters, [tmp_path / "a.mp4"] * 40, letters))
    content = (tmp_path / "a.mp4").read_bytes()
    assert names_in(tmp_path) == ["a.mp4"]
    assert content == content[:1] * 1_000_000


def test_of_many_that_do_not_overwrite_one_wins(tmp_path):
    def wins(target):
        with target, suppress(FileExistsError):
            target.commit()
            return True
        return False

    for turn in range(20):
        targets = [Target(tmp_path / f"{turn}.mp4", overwrite=False) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(wins, targets)) == 1
    assert names_in(tmp_path) == sorted(f"{turn}.mp4" for turn in range(20))


def test_a_file_that_was_made_anew_is_removed_again(tmp_path):
    target = Target(tmp_path / "a.mp4")
    target.discard()
    target.partial.write_bytes(b"late")
    target.discard()
    assert not list(tmp_path.iterdir())


@needs_posix
def test_a_file_that_is_replaced_passes_on_its_permissions(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with Target(path) as target:
        assert target.partial.stat().st_mode & 0o777 == 0o600  # nobody else may read it meanwhile, either
        target.commit()
    assert path.stat().st_mode & 0o777 == 0o600


@needs_posix
def test_a_new_file_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a.json", "{}")
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640


@needs_posix
@pytest.mark.parametrize(("is_same_group", "mode"), [(True, 0o664), (False, 0o604)])
def test_one_group_may_not_read_what_is_meant_for_another(tmp_path, monkeypatch, is_same_group, mode):
    def refuse(*_):
        raise PermissionError

    (tmp_path / "new").write_bytes(b"")
    own = (tmp_path / "new").stat()
    old = os.stat_result([0o100664, *own[1:5], own.st_gid + (not is_same_group), *own[6:]])
    monkeypatch.setattr(os, "chown", refuse)
    files._pass_on(old, tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == mode


# What killed runs leave

HOLDING = """
import sys, time, numpy as np, pvio_lab as pv
writer = pv.VideoWriter(sys.argv[1], 25)
writer.append(np.zeros((64, 64, 3), np.uint8))
print("writing", flush=True)
time.sleep(60)
"""


@needs_posix
def test_what_a_killed_run_has_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    command = [sys.executable, "-c", HOLDING, tmp_path / "a.mp4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        (partial,) = tmp_path.iterdir()
        write_whole(tmp_path / "a.mp4", "meanwhile")
        assert names_in(tmp_path) == [partial.name, "a.mp4"]
        orphans = psutil.Process(process.pid).children()
        process.kill()
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:  # does not mind that ffmpeg may still be at work
        writer.append(np.zeros((64, 64, 3), np.uint8))
    assert not psutil.wait_procs(orphans, 60)[1]
    write_whole(tmp_path / "a.mp4", "later")
    assert names_in(tmp_path) == ["a.mp4"]


def test_only_what_is_left_of_this_file_is_removed(tmp_path):
    for name in (".a.mp4.0123abcd.part", ".a.mp4x.0123abcd.part", ".a.mp4.part", ".a.mp4.0123abcd.part.b.c"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".a.mp4.89abcdef.part").mkdir()
    clear_partials(tmp_path, "a.mp4")
    left = [".a.mp4.0123abcd.part.b.c", ".a.mp4.part", ".a.mp4x.0123abcd.part"]
    assert names_in(tmp_path) == left if os.name == "posix" else [".a.mp4.89abcdef.part", *left]
    clear_partials(tmp_path, "a", is_prefix=True)
    assert ".a.mp4x.0123abcd.part" not in names_in(tmp_path)


@needs_posix
def test_a_file_that_is_about_to_be_locked_is_not_lost(tmp_path, monkeypatch):
    real, seen = hidden_files.try_lock, []

    def late(lock):
        seen.append(names_in(tmp_path))
        if len(seen) < 3:
            monkeypatch.setattr(hidden_files, "try_lock", real)
            clear_partials(tmp_path, "a.mp4")  # by somebody else, at the worst moment
            monkeypatch.setattr(hidden_files, "try_lock", late)
        return real(lock)

    monkeypatch.setattr(hidden_files, "try_lock", late)
    with Target(tmp_path / "a.mp4") as target:
        assert target.partial.exists()
        target.commit()
    assert len(seen) == len(set(map(str, seen))) == 3
    assert names_in(tmp_path) == ["a.mp4"]


@needs_posix
def test_folders_that_are_being_filled_stay(tmp_path):
    partial = Partial(tmp_path / "a", is_folder=True)
    clear_partials(tmp_path, "a")
    assert partial.path.is_dir()
    partial.rename(tmp_path / "a", overwrite=False)
    partial.remove()
    assert names_in(tmp_path) == ["a"]


@needs_fork
def test_a_forked_child_keeps_no_lock(tmp_path):
    lock, (reading, writing) = LockFile(tmp_path / "a"), os.pipe()
    assert lock.acquire()
    child = os.fork()
    if not child:
        os.read(reading, 1)
        lock.release()
        os._exit(0)
    lock.release()
    with LockFile(tmp_path / "a") as other:
        assert other.acquire()
        os.write(writing, b"!")
        os.waitpid(child, 0)
        assert not lock.acquire()
    os.close(reading), os.close(writing)
    assert names_in(tmp_path) == []


def test_a_lock_where_nothing_may_be_written(tmp_path, monkeypatch):
    opened = os.open

    def without_new_files(path, flags, *more):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", without_new_files)
    with pytest.raises(PermissionError, match="nothing may be written to the folder"):
        LockFile(tmp_path / "a").acquire()


def test_one_of_many_gets_a_lock(tmp_path):
    def is_alone(number):
        with LockFile(tmp_path / "a") as lock:
            while not lock.acquire():
                pass
            inside.append(number)
            is_first = len(inside) == 1
            inside.remove(number)
            return is_first

    inside = []
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_alone, range(40)))
