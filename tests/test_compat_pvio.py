"""parallel-video-io's interface, as its README uses it."""

from __future__ import annotations

import json
import logging
import os
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image
from truth_frames import SAMPLES, read_number, true_frames
from written import FRAMES, names_in, numbers_in

from pvio_lab.compat import pvio
from pvio_lab.compat.pvio.util import balance_load_lpt
from pvio_lab.compat.pvio.video_io import (
    check_num_frames,
    get_video_metadata,
    read_frames_from_video,
    write_frames_to_video,
)

Dataset, Loader = pvio.VideoCollectionDataset, pvio.VideoCollectionDataLoader


@pytest.fixture
def target(tmp_path):
    return tmp_path / "clip.mp4"


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    paths = [folder / f"{name}.mp4" for name in "abc"]
    for path, count in zip(paths, (7, 40, 12), strict=True):
        write_frames_to_video(path, FRAMES[:count], 25, ffmpeg_params=["-preset", "ultrafast"])
    return paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in (2, 10, 1):
        Image.fromarray(FRAMES[number]).save(folder / f"frame_{number}.png")
    return folder


def test_every_name_of_the_package_is_there():
    assert pvio.__all__ == sorted(pvio.__all__)
    assert import_module("pvio_lab.compat.pvio.torch").VideoCollectionDataset is Dataset


@pytest.mark.parametrize("as_path", [str, lambda path: path])
@pytest.mark.parametrize("indices", [None, [0, 5], [5, 0, 5], [], np.array([3])])
def test_frames_are_a_list_in_the_order_asked(indices, as_path):
    path = SAMPLES / "open_gop_h264.mp4"
    expected = true_frames(path)[slice(None) if indices is None else indices]
    frames, fps = read_frames_from_video(as_path(path), frame_indices=indices)
    assert (type(frames), len(frames), fps) == (list, len(expected), 30.0)
    assert all(np.array_equal(*pair) for pair in zip(frames, expected, strict=True))


@pytest.mark.parametrize("number", [-1, 99_999])
def test_a_frame_that_is_not_there(number):
    with pytest.raises(IndexError, match=f"frame {number} is out of range"):
        read_frames_from_video(SAMPLES / "gop2.mp4", [0, number])


