"""imageio's v3 functions with `plugin="pvio_lab"`, as its documentation uses them."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from truth_frames import SAMPLES, true_frames
from written import FRAMES, encoders, names_in, numbers_in

import pvio_lab as pv

iio = pytest.importorskip("imageio.v3")
pytestmark = (
    pytest.mark.peers
)  # in CI, where the `peers` extra is installed, test_optional.py fails without it

from pvio_lab.compat import imageio as compat_imageio  # noqa: E402

PLUGIN = "pvio_lab"
CLIP = SAMPLES / "gop2.mp4"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "clip.mp4"


@pytest.mark.parametrize(
    "name",
    ["gop2.mp4", "bframes.avi", "open_gop_h264.mp4", "rotated_90.mp4", "cut_edit_list.mp4", "animated.gif"],
)
def test_frames_are_those_of_the_ffmpeg_program(name):
    path = SAMPLES / name
    expected = true_frames(path)
    np.testing.assert_array_equal(iio.imread(path, plugin=PLUGIN), expected)
    middle = len(expected) // 2
    np.testing.assert_array_equal(iio.imread(path, index=middle, plugin=PLUGIN), expected[middle])


@pytest.mark.parametrize("index", [37, -1, [7, 3, 3], slice(None, None, 30), ...])
def test_an_index_is_one_or_many(index):
    key = slice(None) if index is ... else index
    expected = true_frames(CLIP)[key]
    np.testing.assert_array_equal(iio.imread(CLIP, index=index, plugin=PLUGIN), expected)
    props = iio.improps(CLIP, index=index, plugin=PLUGIN)
    assert (props.shape, props.dtype, props.is_batch) == (expected.shape, np.uint8, expected.ndim == 4)


def test_imiter_yields_all_frames_each_in_memory_of_its_own():
    np.testing.assert_array_equal(list(iio.imiter(CLIP, plugin=PLUGIN)), true_frames(CLIP))


def test_frames_are_scaled_by_the_readers_options():
    frame = iio.imread(CLIP, index=3, plugin=PLUGIN, width=160)
    with pv.VideoReader(CLIP, width=160) as reader:
        np.testing.assert_array_equal(frame, reader[3])


@pytest.mark.parametrize("kind", ["bytes", "file", "zip", "str"])
def test_other_resources_are_read(kind, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(CLIP, "inside.mp4")
    source = {
        "bytes": CLIP.read_bytes(),
        "file": io.BytesIO(CLIP.read_bytes()),
        "zip": f"{tmp_path}/all.zip/inside.mp4",
        "str": str(CLIP),
    }[kind]
    np.testing.assert_array_equal(iio.imread(source, index=40, plugin=PLUGIN), true_frames(CLIP)[40])


def test_metadata_has_the_names_of_other_plugins():
    facts = iio.immeta(CLIP, plugin=PLUGIN)
    assert (facts["fps"], facts["codec"], facts["size"], facts["video_format"]) == (
        *(30.0, "h264", (320, 240)),
        "yuv420p",
    )
    assert facts["nframes"] == len(true_frames(CLIP))


def test_what_was_applied_is_left_out_of_the_metadata():
    path = SAMPLES / "rotated_90.mp4"
    assert "rotate" not in iio.immeta(path, plugin=PLUGIN)
    assert iio.immeta(path, plugin=PLUGIN, exclude_applied=False)["rotate"] != 0


def test_a_frame_has_metadata():
    assert iio.immeta(CLIP, index=3, plugin=PLUGIN) == {
        "key_frame": False,
        "frame_type": "P",
        "time": pytest.approx(0.1),
        "duration": pytest.approx(1 / 30),
    }


@pytest.mark.parametrize("kind", [IndexError, ValueError])
def test_a_frame_that_is_not_there(kind):
    with pytest.raises(kind, match="frame 9999 is out of range"):
        iio.imread(CLIP, index=9999, plugin=PLUGIN)


@pytest.mark.parametrize("content", [b"no video", b""])
def test_what_is_no_video_is_left_to_other_plugins(content, tmp_path):
    path = tmp_path / "words.mp4"
    path.write_bytes(content)
    with pytest.raises(OSError, match="can not handle") as caught:
        iio.imread(path, plugin=PLUGIN)
    assert "words.mp4" in str(caught.value.__cause__)


def test_imwrite_writes_a_stack_with_our_options(target):
    assert iio.imwrite(target, np.array(FRAMES), plugin=PLUGIN, fps=12.5, codec="hevc", crf=20, gop=4) is None
    assert numbers_in(target) == list(range(len(FRAMES)))
    info = pv.get_video_metadata(target, cache=False)
    assert (info.fps, info.codec) == (12.5, "hevc")
    with pv.VideoReader(target) as reader:
        assert max(reader.index.gop_lengths) <= 4


@pytest.mark.parametrize(
    "frames", [FRAMES, iter(FRAMES), np.array(FRAMES)], ids=["list", "generator", "stack"]
)
def test_frames_come_in_any_form(frames, target):
    iio.imwrite(target, frames, plugin=PLUGIN)
    assert numbers_in(target) == list(range(len(FRAMES)))
    assert pv.get_video_metadata(target, cache=False).fps == 24


def test_imopen_adds_frames_one_by_one(target):
    with iio.imopen(target, "w", plugin=PLUGIN, fps=30, crf=18) as file:
        for frame in FRAMES:
            assert file.write(frame, is_batch=False) is None
        assert not target.exists()
    assert numbers_in(target) == list(range(len(FRAMES)))


def test_code_for_the_pyav_plugin_runs(target):
    with iio.imopen(target, "w", plugin=PLUGIN) as file:
        file.init_video_stream("libx264", fps=30, max_keyframe_interval=5)
        for frame in FRAMES:
            file.write_frame(frame)
    assert numbers_in(target) == list(range(len(FRAMES)))
    assert pv.get_video_metadata(target, cache=False).fps == 30


def test_v2_readers_and_writers_take_the_plugin(target):
    v2 = pytest.importorskip("imageio.v2")
    with v2.get_writer(target, PLUGIN, fps=30) as writer:
        for frame in FRAMES:
            writer.append_data(frame)
    with v2.get_reader(target, PLUGIN) as reader:
        assert (reader.get_length(), reader.get_meta_data()["fps"]) == (len(FRAMES), 30)
        np.testing.assert_array_equal(reader.get_data(7), pv.VideoReader(target)[7])


def test_a_video_is_written_to_bytes_and_file_objects(tmp_path):
    content = iio.imwrite("<bytes>", FRAMES, extension=".mp4", plugin=PLUGIN)
    file = io.BytesIO()
    iio.imwrite(file, FRAMES, extension=".mp4", plugin=PLUGIN)
    iio.imwrite(f"{tmp_path}/all.zip/inside.mp4", FRAMES, plugin=PLUGIN)
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert content == file.getvalue() == archive.read("inside.mp4")
    (tmp_path / "clip.mp4").write_bytes(content)
    assert numbers_in(tmp_path / "clip.mp4") == list(range(len(FRAMES)))


@pytest.mark.parametrize("is_there", [False, True])
def test_an_exception_leaves_the_old_file_or_none(is_there, target):
    if is_there:
        target.write_bytes(b"old")
    before = names_in(target.parent)
    with pytest.raises(TypeError, match="a frame must be"):
        iio.imwrite(target, [*FRAMES, "no frame"], plugin=PLUGIN)
    assert names_in(target.parent) == before
    assert not is_there or target.read_bytes() == b"old"
    assert encoders() == []


def test_an_exception_writes_nothing_to_a_file_object():
    file = io.BytesIO()
    with pytest.raises(ValueError, match="160x120"):
        iio.imwrite(file, [*FRAMES, FRAMES[0][:60]], extension=".mp4", plugin=PLUGIN)
    assert file.getvalue() == b""


def test_a_file_that_nobody_closes_is_not_written(target):
    file = iio.imopen(target, "w", plugin=PLUGIN)
    file.write(FRAMES)
    with pytest.warns(ResourceWarning, match="was not closed"):
        del file
    assert names_in(target.parent) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [({"crf": 99}, "crf=99"), ({"in_pixel_format": "bgr24"}, "bgr24"), ({"codec": "vp8"}, "codec='vp8'")],
)
def test_wrong_options_are_named(options, message, target):
    with pytest.raises(ValueError, match=message):
        iio.imwrite(target, FRAMES, plugin=PLUGIN, **options)
    assert names_in(target.parent) == []


def test_options_cannot_change_within_a_file(target):
    with iio.imopen(target, "w", plugin=PLUGIN) as file:
        file.write(FRAMES, fps=30)
        with pytest.raises(ValueError, match="one set of options"):
            file.write(FRAMES, fps=25)
    assert len(numbers_in(target)) == len(FRAMES)


def test_other_kinds_of_files_are_left_to_other_plugins(tmp_path):
    with pytest.raises(OSError, match="can not handle") as caught:
        iio.imwrite(tmp_path / "picture.png", FRAMES[0], plugin=PLUGIN)
    assert ".mp4" in str(caught.value.__cause__)
    iio.imwrite(tmp_path / "picture.png", FRAMES[0])
    np.testing.assert_array_equal(iio.imread(tmp_path / "picture.png"), FRAMES[0])


def test_a_preference_for_the_plugin_can_be_set(monkeypatch):
    from imageio.config import known_extensions

    monkeypatch.setattr(known_extensions[".mp4"][0], "priority", [PLUGIN])
    with iio.imopen(CLIP, "r") as file:
        assert isinstance(file, compat_imageio.PvioLabPlugin)
