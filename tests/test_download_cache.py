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
from pvio_lab.read import fetched
from pvio_lab.read.sources.cache import Download, DownloadCache, entry_name, file_name
from pvio_lab.read.sources.locks import EntryLocks, alone_in, entry_locks

SIZE = 100_000
NO_LOCKS = pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")


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
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue  # has gone since it was listed
    return total


def fetch(server, fetching, number, words="plain"):
    path = local_path(server.url(f"{words}/{number}.bin"), fetching)
    assert Path(path).read_bytes() == bytes([number]) * SIZE
    return path


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


def together(work, count):
    """The results of this many calls of a function, which begin at the same time."""
    gate = Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda number: (gate.wait(), work(number))[1], range(count)))


def made(folder):
    folder.mkdir(parents=True)
    return folder


def child_can_work_in(folder):
    """Another process gets its turn for the whole folder, at once."""
    code = (
        "import sys; from pathlib import Path; from pvio_lab.read.sources.locks import alone_in\n"
        "with alone_in(Path(sys.argv[1]), wait=False): pass"
    )
    return not subprocess.run([sys.executable, "-c", code, str(folder)], check=False).returncode


@pytest.mark.parametrize("words", ["plain", "unsized"])
def test_the_bound_holds(server, fetching, words):
    for number in range(20):
        fetch(server, fetching, number, words)
        assert num_bytes(fetching.folder) <= fetching.cache_bytes
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
    local_path(server.url("plain/0.bin"), fetching)
    assert (os.stat(path).st_mtime_ns, os.stat(path).st_ino) == (before.st_mtime_ns, before.st_ino)
    assert os.stat(path).st_atime_ns > before.st_atime_ns


FILL = """
import sys
from pvio_lab import Fetching
from pvio_lab.read import fetched
folder, bound, url, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
for i in range(60):
    number = (i * 7 + seed * 11) % 40
    with fetched(url.format(number), Fetching(cache_dir=folder, cache_bytes=bound)) as file:
        assert open(file.path, "rb").read() == bytes([number]) * 100_000, number
"""


@NO_LOCKS
@pytest.mark.parametrize("words", ["plain", "unsized"])
def test_four_processes_fill_one_cache(server, tmp_path, words):
    bound, most = 1_000_000, 0
    (tmp_path / "cache").mkdir()
    url = server.url(words) + "/{}.bin"
    children = [started(FILL, tmp_path / "cache", bound, url, seed) for seed in range(4)]
    begin(children)
    while any(child.poll() is None for child in children):
        with alone_in(tmp_path / "cache"):  # or files would come and go while they are counted
            most = max(most, num_bytes(tmp_path / "cache"))
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0] * 4
    assert bound / 2 < most <= bound
    assert not [path for path in (tmp_path / "cache").glob(".*") if path.is_dir()]


HOLD = """
import sys
from pvio_lab import Fetching
from pvio_lab.read import fetched
with fetched(sys.argv[2], Fetching(cache_dir=sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.readline()
"""


@NO_LOCKS
def test_what_another_process_uses_stays(server, fetching):
    with started(HOLD, fetching.folder, server.url("plain/0.bin")) as child:
        for number in range(1, 12):
            fetch(server, fetching, number)
            assert 0 in kept(fetching)
        child.kill()
    for number in range(12, 20):
        fetch(server, fetching, number)
    assert 0 not in kept(fetching)


@NO_LOCKS
def test_a_reader_keeps_its_file(server, fetching):
    with VideoReader(server.url("plain/gop2.mp4"), fetching=fetching) as reader:
        for number in range(12):
            fetch(server, fetching, number)
        assert os.path.exists(reader.info.path)
    for number in range(12):
        fetch(server, fetching, number)
    assert not os.path.exists(reader.info.path)


@NO_LOCKS
def test_a_reader_at_rest_lets_its_file_go(server, fetching):
    with VideoReader(server.url("plain/gop2.mp4"), fetching=fetching) as reader:
        frame = reader[30]
        reader.rest()
        for number in range(12):
            fetch(server, fetching, number)
        assert not os.path.exists(reader.info.path)
        assert (reader[30] == frame).all()
        assert sum(1 for _ in reader) == 60
        for number in range(12):
            fetch(server, fetching, number)
        assert os.path.exists(reader.info.path)


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
def test_what_is_dropped_in_the_middle_of_a_call_is_dropped_later(tmp_path):
    """The garbage collector may run anywhere, and closes readers."""
    locks = EntryLocks(tmp_path)
    locks.acquire("a")
    locks.acquire("b")
    with locks.unused("c") as unused:
        locks.release("a")
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
    mine, others = EntryLocks(tmp_path), tmp_path
    mine.acquire("a")
    say, hear = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.write(say[1], b"r")
        os.read(hear[0], 1)
        os._exit(0)
    os.read(say[0], 1)
    mine.release("a")
    assert not is_unused(others, "a")
    os.write(hear[1], b"g")
    os.waitpid(child, 0)
    assert is_unused(others, "a")


