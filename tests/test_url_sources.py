"""URLs where files are expected: the frames are those of the local files."""

from __future__ import annotations

import pytest
import torch
from truth_frames import SAMPLES, true_frames, wrong_frames
from unruly_server import serving

import pvio_lab as pv
from pvio_lab import Fetching, SourceError

NAMES = ["gop2.mp4", "all_intra.mp4"]
LOCAL = [SAMPLES / name for name in NAMES]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PVIO_LAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def server():
    with serving(SAMPLES) as server:
        yield server


@pytest.fixture
def urls(server):
    return [server.url(f"versioned/{name}") for name in NAMES]


def loaded(paths, **options):
    dataset = pv.VideoCollectionDataset(paths, step=7, fetching=Fetching(allow_private=True))
    batches = list(pv.VideoCollectionDataLoader(dataset, batch_size=16, **options))
    return torch.cat([batch["frames"] for batch in batches]).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(("worker_kind", "num_workers"), [("thread", 0), ("thread", 2), ("process", 1)])
def test_the_loader(urls, worker_kind, num_workers):
    frames = loaded(urls, worker_kind=worker_kind, num_workers=num_workers)
    assert not wrong_frames(frames[:9], true_frames(LOCAL[0])[::7])
    assert (frames == loaded(LOCAL, num_workers=0)).all()


def test_clips(urls):
    options = {"num_frames": 4, "seed": 5, "fetching": Fetching(allow_private=True)}
    with pv.ClipDataset(urls, **options) as clips, pv.ClipDataset(LOCAL, **options) as local:
        for clip, true in zip(clips, local, strict=True):
            assert (clip["frames"] == true["frames"]).all()


def test_joining(urls, tmp_path):
    pv.concatenate_video_files(
        [urls[0], LOCAL[0]], tmp_path / "both.mp4", fetching=Fetching(allow_private=True)
    )
    with pv.VideoReader(tmp_path / "both.mp4") as reader:
        frames = reader[:]
    for part in (frames[:60], frames[60:]):
        assert not wrong_frames(part, true_frames(LOCAL[0]))


def test_private_addresses_are_refused_everywhere(server, urls, tmp_path):
    server.counts.clear()
    strict = Fetching(allow_private=False)
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 is a private address, and allow_private=False"):
        list(pv.VideoCollectionDataLoader(pv.VideoCollectionDataset(urls, fetching=strict), num_workers=2))
    with (
        pytest.raises(SourceError, match="allow_private=False"),
        pv.ClipDataset(urls, fetching=strict) as clips,
    ):
        clips[0]
    with pytest.raises(SourceError, match="allow_private=False"):
        pv.concatenate_video_files(urls, tmp_path / "both.mp4", fetching=strict)
    assert server.counts.total() == 0
