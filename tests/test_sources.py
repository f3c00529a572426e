from __future__ import annotations

import base64
import errno
import io
import logging
import os
import pickle
import shutil
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import av
import numpy as np
import pytest
from optional import needs
from truth_frames import SAMPLES, true_frames, wrong_frames
from unruly_server import local_path, serving

import pvio_lab as pv
from pvio_lab import Fetching, SourceError, VideoReader
from pvio_lab.read import HeldSource, opened_stream, shown

CLIP = SAMPLES / "gop2.mp4"
DATA = CLIP.read_bytes()


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """A cache of its own for each test."""
    monkeypatch.setenv("PVIO_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def quick():
    """Fetching that does not wait for long."""
    return Fetching(timeout_seconds=0.5, backoff_seconds=0.001)


@pytest.fixture(scope="module")
def server():
    with serving(SAMPLES) as server:
        yield server


@pytest.fixture(autouse=True)
def begin_to_count(server):
    server.counts.clear()
    server.sent.clear()


def kept(folder):
    """The videos in a cache folder."""
    return sorted(path for path in folder.glob("[!.]*/*") if path.suffix != ".json")


def content(source, fetching=None):
    """What was fetched of a source."""
    with HeldSource(source, fetching) as file:
        return Path(file.path).read_bytes()


@pytest.mark.parametrize(
    ("words", "attempts", "most_bytes"),
    [
        *((words, 1, 1) for words in ("plain", "ranges", "chunked", "unsized", "versioned", "drip")),
        ("redirect-3", 1, 0),
        ("fail-2", 3, 1),
        ("busy-1", 2, 1),
        ("reset-1", 2, 1),
        ("stall-1", 2, 1),
        ("cut-1", 2, 1.51),
        ("chunked/cut-1", 2, 1.51),
        ("stall-body-1", 2, 1.51),
        ("ranges/cut-2", 3, 1),
        ("ranges/stall-body-1", 2, 1),
    ],
)
def test_the_bytes_are_those_of_the_file_and_what_passes_is_tried_again(
    server, quick, words, attempts, most_bytes
):
    path = f"{words}/gop2.mp4"
    with HeldSource(server.url(path), quick) as file:
        assert Path(file.path).read_bytes() == DATA
        assert Path(file.path).name == "gop2.mp4"
        assert file.attempts == attempts == server.count(path)
        assert server.num_sent(path) <= most_bytes * len(DATA)
    with HeldSource(server.url(path), quick) as file:
        assert (file.attempts, server.count(path)) == (0, attempts)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fail-9", "the server answered 500 .Internal Server Error. .tried 3 times."),
        ("status-429", "the server answered 429"),
        ("stall", "nothing came for 0.5 seconds"),
        ("stall-body", "nothing came for 0.5 seconds"),
        ("cut-9", f"it ended after {len(DATA) // 2} of {len(DATA)} bytes"),
        ("chunked/cut-9", "IncompleteRead"),
        ("http://127.0.0.1:9", "ConnectionRefusedError"),
    ],
)
def test_what_does_not_pass(server, quick, cache_folder, words, said):
    url = f"{words}/gop2.mp4" if "://" in words else server.url(f"{words}/gop2.mp4")
    with pytest.raises(SourceError, match=said) as caught:
        content(url, quick)
    assert (caught.value.attempts, caught.value.is_temporary) == (3, True)
    assert server.count(f"{words}/gop2.mp4") == 3 * (url != f"{words}/gop2.mp4")
    assert kept(cache_folder) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        *(
            (f"status-{code}/gop2.mp4", f"the server answered {code}")
            for code in (400, 401, 403, 404, 410, 501)
        ),
        ("loop/gop2.mp4", "redirects more than 10 times"),
        ("to-a-file/gop2.mp4", "redirects to file://, which is not followed"),
        ("http://", "there is no host in it"),
        ("http://[::1/a.mp4", "it is not a valid URL"),
        ("http://host:port/a.mp4", "it is not a valid URL"),
        ("http://bücher.invalid/a.mp4", "the name of its host cannot be resolved"),
        ("nonsense://host/a.mp4", "ValueError: Protocol not known"),
        ("data:video/mp4", "there is no comma in it"),
        ("data:video/mp4;base64,!", "what follows the comma is not base64"),
        ("memory://nowhere.mp4", "there is no such file"),
    ],
)
def test_what_is_final_is_tried_once(server, quick, source, said):
    server.redirecting("to-a-file/gop2.mp4", CLIP.as_uri())
    url = source if ":" in source else server.url(source)
    with pytest.raises(SourceError, match=said) as caught:
        content(url, quick)
    assert (caught.value.attempts, caught.value.is_temporary) == (1, False)
    assert shown(url) in str(caught.value)


