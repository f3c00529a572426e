from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest
from truth_frames import SAMPLES
from unruly_server import local_path, serving

import pvio_lab as pv
from pvio_lab import Fetching, SourceError, VideoReader
from pvio_lab.read import HeldSource
from pvio_lab.read.sources.cache import Download, DownloadCache, entry_name
from pvio_lab.read.sources.entry_locks import EntryLocks, entry_locks, ledger_of
from pvio_lab.read.sources.urls import file_name

SIZE = 100_000
NO_LOCKS = pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
PRIVATE = pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serves 40 files of one size and of different contents."""
    folder = tmp_path_factory.mktemp("files")
    for number in range(40):
        (folder / f"{number}.bin").write_bytes(bytes([number]) * SIZE)
    shutil.copy(SAMPLES / "gop2.mp4", folder)
    with serving(folder) as server:
        yield server


@pytest.fixture
def fetching(tmp_path):
    """A cache with room for five files."""
    return Fetching(cache_dir=tmp_path / "cache", cache_bytes=550_000)


def kept(fetching):
    return sorted(int(path.stem) for path in fetching.folder.glob("[!.]*/*.bin"))


def num_bytes(folder):
    """Of all that is there just now, downloads that are being made among it."""
    total = 0
    for path in Path(folder).rglob("*"):
        with suppress(FileNotFoundError):  # has gone since it was listed
            total += path.is_file() and path.stat().st_size
    return total


def fetch(server, fetching, number, words="plain"):
    with HeldSource(server.url(f"{words}/{number}.bin"), fetching) as file:
        assert Path(file.path).read_bytes() == bytes([number]) * SIZE
    return file.path


def fetch_all(server, fetching, numbers, words="plain"):
    for number in numbers:
        fetch(server, fetching, number, words)
        assert num_bytes(fetching.folder) <= fetching.cache_bytes


def started(code, *arguments):
    """Another process; it says when it is ready."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n"
    return child


def begin(children):
    """Let processes begin that are ready."""
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()


def end(children):
    for child in children:
        child.communicate()
    assert {child.returncode for child in children} == {0}


def together(work, count):
    """The results of this many calls of a function, which begin at the same time."""
    gate = Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda number: (gate.wait(), work(number))[1], range(count)))


def works_elsewhere(code, *arguments):
    """Whether another process can do this."""
    code = "import sys; from pathlib import Path; from pvio_lab.read.sources.entry_locks import *\n" + code
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=False).returncode == 0


def is_unused(folder, name):
    """As another process sees it."""
    code = "with EntryLocks(Path(sys.argv[1])).unused(sys.argv[2]) as unused: sys.exit(not unused)"
    return works_elsewhere(code, folder, name)


@pytest.mark.parametrize("words", ["plain", "unsized"])
def test_the_bound_holds(server, fetching, words):
    fetch_all(server, fetching, range(20), words)
    assert len(kept(fetching)) >= 3
    assert kept(fetching)[-1] == 19


def test_what_was_used_least_lately_goes_first(server, fetching):
    for number in (0, 1, 2, 3, 0, 4, 0, 5):
        local_path(server.url(f"plain/{number}.bin"), fetching)  # and not read, which many systems note, too
        time.sleep(0.01)
    assert 0 in kept(fetching)
    assert not {1, 2} & set(kept(fetching))


def test_being_used_does_not_change_a_file(server, fetching):
    path = fetch(server, fetching, 0)
    before = os.stat(path)
    time.sleep(0.01)
    fetch(server, fetching, 0)
    assert (os.stat(path).st_mtime_ns, os.stat(path).st_ino) == (before.st_mtime_ns, before.st_ino)
    assert os.stat(path).st_atime_ns > before.st_atime_ns


FILL = """
import sys
from pvio_lab import Fetching
from pvio_lab.read import HeldSource
folder, bound, url, numbers = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
print("ready", flush=True)
sys.stdin.readline()
for number in map(int, numbers.split()):
    with HeldSource(url.format(number), Fetching(cache_dir=folder, cache_bytes=bound)) as file:
        assert open(file.path, "rb").read() == bytes([number]) * 100_000, number
"""


@NO_LOCKS
@pytest.mark.parametrize("words", ["plain", "unsized"])
def test_four_processes_fill_one_cache(server, tmp_path, words):
    bound, most, cache = 1_000_000, 0, tmp_path / "cache"
    cache.mkdir()
    orders = [" ".join(str((i * 7 + seed * 11) % 40) for i in range(60)) for seed in range(4)]
    children = [started(FILL, cache, bound, server.url(words) + "/{}.bin", order) for order in orders]
    begin(children)
    while any(child.poll() is None for child in children):
        with ledger_of(cache):  # or files would come and go while they are counted
            most = max(most, num_bytes(cache))
    end(children)
    assert bound / 2 < most <= bound
    assert not [path for path in cache.glob(".*") if path.is_dir()]


