"""Code for decord runs on our reader: the results of decord on clean clips, and right ones on others."""

from __future__ import annotations

import base64
import gc
import inspect
import logging
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from sound_clips import sound_clip
from truth_frames import SAMPLES, read_number

import pvio_lab as pv
from pvio_lab.compat import decord
from pvio_lab.read.decode.decord import load_decord

real = load_decord()  # in the same process, other tests read long files with it

CLEAN = ["shapes.mp4", "gop2.mp4", "all_intra.mp4"]
TRICKY = ["open_gop_h264.mp4", "cut_edit_list.mp4", "bframes.avi", "rotated_90.mp4", "stream.ts", "av1.mp4"]
CLIP, OTHER = str(SAMPLES / "gop2.mp4"), str(SAMPLES / "shapes.mp4")


def both(name, **options):
    return [each.VideoReader(str(SAMPLES / name), **options) for each in (real, decord)]


def outcome(call, *arguments):
    """What a call returns, or the type of its error; arrays as numbers of frames."""
    try:
        found = call(*arguments)
    except (Exception, AssertionError) as error:
        return next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins")
    if not hasattr(found, "asnumpy"):
        return found.tolist() if isinstance(found, np.ndarray) else found
    pixels = found.asnumpy()
    return pixels.shape, [read_number(frame) for frame in pixels.reshape(-1, *pixels.shape[-3:])]


# ---- the same as decord


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("seed", range(2))
def test_a_reader_does_what_decord_does(name, seed):
    theirs, ours = both(name)
    chance, size = random.Random(seed), len(theirs)
    assert len(ours) == size
    for _ in range(12):
        some = [chance.randrange(-size, size) for _ in range(chance.randrange(6))]
        method, arguments = chance.choice(
            [
                ("__getitem__", [chance.randrange(-size - 2, size + 2)]),
                ("__getitem__", [slice(chance.randrange(size), chance.randrange(size), 7)]),
                ("get_batch", [some]),
                ("get_batch", [np.array(some, float)]),
                ("get_batch", [[size - 1, size]]),
                ("get_frame_timestamp", [some]),
                ("next", []),
                ("seek", [chance.choice([-1, size])]),
            ]
        )
        assert outcome(getattr(ours, method), *arguments) == outcome(getattr(theirs, method), *arguments), (
            method
        )


@pytest.mark.parametrize("name", CLEAN)
def test_facts_are_those_of_decord(name):
    theirs, ours = both(name)
    assert ours.get_key_indices() == theirs.get_key_indices()
    assert ours.get_avg_fps() == pytest.approx(theirs.get_avg_fps())
    for idx in (3, -1, [0, 5], [], range(len(ours))):
        expected, found = theirs.get_frame_timestamp(idx), ours.get_frame_timestamp(idx)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "size", [{}, {"width": 100}, {"height": 100}, {"width": 64, "height": 48}, {"width": 0}, {"width": -5}]
)
def test_a_frame_looks_as_in_decord(size):
    theirs, ours = (reader[30] for reader in both("gop2.mp4", num_threads=1, **size))
    assert (ours.shape, ours.dtype, len(ours)) == (theirs.shape, theirs.dtype, len(theirs))
    assert repr(ours).partition("\n")[0] == repr(theirs).partition("\n")[0]
    assert np.abs(ours.asnumpy().astype(int) - theirs.asnumpy()).mean() < 1


@pytest.mark.parametrize("name", ["VideoReader", "VideoLoader", "AudioReader", "AVReader"])
def test_signatures_are_those_of_decord(name):
    theirs, ours = getattr(real, name), getattr(decord, name)
    for method in [each for each in vars(theirs) if not each.startswith("_") or each == "__init__"]:
        if not callable(getattr(theirs, method)):
            continue
        wanted, found = (inspect.signature(getattr(each, method)).parameters for each in (theirs, ours))
        found = [(each.name, str(each.default)) for each in found.values() if each.name != "warn"]
        assert found == [(each.name, str(each.default)) for each in wanted.values()], method


