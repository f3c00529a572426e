from __future__ import annotations

import shutil

import numpy as np
import pytest
from truth_frames import SAMPLES, read_number

from pvio_lab.errors import FrameTimestampError
from pvio_lab.read import ImageSequence, RecentReaders, VideoReader, decode_video_frames


@pytest.fixture
def readers():
    readers = RecentReaders(VideoReader)
    yield readers
    readers.close()


def number(frames):
    return read_number(frames[0].mul(255).round().byte().movedim(0, -1).numpy())


def test_a_reader_is_kept(readers):
    first = readers.get(SAMPLES / "gop2.mp4")
    assert readers.get(SAMPLES / "gop2.mp4") is first
    assert len(readers) == 1


def test_a_replaced_file_is_opened_anew(readers, tmp_path):
    clip = tmp_path / "clip.mp4"
    shutil.copy(SAMPLES / "gop2.mp4", clip)
    first = readers.get(clip)
    shutil.copy(SAMPLES / "shapes.mp4", clip)
    assert readers.get(clip).shape == (300, 360, 640, 3) != first.shape
    assert len(readers) == 1


def test_a_removed_file_is_an_error(readers, tmp_path):
    clip = tmp_path / "clip.mp4"
    shutil.copy(SAMPLES / "gop2.mp4", clip)
    readers.get(clip)
    clip.unlink()
    with pytest.raises(FileNotFoundError):
        readers.get(clip)


def test_closing_disturbs_nobody_who_reads(readers):
    reader = readers.get(SAMPLES / "gop2.mp4")
    readers.close()
    assert len(readers) == 0
    assert read_number(reader[37]) == 37
    assert readers.get(SAMPLES / "gop2.mp4") is not reader


def test_a_little_room_keeps_the_last(tmp_path):
    readers = RecentReaders(VideoReader, max_bytes=1)
    for name in ("gop2.mp4", "shapes.mp4"):
        readers.get(SAMPLES / name)
    assert len(readers) == 1
    readers.close()


def test_decoding_by_time_sees_a_replaced_file(tmp_path):
    clip = tmp_path / "clip.mp4"
    for name, seconds in (("gop2.mp4", 1.0), ("shapes.mp4", 1.0), ("gop2.mp4", 1.5)):
        shutil.copy(SAMPLES / name, clip)
        assert number(decode_video_frames(clip, [seconds], 1e-4)) == round(seconds * 30)


@pytest.mark.parametrize("seconds", [1.0, [1.0, 0.49], np.array([1.5])])
def test_nearest_is_the_frame_nearest_in_time(seconds):
    with VideoReader(SAMPLES / "gop2.mp4") as reader:
        frames = reader.nearest(seconds, 0.02)
        numbers = np.rint(np.multiply(seconds, reader.fps)).astype(int)
        assert (frames == reader[numbers]).all()
        assert (reader.nearest(seconds, 0.02, as_torch=True).movedim(-3, -1).numpy() == frames).all()


@pytest.mark.parametrize("source", [VideoReader(SAMPLES / "gop2.mp4"), ImageSequence(SAMPLES / "numbered")])
def test_nearest_has_a_tolerance(source):
    with source as reader, pytest.raises(FrameTimestampError, match=r"tolerance_s=0\.001 of 0\.49 s"):
        reader.nearest([0.0, 0.49], 0.001)
