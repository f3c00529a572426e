"""Any file under any name: frames, or one clear error; no crash, no hang, no file left open."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from mutants import mutate
from truth_frames import SAMPLES, hard_clips, true_frames, wrong_frames

from pvio_lab import (
    DecodeError,
    OpenError,
    VideoError,
    VideoReader,
    decode_video_frames,
    get_video_metadata,
    open_video,
    read_frames_from_video,
)

pytestmark = pytest.mark.timeout(120)
CLIP = SAMPLES / "gop2.mp4"
OPENERS = [VideoReader, open_video, get_video_metadata, read_frames_from_video]
OPENERS += [lambda path: decode_video_frames(path, [0], 1)]
every_way = pytest.mark.parametrize("opener", OPENERS, ids="reader open metadata frames decode".split())
not_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
counts_files = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


@pytest.fixture
def clip(tmp_path):
    return Path(shutil.copy(CLIP, tmp_path / "clip.mp4"))


def write(path, data):
    path.write_bytes(data)
    return path


def open_files():
    return len(os.listdir("/proc/self/fd"))


@every_way
def test_a_missing_file(tmp_path, opener):
    with pytest.raises(FileNotFoundError, match=r"there is no video file .*missing\.mp4"):
        opener(tmp_path / "missing.mp4")


@pytest.mark.parametrize("opener", [VideoReader, get_video_metadata])
def test_a_directory_of_images_is_no_video(opener):
    with pytest.raises(
        OSError, match=r"numbered is a directory; for a directory of images use ImageSequence"
    ):
        opener(SAMPLES / "numbered")


@every_way
def test_an_empty_file(tmp_path, opener):
    with pytest.raises(OpenError, match=r"empty\.mp4 is empty: 0 bytes"):
        opener(write(tmp_path / "empty.mp4", b""))


TEXTS = [b"Dear reader,\nthis is not a video.\n" * 50, b"\0" * 9000, bytes(range(256)) * 40, b"\n", b"{}"]


@every_way
@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:6]))
def test_no_video_inside(tmp_path, opener, text):
    with pytest.raises(OpenError, match=r"text\.mp4"):
        opener(write(tmp_path / "text.mp4", text))


@every_way
@pytest.mark.parametrize("ending", ["mp4", "wav", "mkv"])
def test_sound_only(tmp_path, opener, ending):
    path = tmp_path / f"sound.{ending}"
    command = [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=d=1", path]
    subprocess.run(command, check=True, timeout=60)
    with pytest.raises(OpenError, match=rf"there is no video stream in .*sound\.{ending}: only audio"):
        opener(path)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.97])
@pytest.mark.parametrize("name", ["gop2.mp4", "no_count.mkv", "stream.ts", "bframes.avi", "vp9.webm"])
def test_the_beginning_of_a_file(tmp_path, name, share):
    data = (SAMPLES / name).read_bytes()
    path, truth = write(tmp_path / name, data[: int(len(data) * share)]), true_frames(SAMPLES / name)
    try:
        with VideoReader(path) as reader:
            assert 0 < len(reader) <= len(truth)
            intact = len(reader) - 1 - len(reader) // 8
            assert not wrong_frames(reader[:intact], truth[:intact])
    except OpenError as error:
        assert str(path) in str(error)  # noqa: PT017


def test_a_damaged_file_names_its_bad_frame():
    with VideoReader(SAMPLES / "damaged.mp4") as reader:
        with pytest.raises(DecodeError, match=r"frame 44 of .*damaged\.mp4 cannot be decoded"):
            reader[44]
        with pytest.raises(DecodeError, match=r"frame 44 of"):
            reader[40:50]
        with pytest.raises(DecodeError, match=r"frame 44 of"):
            list(reader.batches(8))
        good = [43, 70, 12]
        assert reader[good].shape[0] == 3
        assert not wrong_frames(reader[:44], true_frames(SAMPLES / "damaged.mp4")[:44])


@not_root
@every_way
def test_a_file_that_may_not_be_read(clip, opener):
    clip.chmod(0)
    with pytest.raises(PermissionError, match=r"clip\.mp4 may not be read"):
        opener(clip)


NAMES = [
    "with space.mp4",
    'it\'s "quoted".mp4',
    "100%.mp4",
    "frame_%d.mp4",
    "two\nlines.mp4",
    "Grüße 世界 🎬.mp4",
]
NAMES += [
    "-i.mp4",
    "-",
    "file:clip.mp4",
    "file:",
    "a:b.mp4",
    "http:clip.mp4",
    "concat:a|b.mp4",
    "[0-9]*?.mp4",
]
NAMES += ["#hash?query=1.mp4", "back\\slash.mp4", "~", "$HOME.mp4", ".hidden", "no_ending", "clip.txt"]
NAMES += ["clip.png", "clip.m3u8", "a" * 200 + ".mp4"]


@pytest.mark.skipif(os.name == "nt", reason="Windows forbids many of these names")
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_strange_names(tmp_path, monkeypatch, name, relative):
    shutil.copy(CLIP, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    path = name if relative else tmp_path / name
    with VideoReader(path) as reader:
        assert not wrong_frames(reader[[5, 40]], true_frames(CLIP)[[5, 40]])
        assert not wrong_frames(next(reader.batches(3))[1], true_frames(CLIP)[:3])
    if name != "~" and name != "-":
        assert get_video_metadata(path).num_frames == get_video_metadata(path).num_frames == 60


@pytest.mark.skipif(os.name != "posix", reason="only there names are bytes")
def test_a_name_that_is_no_unicode(tmp_path):
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.mp4")
    shutil.copy(CLIP, name)
    with VideoReader(os.fsdecode(name)) as reader:
        assert not wrong_frames(reader[[5]], true_frames(CLIP)[[5]])


@pytest.mark.skipif(os.name != "posix", reason="open files cannot be removed elsewhere")
def test_a_file_that_vanishes_while_open(clip):
    with VideoReader(clip, cache_bytes=0) as reader:
        reader[3]
        clip.unlink()
        for use in (lambda: reader[50], lambda: reader[[1, 58, 20]], lambda: list(reader)):
            try:
                use()
            except (FileNotFoundError, OpenError) as error:
                assert "clip.mp4" in str(error)  # noqa: PT017
        with pytest.raises(FileNotFoundError, match=r"clip\.mp4"):
            list(reader)


@pytest.mark.parametrize("other", ["shapes.mp4", "variable_rate.mp4", "stream.ts"])
def test_a_file_that_is_replaced_while_open(clip, tmp_path, other):
    with VideoReader(clip, cache_bytes=0, num_threads=2) as reader:
        reader[3]
        shutil.copy(SAMPLES / other, tmp_path / "new")
        os.replace(tmp_path / "new", clip)
        with pytest.raises(OpenError, match=r"clip\.mp4 was replaced while it was open; open it again"):
            list(reader)
        for number in (50, 20, 2):  # the file that is open still is the old one
            assert not wrong_frames(reader[[number]], true_frames(CLIP)[[number]])


def test_a_file_that_is_overwritten_while_open(clip):
    with VideoReader(clip, cache_bytes=0) as reader:
        reader[3]
        clip.write_bytes((SAMPLES / "shapes.mp4").read_bytes())
        for number in (50, 20, 2, 59):
            try:
                assert not wrong_frames(reader[[number]], true_frames(CLIP)[[number]])
            except VideoError as error:
                assert "clip.mp4" in str(error)  # noqa: PT017


@counts_files
@pytest.mark.parametrize(
    "data",
    [b"", TEXTS[0], CLIP.read_bytes()[:3000], (SAMPLES / "stream.ts").read_bytes()[:700]],
    ids=["empty", "text", "head", "stream"],
)
def test_errors_leave_no_file_open(tmp_path, data):
    path = write(tmp_path / "bad.mp4", data)
    gc.collect()
    before = open_files()
    for opener in [*OPENERS] * 3:
        with pytest.raises(OpenError):
            opener(path)
    assert open_files() == before


@counts_files
def test_a_file_without_a_single_good_frame_is_closed_again(tmp_path):
    """Open an intact container in which every picture is noise."""
    data = bytearray((SAMPLES / "av1.mp4").read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4 if data.index(b"moov") > start else len(data)
    data[start:end] = np.random.default_rng(0).bytes(end - start)
    undecodable = write(tmp_path / "noise.mp4", data)
    gc.collect()
    before = open_files()
    gc.disable()
    try:
        with pytest.raises(OpenError, match=r"no frame of .*noise\.mp4 can be decoded"):
            VideoReader(undecodable)
        assert open_files() == before
    finally:
        gc.enable()


def test_a_stream_that_appears_on_the_way(tmp_path):
    """Read a transport stream whose sound begins long after the picture."""
    mute, loud, path = (tmp_path / f"{name}.ts" for name in ("mute", "loud", "both"))
    noise = "-v error -f lavfi -i testsrc2=s=320x240:r=25,noise=alls=60:allf=t"
    command = [get_ffmpeg_exe(), *noise.split()]
    x264 = "-c:v libx264 -preset ultrafast -qp 8 -g 25 -pix_fmt yuv420p".split()
    subprocess.run([*command, "-t", "12", *x264, mute], check=True, timeout=60)
    late = ["-output_ts_offset", "12", *x264, "-c:a", "aac"]
    sound = ["-f", "lavfi", "-i", "sine"]
    subprocess.run([*command, *sound, "-t", "3", *late, loud], check=True, timeout=60)
    write(path, mute.read_bytes() + loud.read_bytes())
    assert mute.stat().st_size > 8e6  # ffmpeg looks for streams in the first 5 MB
    with VideoReader(path) as reader:
        assert len(reader) == len(true_frames(path))
        assert not wrong_frames(reader[::9], true_frames(path)[::9])


@pytest.mark.parametrize(("name", "seed"), [("wrap.ts", 224)])  # a stream appears halfway
def test_mutants_that_were_too_much_once(tmp_path, name, seed):
    path = write(tmp_path / name, mutate(hard_clips()[name].read_bytes(), seed))
    try:
        with VideoReader(path) as reader:
            assert len(reader[:]) == len(reader)
    except VideoError as error:
        assert str(path) in str(error)  # noqa: PT017
