"""`data:` URIs, which carry their bytes with them."""

from __future__ import annotations

import base64
import binascii
import io
import re
from urllib.parse import unquote_to_bytes

from .deadline import Deadline
from .faults import FetchError
from .fetching import Fetching
from .web import Answer


def open_data(
    source: str, offset: int, fetching: Fetching, deadline: Deadline, known_version: str | None = None
) -> Answer:
    """The bytes that a `data:` URI carries.

    >>> open_data("data:text/plain;base64,aGVsbG8=", 0, Fetching(), Deadline()).stream.read(10)
    b'hello'
    """
    kind, comma, payload = source.partition(":")[2].partition(",")
    if not comma:
        raise FetchError("there is no comma in it; allowed is data:<type>;base64,<bytes>")
    data = unquote_to_bytes(payload)
    if kind.lower().endswith(";base64"):
        try:
            data = base64.b64decode(re.sub(rb"\s", b"", data), validate=True)
        except binascii.Error:
            raise FetchError("what follows the comma is not base64") from None
    return Answer(io.BytesIO(data[offset:]), start=offset, num_bytes=len(data), has_ranges=True)
