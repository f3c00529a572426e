from __future__ import annotations

import pickle

import pytest

from pvio_lab import Fetching, SourceError


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"timeout_seconds": 0}, ValueError, "timeout_seconds=0 must be more than 0"),
        (
            {"timeout_seconds": float("nan")},
            ValueError,
            "timeout_seconds=nan must be more than 0, and finite",
        ),
        ({"timeout_seconds": "5"}, TypeError, "timeout_seconds='5' must be a number of seconds"),
        ({"retries": -1}, ValueError, "retries=-1 must be at least 0"),
        ({"retries": True}, TypeError, "retries=True must be a whole number"),
        ({"backoff_seconds": -1}, ValueError, "backoff_seconds=-1 must be at least 0"),
        ({"max_seconds": 0}, ValueError, "max_seconds=0 must be more than 0"),
        ({"max_bytes": 0}, ValueError, "max_bytes=0 must be at least 1"),
        ({"cache_bytes": 1.5}, TypeError, "cache_bytes=1.5 must be a whole number"),
        ({"cache_dir": 3}, TypeError, "cache_dir=3 must be a path"),
    ],
)
def test_wrong_values(options, error, words):
    with pytest.raises(error, match=words):
        Fetching(**options)


def test_the_environment_names_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PVIO_LAB_CACHE", str(tmp_path / "here"))
    monkeypatch.setenv("PVIO_LAB_CACHE_BYTES", "1234")
    assert (Fetching().folder, Fetching().cache_bytes) == (tmp_path / "here", 1234)
    assert Fetching(cache_dir=tmp_path, cache_bytes=5).folder == tmp_path


def test_without_it_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("PVIO_LAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert Fetching().folder == tmp_path / "pvio_lab" / "downloads"


def test_a_wrong_environment_is_named(monkeypatch):
    monkeypatch.setenv("PVIO_LAB_CACHE_BYTES", "10 GB")
    with pytest.raises(ValueError, match="PVIO_LAB_CACHE_BYTES='10 GB' must be a number of bytes"):
        Fetching()


def test_an_error_survives_a_pickle():
    error = pickle.loads(pickle.dumps(SourceError("gone", attempts=3, is_temporary=True)))
    assert (str(error), error.attempts, error.is_temporary) == ("gone", 3, True)
    assert (SourceError("gone").attempts, SourceError("gone").is_temporary) == (0, False)