@NO_LOCKS
def test_processes_read_one_url(server, tmp_path):
    before, url = server.count("drip/8.bin"), server.url("drip") + "/{}.bin"
    children = [started(FILL, tmp_path / "cache", 10**6, url, 8) for _ in range(4)]
    begin(children)
    end(children)
    assert [path.name for path in (tmp_path / "cache").glob("*/*.bin")] == ["8.bin"]
    assert server.count("drip/8.bin") - before == 1


HOLD = """
import sys
from pvio_lab import Fetching
from pvio_lab.read import HeldSource
with HeldSource(sys.argv[2], Fetching(cache_dir=sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.readline()
"""
BEGIN_TO_FETCH = HOLD.replace("with HeldSource", 'print("ready", flush=True)\nwith HeldSource')


@NO_LOCKS
def test_what_another_process_uses_stays(server, fetching):
    with started(HOLD, fetching.folder, server.url("plain/0.bin")) as child:
        fetch_all(server, fetching, range(1, 12))
        assert 0 in kept(fetching)
        child.kill()
    fetch_all(server, fetching, range(12, 20))
    assert 0 not in kept(fetching)


@NO_LOCKS
def test_a_reader_keeps_its_file_unless_it_rests(server, fetching):
    with VideoReader(server.url("plain/gop2.mp4"), fetching=fetching) as reader:
        fetch_all(server, fetching, range(12))
        assert os.path.exists(reader.info.path)
        frame = reader[30]
        reader.rest()
        fetch_all(server, fetching, range(12))
        assert not os.path.exists(reader.info.path)
        assert (reader[30] == frame).all()
        assert sum(1 for _ in reader) == 60
        fetch_all(server, fetching, range(12))
        assert os.path.exists(reader.info.path)
    fetch_all(server, fetching, range(12))
    assert not os.path.exists(reader.info.path)


@NO_LOCKS
def test_threads_that_wake_a_reader_hold_its_file_once(server, fetching):
    with VideoReader(server.url("plain/gop2.mp4"), fetching=fetching) as reader:
        for _ in range(5):
            reader.rest()
            together(lambda _: reader[30], 4)
    assert is_unused(fetching.folder, Path(reader.info.path).parent.name)


@NO_LOCKS
def test_a_reader_at_rest_notices_that_others_fetched_its_file_again(server, fetching):
    url = server.url("plain/gop2.mp4")
    with VideoReader(url, fetching=fetching) as reader:
        frame = reader[30]
        reader.rest()
        shutil.rmtree(Path(reader.info.path).parent)
        local_path(url, fetching)
        assert (reader[31] != frame).any()
        assert (reader[30] == frame).all()


@NO_LOCKS
def test_what_ends_in_the_middle_of_a_call_is_released_later(tmp_path):
    """The garbage collector may run anywhere, and closes readers."""
    locks, first, second = EntryLocks(tmp_path), ExitStack(), ExitStack()
    first.enter_context(locks.used("a"))
    second.enter_context(locks.used("b"))
    with locks.unused("c") as unused:
        first.close()
        with locks.unused("b", wait=False) as inner:
            assert (unused, inner) == (True, False)
    assert (is_unused(tmp_path, "a"), is_unused(tmp_path, "b")) == (True, False)


@NO_LOCKS
@pytest.mark.parametrize("use", ["loader", "clips", "join"])
def test_a_source_is_held_as_long_as_it_is_used(server, tmp_path, monkeypatch, use):
    """With room for one of four videos."""
    monkeypatch.setenv("PVIO_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PVIO_LAB_CACHE_BYTES", "150000")
    urls = [server.url("plain/gop2.mp4", query=str(number)) for number in range(4)]
    if use == "loader":
        loader = pv.VideoCollectionDataLoader(
            pv.VideoCollectionDataset(urls, step=10), num_workers=2, order="shuffled"
        )
        assert sum(len(batch["frames"]) for batch in loader) == 24
    elif use == "clips":
        with pv.ClipDataset(urls, 4) as clips:
            assert all(len(clips[item % 4]["frames"]) == 4 for item in range(8))
    else:
        pv.concatenate_video_files(urls, tmp_path / "all.mp4")
        assert pv.get_video_metadata(tmp_path / "all.mp4").num_frames == 240
    gc.collect()
    local_path("data:,", Fetching())
    assert num_bytes(tmp_path / "cache") <= 150_000