def test_a_server_that_sends_ever_so_slowly_is_given_up(server, cache_folder):
    with pytest.raises(SourceError, match=r"not done after max_seconds=0\.05") as caught:
        content(server.url("drip/shapes.mp4"), Fetching(max_seconds=0.05))
    assert caught.value.is_temporary
    assert kept(cache_folder) == []


def test_a_pause_that_the_server_asks_for(server, monkeypatch):
    pauses = []
    monkeypatch.setattr("pvio_lab.read.sources.attempts.time.sleep", pauses.append)
    content(server.url("busy-2/gop2.mp4"))
    content(server.url("fail-2/gop2.mp4"), Fetching(backoff_seconds=0.25))
    assert pauses == [0, 0, 0.25, 0.5]


@pytest.mark.parametrize("words", ["plain", "unsized", "chunked"])
def test_too_large(server, words):
    url, said = server.url(f"{words}/gop2.mp4"), f"has more than max_bytes={len(DATA) - 1} bytes"
    for _ in range(2):  # then what is in the cache is too large as well
        with pytest.raises(SourceError, match=said):
            content(url, Fetching(max_bytes=len(DATA) - 1))
        assert content(url, Fetching(max_bytes=len(DATA))) == DATA
    assert server.count(f"{words}/gop2.mp4") == 2


@pytest.mark.parametrize("option", ["allow_private", "allow_local"])
@pytest.mark.parametrize(
    "source",
    [
        "clip.mp4",
        CLIP,
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "local:///etc/passwd",
        "memory://a.mp4",
        "simplecache::file:///etc/passwd",
        "zip://a.mp4::/videos.zip",
        "zip://a.mp4::http://1.1.1.1/a.zip",
        "reference://a::http://1.1.1.1/a.json",
    ],
)
def test_what_is_not_allowed(source, option):
    fetching = Fetching(**{option: False})
    with pytest.raises(SourceError, match=f"{option}=False"):
        content(source, fetching)
    with pytest.raises(SourceError, match=f"{option}=False"), opened_stream(source, fetching):
        pass


def test_other_machines_are_allowed_where_local_files_are_not(server):
    assert content(server.url("plain/gop2.mp4"), Fetching(allow_local=False)) == DATA
    with pytest.raises(SourceError, match="ftp: is not allowed with allow_private=False"):
        content("ftp://a/b.mp4", Fetching(allow_private=False))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0"])
def test_private_addresses_are_refused(server, host):
    content(server.url("plain/gop2.mp4"))  # which strangers do not find
    url = server.url("plain/gop2.mp4").replace("127.0.0.1", host)
    with pytest.raises(SourceError, match="is a private address, and allow_private=False") as caught:
        content(url, Fetching(allow_private=False))
    assert (caught.value.attempts, server.count("plain/gop2.mp4")) == (1, 1)


def test_private_addresses_are_refused_after_a_redirect_and_by_proxies(server, monkeypatch):
    """The first server is taken for a public one; the second is what a stranger would like to see."""
    with serving(SAMPLES) as second:
        target = second.url("plain/gop2.mp4").replace("127.0.0.1", "127.0.0.2")
        url = server.redirecting("to-private.mp4", target)
        monkeypatch.setenv("http_proxy", second.url(""))
        monkeypatch.setattr(
            "pvio_lab.read.sources.addresses.is_public", lambda address: address == "127.0.0.1"
        )
        with pytest.raises(SourceError, match=r"127.0.0.2 is a private address"):
            content(url, Fetching(allow_private=False))
        assert (server.count("to-private.mp4"), second.counts.total()) == (1, 0)


def test_a_proxy_is_used(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url(""))
    assert content("http://host.invalid/plain/gop2.mp4") == DATA


