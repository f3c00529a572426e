from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import random
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import torch
from test_lifecycle import counts_files
from test_loader_lifecycle import open_files as files_now
from torch.utils.data import DataLoader, Subset
from truth_frames import SAMPLES, TRUTH, true_frames, true_times, wrong_frames

from pvio_lab import ClipDataset, DecodeError, ImageSequence, OpenError, VideoReader, open_video

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
MB = 2**20
STEADY = [str(SAMPLES / name) for name in ("gop2.mp4", "vp9.webm", "bframes.avi", "stream.ts")]
EXACT = [
    *("shapes.mp4", "open_gop_hevc.mp4", "bframes.avi", "variable_rate.mp4", "rotated_90.mp4", "vp9.webm"),
    *("cut_edit_list.mp4", "late_start.mp4", "stream.ts", "raw.h264", "animated.gif"),
]
METHODS = multiprocessing.get_all_start_methods()


def images(item):
    """The frames of a clip as numpy has them."""
    return item["frames"].movedim(-3, -1).numpy()


def open_files():
    gc.collect()
    return files_now()


def memory():
    gc.collect()
    return psutil.Process().memory_info().rss


def what(item):
    """A clip in short."""
    total = int(item["frames"].long().sum())
    return item["video_path"], item["frame_indices"].tolist(), item["pts_seconds"].tolist(), total


def first_pixels(frames):
    return frames[:, :, 0, 0]


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(
    "options", [{"stride": 1}, {"stride": 7}, {"fps": 12.0}, {"num_frames": 1, "sampling": "uniform"}]
)
def test_frames_and_times_are_true(name, options):
    truth, times = true_frames(SAMPLES / name), true_times(SAMPLES / name)
    with ClipDataset([SAMPLES / name], **{"num_frames": 6, **options}, clips_per_video=3) as clips:
        for item in clips:
            numbers = item["frame_indices"].numpy()
            assert not wrong_frames(images(item), truth[numbers])
            found = item["pts_seconds"].numpy()
            assert found - found[0] == pytest.approx(times[numbers] - times[numbers[0]], abs=2e-3)


def test_what_an_item_is(tmp_path):
    path = tmp_path / "Recording at 9.41\u202fAM.mp4"  # as macOS writes it
    shutil.copy(SAMPLES / "gop2.mp4", path)
    with ClipDataset([path], 5, stride=3) as clips, VideoReader(path) as reader:
        item = clips[0]
        numbers = item["frame_indices"]
        assert list(item) == ["frames", "video_path", "frame_indices", "pts_seconds"]
        assert (item["frames"].shape, item["frames"].dtype) == ((5, 3, 240, 320), torch.uint8)
        assert item["frames"].stride() == (240 * 320 * 3, 1, 320 * 3, 3)  # not copied
        assert item["video_path"] == str(path)
        assert (numbers.dtype, numbers.diff().tolist()) == (torch.int64, [3, 3, 3, 3])
        assert item["pts_seconds"].dtype == torch.float64
        assert item["pts_seconds"].tolist() == reader.index.pts_seconds[numbers.numpy()].tolist()


def test_sixteen_frames_in_a_row_are_usual():
    with ClipDataset([SAMPLES / "gop2.mp4"]) as clips:
        assert clips[0]["frame_indices"].diff().tolist() == [1] * 15


def test_a_directory_of_images():
    with ClipDataset([SAMPLES / "numbered"], 4, stride=2) as clips:
        item, directory = clips[0], ImageSequence(SAMPLES / "numbered")
        numbers = item["frame_indices"].tolist()
        assert np.array_equal(images(item), directory[numbers])
        assert item["pts_seconds"].tolist() == [number / directory.fps for number in numbers]


@pytest.mark.parametrize("name", ["vp9.webm", "no_count.mkv", "bframes.avi", "shapes.mp4", "animated.gif"])
def test_the_rate_of_the_video_takes_every_frame_once(name):
    with ClipDataset([SAMPLES / name], 16, fps=TRUTH[name]["fps"], clips_per_video=9) as clips:
        assert all(item["frame_indices"].diff().tolist() == [1] * 15 for item in clips)


def test_a_rate_with_a_variable_rate_is_what_is_on_screen():
    path = SAMPLES / "variable_rate.mp4"
    with ClipDataset([path], 12, fps=25, clips_per_video=9) as clips, VideoReader(path) as reader:
        for item in clips:
            ticks = item["pts_seconds"][0].item() + np.arange(12) / 25
            assert np.array_equal(images(item), reader.at(ticks))


