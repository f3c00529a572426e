"""A real HTTP server on loopback that serves a folder, and misbehaves as the path asks.

The path is any number of words, and then the file: `server.url("ranges/cut-1/shapes.mp4")`. The words:

plain                nothing special
ranges               serves ranges, and says so; without it every answer is the whole file
chunked, unsized     the length is not given, and a chunked body or the end of the connection ends it
versioned            an ETag of the file's contents, and 304 for clients that know it
stall, stall-body    nothing comes; nothing comes after the first half (until the server is closed)
stall-N, stall-body-N    the same for the first N requests
cut-N, reset-N       the first N answers end after the first half; the first N connections are broken
fail-N               the first N answers are 500
busy-N               the first N answers are 429 with `Retry-After: 0`
status-CODE          each answer is this one
redirect-N, loop     N redirects to the file; redirects without end
drip                 64 KB at a time, with a short pause
locked               401 without `user` and `hunter2`
late                 the answer comes after 0.1 seconds
after-N              503 with `Retry-After: N`
trickle-PART, flood-PART    the same part of an answer without end, slowly or fast: see `ENDLESS`
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pvio_lab.read import HeldSource

WORDS = (
    r"plain|ranges|chunked|unsized|versioned|stall(-body)?(-\d+)?|cut-\d+|reset-\d+|fail-\d+|busy-\d+"
    r"|status-\d+|redirect-\d+|loop|drip|locked|late|after-\d+|(trickle|flood)-[a-z]+"
)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# The beginning of an answer, and what then follows forever.
ENDLESS = {
    "status": (b"HTTP/1.1 200 ", b"x"),
    "header": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "size": (CHUNKED, b"0"),
    "extension": (CHUNKED, b"1;" + b"x" * 60_000 + b"\r\nx\r\n"),
    "chunk": (CHUNKED, b"1\r\nx\r\n"),
    "trailer": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"X: x\r\n"),
}
PASSWORD = "Basic " + base64.b64encode(b"user:hunter2").decode()


def local_path(source, fetching=None):
    """The file of a source, which the cache may remove at any time."""
    with HeldSource(source, fetching) as file:
        return file.path


class UnrulyServer(ThreadingHTTPServer):
    """A server that counts requests and bytes, and keeps the headers it receives."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: str | Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = Path(folder)
        self.closing = threading.Event()
        self.counts: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.headers: dict[str, dict[str, str]] = {}
        self.targets: dict[str, str] = {}
        self.answers: dict[str, bytes] = {}
        self.lock = threading.Lock()

    def url(self, path: str, *, user: str = "", query: str = "") -> str:
        """The address of a file: `url("ranges/cut-1/shapes.mp4")`."""
        at, question = f"{user}@" if user else "", f"?{query}" if query else ""
        return f"http://{at}127.0.0.1:{self.server_port}/{quote(path)}{question}"

    def redirecting(self, path: str, target: str) -> str:
        """An address that redirects to any other."""
        self.targets[f"/{path}"] = target
        return self.url(path)

    def answering(self, path: str, sent: bytes) -> str:
        """An address where the answer is these bytes, whether they are HTTP or not."""
        self.answers[f"/{path}"] = sent
        return self.url(path)

    def count(self, path: str) -> int:
        """The number of requests for a path."""
        return self.counts[f"/{path}"]

    def num_sent(self, path: str) -> int:
        """The number of bytes of bodies that were sent for a path."""
        return self.sent[f"/{path}"]

    def handle_error(self, *_: object) -> None:
        """Ignore a client that goes away."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: UnrulyServer

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        with self.server.lock:
            self.server.counts[path] += 1
            self.nth = self.server.counts[path]
            self.server.headers[path] = dict(self.headers)
        self.asked, self.words, parts = path, {}, path.strip("/").split("/")
        while parts and re.fullmatch(WORDS, parts[0]):
            word, number = re.fullmatch(r"(.*?)(?:-(\d+))?", parts.pop(0)).groups()
            self.words[word] = int(number or 1_000_000)
        if path in self.server.answers:
            self.wfile.write(self.server.answers[path])
            self.close_connection = True
        elif path in self.server.targets:
            self.redirect(self.server.targets[path])
        else:
            self.behave("/".join(parts))

    do_HEAD = do_GET

    def behave(self, name: str) -> None:
        if "late" in self.words:
            self.server.closing.wait(0.1)
        endless = next((word for word in self.words if word.startswith(("trickle-", "flood-"))), None)
        if endless is not None:
            self.go_on_forever(*endless.split("-"))
        elif "after" in self.words:
            self.refuse(503, {"Retry-After": str(self.words["after"])})
        elif self.now("stall"):
            self.server.closing.wait()
        elif self.now("reset"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif "status" in self.words:
            self.refuse(self.words["status"])
        elif self.now("fail"):
            self.refuse(500)
        elif self.now("busy"):
            self.refuse(429, {"Retry-After": "0"})
        elif "locked" in self.words and self.headers.get("Authorization") != PASSWORD:
            self.refuse(401)
        elif "loop" in self.words:
            self.redirect(self.asked)
        elif self.words.get("redirect"):
            count = self.words["redirect"]
            self.redirect(self.asked.replace(f"redirect-{count}", f"redirect-{count - 1}"))
        else:
            self.serve(self.server.folder / name)

    def go_on_forever(self, pace: str, part: str) -> None:
        begin, again = ENDLESS[part]
        self.wfile.write(begin)
        while not self.server.closing.wait(0.02 if pace == "trickle" else 0):
            self.wfile.write(again)
        self.close_connection = True

    def now(self, word: str) -> bool:
        return self.nth <= self.words.get(word, 0)

    def refuse(self, code: int, headers: dict[str, str] | None = None) -> None:
        self.start(code, {**(headers or {}), "Content-Length": "0"})

    def redirect(self, target: str) -> None:
        self.start(302, {"Location": target, "Content-Length": "0"})

    def start(self, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def serve(self, file: Path) -> None:
        if not file.is_file():
            return self.refuse(404)
        data, headers, code, begin, end = file.read_bytes(), {}, 200, 0, None
        if "versioned" in self.words:
            headers["ETag"] = f'"{hashlib.md5(data).hexdigest()}"'
            if self.headers.get("If-None-Match") == headers["ETag"]:
                return self.start(304, headers)
        if "ranges" in self.words:
            headers["Accept-Ranges"] = "bytes"
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked and int(asked[1]) < len(data):
                begin, code = int(asked[1]), 206
                end = min(int(asked[2] or len(data)) + 1, len(data))
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
        body = data[begin:end]
        if "chunked" in self.words:
            headers["Transfer-Encoding"] = "chunked"
        elif "unsized" in self.words:
            headers["Connection"] = "close"
        else:
            headers["Content-Length"] = str(len(body))
        self.start(code, headers)
        return None if self.command == "HEAD" else self.send(body)

    def send(self, body: bytes) -> None:
        is_short = self.now("cut") or self.now("stall-body")
        end = len(body) // 2 if is_short else len(body)
        for offset in range(0, end, 65536):
            piece = body[offset : min(offset + 65536, end)]
            with self.server.lock:
                self.server.sent[self.asked] += len(piece)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if "chunked" in self.words else piece)
            if "drip" in self.words and self.server.closing.wait(0.02):
                break
        if self.now("stall-body"):
            self.server.closing.wait()
        elif "chunked" in self.words and not is_short:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = is_short or "unsized" in self.words or self.now("stall-body")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serving(folder: str | Path) -> Iterator[UnrulyServer]:
    """A server of a folder's files, for as long as the block runs."""
    server = UnrulyServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        with suppress(OSError):
            server.server_close()