def is_unused(folder, name):
    """As another process sees it."""
    code = (
        "import sys; from pathlib import Path; from pvio_lab.read.sources.locks import EntryLocks\n"
        "with EntryLocks(Path(sys.argv[1])).unused(sys.argv[2]) as unused: sys.exit(not unused)"
    )
    return not subprocess.run([sys.executable, "-c", code, str(folder), name], check=False).returncode


@NO_LOCKS
def test_names_are_held_as_often_as_they_are_taken(tmp_path):
    locks = EntryLocks(tmp_path)
    for _ in range(2):
        locks.acquire("a")
    locks.release("a")
    assert (is_unused(tmp_path, "a"), is_unused(tmp_path, "b")) == (False, True)
    with locks.unused("a") as unused:
        assert not unused
    locks.release("a")
    assert is_unused(tmp_path, "a")
    with locks.unused("a") as unused:
        assert unused


@NO_LOCKS
def test_holds_survive_a_cleared_folder(tmp_path):
    locks = EntryLocks(tmp_path)
    locks.acquire("a")
    (tmp_path / ".holds").unlink()
    locks.acquire("b")
    assert (is_unused(tmp_path, "a"), is_unused(tmp_path, "b")) == (False, False)


def test_a_cleared_cache_is_filled_again(server, fetching):
    fetch(server, fetching, 0)
    shutil.rmtree(fetching.folder)
    fetch(server, fetching, 0)
    assert kept(fetching) == [0]


def test_what_is_larger_than_the_cache(server, tmp_path):
    small = Fetching(cache_dir=tmp_path / "cache", cache_bytes=SIZE)
    for words in ("plain", "unsized"):
        with pytest.raises(
            SourceError, match=r"does not fit into the cache: it takes .* cache_bytes=100000"
        ) as caught:
            local_path(server.url(f"{words}/0.bin"), small)
        assert not caught.value.is_temporary
    assert num_bytes(tmp_path / "cache") < 100


@NO_LOCKS
def test_more_in_use_than_there_is_room_for(server, fetching):
    with ExitStack() as stack:
        for number in range(8):
            file = stack.enter_context(fetched(server.url(f"plain/{number}.bin"), fetching))
            assert Path(file.path).read_bytes() == bytes([number]) * SIZE
        assert kept(fetching) == list(range(8))
    assert num_bytes(fetching.folder) <= fetching.cache_bytes
    fetch(server, fetching, 8)
    assert num_bytes(fetching.folder) <= fetching.cache_bytes


@pytest.mark.parametrize("words", ["drip", "fail-1"])
def test_eight_readers_of_one_url(tmp_path, server, fetching, words):
    url, got = server.url(f"{words}/9.bin", query=str(tmp_path)), []
    before = server.count(f"{words}/9.bin")

    def read(_):
        with suppress(SourceError):
            got.append(local_path(url, replace(fetching, retries=0)))

    together(read, 8)
    num_failed = words == "fail-1"  # the second one in turn takes over
    assert (len(got), len(set(got))) == (8 - num_failed, 1)
    assert server.count(f"{words}/9.bin") - before == 1 + num_failed


def test_who_asks_meanwhile_whether_a_file_has_changed_gets_the_same_answer(server, fetching, monkeypatch):
    fetch(server, fetching, 11)
    before, turn, gate = server.count("plain/11.bin"), DownloadCache.turn, Barrier(4)
    monkeypatch.setattr(DownloadCache, "turn", lambda *args: (gate.wait(), turn(*args))[1])
    together(lambda _: fetch(server, replace(fetching, revalidate=True), 11), 4)
    assert server.count("plain/11.bin") - before == 1


@NO_LOCKS
def test_processes_read_one_url(server, tmp_path):
    before = server.count("drip/8.bin")
    code = FILL.replace("(i * 7 + seed * 11) % 40", "8").replace("range(60)", "range(1)")
    children = [
        started(code, tmp_path / "cache", 10**6, server.url("drip") + "/{}.bin", seed) for seed in range(4)
    ]
    begin(children)
    for child in children:
        child.communicate()
    assert [child.returncode for child in children] == [0] * 4
    assert [path.name for path in (tmp_path / "cache").glob("*/*.bin")] == ["8.bin"]
    assert server.count("drip/8.bin") - before == 1


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
    code = HOLD.replace("with fetched", 'print("ready", flush=True)\nwith fetched')
    with started(code, fetching.folder, url) as child:
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
        assert child_can_work_in(fetching.folder)
        return True

    monkeypatch.setattr("pvio_lab.read.sources.cache.filecmp.cmp", compare)
    local_path(server.url("plain/0.bin"), replace(fetching, revalidate=True))


PRIVATE = pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")