@pytest.mark.parametrize(
    ("size", "shape"),
    [({"width": 80}, (60, 80)), ({"height": 30}, (30, 40)), ({"width": 9, "height": 7}, (7, 9))],
)
def test_videos_and_images_of_one_size(size, shape):
    with ClipDataset([SAMPLES / "gop2.mp4", SAMPLES / "numbered"], 3, **size, sampling="uniform") as clips:
        assert {item["frames"].shape for item in clips} == {(3, 3, *shape)}
        item = clips[0]
        with VideoReader(SAMPLES / "gop2.mp4", **size) as reader:
            assert np.array_equal(images(item), reader[item["frame_indices"]])
        pixels, whole = images(clips[1]), ImageSequence(SAMPLES / "numbered")[clips[1]["frame_indices"]]
        assert pixels.mean() == pytest.approx(whole.mean(), rel=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_floating_types_are_exact(dtype, tmp_path):
    from PIL import Image

    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(np.stack([gray] * 3, -1)).save(tmp_path / "1.png")
    frames = ClipDataset([tmp_path], 1, dtype=dtype)[0]["frames"]
    exact = torch.arange(256, dtype=torch.float64) / 255
    if dtype == torch.float64:
        assert torch.allclose(frames[0, 0].flatten(), exact, atol=1e-7)
    else:
        assert torch.equal(frames[0, 0].flatten(), exact.to(dtype))
    assert frames.is_contiguous()


def test_a_transform_gets_the_frames_of_a_clip():
    with ClipDataset(STEADY[:1], 4, transform=first_pixels) as clips:
        assert clips[0]["frames"].shape == (4, 3)


def test_uniform_clips_are_spread_over_the_videos_in_order():
    with ClipDataset(STEADY[:2], 10, sampling="uniform", clips_per_video=3) as clips:
        assert len(clips) == 6
        assert [item["frame_indices"][0].item() for item in clips] == [0, 25, 50, 0, 40, 80]
        assert [item["video_path"] for item in clips] == [path for path in STEADY[:2] for _ in range(3)]
        assert what(clips[-1]) == what(clips[5])
        clips.set_epoch(3)
        assert clips[1]["frame_indices"][0] == 25


def starts(clips, items=range(40)):
    return [clips._read(item, 1)["frame_indices"][0].item() for item in items]


def test_random_clips_depend_on_seed_epoch_and_item_alone():
    with ClipDataset(STEADY[:1], 1, clips_per_video=40, width=16) as clips:
        first = starts(clips)
        torch.manual_seed(5), np.random.seed(5), random.seed(5)
        assert starts(clips, reversed(range(40))) == first[::-1]
        clips.set_epoch(1)
        second = starts(clips)
        clips.set_epoch(0)
        assert starts(clips) == first
    with ClipDataset(STEADY[:1], 1, clips_per_video=40, width=16, seed=1) as clips:
        other = starts(clips)
    assert len({tuple(first), tuple(second), tuple(other)}) == 3
    assert len(set(first)) > 15


def in_short(loader):
    return [
        (path, numbers.tolist(), seconds.tolist(), int(frames.long().sum()))
        for batch in loader
        for frames, path, numbers, seconds in zip(*batch.values(), strict=True)
    ]


@pytest.mark.parametrize("method", METHODS)
def test_workers_read_the_same_however_they_are_started(method):
    options = {"width": 32, "height": 24, "clips_per_video": 3, "fps": 10}
    with ClipDataset(STEADY, 4, **options) as clips:
        expected = in_short(DataLoader(clips, batch_size=4))
        assert [item[0] for item in expected] == [path for path in STEADY for _ in range(3)]
        loader = DataLoader(
            clips, batch_size=4, num_workers=2, multiprocessing_context=method, persistent_workers=True
        )
        assert in_short(loader) == expected
        clips.set_epoch(1)  # which reaches the workers that are there
        again = in_short(loader)
    assert again != expected
    with ClipDataset(STEADY, 4, **options) as clips:
        clips.set_epoch(1)
        assert again == [what(item) for item in clips]


def test_batches_samplers_and_subsets():
    with ClipDataset(STEADY, 4) as clips:
        batch = next(iter(DataLoader(clips, batch_size=4)))
        assert batch["frames"].shape == (4, 4, 3, 240, 320)
        assert batch["video_path"] == STEADY
        for name, dtype in (("frame_indices", torch.int64), ("pts_seconds", torch.float64)):
            assert (batch[name].shape, batch[name].dtype) == ((4, 4), dtype)
        expected = [what(item) for item in clips]
        assert sorted(in_short(DataLoader(clips, batch_size=3, shuffle=True))) == sorted(expected)
        assert in_short(DataLoader(Subset(clips, [3, 1]), batch_size=2)) == [expected[3], expected[1]]
        assert [what(item) for item in DataLoader(clips, batch_size=None)] == expected


def test_a_copy_is_another_dataset():
    with ClipDataset(STEADY, 4, width=32, height=24) as clips:
        clips.set_epoch(2)
        expected = what(clips[0])
        for other in (pickle.loads(pickle.dumps(clips)), copy.deepcopy(clips)):
            assert what(other[0]) == expected
            other.set_epoch(5)
        assert what(clips[0]) == expected


def test_ten_thousand_videos_are_not_opened():
    clips = ClipDataset([f"nowhere/{number}.mp4" for number in range(10_000)], clips_per_video=4)
    assert len(clips) == 40_000
    assert len(pickle.dumps(clips)) < 400_000


def test_its_repr():
    assert repr(ClipDataset(STEADY, 8, stride=2)) == (
        "ClipDataset(4 videos, 1 random clip each, 8 frames at stride 2)"
    )
    clips = ClipDataset(STEADY, 8, fps=7.5, clips_per_video=3, sampling="uniform")
    assert repr(clips) == "ClipDataset(4 videos, 3 uniform clips each, 8 frames at 7.5 frames/s)"


@pytest.mark.parametrize(
    ("when_short", "numbers"),
    [("repeat_last", [0, 5, 10, 11, 11, 11]), ("loop", [0, 5, 10, 3, 8, 1])],
)
def test_a_short_video_is_filled_up(when_short, numbers):
    item = ClipDataset([SAMPLES / "numbered"], 6, stride=5, when_short=when_short)[0]
    assert item["frame_indices"].tolist() == numbers
    assert np.array_equal(images(item), ImageSequence(SAMPLES / "numbered")[numbers])


@pytest.mark.parametrize(("options", "how"), [({"stride": 12}, "stride 12"), ({"fps": 2.5}, "2.5 frames/s")])
def test_a_short_video_is_an_error_when_asked(options, how):
    clips = ClipDataset(STEADY[:1], 6, **options, when_short="error")
    with pytest.raises(
        ValueError, match=rf"gop2\.mp4 is too short for a clip of 6 frames at {how}: it has 60"
    ):
        clips[0]


@pytest.mark.parametrize(
    ("path", "error", "match"),
    [
        (SAMPLES / "damaged.mp4", DecodeError, r"frame 44 of .*damaged\.mp4 cannot be decoded"),
        ("missing.mp4", FileNotFoundError, r"there is no video file missing\.mp4"),
    ],
)
def test_an_error_names_file_and_frame(path, error, match):
    clips = ClipDataset([*STEADY[:1], path], 60)
    assert clips[0]["frames"].shape[0] == 60
    for read in (lambda: clips[1], lambda: list(DataLoader(clips, num_workers=1))):
        with pytest.raises(error, match=match):
            read()


@pytest.fixture
def mixed(tmp_path):
    """Good videos between broken ones: missing, no video, and damaged in the middle."""
    (tmp_path / "text.mp4").write_text("no video")
    return [
        *(STEADY[0], str(tmp_path / "missing.mp4"), STEADY[1], str(tmp_path / "text.mp4")),
        *(STEADY[2], str(SAMPLES / "damaged.mp4")),
    ]


def check_skipped(skipped, mixed):
    assert [each.path for each in skipped] == [mixed[1], mixed[3], mixed[5]]
    assert [type(each.error) for each in skipped] == [FileNotFoundError, OpenError, DecodeError]
    assert str(skipped[0].error) == f"there is no video file {mixed[1]}"
    assert "frame 44 of" in str(skipped[2].error)


def test_broken_videos_are_skipped_with_one_warning_each(mixed):
    with ClipDataset(mixed, 88, on_error="skip", clips_per_video=2, width=32, height=24) as clips:
        with pytest.warns(RuntimeWarning, match="has clips that cannot be read: ") as warned:
            found = [what(item) for item in clips]
        check_skipped(clips.skipped, mixed)
        assert len(warned) == 3
        assert {path for path, *_ in found} <= {mixed[0], mixed[2], mixed[4]}
        assert [found[item][0] for item in (0, 1, 4, 5)] == [mixed[0], mixed[0], mixed[2], mixed[2]]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert [what(clips[item]) for item in reversed(range(12))] == found[::-1]


@pytest.mark.filterwarnings("ignore:.*has clips that cannot be read")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_skip_the_same_and_say_so(mixed, num_workers):
    options = {"on_error": "skip", "clips_per_video": 3, "width": 32, "height": 24}
    with ClipDataset(mixed, 88, **options) as clips:
        expected = [what(item) for item in clips]
    with ClipDataset(mixed, 88, **options) as clips:
        assert clips.skipped == ()
        loader = DataLoader(clips, batch_size=4, num_workers=num_workers)
        assert in_short(loader) == expected
        check_skipped(clips.skipped, mixed)


@pytest.mark.filterwarnings("ignore:.*has clips that cannot be read")
def test_the_good_parts_of_a_damaged_video_arrive():
    paths = [str(SAMPLES / "damaged.mp4"), STEADY[0]]
    with ClipDataset(paths, 4, on_error="skip", sampling="uniform", clips_per_video=3) as clips:
        found = [item["video_path"] for item in clips]
        assert found == [paths[0], STEADY[0], paths[0], *[STEADY[0]] * 3]
        assert [each.path for each in clips.skipped] == paths[:1]


def test_videos_that_are_too_short_can_be_skipped():
    paths = [str(SAMPLES / "numbered"), *STEADY[:1]]
    clips = ClipDataset(paths, 16, when_short="error", on_error="skip")
    with pytest.warns(RuntimeWarning, match="numbered is too short for a clip of 16 frames at stride 1"):
        assert clips[0]["video_path"] == STEADY[0]


@pytest.mark.filterwarnings("ignore:.*has clips that cannot be read")
def test_nothing_can_be_read():
    clips = ClipDataset(["a.mp4", "b.mp4"], on_error="skip")
    with pytest.raises(OpenError, match=r"none of the 2 videos can be read; .*no video file a\.mp4"):
        _ = clips[1]


def fail(frames):
    raise ValueError("a mistake of the user's")


def test_a_transform_that_fails_is_not_skipped():
    with pytest.raises(ValueError, match="a mistake of the user's"):
        ClipDataset(STEADY[:1], 2, transform=fail, on_error="skip")[0]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"num_frames": 0}, ValueError, "num_frames=0 must be 1 or more"),
        ({"num_frames": 2.0}, TypeError, r"num_frames=2\.0 must be an integer"),
        ({"stride": 0}, ValueError, "stride=0 must be 1 or more"),
        ({"stride": 1, "fps": 5}, ValueError, "stride=1 and fps=5 are different samplings: give one"),
        ({"fps": 0}, ValueError, "fps=0 must be more than 0"),
        ({"fps": "5"}, TypeError, "fps='5' must be a number"),
        ({"clips_per_video": 0}, ValueError, "clips_per_video=0 must be 1 or more"),
        ({"sampling": "all"}, ValueError, "sampling='all' must be one of 'random', 'uniform'"),
        (
            {"when_short": "skip"},
            ValueError,
            "when_short='skip' must be one of 'repeat_last', 'loop', 'error'",
        ),
        ({"seed": -1}, ValueError, "seed=-1 must be 0 or more"),
        ({"width": 0}, ValueError, "width=0 must be 1 or more"),
        ({"height": "9"}, TypeError, "height='9' must be an integer"),
        ({"dtype": torch.int32}, ValueError, r"dtype=torch\.int32 must be torch\.uint8 or a floating type"),
        ({"dtype": "float32"}, TypeError, r"dtype='float32' must be a torch\.dtype"),
        ({"on_error": "warn"}, ValueError, "on_error='warn' must be one of 'raise', 'skip'"),
    ],
)
def test_an_option_that_cannot_be(options, error, words):
    with pytest.raises(error, match=words):
        ClipDataset(STEADY, **options)


