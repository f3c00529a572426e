"""Files that ask for more than their own pixels are refused: other files, the network, endless memory."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import pytest
from fuzz import fuzz
from hard_clips import run_ffmpeg
from hostile import CLIP, HLS, LARGE, LISTS, TABLES, alias, mp4
from PIL import Image

from pvio_lab import (
    ClipDataset,
    DecodeError,
    Fetching,
    ImageSequence,
    OpenError,
    VideoReader,
    get_video_metadata,
    open_video,
    sample_video,
    sample_video_tree,
    scan_videos,
    stream_video_frames_to_dir,
)
from pvio_lab.base import LockFile, in_words
from pvio_lab.errors import printable
from pvio_lab.marks import Contents, read_notes
from pvio_lab.marks.marks_file import MarksFile
from pvio_lab.read.decode.container import ONE_VIDEO
from pvio_lab.view.html import box

pytestmark = pytest.mark.timeout(60)
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other names, and no FIFOs of this kind")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_other_files_is_no_video(tmp_path, name):
    text, word = LISTS[name]
    path = write(tmp_path / name, text.encode("latin-1"))
    for opener in (VideoReader, get_video_metadata, open_video):
        with pytest.raises(OpenError, match=rf"(?s){name}.*{word}"):
            opener(path)


def test_a_playlist_out_of_a_message(tmp_path):
    fetching = Fetching(cache_dir=tmp_path, allow_private=False)
    with pytest.raises(OpenError, match="is an HLS or M3U playlist: it names other files"):
        VideoReader(
            f"data:application/x-mpegurl,{HLS}".replace("\n", "%0A").replace("#", "%23"), fetching=fetching
        )


def test_a_reference_to_another_file_is_not_followed(tmp_path):
    with pytest.raises(OpenError, match="no frame"):
        VideoReader(write(tmp_path / "a.mov", mp4(size=100, dref=alias(str(CLIP)))))


def test_no_demuxer_is_allowed_that_opens_more_than_one_file():
    others = "hls dash concat sdp rtsp rtp sap image2 tty tedcaptions lavfi imf mlv vobsub svg_pipe"
    allowed = set(ONE_VIDEO.split(","))
    assert not allowed & set(others.split())
    devices = [name for name in av.formats_available if name in allowed and av.ContainerFormat(name).no_file]
    assert not devices


@posix
def test_the_name_of_an_image_is_no_pattern(tmp_path):
    run_ffmpeg(["-f", "lavfi", "-i", "testsrc2", "-frames:v", "1", "plain.jpg"], tmp_path)
    assert len(VideoReader(tmp_path / "plain.jpg")) == 1
    for name, red in {"a1.png": 0, "a%d.png": 250, "b[1].png": 120, "b1.png": 0}.items():
        Image.new("RGB", (32, 32), (red, 0, 0)).save(tmp_path / name)
    for name, red in {"a%d.png": 250, "b[1].png": 120}.items():
        with VideoReader(tmp_path / name) as reader:
            assert abs(int(reader[0][0, 0, 0]) - red) < 3


@posix
@pytest.mark.parametrize("folder", ["http:", "data:"])
def test_what_is_found_in_a_folder_is_a_file(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in ("cam:1.mp4", "data:x.mp4", "-i.mp4"):
        shutil.copy(CLIP, tmp_path / folder / name)
    for place in (f"./{folder}", Path(folder)):
        assert [row.ok for row in scan_videos(place, progress=False)] == [True] * 3
    report = sample_video_tree(Path(folder), tmp_path / "out", only_annotated=False, step=60, progress=False)
    assert not report.bad
    with open_video(Path(folder, "data:x.mp4")) as reader:
        assert len(reader) == 60


NAME = "red\x1b[31m\n\u202egnp.mp4"


@posix
def test_names_do_nothing_to_a_terminal(tmp_path):
    for path in (tmp_path / NAME, tmp_path / f"no{NAME}"):
        if path.name == NAME:
            path.write_bytes(b"no video")
        for opener in (VideoReader, get_video_metadata, ImageSequence, read_notes):
            with pytest.raises(
                (OSError, OpenError, ValueError), match=r"red\\x1b\[31m\\n\\u202egnp"
            ) as error:
                opener(path)
            assert printable(str(error.value)) == str(error.value)
    report = scan_videos(tmp_path, progress=False)
    assert report.rows[0].path == str(tmp_path / NAME)
    for text in (repr(report), report._repr_html_(), box(NAME)):
        assert printable(text, keep="\n") == text


@posix
def test_names_of_files_that_are_written_do_nothing_to_a_terminal(tmp_path, caplog):
    clip, images = tmp_path / NAME, tmp_path / f"images{NAME}"
    shutil.copy(CLIP, clip)
    images.mkdir()
    (images / f"{clip.stem}_frame_000000.png").write_text("no image")
    marks = tmp_path / f"{NAME}.marks.json"
    marks.write_text('{"frames": [], "video": {"size_bytes": 1, "sample_sha256": ""}}')
    lock = LockFile(marks)
    assert lock.acquire()
    lock.path.write_text(NAME)
    errors = []
    for fails in (
        lambda: stream_video_frames_to_dir(clip, images),
        lambda: sample_video(clip, tmp_path / "out", step=60, progress=False),
        lambda: MarksFile(marks).write(Contents()),
        lambda: ClipDataset([clip], num_frames=400, when_short="error")[0],
    ):
        with pytest.raises((OSError, ValueError)) as error:
            fails()
        errors.append(str(error.value))
    for text in (*errors, lock.holder(), in_words(ValueError(NAME)), caplog.text):
        assert printable(text, keep="\n") == text
    lock.release()


@pytest.mark.parametrize("name", LARGE)
def test_a_picture_that_is_too_large(tmp_path, name):
    with pytest.raises(OpenError, match=r"more than 134217728 pixels.*PVIO_LAB_MAX_PIXELS"):
        VideoReader(write(tmp_path / name, LARGE[name]))


def test_the_largest_picture_can_be_set(tmp_path, monkeypatch):
    Image.new("RGB", (100, 80)).save(tmp_path / "1.png")
    monkeypatch.setenv("PVIO_LAB_MAX_PIXELS", "8000")
    assert ImageSequence(tmp_path)[0].shape == VideoReader(tmp_path / "1.png")[0].shape == (80, 100, 3)
    with pytest.raises(ValueError, match=r"width=200 and height=160 would have more than 8000 pixels"):
        VideoReader(tmp_path / "1.png", width=200)
    monkeypatch.setenv("PVIO_LAB_MAX_PIXELS", "7999")
    with pytest.raises(OpenError, match=r"PVIO_LAB_MAX_PIXELS"):
        VideoReader(tmp_path / "1.png")
    with pytest.raises(DecodeError, match=r"100x80, more than 7999 pixels; PVIO_LAB_MAX_PIXELS=8000"):
        ImageSequence(tmp_path)
    monkeypatch.setenv("PVIO_LAB_MAX_PIXELS", "many")
    with pytest.raises(ValueError, match=r"PVIO_LAB_MAX_PIXELS='many' must be a number of pixels"):
        VideoReader(CLIP)
    monkeypatch.setenv("PVIO_LAB_MAX_PIXELS", "many")
    for open_it in (VideoReader, ImageSequence):
        with pytest.raises(ValueError, match=r"PVIO_LAB_MAX_PIXELS='many' must be a number"):
            open_it(tmp_path / "1.png" if open_it is VideoReader else tmp_path)


def test_a_picture_that_grows_on_the_way(tmp_path, monkeypatch):
    path, small, large = tmp_path / "a.mov", tmp_path / "small.jpg", tmp_path / "large.jpg"
    Image.new("RGB", (32, 32)).save(small)
    Image.new("RGB", (4096, 2048)).save(large)
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", 25, width=32, height=32, pix_fmt="yuvj420p")
        for number, image in enumerate([small] * 40 + [large] + [small] * 40):
            packet = av.Packet(image.read_bytes())
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, number, number, True
            packet.time_base = Fraction(1, 25)
            container.mux(packet)
    monkeypatch.setenv("PVIO_LAB_MAX_PIXELS", "1024")
    with VideoReader(path) as reader:
        assert reader[[0, 41]].shape == (2, 32, 32, 3)
        with pytest.raises(DecodeError, match="frame 40 of"):
            reader[40]


@pytest.mark.parametrize("name", TABLES)
def test_tables_that_claim_too_much(tmp_path, name):
    with pytest.raises(
        OpenError, match=rf"{name} claims more (samples|than 100000 packets).*its tables are wrong"
    ):
        VideoReader(write(tmp_path / name, TABLES[name]))


@posix
def test_a_fifo_is_never_waited_for(tmp_path):
    for name in ("pipe.mp4", "clip.mp4.metadata.json", "2.png", "notes.json"):
        os.mkfifo(tmp_path / name)
    shutil.copy(CLIP, tmp_path / "clip.mp4")
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    with pytest.raises(OpenError, match=r"pipe\.mp4 is a FIFO, and only regular files are read"):
        VideoReader(tmp_path / "pipe.mp4")
    with pytest.raises(OpenError, match="is a device"):
        VideoReader("/dev/zero")
    assert get_video_metadata(tmp_path / "clip.mp4").num_frames == 60
    assert [row.ok for row in scan_videos(tmp_path, progress=False)] == [True, False]
    assert len(ImageSequence(tmp_path)) == 1
    with pytest.raises(ValueError, match=r"notes\.json is not a file of annotations: it is a FIFO"):
        read_notes(tmp_path / "notes.json")


def test_mutants(tmp_path):
    assert fuzz(20, 0, tmp_path).findings == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_mutants(tmp_path):
    assert fuzz(200, 1000, tmp_path, hard=True).findings == []