@pytest.mark.parametrize("shuffle", [0, 1, 2])
@pytest.mark.parametrize(
    ("size", "interval", "skip"),
    [(2, 0, 0), (4, 3, 0), (2, 5, 0), (3, 0, 7), (29, 0, 0), (59, 0, 0), (60, -1, 0)],
)
def test_a_loader_has_the_batches_of_decord(shuffle, size, interval, skip):
    options = {"shape": (size, 30, 40, 3), "interval": interval, "skip": skip, "shuffle": shuffle}
    loaders = [each.VideoLoader([CLIP, CLIP], ctx=each.cpu(0), **options) for each in (real, decord)]
    theirs, ours = ([indices.asnumpy().tolist() for _, indices in loader] for loader in loaders)
    assert len(ours) == len(theirs) == len(loaders[0]) == len(loaders[1])
    assert sorted(ours) == sorted(theirs)
    if shuffle == 0:
        assert ours == theirs
    if shuffle == 1:  # in order in each video
        assert sorted(ours, key=lambda batch: batch[0][0]) == sorted(ours)


@pytest.mark.parametrize("options", [{}, {"mono": False}, {"sample_rate": 16000}])
@pytest.mark.parametrize("name", ["aac.mp4", "late_sound.mp4", "opus.webm", "mp3.mkv"])
def test_samples_are_those_of_decord(name, options):
    path = str(sound_clip(name))
    theirs, ours = (each.AudioReader(path, **options) for each in (real, decord))
    assert abs(ours.shape[1] - theirs.shape[1]) < 1024 * 1.1  # newer versions of FFmpeg cut the padding
    shared = min(ours.shape[1], theirs.shape[1]) - 100
    np.testing.assert_allclose(ours[:shared].asnumpy(), theirs[:shared].asnumpy(), atol=1e-4)
    for idx in (0, -1, slice(5, 5), slice(0, 10, 3)):
        assert ours[idx].shape == theirs[idx].shape
    assert ours.get_batch([-1, 0, 1]).shape == theirs.get_batch([-1, 0, 1]).shape
    assert ours.add_padding() == theirs.add_padding()


# ---- right where decord may not be