def test_clips_and_epochs_that_are_not_there():
    clips = ClipDataset(STEADY)
    for item in (4, -5):
        with pytest.raises(IndexError, match=f"clip {item} is out of range: there are 4, numbered from 0"):
            _ = clips[item]
    with pytest.raises(ValueError, match="epoch=-1 must be 0 or more"):
        clips.set_epoch(-1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """300 small videos of some kinds."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(300):
        source = STEADY[number % len(STEADY)]
        shutil.copy(source, folder / f"{number}_{os.path.basename(source)}")
    return sorted(map(str, folder.iterdir()))


def read_all(clips, passes):
    """Open files and memory after each pass in another order."""
    readings = []
    for epoch in range(passes):
        clips.set_epoch(epoch)
        for item in np.random.default_rng(epoch).permutation(len(clips)).tolist():
            clips[item]
        readings.append((open_files(), memory()))
    return np.array(readings)


@counts_files
@pytest.mark.parametrize("step", [10, pytest.param(2, marks=pytest.mark.slow)])
def test_open_files_and_memory_are_flat(folder, step):
    passes, before = 4, open_files()
    with ClipDataset(folder[::step], 4, width=64, height=48) as clips:
        readings = read_all(clips, passes)
    assert readings[:, 0].max() <= before + 10
    assert np.median(readings[passes // 2 :, 1]) - readings[1, 1] < 30 * MB
    del clips
    assert open_files() <= before


@counts_files
@pytest.mark.parametrize("end", ["close", "drop"])
def test_nothing_is_kept_open(folder, end):
    before, threads = open_files(), psutil.Process().num_threads()
    clips = ClipDataset(folder[:20], 4)
    expected = what(clips[3])
    list(DataLoader(clips, batch_size=5))
    if end == "close":
        clips.close()
        clips.close()
        assert open_files() <= before + 1  # the epoch, in shared memory
        assert what(clips[3]) == expected
    del clips
    assert open_files() <= before
    assert psutil.Process().num_threads() <= threads + 2


@counts_files
def test_readers_have_a_limit_and_close_without_the_garbage_collector(folder, monkeypatch):
    monkeypatch.setattr("pvio_lab.load.clips._MAX_BYTES", 10 * 75_000)
    before = open_files()
    gc.disable()
    try:
        clips = ClipDataset(folder[:50], 1)
        assert len(list(clips)) == 50
        assert 5 < len(clips._readers) <= 10
        assert files_now() <= before + 5  # and the epoch, in shared memory
        del clips
        assert files_now() <= before
    finally:
        gc.enable()


def test_a_reader_is_kept(folder, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "pvio_lab.load.clips.open_video", lambda *a, **k: opened.append(a) or open_video(*a, **k)
    )
    with ClipDataset(folder[:9], 1, width=16) as clips:
        for item in [*range(9), *range(9)]:
            _ = clips[item]
        assert len(opened) == 9


def test_threads_share_a_dataset(folder):
    with ClipDataset(folder[:6], 4, clips_per_video=8, width=32) as clips, ThreadPoolExecutor(4) as pool:
        expected = [what(item) for item in clips]
        assert list(pool.map(lambda item: what(clips[item]), range(len(clips)))) == expected


def read_in_child(clips, expected):
    os._exit(0 if [what(clips[item]) for item in (0, 5, 9)] == expected else 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_inherits_the_dataset(folder):
    with ClipDataset(folder[:10], 4, width=32) as clips:
        expected = [what(clips[item]) for item in (0, 5, 9)]
        list(DataLoader(clips, batch_size=5, collate_fn=len))
        child = multiprocessing.get_context("fork").Process(target=read_in_child, args=(clips, expected))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert [what(clips[item]) for item in (0, 5, 9)] == expected


def test_a_worker_decodes_with_one_thread(folder):
    with ClipDataset(folder[:2], 4) as clips:
        assert set(DataLoader(clips, num_workers=1, batch_size=None, collate_fn=threads_of)) == {1}


def threads_of(_):
    from torch.utils.data import get_worker_info

    info = get_worker_info()
    return max(reader._file._threads for reader in info.dataset._readers._readers.values())


def test_a_source_may_be_what_a_reader_takes():
    url = (SAMPLES / "gop2.mp4").as_uri()
    with ClipDataset([url], 2) as clips, open_video(url) as reader:
        item = clips[0]
        assert item["video_path"] == url
        assert np.array_equal(images(item), reader[item["frame_indices"]])
