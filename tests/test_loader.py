"""The loader against the frames that ffmpeg puts out, at every number and kind of workers."""

from __future__ import annotations

import os
import pickle
import shutil
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from truth_frames import SAMPLES, TRUTH, psnr, true_frames

from pvio_lab import (
    ClipDataset,
    DecodeError,
    OpenError,
    VideoCollectionDataLoader,
    VideoCollectionDataset,
    VideoReader,
)
from pvio_lab.load.dataset import Skipped, SkippedVideos

pytestmark = pytest.mark.timeout(120)
# B-frames, long groups, short ones, open ones, an edit list, no times, a turned picture, images, odd sizes.
NAMES = (
    "gop2.mp4 open_gop_h264.mp4 cut_edit_list.mp4 bframes.avi raw.h264 rotated_90.mp4 numbered "
    "yuv444_odd.mp4 vp9.webm variable_rate.mp4 animated.gif all_intra.mp4"
).split()
each_kind = pytest.mark.parametrize(("kind", "num_workers"), [("thread", 0), ("thread", 2), ("process", 2)])
each_order = pytest.mark.parametrize("order", ["grouped", "shuffled"])


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Copies, so that no facts are remembered from before."""
    folder = tmp_path_factory.mktemp("loader")
    for name in NAMES:
        (shutil.copytree if (SAMPLES / name).is_dir() else shutil.copy)(SAMPLES / name, folder / name)
    return [folder / name for name in NAMES]


def make(paths, batch_size=16, *, num_workers=2, dataset=None, **options):
    dataset = VideoCollectionDataset(paths, **(dataset or {}))
    return VideoCollectionDataLoader(dataset, batch_size, num_workers, **options)


def origins(batches):
    return [list(zip(batch["video_paths"], batch["frame_indices"], strict=True)) for batch in batches]


def flat(batches):
    return [origin for batch in origins(batches) for origin in batch]


def truth_of(path):
    if path.is_dir():
        return np.stack([np.asarray(Image.open(path / f"{n}.png").convert("RGB")) for n in range(1, 13)])
    return true_frames(path)


def every_frame(paths, step=1):
    return [
        (str(path), number) for path in paths for number in range(0, TRUTH[path.name]["num_frames"], step)
    ]


def assert_true(batch):
    for row, (path, number) in enumerate(zip(batch["video_paths"], batch["frame_indices"], strict=True)):
        frame = batch["frames"][row].movedim(0, -1).numpy()
        assert psnr(frame, truth_of(SAMPLES / path.rsplit("/")[-1])[number]) > 45, (path, number)


@pytest.mark.parametrize(
    ("kind", "num_workers"), [("thread", 0), ("thread", 1), ("thread", 2), ("thread", 5), ("process", 3)]
)
def test_every_frame_once_in_order_and_true(paths, kind, num_workers):
    loader = make(paths, worker_kind=kind, num_workers=num_workers)
    batches = []
    for batch in loader:
        assert_true(batch)
        assert batch["frames"].dtype == torch.uint8
        assert batch["frames"].movedim(1, -1).is_contiguous()  # not copied
        batches.append({**batch, "frames": None})
    assert flat(batches) == every_frame(paths)
    assert len(batches) == len(loader)
    assert origins(batches) == origins(make(paths, num_workers=0))


@pytest.mark.parametrize(("kind", "num_workers"), [("thread", 1), ("thread", 3), ("process", 2)])
def test_shuffled_is_every_frame_once_and_the_same_everywhere(paths, kind, num_workers):
    alone = list(make(paths, num_workers=0, order="shuffled", seed=3))
    assert Counter(flat(alone)) == Counter(every_frame(paths))
    loader = make(paths, num_workers=num_workers, order="shuffled", seed=3, worker_kind=kind)
    assert len(alone) == len(loader)
    for batch, expected in zip(loader, alone, strict=True):
        assert_true(batch)
        assert origins([batch]) == origins([expected])
        assert torch.equal(batch["frames"], expected["frames"])


def test_shuffling_moves_whole_groups(paths):
    same_size = paths[:5]
    order = flat(make(same_size, order="shuffled"))
    jumps = {b for a, b in pairwise(order) if b != (a[0], a[1] + 1)}
    starts = {(str(path), n) for path in same_size for n in [0, *VideoReader(path).index.keyframes.tolist()]}
    assert jumps <= starts
    assert order != every_frame(same_size)


def test_each_epoch_is_shuffled_differently_and_can_be_repeated(paths):
    loader = make(paths[:3], order="shuffled")
    first, second = flat(loader), flat(loader)
    assert first != second
    assert sorted(first) == sorted(second)
    loader.set_epoch(0)
    assert flat(loader) == first
    assert flat(loader) == second
    assert flat(make(paths[:3], order="shuffled", seed=1)) != first


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_all_at_one_size_are_in_full_batches(paths, kind):
    loader = make(paths, 50, worker_kind=kind, dataset={"width": 64, "height": 48})
    batches = list(loader)
    assert flat(batches) == every_frame(paths)
    assert {tuple(batch["frames"].shape[1:]) for batch in batches} == {(3, 48, 64)}
    assert all(len(batch["frames"]) == 50 for batch in batches[:-1])
    assert len(batches) == len(loader)
    with VideoReader(paths[0], width=64, height=48) as reader:
        assert np.array_equal(batches[0]["frames"].movedim(1, -1).numpy(), reader[:50])


@each_order
@pytest.mark.parametrize("num_workers", [0, 2])
def test_steps_and_full_batches(paths, num_workers, order):
    loader = make(paths, num_workers=num_workers, order=order, dataset={"step": 7})
    batches = list(loader)
    assert sorted(flat(batches)) == sorted(every_frame(paths, step=7))
    for batch in batches:
        assert_true(batch)
    loader = make(paths, num_workers=num_workers, drop_last=True, order=order)
    batches = list(loader)
    assert {len(batch["frames"]) for batch in batches} == {16}
    assert len(batches) == len(loader)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("kind", ["thread", "process"])
def test_floats_are_between_0_and_1(paths, dtype, kind):
    floats = make(paths[:1], worker_kind=kind, dataset={"dtype": dtype})
    for batch, expected in zip(floats, make(paths[:1]), strict=True):
        assert batch["frames"].dtype == dtype
        assert torch.equal(batch["frames"], (expected["frames"].to(torch.float32) / 255).to(dtype))


def mean(frames):
    return frames.to(torch.float32).mean((1, 2, 3))


@pytest.mark.parametrize(
    ("kind", "num_workers", "context"),
    [
        *[("thread", 0, None), ("thread", 2, None), ("process", 2, None)],
        *[pytest.param("process", 2, method, marks=pytest.mark.slow) for method in ("spawn", "forkserver")],
    ],
)
def test_a_transform_gets_whole_batches(paths, kind, num_workers, context):
    options = {"worker_kind": kind, "num_workers": num_workers, "multiprocessing_context": context}
    loader = make(paths, **options, dataset={"transform": mean})
    for batch, expected in zip(loader, make(paths), strict=True):
        assert torch.equal(batch["frames"], mean(expected["frames"]))


@each_order
@pytest.mark.parametrize("num_workers", [0, 2])
def test_ranks_share_every_frame(paths, order, num_workers):
    shares = []
    for rank in range(3):
        loader = make(paths, num_workers=num_workers, order=order, rank=rank, world_size=3)
        batches = list(loader)
        assert len(loader) in {len(batches), *([] if order == "grouped" else range(1000))}
        shares.append(flat(batches))
    assert sorted(origin for each in shares for origin in each) == sorted(every_frame(paths))
    assert max(map(len, shares)) < 2 * min(map(len, shares))


@each_order
@each_kind
def test_a_loop_goes_on_where_it_was_saved(paths, order, kind, num_workers):
    whole = make(paths, order=order)
    first, second = origins(whole), origins(whole)
    loader, resumed = (make(paths, order=order, worker_kind=kind, num_workers=num_workers) for _ in range(2))
    loop = iter(loader)
    begun = origins([next(loop) for _ in range(9)])
    resumed.load_state_dict(pickle.loads(pickle.dumps(loader.state_dict())))
    loop.close()
    resumed.set_epoch(0)  # as a training loop does, whether it begins or goes on
    assert begun + origins(resumed) == first
    loader.load_state_dict(resumed.state_dict())  # saved at the end of a loop
    assert origins(loader) == second


def test_a_state_of_another_loader_is_refused(paths):
    state = make(paths, 16).state_dict()
    with pytest.raises(ValueError, match=r"batch_size=16 \(here 8\)"):
        make(paths, 8).load_state_dict(state)
    for others in (make(paths[::-1]), make(paths, dataset={"width": 64})):
        with pytest.raises(ValueError, match="sources="):
            others.load_state_dict(state)
    with pytest.raises(ValueError, match="no position"):
        make(paths).load_state_dict(
            {name: value for name, value in state.items() if name not in ("epoch", "batches")}
        )


def test_two_loops_at_once(paths):
    loader = make(paths)
    pairs = list(zip(loader, loader, strict=True))
    assert origins([a for a, _ in pairs]) == origins([b for _, b in pairs])


def test_planning_a_directory_looks_a_few_times_at_each_image(tmp_path, monkeypatch):
    for number in range(60):
        Image.new("RGB", (16, 16)).save(tmp_path / f"{number}.png")
    looks, stat = [], os.stat
    monkeypatch.setattr(os, "stat", lambda *place, **options: looks.append(place) or stat(*place, **options))
    assert len(flat(make([tmp_path], order="shuffled"))) == 60
    assert len(looks) < 4 * 60


def test_directories_of_images_by_name(paths):
    loader = make([SAMPLES / "numbered"], dataset={"as_image_dirs": True})
    assert flat(loader) == [(str(SAMPLES / "numbered"), number) for number in range(12)]
    with pytest.raises(NotADirectoryError, match=r"gop2\.mp4"):
        list(make(paths[:1], dataset={"as_image_dirs": True}))


def test_the_dataset_by_itself_and_in_a_loader_of_torch(paths):
    items = list(VideoCollectionDataset(paths, step=5))
    assert [(item["video_path"], item["frame_index"]) for item in items] == every_frame(paths, step=5)
    assert torch.equal(items[0]["frame"], next(iter(make(paths)))["frames"][0])
    same = VideoCollectionDataset(paths, step=5, width=32, height=32)
    loader = torch.utils.data.DataLoader(same, batch_size=4, num_workers=2)
    found = Counter()
    for batch in loader:
        found.update(zip(batch["video_path"], batch["frame_index"].tolist(), strict=True))
    assert found == Counter(every_frame(paths, step=5))


# --- what cannot be read ---


@pytest.fixture
def with_broken(paths, tmp_path):
    for name, data in [("empty.mp4", b""), ("noise.mp4", bytes(range(256)) * 40)]:
        (tmp_path / name).write_bytes(data)
    shutil.copy(SAMPLES / "damaged.mp4", tmp_path)
    broken = [tmp_path / "empty.mp4", tmp_path / "missing.mp4", tmp_path / "noise.mp4"]
    return [paths[0], broken[0], tmp_path / "damaged.mp4", *broken[1:], paths[1]]


@each_order
@each_kind
def test_what_is_broken_is_left_out_and_listed(with_broken, order, kind, num_workers):
    loader = make(
        with_broken, num_workers=num_workers, worker_kind=kind, order=order, dataset={"on_error": "skip"}
    )
    with pytest.warns(RuntimeWarning, match="left out|not complete") as warned:
        batches = list(loader)
    skipped = {each.path: each for each in loader.skipped}
    assert set(skipped) == {str(path) for path in with_broken[1:-1]}
    assert len([each for each in warned if "is left out:" in str(each.message)]) == 3
    assert len([each for each in warned if "is not complete:" in str(each.message)]) == 1
    lost = skipped[str(with_broken[2])]
    assert isinstance(lost.error, DecodeError)
    missing = {(lost.path, number) for number in lost.frame_indices}
    whole = every_frame([with_broken[0], with_broken[-1]])
    damaged = {(lost.path, number) for number in range(len(VideoReader(lost.path)))}
    assert sorted(flat(batches)) == sorted({*whole, *damaged} - missing)
    assert 0 < len(missing) < 20
    assert all(len(batch["frames"]) == len(batch["frame_indices"]) for batch in batches)
    for batch in batches:
        if lost.path not in batch["video_paths"]:
            assert_true(batch)


@each_kind
@pytest.mark.parametrize(
    ("which", "error", "match"),
    [
        (1, OpenError, "empty.mp4"),
        (3, FileNotFoundError, "missing.mp4"),
        (2, DecodeError, r"frame \d+ of .*damaged.mp4"),
    ],
)
def test_an_error_comes_after_what_was_before_it(with_broken, kind, num_workers, which, error, match):
    chosen = [with_broken[0], with_broken[which], with_broken[-1]]
    batches = []
    with pytest.raises(error, match=match):
        batches.extend(iter(make(chosen, 20, num_workers=num_workers, worker_kind=kind)))
    assert flat(batches)[:60] == every_frame(with_broken[:1])
    assert not any(path == str(with_broken[-1]) for path, _ in flat(batches))


@pytest.mark.parametrize("ranks", [{}, {"rank": 0, "world_size": 2}])
def test_the_length_names_what_is_broken(with_broken, ranks):
    with pytest.raises(FileNotFoundError, match=r"missing\.mp4"):
        len(make([with_broken[0], with_broken[3]], **ranks))


def fail(frames):
    if len(frames) < 16:
        raise ZeroDivisionError(f"{len(frames)} frames are too few")
    return frames


@each_kind
def test_an_error_in_the_transform_is_that_error(paths, kind, num_workers):
    loop = iter(make(paths[:1], num_workers=num_workers, worker_kind=kind, dataset={"transform": fail}))
    assert [len(next(loop)["frames"]) for _ in range(3)] == [16] * 3
    with pytest.raises(ZeroDivisionError, match="12 frames are too few") as caught:
        next(loop)
    if kind == "process":
        assert "in fail" in str(caught.value.__cause__)


@pytest.mark.filterwarnings("ignore:.*is not complete")
def test_lost_frames_of_a_video_are_one_entry():
    videos, first = SkippedVideos(), OSError("first")
    for number in (7, 3, 7):
        videos.add("a.mp4", first if number == 7 else OSError("later"), number)
    assert videos.listed() == (Skipped("a.mp4", first, (3, 7)),)
    videos.add("a.mp4", OSError("last"))
    videos.add("a.mp4", OSError("later"), 9)
    assert videos.listed() == (Skipped("a.mp4", first, None),)


def test_each_video_is_warned_of_once():
    videos = SkippedVideos()
    with pytest.warns(RuntimeWarning) as warned:
        _ = [videos.add(path, OSError("gone"), 0) for path in ("a.mp4", "b.mp4", "a.mp4")]
    assert [str(each.message) for each in warned] == [f"{name}.mp4 is not complete: gone" for name in "ab"]


# --- wrong arguments ---


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"collate_fn": list}, TypeError, "collate_fn.*transform="),
        ({"shuffle": True}, TypeError, "order='shuffled'"),
        ({"btach_size": 3}, TypeError, "no option btach_size"),
        ({"drop_lsat": False}, TypeError, "no option drop_lsat"),
        ({"max_btyes": None}, TypeError, "no option max_btyes"),
        ({"worker_kind": "fibre"}, ValueError, "worker_kind='fibre' must be one of 'thread', 'process'"),
        ({"order": "random"}, ValueError, "order='random'"),
        ({"num_workers": -1}, ValueError, "num_workers=-1.*'auto'"),
        ({"num_workers": "many"}, TypeError, "num_workers='many'.*'auto'"),
        ({"prefetch": 0}, ValueError, "prefetch"),
        ({"seed": -1}, ValueError, "seed"),
        ({"rank": 1}, ValueError, "together"),
        ({"rank": 2, "world_size": 2}, ValueError, "rank=2 must be less than world_size=2"),
        ({"max_bytes": 0}, ValueError, "max_bytes"),
        ({"multiprocessing_context": "spwan"}, ValueError, "multiprocessing_context='spwan' must be one of"),
    ],
)
def test_wrong_options(paths, options, error, match):
    with pytest.raises(error, match=match):
        make(paths, **options)


def test_only_its_own_dataset_and_defaults_of_torch(paths):
    with pytest.raises(TypeError, match="must be a VideoCollectionDataset, not list"):
        VideoCollectionDataLoader([1, 2])
    assert len(make(paths[:1], shuffle=False, collate_fn=None)) == 4


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"paths": ["a"], "width": 0}, ValueError, "width"),
        ({"paths": ["a"], "step": 0}, ValueError, "step"),
        ({"paths": ["a"], "dtype": torch.int32}, ValueError, "torch.int32"),
        ({"paths": ["a"], "dtype": np.uint8}, TypeError, "torch.dtype"),
        ({"paths": ["a"], "transform": 3}, TypeError, "transform=3"),
        ({"paths": ["a"], "on_error": "ignore"}, ValueError, "'raise', 'skip'"),
    ],
)
def test_wrong_datasets(arguments, error, match):
    with pytest.raises(error, match=match):
        VideoCollectionDataset(**arguments)


@pytest.mark.parametrize("dataset", [VideoCollectionDataset, ClipDataset])
@pytest.mark.parametrize(
    ("paths", "error", "match"),
    [
        ("a.mp4", TypeError, r"paths must be a list of paths, not one path; write \['a\.mp4'\]"),
        ([], ValueError, "there are no videos: paths is empty"),
        ([3], TypeError, "a source must be a path or a URL, not int: 3"),
    ],
)
def test_wrong_paths(dataset, paths, error, match):
    with pytest.raises(error, match=match):
        dataset(paths)


def test_pinning_without_a_gpu_is_a_warning(paths):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.warns(RuntimeWarning, match="no GPU"):
        loader = make(paths[:1], pin_memory=True)
    assert len(list(loader)) == len(loader)


def test_little_shared_memory_is_warned_of_before_it_fails(paths, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("pvio_lab.load.processes.shutil.disk_usage", lambda _: usage._replace(free=2**20))
    monkeypatch.setattr("pvio_lab.load.processes._SHARED_MEMORY", "/")
    loop = iter(make(paths[:1], worker_kind="process"))
    with pytest.warns(RuntimeWarning, match=r"1 MiB are free.*worker_kind='thread'"):
        next(loop)
    loop.close()


def test_a_transform_that_another_process_cannot_find_is_refused(paths):
    options = {"worker_kind": "process", "multiprocessing_context": "spawn"}
    with pytest.raises(ValueError, match=r"process started by 'spawn'.*worker_kind='thread'"):
        make(paths, **options, dataset={"transform": lambda x: x})


def test_auto_is_one_worker_for_each_processor(paths, monkeypatch):
    monkeypatch.setattr("pvio_lab.load.loader.num_cpus", lambda: 3)
    assert make(paths, num_workers="auto").num_workers == 3


def test_reprs(paths):
    options = "batch_size=16, num_workers=2, worker_kind='thread', order='grouped'"
    assert repr(make(paths)) == f"VideoCollectionDataLoader(12 sources, {options})"
    text = "VideoCollectionDataset(12 videos, step=1, dtype=torch.uint8)"
    assert repr(VideoCollectionDataset(paths)) == text


# --- many settings at once ---


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 40))]
)
def test_any_setting_gives_the_same_batches(paths, seed):
    """Little memory, many workers, mixed sizes: whoever waits for whom, it ends, and well."""
    chance = np.random.default_rng(seed)
    chosen = [paths[which] for which in chance.integers(0, len(paths), 8)]
    recipe = {
        "batch_size": int(chance.integers(1, 90)),
        "order": str(chance.choice(["grouped", "shuffled"])),
        "drop_last": bool(chance.integers(0, 2)),
        "dataset": {"step": int(chance.integers(1, 5)), "height": 48},
    }
    workers = {
        "num_workers": int(chance.integers(1, 9)),
        "prefetch": int(chance.integers(1, 3)),
        "max_bytes": int(chance.integers(1, 2**22)),
    }
    loaders = [make(chosen, **recipe, **options) for options in ({"num_workers": 0}, workers)]
    expected, found = (
        [(each["frame_indices"], int(each["frames"].sum())) for each in loader] for loader in loaders
    )
    assert found == expected


def rank_of_each(rank, folder, paths):
    store = torch.distributed.FileStore(f"{folder}/store", 2)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2, store=store)
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(flat(make(paths, num_workers=1))))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_ranks_are_known_where_torch_distributed_is_initialised(tmp_path):
    paths = [SAMPLES / name for name in ("gop2.mp4", "bframes.avi", "vp9.webm")]
    torch.multiprocessing.spawn(rank_of_each, (tmp_path, paths), nprocs=2)
    shares = [pickle.loads((tmp_path / f"{rank}.pickle").read_bytes()) for rank in range(2)]
    assert all(shares)
    assert sorted(shares[0] + shares[1]) == sorted(every_frame(paths))
