"""Connections to hosts, and the addresses that are refused because they are private."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from .attempts import FetchError

# Served by the machinery of a cloud, and public according to (some versions of) Python.
_METADATA = (ip_network("168.63.129.16"), ip_network("192.0.0.0/24"))
_NAT64 = ip_network("64:ff9b::/96")


def connect(
    address: tuple[str, int], wait_seconds: Callable[[], float], *, publicly: bool = False
) -> socket.socket:
    """Connect to a host, at the first of its addresses that answers; `publicly`, if all of them are public.

    The name is resolved only once, as it may stand for another address a moment later.
    """
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    if publicly and not all(map(is_public, addresses)):
        raise FetchError(f"{host} is a private address, and allow_private=False")
    for each in addresses[:-1]:
        try:
            return socket.create_connection((each, port), wait_seconds())
        except OSError:
            continue
    return socket.create_connection((addresses[-1], port), wait_seconds())


def is_public(address: str) -> bool:
    """Return True if a numeric address belongs to the internet, and to no private network.

    >>> is_public("1.1.1.1"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    number = _innermost(ip_address(address.partition("%")[0]))
    return (
        number.is_global
        and not (number.is_multicast or number.is_reserved or number.is_unspecified)
        and not any(number in network for network in _METADATA)
    )


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
