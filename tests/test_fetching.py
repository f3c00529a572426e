from __future__ import annotations

import pickle
import sys
from dataclasses import asdict, replace

import pytest
from truth_frames import SAMPLES
from unruly_server import local_path

from pvio_lab import Fetching, SourceError, VideoReader


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"timeout_seconds": 0}, ValueError, "timeout_seconds=0 must be more than 0"),
        ({"timeout_seconds": float("nan")}, ValueError, "=nan must be more than 0, and finite"),
        ({"timeout_seconds": "5"}, TypeError, "timeout_seconds='5' must be a number of seconds"),
        ({"retries": -1}, ValueError, "retries=-1 must be 0 or more"),
        ({"retries": True}, TypeError, "retries=True must be an integer"),
        ({"backoff_seconds": -1}, ValueError, "backoff_seconds=-1 must be at least 0"),
        ({"backoff_seconds": False}, TypeError, "backoff_seconds=False must be a number of seconds"),
        ({"max_seconds": 0}, ValueError, "max_seconds=0 must be more than 0"),
        ({"max_bytes": 0}, ValueError, "max_bytes=0 must be 1 or more"),
        ({"cache_bytes": 1.5}, TypeError, "cache_bytes=1.5 must be an integer"),
        ({"cache_dir": 3}, TypeError, "cache_dir=3 must be a path"),
        ({"allow_private": "no"}, TypeError, "allow_private='no' must be True or False"),
        ({"allow_local": 0}, TypeError, "allow_local=0 must be True or False"),
        ({"headers": "Authorization"}, TypeError, "headers must be a mapping of names to values, not str"),
        ({"headers": {"A": 1}}, TypeError, "header 1 of 1 must have a str for its name and its value"),
        ({"headers": {"A": "", "B C": ""}}, ValueError, "the name of header 2 of 2 must be letters"),
        ({"headers": {"A\n": ""}}, ValueError, "the name of header 1 of 1 must be letters"),
        ({"headers": {"A": "b\r\nC: d"}}, ValueError, "the value of header 1 of 1 must be one line"),
        ({"headers": {"Range": "bytes=0-"}}, ValueError, "headers cannot set Range: each request sets it"),
        ({"headers": {"A": "", "a": ""}}, ValueError, "headers has the same name twice"),
    ],
)
def test_wrong_values(options, error, words):
    with pytest.raises(error, match=words):
        Fetching(**options)


def test_the_environment_names_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PVIO_LAB_CACHE", str(tmp_path / "here"))
    monkeypatch.setenv("PVIO_LAB_CACHE_BYTES", "1234")
    assert (Fetching().folder, Fetching().room_bytes) == (tmp_path / "here", 1234)
    chosen = Fetching(cache_dir=tmp_path, cache_bytes=5)
    assert (chosen.folder, chosen.room_bytes) == (tmp_path, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_without_it_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("PVIO_LAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Fetching().folder == tmp_path / "pvio_lab" / "downloads"


@pytest.mark.parametrize("text", ["10 GB", "-1", "0", "1e9"])
def test_a_wrong_environment_is_named_when_something_is_fetched(monkeypatch, tmp_path, text):
    monkeypatch.setenv("PVIO_LAB_CACHE", str(tmp_path))
    monkeypatch.setenv("PVIO_LAB_CACHE_BYTES", text)
    with VideoReader(SAMPLES / "gop2.mp4", fetching=Fetching()) as reader:
        assert len(reader) == 60
    with pytest.raises(ValueError, match=f"PVIO_LAB_CACHE_BYTES='{text}' must be a number of bytes"):
        local_path("data:,hello")


def test_headers_never_show():
    fetching = Fetching(headers={"Authorization": "Bearer abc"})
    assert fetching.headers["Authorization"] == "Bearer abc"
    for text in (repr(fetching), str(fetching.headers), str(asdict(fetching))):
        assert "Bearer" not in text
        assert "Authorization" not in text
    with pytest.raises(ValueError, match="one line") as caught:
        Fetching(headers={"Authorization": "Bearer abc\n"})
    assert "Bearer" not in str(caught.value)


def test_headers_belong_to_the_setting():
    fetching = Fetching(headers={"Authorization": "Bearer abc"})
    twin = pickle.loads(pickle.dumps(fetching))
    assert (twin, hash(twin)) == (fetching, hash(fetching))
    assert replace(fetching, retries=0).headers == fetching.headers
    assert Fetching() != fetching


def test_the_setting_for_strangers():
    strict = Fetching.untrusted()
    assert (strict.allow_local, strict.allow_private, strict.max_bytes) == (False, False, 2**30)
    assert (strict.max_seconds, strict.timeout_seconds, strict.retries) == (60, 10, 1)
    assert Fetching.untrusted(retries=0, headers={"A": "b"}) == replace(strict, retries=0, headers={"A": "b"})
    with pytest.raises(TypeError, match="nonsense"):
        Fetching.untrusted(nonsense=1)


def test_an_error_survives_a_pickle():
    error = pickle.loads(pickle.dumps(SourceError("gone", attempts=3, is_temporary=True)))
    assert (str(error), error.attempts, error.is_temporary) == ("gone", 3, True)
    assert (SourceError("gone").attempts, SourceError("gone").is_temporary) == (0, False)
