from __future__ import annotations

import socket

import pytest

from pvio_lab.read import has_secrets, is_url, shown
from pvio_lab.read.sources import addresses
from pvio_lab.read.sources.attempts import FetchError
from pvio_lab.read.sources.urls import without_secrets

PRIVATE = """127.0.0.1 127.8.8.8 0.0.0.0 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.100.100.200
168.63.129.16 224.0.0.1 240.0.0.1 255.255.255.255 192.0.0.192 198.18.0.1 ::1 :: fe80::1 fe80::1%eth0 fc00::1
fd00:ec2::254 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1::
2001:db8::1""".split()


PUBLIC = "1.1.1.1 8.8.8.8 2606:4700::1111 ::ffff:1.1.1.1 64:ff9b::101:101".split()


@pytest.mark.parametrize("address", PRIVATE + PUBLIC)
def test_private_and_public_addresses(address):
    assert addresses.is_public(address) == (address in PUBLIC)


@pytest.mark.parametrize(
    ("source", "visible"),
    [
        ("clip.mp4", "clip.mp4"),
        ("/videos/a@b?c.mp4", "/videos/a@b?c.mp4"),
        ("https://host:8/a/b.mp4", "https://host:8/a/b.mp4"),
        ("https://me:p@ss@host/a.mp4?X-Amz-Signature=abc#t=1", "https://host/a.mp4"),
        ("https://host?token=1", "https://host"),
        ("https://me:a/b", "https://me:a/b"),
        ("https://me:p/w@host/a.mp4", "https://host/a.mp4"),
        ("https://me:p?w@host:8/a.mp4?sig=1", "https://host:8/a.mp4"),
        ("https://me:p#w@[::1]:8/a.mp4", "https://[::1]:8/a.mp4"),
        ("https://me:p::w@host/a.mp4", "https://host/a.mp4"),
        ("https://[::1]:8/a.mp4?sig=1", "https://[::1]:8/a.mp4"),
        ("https://host/@me/a.mp4?sig=a::b", "https://host/@me/a.mp4"),
        ("zip://in 12:30.mp4::https://me:p::w@host/a.zip?sig=a::b", "zip://in 12:30.mp4::https://host/a.zip"),
        ("s3://key:secret@bucket/a.mp4", "s3://bucket/a.mp4"),
        ("zip://in.mp4::https://me:pw@host/a.zip?sig=1", "zip://in.mp4::https://host/a.zip"),
        ("simplecache::s3://k:s@bucket/a.mp4", "simplecache::s3://bucket/a.mp4"),
        ("data:video/mp4;base64,AAAA", "data:video/mp4 (26 characters)"),
        ("DATA:,secret", "data: (12 characters)"),
    ],
)
def test_what_may_be_shown(source, visible):
    assert shown(source) == visible


@pytest.mark.parametrize(
    "url", ["https://h/a.mp4", "a.mp4?b", "data:,abc", "https://u:p@h/a", "https://h/a?sig=1"]
)
def test_secrets_are_told_from_plain_addresses(url):
    assert has_secrets(url) == (url in ("https://u:p@h/a", "https://h/a?sig=1"))


@pytest.mark.parametrize(
    "said",
    [
        "no PASSWORD here",
        "url='https://joe:PASSWORD@h/a?sig=S%2FGNED'",
        "S/GNED is wrong",
        "sig=S%2FGNED",
        "joe",
        "no abcd for Bearer abcd",
    ],
)
def test_words_of_others_lose_their_secrets(said):
    headers = {"Authorization": "Bearer abcd"}
    found = without_secrets(f"403: {said} joey", "https://joey:PASSWORD@h/a?sig=S%2FGNED", headers)
    assert not any(secret in found for secret in ("PASSWORD", "S%2FGNED", "S/GNED", "joey", "abcd", "Bearer"))
    assert found.startswith("403")


@pytest.mark.parametrize("name", ["clip.mp4", "C:\\a.mp4", "C://a.mp4", "a:b.mp4", "/x/y"])
def test_paths_are_no_urls(name):
    assert not is_url(name)


def test_the_address_that_was_checked_is_the_one_that_is_connected(monkeypatch):
    answers = iter(["93.184.216.34", "127.0.0.1"])  # a name that stands for another address the second time
    resolve = lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 80))]  # noqa: E731
    asked = []
    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(addresses.socket, "create_connection", lambda place, *_: asked.append(place))
    addresses.connect(("rebinding.example", 80), lambda: 1.0, publicly=True)
    assert asked == [("93.184.216.34", 80)]


def test_one_private_address_among_others_is_enough(monkeypatch):
    found = [(0, 0, 0, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(FetchError, match=r"mixed.example is a private address"):
        addresses.connect(("mixed.example", 80), lambda: 1.0, publicly=True)
