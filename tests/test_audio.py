"""Sound is what the ffmpeg program puts out, and on the clock of the frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sound_clips import NAMES, ffmpeg, sound_clip, true_sound

from pvio_lab import Audio, DecodeError, OpenError, VideoReader, read_audio

VIDEOS = [name for name in NAMES if not name.startswith(("only", "no_edits"))]


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_those_of_ffmpeg(name):
    path = sound_clip(name)
    sound, truth = read_audio(path), true_sound(path, 2)
    if name in (
        "late_sound.mp4",
        "both_late.mp4",
    ):  # of which ffmpeg, against its own rule, does not trim the end
        truth = truth[:, :177424]
    assert sound.samples.shape == truth.shape
    assert sound.samples.dtype == np.float32
    np.testing.assert_allclose(sound.samples, truth, atol=1e-5)
    assert sound.num_damaged == 0


@pytest.mark.parametrize("name", ["aac.mp4", "opus.webm", "only.mp3"])
def test_resampled_and_mixed_samples_are_those_of_ffmpeg(name):
    path = sound_clip(name)
    sound, truth = read_audio(path, sample_rate=16000, mono=True), true_sound(path, 1, "-ac", 1, "-ar", 16000)
    assert (sound.sample_rate, sound.samples.shape) == (16000, truth.shape)
    np.testing.assert_allclose(sound.samples, truth, atol=1e-5)


@pytest.mark.parametrize("name", VIDEOS)
def test_beeps_are_heard_when_they_should(name):
    """Flash and beep begin every second; what delays one of them in the container, delays it here."""
    path, shift = sound_clip(name), {"late_sound.mp4": 0.5, "late_video.mp4": -0.5}.get(name, 0)
    sound = read_audio(path)
    with VideoReader(path) as reader:
        times, light = reader.times, reader[:].mean((1, 2, 3))
    loud = np.array([np.abs(sound.between(t, t + d)[0]).max(initial=0) for t, d in zip(*times, strict=True)])
    flash = times.pts_seconds[1:][np.diff(light) > 100][0]
    since_beep = (times.pts_seconds - flash - shift) % 1
    has_sound = times.pts_seconds > sound.start_seconds
    has_sound &= times.pts_seconds < sound.start_seconds + sound.duration_seconds - 0.1
    assert loud[has_sound & (since_beep > 0.12) & (since_beep < 0.94)].max() < 0.05
    assert loud[has_sound & (since_beep > 0.01) & (since_beep < 0.05)].min() > 0.9


def test_sample_numbers_do_not_depend_on_rounding():
    sound = Audio(np.zeros((1, 10**6), np.float32), 48000, 1 / 3, 0)
    frames = np.arange(10_000)
    assert (sound.sample_numbers(1 / 3 + frames / 30) == frames * 1600).all()


def test_neighbouring_frames_share_no_sample():
    sound = read_audio(sound_clip("aac.mp4"))
    edges = np.arange(101) / 25
    parts = [sound.between(begin, end) for begin, end in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), sound.between(0, 4))


def test_silence_stands_for_what_is_missing(tmp_path):
    path = tmp_path / "gap.mkv"
    ffmpeg("-i", sound_clip("pcm.mov"), "-c", "copy", "-bsf:a", "noise=drop='between(pts*tb,1.5,2.5)'", path)
    whole, sound = read_audio(sound_clip("pcm.mov")), read_audio(path)
    assert np.abs(sound.between(1.6, 2.4)).max() == 0
    begins = [np.flatnonzero(np.abs(each.between(2.6, 4)[0]) > 0.05)[0] for each in (whole, sound)]
    assert abs(begins[0] - begins[1]) < 0.002 * sound.sample_rate  # the file has times in milliseconds


def test_a_gap_of_hours_does_not_fill_the_memory(tmp_path):
    path, late = tmp_path / "hours.mkv", "if(gt(N,20),TS+2*3600/TB,TS)"
    ffmpeg("-i", sound_clip("mp3.mkv"), "-vn", "-c", "copy", "-bsf:a", f"setts=ts='{late}'", path)
    with pytest.raises(DecodeError, match=r"hours.mkv leave out more than an hour"):
        read_audio(path)


def test_damaged_packets_are_counted(tmp_path):
    path = tmp_path / "damaged.mp4"
    ffmpeg("-i", sound_clip("aac.mp4"), "-c", "copy", "-bsf:a", "noise=amount='eq(mod(n,10),9)'", path)
    assert read_audio(path).num_damaged > 0


def test_a_stream_by_its_number(tmp_path):
    path = tmp_path / "two.mkv"
    ffmpeg(
        *("-i", sound_clip("pcm.mov"), "-map", "0:a", "-map", "0:a", "-c:a", "pcm_s16le", "-ac:a:0", 1), path
    )
    assert [len(read_audio(path, stream=number).samples) for number in (0, 1)] == [1, 2]
    with pytest.raises(IndexError, match=r"stream=2 .* has 2"):
        read_audio(path, stream=2)


def test_too_few_samples_for_a_lower_rate(tmp_path):
    path = tmp_path / "short.wav"
    ffmpeg("-f", "lavfi", "-i", "sine=sample_rate=48000", "-af", "atrim=end_sample=3", path)
    assert read_audio(path).samples.shape == (1, 3)
    assert read_audio(path, sample_rate=8000).samples.shape[0] == 1


def test_what_cannot_be_read_is_an_error(tmp_path):
    silent = tmp_path / "silent.mp4"
    ffmpeg("-i", sound_clip("aac.mp4"), "-an", "-c", "copy", silent)
    with pytest.raises(OpenError, match="no sound in"):
        read_audio(silent)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_audio(tmp_path / "nowhere.mp4")
    with pytest.raises(ValueError, match="sample_rate=0 must be 1 or more"):
        read_audio(silent, sample_rate=0)