SECRETS = {"user": "user:hunter2", "query": "X-Amz-Signature=SIGNED&token=TOKEN"}
HEADERS = {"X-Token": "Secret-Token"}
WORDS = ("hunter2", "SIGNED", "TOKEN", "Secret-Token", "X-Token", base64.b64encode(b"user:hunter2").decode())


def told_secrets(*texts):
    return [word for word in WORDS if word in "\n".join(map(str, texts))]


def texts_in(folder):
    """The names of all files, and what is in those that are no videos."""
    yield from folder.rglob("*")
    yield from (path.read_text("latin-1") for path in folder.rglob("*") if path.suffix == ".json")


def test_a_password_and_headers_are_sent_and_stay_with_their_host(server):
    fetching = Fetching(headers={**HEADERS, "Authorization": "Basic no", "user-agent": "mine"})
    for path in ("locked/gop2.mp4", "redirect-1/locked/gop2.mp4"):
        assert content(server.url(path, user="user:hunter2")) == DATA
        assert content(server.url(path, user="user:hunter2"), fetching) == DATA
    sent = server.headers["/redirect-0/locked/gop2.mp4"]
    assert (sent["X-Token"], sent["User-Agent"]) == ("Secret-Token", "mine")
    with serving(SAMPLES) as second:
        url = server.redirecting("elsewhere.mp4", second.url("plain/gop2.mp4"))
        content(url.replace("//", "//user:hunter2@"), fetching)
        assert {"X-Token", "Authorization"} <= set(server.headers["/elsewhere.mp4"])
        assert not {"X-Token", "Authorization"} & set(second.headers["/plain/gop2.mp4"])


def test_headers_may_mean_other_contents(server):
    settings = [Fetching(headers=headers) for headers in ({}, HEADERS, HEADERS)]
    paths = [local_path(server.url("plain/gop2.mp4"), fetching) for fetching in settings]
    assert paths[0] != paths[1] == paths[2]
    assert server.count("plain/gop2.mp4") == 2


@pytest.mark.parametrize("words", ["status-403", "cut-9", "stall", "loop", "fail-9"])
def test_an_error_tells_no_secrets(server, quick, words):
    with pytest.raises(SourceError, match=f"/{words}/gop2.mp4 cannot be fetched") as caught:
        content(server.url(f"{words}/gop2.mp4", **SECRETS), replace(quick, headers=HEADERS))
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert not told_secrets(*traceback.format_exception(caught.value), pickle.dumps(caught.value))


@pytest.mark.parametrize(
    "source",
    [
        "s3://key:hunter2@bucket/a.mp4?token=TOKEN",
        "memory://user:hunter2@a.mp4?SIGNED",
        "zip://a::http://u:hunter2@0:9/",
    ],
)
def test_errors_of_other_transports_tell_no_secrets(source, quick):
    with pytest.raises((SourceError, ImportError)) as caught:
        content(source, quick)
    assert not told_secrets(*traceback.format_exception(caught.value))


def test_a_reader_tells_no_secrets(server, cache_folder, caplog):
    caplog.set_level(logging.DEBUG)
    url = server.url("locked/gop2.mp4", **SECRETS)
    with VideoReader(url, fetching=Fetching(headers=HEADERS)) as reader:
        card, data = reader._repr_html_(), pickle.dumps(reader)
        assert not told_secrets(repr(reader), reader.info, card, reader.index, caplog.text, data)
        assert "locked/gop2.mp4" in repr(reader)
        with pickle.loads(data) as again:
            assert np.array_equal(again[3], reader[3])
    with pytest.raises(ValueError, match="is closed") as caught:
        reader[0]
    assert not told_secrets(caught.value, *texts_in(cache_folder))


def test_a_reader_of_a_plain_url_is_pickled_with_it(server):
    with VideoReader(server.url("plain/gop2.mp4")) as reader, pickle.loads(pickle.dumps(reader)) as again:
        assert "http://" in repr(again)
        assert not wrong_frames(again[[0, 7, 59]], true_frames(CLIP)[[0, 7, 59]])