@PRIVATE
def test_nobody_else_looks_into_the_cache(server, fetching):
    fetching.folder.mkdir(mode=0o777)
    fetching.folder.chmod(0o755)
    fetch(server, fetching, 0)
    for path in [fetching.folder, *fetching.folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@PRIVATE
def test_a_folder_with_other_things_keeps_its_mode(server, fetching):
    fetching.folder.mkdir()
    fetching.folder.chmod(0o755)
    (fetching.folder / "notes.txt").touch()
    assert fetch(server, fetching, 0) == fetch(server, fetching, 0)
    assert fetching.folder.stat().st_mode & 0o777 == 0o755


@NO_LOCKS
def test_other_things_in_the_folder_are_not_cleared_away(server, fetching):
    for name in ("photos", ".settings"):
        (fetching.folder / name).mkdir(parents=True)
        (fetching.folder / name / "a").write_bytes(b"x" * SIZE)
    for number in range(12):
        fetch(server, fetching, number)
    assert len(kept(fetching)) < 12
    assert all((fetching.folder / name / "a").exists() for name in ("photos", ".settings"))


@PRIVATE
@pytest.mark.parametrize("planted", ["folder", "video", "facts", "file"])
def test_planted_links_are_not_followed(server, fetching, tmp_path, planted):
    entry = Path(fetch(server, fetching, 0)).parent
    secret = tmp_path / "secret"
    if planted == "folder":
        entry.rename(secret)
        entry.symlink_to(secret)
    elif planted == "file":
        secret.write_bytes(b"s" * SIZE)
        facts = {"file": "../../secret", "num_bytes": SIZE, "version": None}
        (entry / "facts.json").write_text(json.dumps(facts))
    else:
        name = "0.bin" if planted == "video" else "facts.json"
        (entry / name).rename(secret)
        (entry / name).symlink_to(secret)
    before = server.count("plain/0.bin")
    assert Path(fetch(server, fetching, 0)).resolve() == entry / "0.bin"
    assert (server.count("plain/0.bin") - before, secret.exists()) == (1, True)


@PRIVATE
@pytest.mark.parametrize("name", [".holds", ".ledger"])
def test_planted_links_are_not_written_to(server, fetching, tmp_path, name):
    made(fetching.folder).joinpath(name).symlink_to(tmp_path / "victim")
    with pytest.raises(SourceError, match="cache cannot be used: Too many levels of symbolic links"):
        fetch(server, fetching, 0)
    assert not (tmp_path / "victim").exists()


@NO_LOCKS
def test_what_a_killed_process_left_is_removed(server, fetching):
    code = HOLD.replace("with fetched", 'print("ready", flush=True)\nwith fetched')
    with started(code, fetching.folder, server.url("stall-body/3.bin")) as child:
        while len(left := [*fetching.folder.glob(".*.part"), *fetching.folder.glob(".*.lock")]) < 2:
            time.sleep(0.01)
        child.kill()
    for number in range(6):
        if number != 3:
            fetch(server, fetching, number)
    assert not any(path.exists() for path in left)


def test_a_stopped_download_leaves_nothing(server, fetching, monkeypatch):
    fetch(server, fetching, 1)
    before = (fetching.folder / ".ledger").read_text()
    monkeypatch.setattr(Download, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        local_path(server.url("plain/0.bin"), fetching)
    assert kept(fetching) == [1]
    assert (fetching.folder / ".ledger").read_text() == before
    assert not list(fetching.folder.glob(".*.part"))


@pytest.mark.parametrize("text", ["", "nonsense", "99999999999"])
def test_a_wrong_ledger_is_made_again(server, fetching, text):
    for number in range(3):
        fetch(server, fetching, number)
    (fetching.folder / ".ledger").write_text(text)
    for number in range(3, 9):
        fetch(server, fetching, number)
        assert num_bytes(fetching.folder) <= fetching.cache_bytes
    assert len(kept(fetching)) >= 3


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        SourceError, match=r"file/cache cannot be used: Not a directory; choose .* PVIO_LAB_CACHE"
    ):
        local_path("data:,hello", Fetching(cache_dir=tmp_path / "file" / "cache"))


def test_threads_that_begin_together_share_their_locks(tmp_path):
    assert len(set(together(lambda _: entry_locks(tmp_path), 8))) == 1


def test_threads_share_a_cache(server, fetching):
    def work(seed):
        for i in range(20):
            number = (i + seed * 3) % 12
            with fetched(server.url(f"plain/{number}.bin"), fetching) as file:
                assert Path(file.path).read_bytes() == bytes([number]) * SIZE

    together(work, 3)
    assert num_bytes(fetching.folder) <= fetching.cache_bytes


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://h/a/b.mp4?x=/c.avi", "b.mp4"),
        ("https://h/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("https://h/..", "video"),
        ("https://h/", "h"),
        ("https://h", "h"),
        ("https://me:pw@h/", "h"),
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