@NO_LOCKS
def test_a_forked_child_keeps_what_its_parent_had(tmp_path):
    locks, say, hear = EntryLocks(tmp_path), os.pipe(), os.pipe()
    with locks.used("a"):
        child = os.fork()
        if not child:
            os.write(say[1], b"r")
            os.read(hear[0], 1)
            os._exit(0)
        os.read(say[0], 1)
    assert not is_unused(tmp_path, "a")
    os.write(hear[1], b"g")
    os.waitpid(child, 0)
    assert is_unused(tmp_path, "a")


@NO_LOCKS
def test_an_entry_is_used_until_the_last_one_ends(tmp_path):
    locks = EntryLocks(tmp_path)
    with locks.used("a"):
        with locks.used("a"):
            (tmp_path / ".holds").unlink()  # somebody clears the folder
        with locks.used("b"), locks.unused("a") as unused:
            assert not unused
            assert [is_unused(tmp_path, name) for name in "abc"] == [False, False, True]
    with locks.unused("a") as unused:
        assert unused
    assert is_unused(tmp_path, "a")


@pytest.mark.parametrize("words", ["plain", "unsized"])
def test_what_is_larger_than_the_cache(server, fetching, words):
    with pytest.raises(SourceError, match=r"does not fit into .* it takes .* cache_bytes=100000") as caught:
        fetch(server, replace(fetching, cache_bytes=SIZE), 0, words)
    assert not caught.value.is_temporary
    assert num_bytes(fetching.folder) < 100


@NO_LOCKS
def test_more_in_use_than_there_is_room_for(server, fetching):
    with ExitStack() as stack:
        for number in range(8):
            file = stack.enter_context(HeldSource(server.url(f"plain/{number}.bin"), fetching))
            assert Path(file.path).read_bytes() == bytes([number]) * SIZE
        assert kept(fetching) == list(range(8))
    assert num_bytes(fetching.folder) <= fetching.cache_bytes
    fetch_all(server, fetching, [8])


@pytest.mark.parametrize(("words", "num_failed"), [("drip", 0), ("fail-1", 1)])  # then the second takes over
def test_eight_readers_of_one_url(tmp_path, server, fetching, words, num_failed):
    url, got = server.url(f"{words}/9.bin", query=str(tmp_path)), []
    before = server.count(f"{words}/9.bin")

    def read(_):
        with suppress(SourceError):
            got.append(local_path(url, replace(fetching, retries=0)))

    together(read, 8)
    assert (len(got), len(set(got))) == (8 - num_failed, 1)
    assert server.count(f"{words}/9.bin") - before == 1 + num_failed


def test_who_asks_meanwhile_whether_a_file_has_changed_gets_the_same_answer(server, fetching, monkeypatch):
    fetch(server, fetching, 11)
    before, turn, gate = server.count("plain/11.bin"), DownloadCache.turn, Barrier(4)
    monkeypatch.setattr(DownloadCache, "turn", lambda *args: (gate.wait(), turn(*args))[1])
    together(lambda _: fetch(server, replace(fetching, revalidate=True), 11), 4)
    assert server.count("plain/11.bin") - before == 1


def test_who_waits_for_a_download_has_a_limit_of_its_own(server, fetching):
    url = server.url("stall-1/7.bin")
    with (
        DownloadCache(fetching).turn(fetching.folder / entry_name(url, fetching), lambda: None),
        pytest.raises(SourceError, match=r"stall-1/7.bin .* not done after max_seconds=0\.1"),
    ):
        local_path(url, replace(fetching, max_seconds=0.1))
    assert server.count("stall-1/7.bin") == 0


@NO_LOCKS
def test_a_waiter_takes_over_from_a_process_that_dies(server, fetching):
    url = server.url("stall-body-1/6.bin")
    with started(BEGIN_TO_FETCH, fetching.folder, url) as child:
        while not server.num_sent("stall-body-1/6.bin"):
            time.sleep(0.01)
        waiter = Thread(target=local_path, args=(url, fetching))
        waiter.start()
        time.sleep(0.1)
        assert server.count("stall-body-1/6.bin") == 1
        child.kill()
        waiter.join()
    assert kept(fetching) == [6]


def test_a_large_file_is_compared_while_others_go_on(server, fetching, monkeypatch):
    """Whoever publishes a file does not keep others from the folder."""
    fetch(server, fetching, 0)

    def compare(*_, **__):
        assert works_elsewhere("with ledger_of(Path(sys.argv[1]), wait=False): pass", fetching.folder)
        return True

    monkeypatch.setattr("pvio_lab.read.sources.cache.filecmp.cmp", compare)
    fetch(server, replace(fetching, revalidate=True), 0)