def facts(text):
    return lambda file: file.with_name("facts.json").write_text(text)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda file: os.truncate(file, 1000),
        lambda file: file.write_bytes(DATA + b"x"),
        *map(facts, ["", "{", "[]", "null", '{"file": "gop2.mp4"}']),
        facts('{"file": 3, "num_bytes": 1, "version": null}'),
    ],
)
def test_what_is_damaged_in_the_cache_is_fetched_again(server, damage):
    damage(Path(local_path(server.url("plain/gop2.mp4"))))
    assert content(server.url("plain/gop2.mp4")) == DATA
    assert server.count("plain/gop2.mp4") == 2


@pytest.mark.parametrize(("words", "num_sent"), [("versioned", 1), ("plain", 2)])
def test_a_change_on_the_server_is_noticed_when_asked_for(tmp_path, words, num_sent):
    shutil.copy(CLIP, tmp_path / "clip.mp4")
    asking = Fetching(revalidate=True)
    with serving(tmp_path) as server:
        url, path = server.url(f"{words}/clip.mp4"), f"{words}/clip.mp4"
        first = local_path(url, asking)
        with VideoReader(first) as reader:
            inode = os.stat(first).st_ino
            assert local_path(url, asking) == first
            assert os.stat(first).st_ino == inode  # the same contents do not disturb who reads them
            assert reader[0].any()
        assert (server.count(path), server.num_sent(path)) == (2, num_sent * len(DATA))
        shutil.copy(SAMPLES / "shapes.mp4", tmp_path / "clip.mp4")
        assert content(url) == DATA
        assert content(url, asking) == (SAMPLES / "shapes.mp4").read_bytes()


def test_facts_are_kept_with_the_download(server, cache_folder):
    info = pv.get_video_metadata(server.url("plain/gop2.mp4"))
    assert info.num_frames == 60
    assert len(list(cache_folder.glob("*/gop2.mp4.metadata.json"))) == 1


@pytest.mark.parametrize("source", [str(CLIP), CLIP, CLIP.as_uri(), "FILE" + CLIP.as_uri()[4:]])
def test_files_stay_where_they_are(source):
    with HeldSource(source) as file, opened_stream(source) as stream:
        assert (file.path, file.attempts, stream.read()) == (str(CLIP), 0, DATA)


def test_files_do_without_http():
    code = "import sys; from pvio_lab import VideoReader; VideoReader(sys.argv[1])[0]; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code, CLIP], capture_output=True, text=True, check=True)
    assert not {"http.client", "urllib.request", "ssl"} & set(output.stdout.split())


def test_data_uris():
    uri = "data:video/mp4;base64," + base64.b64encode(DATA).decode()
    with VideoReader(uri) as reader:
        assert not wrong_frames(reader[:], true_frames(CLIP))
        assert len(repr(reader)) < 200
        assert reader.info.path.endswith("data.mp4")


def test_fsspec_urls(tmp_path):
    import fsspec

    with ZipFile(tmp_path / "videos.zip", "w") as archive:
        archive.write(CLIP, "inside.mp4")
    fsspec.filesystem("memory").pipe("/clip.mp4", DATA)
    for source in ("memory://clip.mp4", f"zip://inside.mp4::{(tmp_path / 'videos.zip').as_uri()}"):
        assert content(source) == DATA


@pytest.mark.ray  # its extras bring aiohttp
def test_an_archive_over_http(tmp_path, quick):
    needs("aiohttp")
    with ZipFile(tmp_path / "videos.zip", "w") as archive:
        archive.write(CLIP, "inside.mp4")
    with serving(tmp_path) as server:
        assert content(f"zip://inside.mp4::{server.url('ranges/videos.zip')}", quick) == DATA
        for words, is_temporary in (("stall", True), ("fail-9", True), ("status-404", False)):
            url = f"zip://inside.mp4::{server.url(f'{words}/videos.zip', query='token=TOKEN')}"
            with pytest.raises(SourceError, match=r"zip://inside.mp4::http://.*/videos.zip cannot") as caught:
                local_path(url, quick)
            assert caught.value.is_temporary == is_temporary, caught.value
            assert not told_secrets(*traceback.format_exception(caught.value))


def test_a_video_that_changes_meanwhile_is_never_mixed(tmp_path, quick):
    shutil.copy(CLIP, tmp_path / "clip.mp4")
    with serving(tmp_path) as server:
        with opened_stream(server.url("ranges/cut-1/clip.mp4"), quick) as stream:
            stream.read(1000)
            (tmp_path / "clip.mp4").write_bytes(DATA + b"x")
            with pytest.raises(SourceError, match="it has changed while it was read") as caught:
                stream.read()
        assert caught.value.is_temporary


