"""The parts of URLs, what may be shown of them, and names for their files."""

from __future__ import annotations

import mimetypes
import os
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from ...errors import printable

_URL = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\"<>)\]]+")
_WEB = re.compile("(^|::)(?=https?://)", re.IGNORECASE)
# In an IPv6 address, all colons are inside the brackets.
_NO_PORT = re.compile(r":(?![0-9]*$)[^\]@]*$")
_LONGEST_NAME = 80
_SECRET = "***"
# Redacting a shorter secret would hit harmless words, too.
_LEAST_SECRET = 4


def is_url(source: str | PathLike[str]) -> bool:
    """Return True for a text with a scheme: http(s), s3, data ...; not for a `Path` or a drive letter.

    >>> is_url("s3://bucket/clip.mp4"), is_url("C://clip.mp4"), is_url("clip.mp4")
    (True, False, False)
    """
    if not isinstance(source, str):
        return False
    scheme, colon, _ = source.partition(":")
    return bool(colon) and (scheme.lower() == "data" or ("://" in source and len(scheme) > 1))


def is_data(url: str) -> bool:
    """Return True for a `data:` URI."""
    return url[:5].lower() == "data:"


def source_name(source: str | PathLike[str]) -> str:
    """Return a source as text; a `Path` remains a path, even if its folders look like a URL.

    >>> from pathlib import PurePosixPath
    >>> source_name("data:,hello"), source_name(PurePosixPath("data:,hello"))
    ('data:,hello', './data:,hello')
    """
    name = os.fsdecode(source)
    return name if isinstance(source, str) or not is_url(name) else os.path.join(os.curdir, name)


def shown(source: str | PathLike[str]) -> str:
    r"""Return what may be shown of a source: of a URL the scheme, the host and the path.

    >>> shown("https://me:pass@host/a.mp4?token=1")
    'https://host/a.mp4'
    >>> shown("data:video/mp4;base64,AAAA")
    'data:video/mp4 (26 characters)'
    >>> print(shown("two\nlines.mp4"))
    two\nlines.mp4
    """
    return printable(public_name(source))


def public_name(source: str | PathLike[str]) -> str:
    """Return a source as it may be passed on as data: a path unchanged, a URL as in `shown`."""
    name = os.fsdecode(source)
    if not is_url(source):
        return name
    if is_data(name):
        return f"data:{data_type(name)} ({len(name)} characters)"
    return "::".join(map(_shown_link, links(name)))


def data_type(uri: str) -> str:
    """Return the media type in a `data:` URI."""
    return re.split("[;,]", uri[5:85])[0]


def links(source: str) -> list[str]:
    """Return the links of a chain; a web address is the last one, even if its password or query has colons.

    >>> links("zip://clip.mp4::https://host/videos.zip?key=a::b"), links("http://[::1]/clip.mp4")
    (['zip://clip.mp4', 'https://host/videos.zip?key=a::b'], ['http://[::1]/clip.mp4'])
    """
    web = _WEB.search(source)
    if web is None:
        return source.split("::")
    return [*(source[: web.start()].split("::") if web.start() else ()), source[web.end() :]]


def public_names(sources: Iterable[str | PathLike[str]]) -> tuple[str, ...]:
    """Return the `public_name` of each source; different sources with the same one are numbered.

    >>> public_names(["clip.mp4", "https://host/video?id=7", "https://host/video?id=8"])
    ('clip.mp4', 'https://host/video#1', 'https://host/video#2')
    """
    listed = [os.fsdecode(source) for source in sources]
    names = [public_name(source) for source in listed]
    alike = Counter(name for _, name in set(zip(listed, names, strict=True)))
    return tuple(f"{name}#{place}" if alike[name] > 1 else name for place, name in enumerate(names))


def outline(value: Any) -> str:
    """Return what may be shown of a wrong argument, which may contain a source.

    >>> outline("http://me:pass@host/a"), outline(3), outline({"url": "http://me:pass@host/a"})
    ("'http://host/a'", '3', "dict of 'url'")
    """
    if isinstance(value, str | PathLike):
        return reprlib.repr(shown(value))
    if isinstance(value, Mapping):
        return f"{type(value).__name__} of {', '.join(map(reprlib.repr, list(value)[:5]))}"
    is_plain = value is None or isinstance(value, int | float)
    return reprlib.repr(value) if is_plain else f"a value of type {type(value).__name__}"


def file_name(source: str) -> str:
    """Return a name for the file of a URL that people recognize, and that any system accepts.

    >>> file_name("https://host/videos/My%20clip.mp4?token=1"), file_name("data:video/mp4;base64,AAAA")
    ('My_clip.mp4', 'data.mp4')
    """
    if is_data(source):
        return f"data{mimetypes.guess_extension(data_type(source)) or ''}"
    path = unquote(public_name(source).split("::")[0].partition("://")[2].partition("?")[0])
    name = re.sub(r"[^\w.-]", "_", path.rstrip("/").rpartition("/")[2], flags=re.ASCII)
    stem, suffix = os.path.splitext(name)
    return f"{stem[:_LONGEST_NAME].lstrip('.') or 'video'}{suffix[:10]}"


def has_secrets(source: str | PathLike[str]) -> bool:
    """Return True if a source contains more than may be shown."""
    name = os.fsdecode(source)
    return is_url(source) and not is_data(name) and public_name(source) != name


def without_secrets(text: str, source: str, headers: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a foreign message about a source, with all secrets of its URL and of these headers redacted.

    >>> without_secrets("403 for http://host/a?token=abcd: abcd is old", "http://host/a?token=abcd")
    '403 for http://host/a *** is old'
    """
    text = _URL.sub(lambda found: shown(found[0]), text)
    words = {word for value in headers.values() for word in (value, *value.split())} | _secrets(source)
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= _LEAST_SECRET:
            text = text.replace(word, _SECRET)
    return text


def _shown_link(link: str) -> str:
    """Return what may be shown of one link of a chain such as `zip://clip.mp4::https://host/videos.zip`."""
    scheme, separator, rest = link.partition("://")
    if not separator:
        return link
    if _WEB.match(link) and _NO_PORT.search(_host(rest)):  # a password with a / ? or # that is not quoted
        rest = rest.rpartition("@")[2]
    host = _host(rest)
    place = re.split("[?#]", rest[len(host) :], maxsplit=1)[0]
    return f"{scheme}://{host.rpartition('@')[2]}{place}"


def _host(rest: str) -> str:
    return re.split("[/?#]", rest, maxsplit=1)[0]


def _secrets(source: str) -> set[str]:
    """Return the user, the password, the query and its values, quoted and unquoted."""
    found: set[str] = set()
    for link in links(source):
        before, _, query = link.partition("://")[2].partition("?")
        user = before.partition("/")[0].rpartition("@")[0]
        values = (part.partition("=")[2] for part in re.split("[&#]", query))
        found.update(
            form for word in (user, *user.split(":", 1), query, *values) for form in (word, unquote(word))
        )
    return found