@PRIVATE
def test_nobody_else_looks_into_the_cache(server, fetching):
    fetching.folder.mkdir(mode=0o777)
    fetching.folder.chmod(0o755)
    fetch(server, fetching, 0)
    for path in [fetching.folder, *fetching.folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@NO_LOCKS
def test_a_folder_with_other_things_keeps_them_and_its_mode(server, fetching):
    names = ("photos", ".settings")
    for name in names:
        (fetching.folder / name).mkdir(parents=True)
        (fetching.folder / name / "a").write_bytes(b"x" * SIZE)
    fetching.folder.chmod(0o755)
    for number in range(12):
        assert fetch(server, fetching, number) == fetch(server, fetching, number)
    assert len(kept(fetching)) < 12
    assert all((fetching.folder / name / "a").exists() for name in names)
    assert fetching.folder.stat().st_mode & 0o777 == 0o755


@PRIVATE
@pytest.mark.parametrize("planted", ["", "0.bin", "facts.json", "../../secret"])
def test_planted_links_are_not_followed(server, fetching, tmp_path, planted):
    entry = Path(fetch(server, fetching, 0)).parent
    secret = tmp_path / "secret"
    if planted.startswith(".."):
        secret.write_bytes(b"s" * SIZE)
        (entry / "facts.json").write_text(json.dumps({"file": planted, "num_bytes": SIZE, "version": None}))
    else:
        (entry / planted).rename(secret)
        (entry / planted).symlink_to(secret)
    before = server.count("plain/0.bin")
    assert Path(fetch(server, fetching, 0)).resolve() == entry / "0.bin"
    assert (server.count("plain/0.bin") - before, secret.exists()) == (1, True)


@PRIVATE
@pytest.mark.parametrize("name", [".holds", ".ledger"])
def test_planted_links_are_not_written_to(server, fetching, tmp_path, name):
    fetching.folder.mkdir()
    (fetching.folder / name).symlink_to(tmp_path / "victim")
    with pytest.raises(SourceError, match="cache cannot be used: Too many levels of symbolic links"):
        fetch(server, fetching, 0)
    assert not (tmp_path / "victim").exists()


@NO_LOCKS
def test_what_a_killed_process_left_is_removed(server, fetching):
    with started(BEGIN_TO_FETCH, fetching.folder, server.url("stall-body/3.bin")) as child:
        while len(left := [*fetching.folder.glob(".*.part"), *fetching.folder.glob(".*.lock")]) < 2:
            time.sleep(0.01)
        child.kill()
    fetch_all(server, fetching, [0, 1, 2, 4, 5])
    assert not any(path.exists() for path in left)


def test_a_stopped_download_leaves_nothing(server, fetching, monkeypatch):
    fetch(server, fetching, 1)
    before = (fetching.folder / ".ledger").read_text()
    monkeypatch.setattr(Download, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch(server, fetching, 0)
    assert kept(fetching) == [1]
    assert (fetching.folder / ".ledger").read_text() == before
    assert not list(fetching.folder.glob(".*.part"))


@pytest.mark.parametrize("text", ["", "nonsense", "99999999999"])
def test_a_wrong_ledger_is_made_again(server, fetching, text):
    fetch_all(server, fetching, range(3))
    shutil.rmtree(fetching.folder)  # a cleared cache is filled again, too
    fetch_all(server, fetching, range(3))
    (fetching.folder / ".ledger").write_text(text)
    fetch_all(server, fetching, range(3, 9))
    assert len(kept(fetching)) >= 3


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match=r"file/cache cannot be used: Not a directory; choose .*_CACHE"):
        local_path("data:,hello", Fetching(cache_dir=tmp_path / "file" / "cache"))


def test_threads_share_a_cache(server, fetching):
    locks = together(lambda _: entry_locks(fetching.folder.parent), 8)
    assert len(set(locks)) == 1
    together(lambda seed: [fetch(server, fetching, (i + seed * 3) % 12) for i in range(20)], 3)
    assert num_bytes(fetching.folder) <= fetching.cache_bytes


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://h/a/b.mp4?x=/c.avi", "b.mp4"),
        ("https://h/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("https://h/..", "video"),
        ("https://h/", "h"),
        ("https://me:pw@h", "h"),
        ("zip://in/side.mkv::s3://b/a.zip", "side.mkv"),
        ("https://h/" + "x" * 300 + ".mp4", "x" * 80 + ".mp4"),
        ("https://h/f%00%0a.mp4", "f__.mp4"),
        ("https://h/%D0%B0.mp4", "_.mp4"),
        ("data:video/webm,", "data.webm"),
        ("data:,", "data"),
    ],
)
def test_names(source, name):
    assert file_name(source) == name
