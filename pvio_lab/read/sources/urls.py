"""URLs: what may be shown of one, and which addresses are public."""

from __future__ import annotations

import os
import re
import reprlib
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from os import PathLike
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from ...errors import printable

_URL = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\"<>)\]]+")
_WEB = re.compile("(^|::)(?=https?://)", re.IGNORECASE)
# In an IPv6 address, all colons stand in brackets.
_NO_PORT = re.compile(r":(?![0-9]*$)[^\]@]*$")
_SECRET = "***"
# A secret shorter than this would blot out words that are none.
_LEAST_SECRET = 4
# Answered by a cloud's own machinery, and public as far as (some versions of) Python know.
_METADATA = (ip_network("168.63.129.16"), ip_network("192.0.0.0/24"))
_NAT64 = 0x0064_FF9B << 96


class PrivateAddressError(Exception):
    """An address is not a public one; the message says which host has it."""


def is_url(source: str | PathLike[str]) -> bool:
    """Return whether a text has a scheme: http(s), s3, data ...; a drive letter is none, and a `Path` no URL.

    >>> is_url("s3://bucket/clip.mp4"), is_url("C://clip.mp4"), is_url("clip.mp4")
    (True, False, False)
    """
    if not isinstance(source, str):
        return False
    scheme, colon, _ = source.partition(":")
    return bool(colon) and (scheme.lower() == "data" or ("://" in source and len(scheme) > 1))


def source_name(source: str | PathLike[str]) -> str:
    """Return a source as a text, in which a `Path` stays a path, whatever its folders are called.

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
    """Return a source as it may be handed on, as data: a path as it is, a URL as `shown` has it."""
    name = os.fsdecode(source)
    if not is_url(source):
        return name
    if name[:5].lower() == "data:":
        return f"data:{re.split('[;,]', name[5:85])[0]} ({len(name)} characters)"
    return "::".join(map(_shown_link, links(name)))


def links(source: str) -> list[str]:
    """Return the links of a chain; a web address is the last one, whatever its password or query looks like.

    >>> links("zip://clip.mp4::https://host/videos.zip?key=a::b"), links("http://[::1]/clip.mp4")
    (['zip://clip.mp4', 'https://host/videos.zip?key=a::b'], ['http://[::1]/clip.mp4'])
    """
    web = _WEB.search(source)
    if web is None:
        return source.split("::")
    return [*(source[: web.start()].split("::") if web.start() else ()), source[web.end() :]]


def public_names(sources: Iterable[str | PathLike[str]]) -> tuple[str, ...]:
    """Return the `public_name` of each source; those that would be the same get their places, too.

    >>> public_names(["clip.mp4", "https://host/video?id=7", "https://host/video?id=8"])
    ('clip.mp4', 'https://host/video#1', 'https://host/video#2')
    """
    listed = [os.fsdecode(source) for source in sources]
    names = [public_name(source) for source in listed]
    alike = Counter(name for _, name in set(zip(listed, names, strict=True)))
    return tuple(f"{name}#{place}" if alike[name] > 1 else name for place, name in enumerate(names))


def outline(value: Any) -> str:
    """Return what may be shown of a value that may hold a source, and should have been something else.

    >>> outline("http://me:pass@host/a"), outline(3), outline({"url": "http://me:pass@host/a"})
    ("'http://host/a'", '3', "dict of 'url'")
    """
    if isinstance(value, str | PathLike):
        return reprlib.repr(shown(value))
    if isinstance(value, Mapping):
        return f"{type(value).__name__} of {', '.join(map(reprlib.repr, list(value)[:5]))}"
    is_plain = value is None or isinstance(value, int | float)
    return reprlib.repr(value) if is_plain else f"a value of type {type(value).__name__}"


def has_secrets(source: str | PathLike[str]) -> bool:
    """Whether a source says more than may be shown."""
    name = os.fsdecode(source)
    return is_url(source) and name[:5].lower() != "data:" and public_name(source) != name


def without_secrets(text: str, source: str, headers: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return foreign words about a source without what is secret in its URL and in these headers.

    >>> without_secrets("403 for http://host/a?token=abcd: abcd is old", "http://host/a?token=abcd")
    '403 for http://host/a *** is old'
    """
    text = _URL.sub(lambda found: shown(found[0]), text)
    told = {word for value in headers.values() for word in (value, *value.split())}
    secrets = {word for word in _secrets(source) | told if len(word) >= _LEAST_SECRET}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _SECRET)
    return text


def is_public(address: str) -> bool:
    """Whether a numerical address belongs to the internet, and to nobody's own network.

    >>> is_public("1.1.1.1"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    number = _innermost(ip_address(address.partition("%")[0]))
    return (
        number.is_global
        and not (number.is_multicast or number.is_reserved or number.is_unspecified)
        and not any(number in network for network in _METADATA)
    )


def connect(address: tuple[str, int], wait: Callable[[], float], *, publicly: bool = False) -> socket.socket:
    """Connect to a host, at the first of its addresses that answers.

    A name may stand for another address a moment later, so that it is not asked for a second time.

    Args:
        address: The host and the port.
        wait: Tells how long the next try may take.
        publicly: Only if all addresses of the host are public.

    Raises:
        OSError: There is no such host, or it does not answer.
        PrivateAddressError: One of its addresses is not public.
    """
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if publicly and not all(map(is_public, addresses)):
        raise PrivateAddressError(f"{host} is a private address, and allow_private=False")
    for each in addresses[:-1]:
        try:
            return socket.create_connection((each, port), wait())
        except OSError:
            continue
    return socket.create_connection((addresses[-1], port), wait())


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if int(address) >> 32 == _NAT64 >> 32:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _shown_link(link: str) -> str:
    """One link of a chain such as `zip://clip.mp4::https://host/videos.zip`."""
    scheme, separator, rest = link.partition("://")
    if not separator:
        return link
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    if _WEB.match(link) and _NO_PORT.search(host):  # it is a password, with a / ? or # that is not quoted
        rest = rest.rpartition("@")[2]
        host = re.split("[/?#]", rest, maxsplit=1)[0]
    place = re.split("[?#]", rest[len(host) :], maxsplit=1)[0]
    return f"{scheme}://{host.rpartition('@')[2]}{place}"


def _secrets(source: str) -> set[str]:
    found: set[str] = set()
    for link in links(source):
        rest = link.partition("://")[2]
        before, _, after = rest.partition("?")
        user = before.partition("/")[0].rpartition("@")[0]
        words = [
            user,
            *user.split(":", 1),
            after,
            *(part.partition("=")[2] for part in re.split("[&#]", after)),
        ]
        found.update(form for word in words for form in (word, unquote(word)))
    return found
