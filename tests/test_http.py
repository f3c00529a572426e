from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from truth_frames import SAMPLES
from unruly_server import CHUNKED, local_path, serving

from pvio_lab import Fetching, SourceError


@pytest.fixture(scope="module")
def server():
    with serving(SAMPLES) as server:
        yield server


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PVIO_LAB_CACHE", str(tmp_path))


def fetch(url, **limits):
    return Path(local_path(url, Fetching(**{"retries": 0, **limits}))).read_bytes()


@pytest.mark.parametrize("part", ["status", "header", "continue", "size", "chunk", "redirect"])
def test_one_limit_for_all_of_it(server, part):
    words = "late/redirect-9" if part == "redirect" else f"trickle-{part}"
    before = threading.active_count()
    with pytest.raises(SourceError, match=r"it is not done after max_seconds=0\.3") as caught:
        fetch(server.url(f"{words}/shapes.mp4"), max_seconds=0.3)
    assert caught.value.is_temporary
    assert threading.active_count() <= before + 1  # one of the server's own, at most


def test_the_limit_holds_for_tls():
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(SourceError, match=r"it is not done after max_seconds=0\.3"),
    ):
        fetch(f"https://127.0.0.1:{silent.getsockname()[1]}/a.mp4", max_seconds=0.3)


def test_no_other_try_after_the_limit(server, monkeypatch):
    monkeypatch.setattr("pvio_lab.read.sources.attempts.time.sleep", lambda _: pytest.fail("it waits"))
    with pytest.raises(SourceError, match="the server answered 503") as caught:
        fetch(server.url("after-50/gop2.mp4"), max_seconds=20, retries=2)
    assert caught.value.attempts == 1


def test_names_that_cannot_be_resolved_in_time(monkeypatch):
    def resolve(*_, **__):
        threading.Event().wait(0.02)
        return [(0, 0, 0, "", ("127.0.0.1", 9))]

    monkeypatch.setattr("pvio_lab.read.sources.http.socket.getaddrinfo", resolve)
    with pytest.raises(SourceError, match="it is not done after max_seconds"):
        fetch("http://slow.example/a.mp4", max_seconds=0.01)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        *(
            (part, "headers, or other data that is not content, without end")
            for part in ("continue", "extension")
        ),
        *((part, "LineTooLong|IncompleteRead") for part in ("status", "header", "size")),
    ],
)
def test_what_is_no_content_has_a_limit(server, part, said):
    with pytest.raises(SourceError, match=said):
        fetch(server.url(f"flood-{part}/a"))


def test_a_body_without_end(server):
    with pytest.raises(SourceError, match="it has more than max_bytes=1000 bytes"):
        fetch(server.url("flood-chunk/a"), max_bytes=1000)
    with pytest.raises(SourceError, match=r"data:text/plain .* has more than max_bytes=4 bytes"):
        fetch("data:text/plain;base64,aGVsbG8=", max_bytes=4)


@pytest.mark.parametrize("pace", ["trickle", "flood"])
def test_nobody_waits_for_trailers(server, pace):
    assert fetch(server.url(f"{pace}-trailer/a"), max_seconds=20) == b"hello"


def test_chunks(server):
    sent = CHUNKED + b"5;a=b\r\nhello\r\n03 \r\nabc\r\n0\r\nX: y"
    assert fetch(server.answering("chunks", sent)) == b"helloabc"


@pytest.mark.parametrize(
    "sent",
    [
        b"-5\r\nhello",
        b"0x5\r\nhello",
        b"1_0\r\nhello",
        b"\r\nhello",
        b"4\r\nhello\r\n0\r\n",
        b"6\r\nhello\r\n0\r\n",
        b"f" * 17 + b"\r\nhello",
        b"5\r\nhello",
        b"5",
        b"",
    ],
)
def test_chunks_of_wrong_sizes(server, sent):
    with pytest.raises(SourceError, match=r"gave one a wrong size|IncompleteRead") as caught:
        fetch(server.answering("chunks", CHUNKED + sent))
    assert caught.value.is_temporary


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (b"200 OK\r\nContent-Length: 9\r\n", "it ended after 5 of 9 bytes"),
        (b"200 OK\r\nContent-Length: 3\r\n", ""),
        (b"200 OK\r\nContent-Length: -3\r\n", ""),
        (b"206 Partial\r\nContent-Length: 5\r\n", "sends a part of it and does not say which"),
        (b"206 Partial\r\nContent-Range: bytes 7-11/12\r\nContent-Length: 5\r\n", "what comes after byte 7"),
    ],
)
def test_answers_that_lie(server, headers, said):
    url = server.answering("lies", b"HTTP/1.1 " + headers + b"\r\nhello")
    if said:
        with pytest.raises(SourceError, match=said):
            fetch(url)
    else:
        assert fetch(url) == b"hello"[: 3 if b": 3" in headers else None]