def test_a_full_disk_is_named(server, monkeypatch, cache_folder):
    def truncate(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pvio_lab.read.sources.cache.os.truncate", truncate)
    with pytest.raises(SourceError, match=r"cache cannot be used: No space left on device; choose another"):
        local_path(server.url("plain/gop2.mp4"))
    assert not [path for path in cache_folder.iterdir() if path.is_dir()]


def test_spaces_and_letters_of_any_alphabet(tmp_path, quick):
    shutil.copy(CLIP, tmp_path / "ein schöner Clip.mp4")
    with serving(tmp_path) as server:
        for path in ("ein schöner Clip.mp4", "ein%20sch%C3%B6ner%20Clip.mp4"):
            assert content(server.url("") + path, quick) == DATA


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ImportError, match=r"s3://bucket/a.mp4 needs a package .*: pip install s3fs"):
        local_path("s3://bucket/a.mp4")


def test_what_is_no_source():
    for source in (3, b"http://me:secret@host/a.mp4", ["http://me:secret@host/a.mp4"]):
        with pytest.raises(
            TypeError, match=r"a source must be a path or a URL, not (int|bytes|list)"
        ) as error:
            HeldSource(source)
        assert "secret" not in str(error.value)


@pytest.mark.parametrize("name", ["a b.mp4", "a%20b.mp4", "50%.mp4"])
def test_a_file_url_may_quote_its_path(tmp_path, name):
    path = tmp_path / name
    path.touch()
    assert Path(local_path(path.as_uri())) == path


def test_a_stream_fetches_no_more_than_is_read(server):
    with opened_stream(server.url("drip/shapes.mp4")) as stream:
        assert stream.read(1000) == (SAMPLES / "shapes.mp4").read_bytes()[:1000]
    assert server.count("drip/shapes.mp4") == 1
    assert server.num_sent("drip/shapes.mp4") < (SAMPLES / "shapes.mp4").stat().st_size


@pytest.mark.parametrize("words", ["reset-1", "cut-1", "ranges/cut-1"])
def test_a_stream_goes_on_where_it_broke(server, quick, words):
    with opened_stream(server.url(f"{words}/gop2.mp4"), quick) as stream:
        assert stream.read() == DATA


def test_a_stream_seeks_where_the_server_can(server):
    with opened_stream(server.url("ranges/gop2.mp4")) as stream:
        assert stream.seekable()
        stream.seek(-100, io.SEEK_END)
        assert stream.read() == DATA[-100:]
        stream.seek(10)
        assert stream.read(90) == DATA[10:100]
    with opened_stream(server.url("plain/gop2.mp4")) as stream:
        assert not stream.seekable()
        with pytest.raises(io.UnsupportedOperation):
            stream.seek(10)


def test_a_stream_is_decoded_as_it_comes(server):
    """The index of this file is at its end, and most of it is never sent."""
    with opened_stream(server.url("ranges/drip/shapes.mp4")) as stream, av.open(stream) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert not wrong_frames(frame[None], true_frames(SAMPLES / "shapes.mp4")[:1])


def test_nothing_stays_open(server):
    descriptors = lambda: len(os.listdir("/proc/self/fd"))  # noqa: E731
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("this system does not list open files")
    local_path(server.url("plain/gop2.mp4"))
    before = descriptors()
    for query in "abc":
        local_path(server.url("plain/gop2.mp4", query=query))
    with pytest.raises(SourceError):
        local_path(server.url("status-404/gop2.mp4"))
    deadline = time.monotonic() + 20  # the server's own ends close a little later
    while descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert descriptors() <= before


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signal")
def test_a_kill_in_the_middle_leaves_no_wrong_file(server, cache_folder):
    url = server.url("stall-body-1/gop2.mp4")
    code = "import sys; from pvio_lab.read import HeldSource; HeldSource(sys.argv[1])"
    with subprocess.Popen([sys.executable, "-c", code, url]) as child:
        while not server.num_sent("stall-body-1/gop2.mp4"):
            assert child.poll() is None
            time.sleep(0.01)
        child.kill()
    assert kept(cache_folder) == []
    assert content(url) == DATA