def test_what_is_no_video(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("hello")
    with pytest.raises(ValueError, match=r"words\.txt"):
        read_frames_from_video(path)
    with pytest.raises(RuntimeError, match=r"words\.txt"):
        check_num_frames(path)
    with pytest.raises(RuntimeError, match=r"words\.txt"):
        get_video_metadata(path)
    with pytest.raises(RuntimeError, match=r"none\.mp4"):
        check_num_frames(tmp_path / "none.mp4")


def test_a_video_is_written_with_its_defaults(target, caplog):
    with caplog.at_level(logging.INFO):
        assert write_frames_to_video(target, FRAMES, fps=12.5, log_interval=20) is None
    assert numbers_in(target) == list(range(len(FRAMES)))
    assert check_num_frames(target) == len(FRAMES)
    assert get_video_metadata(target) == {"n_frames": 40, "frame_size": (120, 160), "fps": 12.5}
    assert [record.getMessage() for record in caplog.records] == [
        "wrote frame 1 of 40",
        "wrote frame 21 of 40",
    ]


@pytest.mark.parametrize(
    ("frames", "message"),
    [([], "no frames"), ([FRAMES[0], FRAMES[1][:60]], r"frame 1 has \(60, 160\)")],
)
def test_frames_that_make_no_video(frames, message, target):
    with pytest.raises(ValueError, match=message):
        write_frames_to_video(target, frames, fps=25)
    assert names_in(target.parent) == []


def test_sizes_are_kept_and_odd_ones_padded(target, caplog):
    write_frames_to_video(target, [frame[:90, :150] for frame in FRAMES[:3]], fps=25)
    assert get_video_metadata(target)["frame_size"] == (90, 150)
    assert caplog.records == []
    write_frames_to_video(target, [frame[:91, :151] for frame in FRAMES[:3]], fps=25)
    assert read_frames_from_video(target)[0][0].shape == (92, 152, 3)
    assert "repeated" in caplog.text


@pytest.fixture
def remembered(videos, target):
    """A video, and the file of its facts, which are wrong."""
    target.write_bytes(videos[0].read_bytes())
    place = target.with_suffix(".metadata.json")
    place.write_text('{"n_frames": 123, "frame_size": [1, 2], "fps": 9.0}')
    return target, place


def test_facts_are_remembered_as_there(videos, target):
    target.write_bytes(videos[0].read_bytes())
    facts = get_video_metadata(target)
    saved = json.loads(target.with_suffix(".metadata.json").read_text())
    assert facts == {"n_frames": 7, "frame_size": (120, 160), "fps": 25.0}
    assert {name: saved[name] for name in facts} == {**facts, "frame_size": [120, 160]}
    assert names_in(target.parent) == ["clip.metadata.json", "clip.mp4"]


def test_remembered_facts_are_taken(remembered):
    path, place = remembered
    assert get_video_metadata(path) == {"n_frames": 123, "frame_size": (1, 2), "fps": 9.0}
    assert get_video_metadata(path, cache_metadata=False, use_cached_metadata=False)["n_frames"] == 7
    assert json.loads(place.read_text())["n_frames"] == 123
    assert get_video_metadata(path, use_cached_metadata=False)["n_frames"] == 7
    assert json.loads(place.read_text())["n_frames"] == 7


def test_facts_of_an_older_video_are_not_taken(remembered):
    path, place = remembered
    os.utime(place, (1, 1))
    assert get_video_metadata(path)["n_frames"] == 7


def test_facts_of_a_video_that_was_replaced_by_an_older_one_are_not_taken(videos, target):
    target.write_bytes(videos[0].read_bytes())
    assert get_video_metadata(target)["n_frames"] == 7
    target.write_bytes(videos[2].read_bytes())
    os.utime(target, (1, 1))
    assert get_video_metadata(target)["n_frames"] == 12


def test_facts_of_a_video_that_is_not_there_are_not_taken(remembered):
    path, _ = remembered
    path.unlink()
    with pytest.raises(RuntimeError, match="cannot be opened"):
        get_video_metadata(path)


def test_facts_of_another_video_of_that_name_are_not_taken(videos, target):
    target.write_bytes(videos[0].read_bytes())
    other = target.with_suffix(".mkv")
    other.write_bytes(videos[2].read_bytes())
    assert [get_video_metadata(path)["n_frames"] for path in (target, other, target)] == [7, 12, 7]


@pytest.mark.parametrize("content", ["not a json", "[]", '{"n_frames": 3}'])
def test_something_else_in_place_of_facts_is_an_error_and_stays(content, remembered):
    path, place = remembered
    place.write_text(content)
    with pytest.raises(ValueError, match="use_cached_metadata=False"):
        get_video_metadata(path)
    assert get_video_metadata(path, use_cached_metadata=False)["n_frames"] == 7
    assert place.read_text() == content


def loaded(loader):
    """The path, the number and the number shown of every frame that a loader yields."""
    return [
        (path, number, read_number((frame * 255).round().byte().permute(1, 2, 0).numpy()))
        for batch in loader
        for frame, path, number in zip(*batch.values(), strict=True)
    ]


def all_frames(videos):
    return [(path, number, number) for path in videos for number in range(check_num_frames(path))]


def test_a_dataset_yields_every_frame(videos):
    items = [*iter(Dataset(videos))]
    assert [(item["video_path"], item["frame_idx"]) for item in items] == [f[:2] for f in all_frames(videos)]
    frame = items[9]["frame"]
    expected = read_frames_from_video(videos[1], [2])[0][0]
    assert (frame.dtype, frame.shape) == (torch.float32, (3, 120, 160))
    assert torch.equal(frame, torch.from_numpy(expected).permute(2, 0, 1) / 255)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("transform", [None, torch.flip])
def test_a_loader_yields_every_frame_once(num_workers, transform, videos):
    flip = transform and (lambda frame: torch.flip(torch.flip(frame, [1]), [1]))
    loader = Loader(Dataset(videos, transform=flip), batch_size=8, num_workers=num_workers)
    assert loaded(loader) == all_frames(videos) == loaded(loader)
    assert len(loader) == 8
    batch = next(iter(loader))
    assert list(batch) == ["frames", "video_paths", "frame_indices"]
    assert (batch["frames"].dtype, batch["frames"].shape) == (torch.float32, (8, 3, 120, 160))
    assert torch.equal(batch["frames"][0], next(iter(Dataset(videos)))["frame"])


def test_a_transform_may_change_the_size(videos):
    small = Dataset(videos, transform=lambda frame: frame[:, ::2, ::2])
    assert next(iter(Loader(small, batch_size=4)))["frames"].shape == (4, 3, 60, 80)


@pytest.mark.parametrize(
    ("num_workers", "options"), [(0, {}), (1, {}), (1, {"worker_init_fn": torch.manual_seed})]
)
def test_torch_options_are_taken(num_workers, options, videos):
    loader = Loader(
        Dataset(videos[:1]),
        batch_size=5,
        num_workers=num_workers,
        drop_last=True,
        pin_memory=False,
        **options,
    )
    assert [len(batch["frame_indices"]) for batch in loader] == [5]
    assert isinstance(loader, torch.utils.data.DataLoader)


@pytest.mark.parametrize(
    ("frame_sorting", "numbers"), [(None, [1, 10, 2]), (r"(\d+)", [1, 2, 10])], ids=["by name", "by number"]
)
@pytest.mark.parametrize("num_workers", [0, 1])
def test_images_come_in_the_order_of_their_names(frame_sorting, numbers, num_workers, folder):
    dataset = Dataset([folder], as_image_dirs=True, frame_sorting=frame_sorting)
    assert [image.name for image in dataset.frame_sortings[folder]] == [f"frame_{n}.png" for n in numbers]
    loader = Loader(dataset, batch_size=2, num_workers=num_workers)
    assert loaded(loader) == [(folder, place, number) for place, number in enumerate(numbers)]
    assert len(dataset) == 3


def test_grey_images_have_one_channel(tmp_path):
    Image.fromarray(FRAMES[0]).convert("L").save(tmp_path / "0.png")
    assert next(iter(Dataset([tmp_path], as_image_dirs=True)))["frame"].shape == (1, 120, 160)


def test_what_is_no_image_is_named(folder, tmp_path):
    Image.fromarray(FRAMES[0]).save(tmp_path / "a.png")
    (tmp_path / "words.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"words\.txt"):
        [*iter(Dataset([tmp_path], as_image_dirs=True))]


@pytest.mark.parametrize(
    ("name", "pattern"), [("img_01_02.png", r"(\d+)"), ("a.png", r"(\d+)"), ("x.png", "(x)")]
)
def test_a_pattern_must_find_one_number(name, pattern, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match="must find one number"):
        Dataset([tmp_path], as_image_dirs=True, frame_sorting=pattern)


def test_videos_are_shared_among_workers_by_their_length(videos):
    dataset = Dataset(videos)
    with pytest.raises(ValueError, match="assign_workers"):
        len(dataset)
    dataset.assign_workers(n_frame_loading_workers=2, n_metadata_indexing_workers=1)
    assert dataset.n_frames_lookup == dict(zip(videos, (7, 40, 12), strict=True))
    assert dataset.worker_assignments == [[videos[1]], [videos[2], videos[0]]]
    assert len(dataset) == 59


@pytest.mark.parametrize("as_image_dirs", [False, True])
def test_paths_must_be_what_is_said_of_them(as_image_dirs, videos, folder):
    with pytest.raises(ValueError, match="there is no"):
        Dataset([videos[0] if as_image_dirs else folder], as_image_dirs=as_image_dirs)


@pytest.mark.parametrize("options", [{"batch_sampler": [1]}, {"collate_fn": list}])
def test_a_loader_has_batches_of_its_own(options, videos):
    with pytest.raises(ValueError, match=next(iter(options))):
        Loader(Dataset(videos), batch_size=1, **options)
    with pytest.raises(ValueError, match="not object"):
        Loader(object(), batch_size=1)


class Countdown(Dataset):
    """A subclass with items of its own."""

    def __iter__(self):
        yield from ({"frame": torch.full((3, 4, 5), i), "video_path": "v", "frame_idx": i} for i in (2, 1, 0))


def test_a_subclass_may_yield_items_of_its_own(videos):
    batch = next(iter(Loader(Countdown(videos), batch_size=3)))
    assert batch["frame_indices"] == batch["frames"][:, 0, 0, 0].tolist() == [2, 1, 0]


def test_no_videos_are_no_batches():
    assert list(Loader(Dataset([]), batch_size=3)) == []


@pytest.mark.parametrize(
    ("workers", "shares"),
    [(1, [["a", "b", "c"]]), (2, [["a"], ["b", "c"]]), (4, [["a"], ["b"], ["c"], []])],
)
def test_tasks_are_shared(workers, shares):
    assert balance_load_lpt({"a": 5, "b": 3, "c": 1}, workers) == shares