@pytest.mark.parametrize("name", TRICKY)
def test_frames_are_those_of_our_reader(name):
    reader, ours = pv.VideoReader(SAMPLES / name), decord.VideoReader(str(SAMPLES / name))
    wanted = [len(ours) // 2, 3, 3, -1, 0, 40]
    np.testing.assert_array_equal(ours.get_batch(wanted).asnumpy(), reader[wanted])
    ours.seek(40)
    np.testing.assert_array_equal(ours.next().asnumpy(), reader[40])
    ours.skip_frames(2)
    np.testing.assert_array_equal(ours.next().asnumpy(), reader[43])
    assert ours.get_key_indices() == reader.index.keyframes.tolist()
    assert ours.get_frame_timestamp(0)[0] == 0


def test_where_decord_may_be_wrong_is_told_once_a_file(caplog, tmp_path):
    path = tmp_path / "open.mp4"
    path.write_bytes((SAMPLES / "open_gop_h264.mp4").read_bytes())
    with caplog.at_level(logging.INFO, "pvio_lab.compat.decord"):
        decord.VideoReader(CLIP)[7]
        with pytest.warns(UserWarning, match=r"open\.mp4: .* another frame than 7, or others: .*open groups"):
            decord.VideoReader(str(path), warn=True)[7]
        decord.VideoReader(str(path))[8]
    assert len(caplog.records) == 1


def test_a_frame_that_cannot_be_decoded_is_an_error(tmp_path):
    path = tmp_path / "hole.mp4"
    data = bytearray((SAMPLES / "all_intra.mp4").read_bytes())
    index = pv.VideoReader(SAMPLES / "all_intra.mp4").index
    begin = data.index(b"mdat") + 4 + int(index.frame_bytes[:30].sum())
    data[begin : begin + int(index.frame_bytes[30])] = bytes(int(index.frame_bytes[30]))
    path.write_bytes(data)
    reader = decord.VideoReader(str(path))
    with pytest.raises(decord.DECORDError, match="frame"):
        reader.get_batch(range(60))
    assert read_number(reader[50].asnumpy()) == 50


# ---- sources, devices, errors


def test_a_source_is_a_path_a_url_a_file_object_or_bytes():
    with open(CLIP, "rb") as file:
        content = Path(CLIP).read_bytes()
        url = f"data:video/mp4;base64,{base64.b64encode(content).decode()}"
        for source in (file, content, Path(CLIP), url):
            reader = decord.VideoReader(source)
            assert read_number(reader[41].asnumpy()) == 41
    with open(sound_clip("aac.mp4"), "rb") as file:
        assert len(decord.AVReader(file)) == 100


def test_the_copy_of_a_file_object_is_removed_with_its_reader():
    with open(CLIP, "rb") as file:
        reader = decord.VideoReader(file)
    copy = reader._source.uri
    assert copy.exists()
    del reader
    gc.collect()
    assert not copy.exists()


@pytest.mark.parametrize("kind", ["VideoReader", "AudioReader", "AVReader"])
def test_what_cannot_be_opened_is_an_error_as_in_decord(kind, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("nowhere.mp4", "text.mp4"):
        for error in (decord.DECORDError, RuntimeError):
            with pytest.raises(error, match=f"Error reading .*{name}: "):
                getattr(decord, kind)(str(tmp_path / name))


def test_no_error_shows_what_nobody_should_see():
    with pytest.raises(RuntimeError) as caught:
        decord.VideoReader("http://me:secret@127.0.0.1:9/clip.mp4")
    assert "secret" not in str(caught.value)
    with pytest.raises(RuntimeError, match="Error reading a bytes: "):
        decord.VideoReader(b"no video")


def test_sound_that_is_missing_is_an_error():
    with pytest.raises(decord.DECORDError, match="no sound in"):
        decord.AVReader(CLIP)


def test_there_is_no_gpu():
    for make in (lambda ctx: decord.VideoReader(CLIP, ctx), lambda ctx: decord.AVReader(CLIP, ctx)):
        with pytest.raises(decord.DECORDError, match=r"gpu\(1\).*give cpu\(0\)"):
            make(decord.gpu(1))
    with pytest.raises(AssertionError, match="must be a device"):
        decord.VideoReader(CLIP, "cpu")
    assert decord.cpu() == decord.nd.context("cpu") == decord.VideoReader(CLIP)[0].ctx


def test_iteration_and_the_end():
    reader = decord.VideoReader(CLIP)
    assert [read_number(frame.asnumpy()) for frame in reader] == list(range(60))
    with pytest.raises(StopIteration):
        reader.next()
    reader.skip_frames(5)
    reader.seek(0)
    assert read_number(reader.next().asnumpy()) == 0


@pytest.mark.parametrize("indices", [3, [[1, 2]]])
def test_indices_have_one_dimension(indices):
    with pytest.raises(TypeError, match="must be a list or an array of numbers"):
        decord.VideoReader(CLIP).get_batch(indices)


# ---- arrays and bridges


def test_arrays_go_everywhere_without_a_copy():
    frame = decord.VideoReader(CLIP)[5]
    values = frame.asnumpy()
    assert np.shares_memory(np.asarray(frame), values)
    assert np.shares_memory(np.from_dlpack(frame), values)
    assert torch.from_dlpack(frame).data_ptr() == values.ctypes.data
    assert torch.utils.dlpack.from_dlpack(frame.to_dlpack()).data_ptr() == values.ctypes.data
    assert not np.shares_memory(np.array(frame), values)
    assert np.asarray(frame, np.float32).dtype == np.float32
    assert decord.nd.from_dlpack(frame.to_dlpack()).asnumpy().ctypes.data == values.ctypes.data


def test_arrays_are_set_and_copied():
    frame = decord.nd.empty((2, 3))
    frame[:] = np.ones((2, 3))
    other = frame.copyto(decord.cpu(0))
    other[:] = np.zeros((2, 3))
    assert frame.asnumpy().sum() == 6
    assert frame == frame
    assert frame != other
    with pytest.raises(ValueError, match=r"\(2, 2\) vs \(2, 3\)"):
        frame[:] = np.zeros((2, 2))


def test_a_bridge_is_of_its_thread_and_of_its_block():
    reader, kinds = decord.VideoReader(CLIP), []
    with decord.bridge.use_torch():
        assert isinstance(reader.get_batch([1, 2]), torch.Tensor)
        assert isinstance(decord.bridge.bridge_in(reader[0]), decord.nd.NDArray)
        thread = threading.Thread(target=lambda: kinds.append(type(reader[0])))
        thread.start()
        thread.join()
        with decord.bridge.use_numpy():
            assert isinstance(reader[0], np.ndarray)
        assert isinstance(reader[0], torch.Tensor)
    assert [*kinds, type(reader[0])] == [decord.nd.NDArray] * 2
    decord.bridge.set_bridge("torch")
    assert isinstance(reader[0], torch.Tensor)
    decord.bridge.reset_bridge()
    assert isinstance(reader[0], decord.nd.NDArray)


@pytest.mark.parametrize("name", ["mxnet", "tensorflow", "tvm"])
def test_other_bridges_say_what_to_do(name):
    with pytest.raises(ImportError, match=f"no bridge to {name} here; choose 'torch'"):
        decord.bridge.set_bridge(name)
    with pytest.raises(AssertionError, match="must be one of 'native', 'torch'"):
        decord.bridge.set_bridge("jax")


# ---- loaders and sound


def test_a_loader_gives_the_frames_that_its_indices_name():
    loader = decord.VideoLoader(
        [CLIP, str(SAMPLES / "shapes.mp4")], decord.cpu(0), (4, 240, 320, 3), 2, 50, 3
    )
    batches = list(loader)
    assert len(batches) == len(loader) == 6
    for frames, indices in batches:
        assert [read_number(frame) for frame in frames.asnumpy()] == indices.asnumpy()[:, 1].tolist()
    assert list(loader) == []
    loader.reset()
    assert len(list(loader)) == 6


@pytest.mark.parametrize("name", ["aac.mp4", "late_sound.mp4", "late_video.mp4", "both_late.mp4", "cut.mp4"])
def test_sound_is_aligned_with_frames_to_the_sample(name):
    """A sample belongs to a frame if it is heard while the frame is shown."""
    path = str(sound_clip(name))
    sound, reader = pv.read_audio(path, mono=True, stream=0, trim=False), pv.VideoReader(path)
    samples, frames = decord.AVReader(path)[:]
    assert len(samples) == len(frames.asnumpy()) == len(reader)
    for part, begin, stay in zip(samples, *reader.times, strict=True):
        heard = sound.between(begin, begin + stay)
        silence = part.shape[1] - heard.shape[1]
        assert silence == 0 or begin < sound.start_seconds
        np.testing.assert_array_equal(part.asnumpy(), np.pad(heard, ((0, 0), (silence, 0))))


def test_sound_of_frames_has_the_shapes_of_decord():
    theirs, ours = (each.AVReader(str(sound_clip("aac.mp4")), sample_rate=48000) for each in (real, decord))
    assert len(ours) == len(theirs)
    assert [each.shape for each in ours[3]] == [each.shape for each in theirs[3]]
    for found, expected in zip(ours.get_batch([-1, 0, 5]), theirs.get_batch([-1, 0, 5]), strict=True):
        assert type(found).__name__ == type(expected).__name__
    assert ours._AVReader__video_reader.get_avg_fps() == 25  # as other people's code asks


# ---- code in the manner of the loaders of video-language models


def uniform(module, path, num_frames=8):
    vr = module.VideoReader(path, ctx=module.cpu(0), num_threads=1)
    idx = np.linspace(0, len(vr) - 1, num_frames).astype(int)
    return vr.get_batch(idx).asnumpy()


def uniform_segments(module, path, num_segments=6):
    vr = module.VideoReader(path, num_threads=1)
    seg = float(len(vr) - 1) / num_segments
    return np.stack([vr[int(seg / 2 + np.round(seg * i))].asnumpy() for i in range(num_segments)])


def by_rate(module, path, fps=2):
    with open(path, "rb") as file:
        vr = module.VideoReader(file)
    step = round(vr.get_avg_fps() / fps)
    return vr.get_batch(list(range(0, len(vr), step))).asnumpy()


def by_time(module, path):
    vr = module.VideoReader(path)
    middle = vr.get_frame_timestamp(range(len(vr))).mean(axis=1)
    return vr.get_batch([int(np.abs(middle - second).argmin()) for second in (0.5, 1.0, 1.5)]).asnumpy()


def torch_batch(module, path):
    module.bridge.set_bridge("torch")
    try:
        vr = module.VideoReader(path, width=128, height=96)
        frames = vr.get_batch(torch.arange(0, len(vr), 7)).permute(0, 3, 1, 2).float() / 255
    finally:
        module.bridge.set_bridge("native")
    return (frames * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def keyframes_only(module, path):
    vr = module.VideoReader(path)
    return vr.get_batch(vr.get_key_indices()[:8]).asnumpy()


def step_by_step(module, path):
    vr, frames = module.VideoReader(path), []
    vr.seek_accurate(5)
    for _ in range(4):
        frames.append(vr.next().asnumpy())
        vr.skip_frames(2)
    return np.stack(frames)


@pytest.mark.parametrize(
    "sample", [uniform, uniform_segments, by_rate, by_time, torch_batch, keyframes_only, step_by_step]
)
@pytest.mark.parametrize("name", ["shapes.mp4", "gop2.mp4"])
def test_code_of_the_field_gets_the_same_frames(sample, name):
    theirs, ours = (sample(each, str(SAMPLES / name)) for each in (real, decord))
    assert ours.shape == theirs.shape
    assert [read_number(frame) for frame in ours] == [read_number(frame) for frame in theirs]


class Clips(torch.utils.data.Dataset):
    """Opens each video in the worker that reads it, as most training code does."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.from_numpy(uniform(decord, CLIP, 4 + 0 * index))


def test_workers_of_torch_open_their_own_readers():
    loader = torch.utils.data.DataLoader(Clips(), batch_size=2, num_workers=2)
    assert [tuple(batch.shape) for batch in loader] == [(2, 4, 240, 320, 3)] * 2


# ---- instead of decord

STAND_IN = f"""
import importlib.util, sys
from pvio_lab.compat import install
module = install("decord")
import decord, decord.bridge.torchdl
from decord import VideoReader, bridge, cpu
from decord._ffi.base import DECORDError
from decord.base import DECORDError as same
assert decord is module and DECORDError is same is module.DECORDError
assert VideoReader is module.VideoReader and decord.bridge.torchdl is module.bridge.torchdl
assert importlib.util.find_spec("decord") is not None
assert "decord._ffi.libinfo" not in sys.modules  # decord itself is not loaded
import pvio_lab as pv
reader = pv.VideoReader({CLIP!r}, engine="decord")
assert abs(reader[41].mean() - decord.VideoReader({CLIP!r})[41].asnumpy().mean()) < 1
assert sys.modules["decord"] is module  # even after our engine has loaded decord itself
print("good")
"""


def test_install_stands_in_for_decord_but_not_for_our_engine():
    done = subprocess.run([sys.executable, "-c", STAND_IN], capture_output=True, text=True, timeout=120)
    assert done.stdout == "good\n", done.stderr


def test_install_knows_what_it_can_take_the_place_of():
    for name in ("numpy", "imageio", "supervisely"):
        with pytest.raises(ValueError, match=f"name='{name}' must be one of 'decord', 'lerobot', 'pvio'"):
            pv.compat.install(name)


@pytest.mark.parametrize("module", ["lerobot.datasets.video_utils", "pvio.torch"])
def test_install_makes_modules_inside_importable(module):
    name = module.partition(".")[0]
    code = f"import pvio_lab as pv; pv.compat.install({name!r}); import {module}; print({module}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == f"pvio_lab.compat.{module}\n"
