from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from timeit import repeat

import pytest
from truth_frames import CLIPS, SAMPLES, TRUTH

import pvio_lab
from pvio_lab import VideoReader, get_video_metadata
from pvio_lab.read import info as metadata

CLIP = SAMPLES / "gop2.mp4"


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """Return a clip in a folder of its own, with a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "videos").mkdir()
    return Path(shutil.copy2(CLIP, tmp_path / "videos" / "clip.mp4"))


@pytest.fixture
def no_opening(monkeypatch):
    """Forbid, once it is called, to open any video."""

    def forbid():
        opener = "pvio_lab.read.shortcuts.open_file"
        monkeypatch.setattr(opener, lambda *_: pytest.fail("the video was opened"))

    return forbid


def beside(clip):
    return clip.with_name(clip.name + ".metadata.json")


@pytest.mark.parametrize("name", [name for name in CLIPS if name != "damaged.mp4"])
def test_facts(name):
    truth, info = TRUTH[name], get_video_metadata(SAMPLES / name, cache=False)
    same = "num_frames height width codec container rotation_degrees is_variable_rate".split()
    same += ["pixel_format"] if name != "animated.gif" else []
    assert {each: getattr(info, each) for each in same} == {each: truth[each] for each in same}
    assert info.fps == pytest.approx(truth["fps"], rel=5e-3)  # of 90 frames, or of the 89 steps between them
    assert info.duration_seconds == pytest.approx(truth["num_frames"] / truth["fps"], rel=0.06)
    assert info.size_bytes == (SAMPLES / name).stat().st_size
    assert 0 < info.bit_rate <= 8 * info.size_bytes / info.duration_seconds
    assert info.path == str(SAMPLES / name)


@pytest.mark.parametrize("name", CLIPS)
def test_a_reader_tells_the_same(name):
    with VideoReader(SAMPLES / name) as reader:
        assert reader.info == get_video_metadata(SAMPLES / name, cache=False)
        assert reader.info.num_frames == len(reader)
        assert reader.info.start_seconds == reader.index.pts_seconds[0]


def test_sound():
    audio = get_video_metadata(SAMPLES / "with_sound.mp4", cache=False).audio
    assert (audio.codec, audio.channels) == ("aac", 2)
    assert (audio.sample_rate, audio.channel_layout) == (44100, "stereo")


def test_facts_are_frozen_and_a_table_in_a_notebook():
    info = get_video_metadata(CLIP, cache=False)
    with pytest.raises(AttributeError, match="cannot assign"):
        info.fps = 1
    assert info.audio is None
    assert "h264" in info._repr_html_()


@pytest.mark.parametrize("name", ["gop2.mp4", "with_sound.mp4", "late_start.mp4"])
def test_remembered_beside_the_file(name, tmp_path, no_opening):
    clip = Path(shutil.copy(SAMPLES / name, tmp_path))
    first = get_video_metadata(clip)
    assert sorted(tmp_path.iterdir()) == [clip, beside(clip)]
    no_opening()
    assert get_video_metadata(clip) == get_video_metadata(str(clip)) == first


def test_without_the_cache_nothing_is_written_or_read(clip):
    get_video_metadata(clip, cache=False)
    VideoReader(clip).close()
    assert list(clip.parent.iterdir()) == [clip]
    beside(clip).write_text("{}")
    assert get_video_metadata(clip, cache=False).num_frames == 60
    assert beside(clip).read_text() == "{}"


def is_remembered(clip, no_opening, num_frames=60):
    """Return True if the facts are right, and right again without a look at the video."""
    first = get_video_metadata(clip).num_frames
    no_opening()
    return first == get_video_metadata(clip).num_frames == num_frames


GARBAGE = [b"", b"{", b"null", b"[]", b"3", b'"text"', b"{}", b'{"key": 1, "info": 2}']
GARBAGE += [b"\xff\xfe\x00", b"\x00" * 5000, b"[" * 100_000]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda data: repr(data[:9]))
def test_garbage_is_made_again(clip, garbage, no_opening):
    beside(clip).write_bytes(garbage)
    assert is_remembered(clip, no_opening)


OTHERS = [
    b'{"n_frames": 60, "fps": 30.0}',
    b'{"key": "abc", "info": {}}',
    b"my notes",
    b"[1, 2]",
    b"\xff\xfe",
]


@pytest.mark.parametrize("contents", OTHERS, ids=repr)
def test_a_file_of_somebody_else_stays(clip, contents, no_opening):
    beside(clip).write_bytes(contents)
    assert is_remembered(clip, no_opening)
    assert beside(clip).read_bytes() == contents


@pytest.mark.skipif(os.name != "posix", reason="needs links and FIFOs")
@pytest.mark.parametrize("kind", ["link to ours", "link to nowhere", "fifo"])
def test_what_is_no_regular_file_stays(clip, tmp_path, kind, no_opening):
    get_video_metadata(clip)
    beside(clip).replace(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes().replace(b"60", b"61")
    (tmp_path / "elsewhere").write_bytes(before)
    if kind == "fifo":
        os.mkfifo(beside(clip))
    else:
        beside(clip).symlink_to(tmp_path / ("elsewhere" if kind == "link to ours" else "nowhere"))
    assert is_remembered(clip, no_opening)
    assert beside(clip).is_symlink() != beside(clip).is_fifo()
    assert (tmp_path / "elsewhere").read_bytes() == before
    assert not (tmp_path / "nowhere").exists()


def test_what_a_killed_process_has_left_is_removed(clip):
    left = clip.with_name(".other.mp4.metadata.json.0123abcd.part")
    left.write_text("half")
    get_video_metadata(clip)
    assert not left.exists()


def remembered(clip):
    get_video_metadata(clip)
    return json.loads(beside(clip).read_text())


@pytest.mark.parametrize("end", [1, 40, 300, -2])
def test_half_a_cache_is_made_again(clip, end):
    remembered(clip)
    text = beside(clip).read_text()
    beside(clip).write_text(text[:end])
    assert get_video_metadata(clip).num_frames == 60
    assert beside(clip).read_text() == text


WRONG = [("num_frames", value) for value in ("60", 60.5, True, None)]
WRONG += [("fps", "30"), ("fps", None), ("codec", 7), ("is_variable_rate", 0)]
STRINGS = dict.fromkeys("channels codec sample_rate bit_rate bit_depth channel_layout".split(), "x")
WRONG += [("audio", value) for value in (3, [], "stereo", {"channels": 2}, STRINGS)]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=str)
def test_facts_of_a_wrong_kind_are_made_again(clip, name, value):
    facts = remembered(clip)
    truth = get_video_metadata(clip, cache=False)
    beside(clip).write_text(json.dumps({**facts, "info": {**facts["info"], name: value}}))
    assert get_video_metadata(clip) == truth


@pytest.mark.parametrize("name", ["num_frames", "audio", "path", "size_bytes"])
def test_missing_facts_are_made_again(clip, name):
    facts = remembered(clip)
    del facts["info"][name]
    beside(clip).write_text(json.dumps(facts))
    assert get_video_metadata(clip).num_frames == 60


def test_facts_are_believed_while_file_and_version_are_the_same(clip):
    facts = remembered(clip)
    facts["info"]["num_frames"] = 7
    beside(clip).write_text(json.dumps(facts))
    assert get_video_metadata(clip).num_frames == 7
    os.utime(clip, (1, 1))
    assert get_video_metadata(clip).num_frames == 60
    shutil.copy2(SAMPLES / "shapes.mp4", clip)
    assert get_video_metadata(clip).num_frames == 300
    facts = remembered(clip)
    facts["info"]["num_frames"], facts["key"][0] = 7, -1
    beside(clip).write_text(json.dumps(facts))
    assert get_video_metadata(clip).num_frames == 300


@pytest.mark.parametrize("other", ["variable_rate.mp4", "shapes.mp4"])
def test_another_file_of_the_same_size_and_time(clip, other):
    data = (SAMPLES / other).read_bytes()
    size = max(clip.stat().st_size, len(data))
    clip.write_bytes(clip.read_bytes().ljust(size, b"\0"))
    stat = clip.stat()
    assert get_video_metadata(clip).num_frames == 60
    clip.write_bytes(data.ljust(size, b"\0"))
    os.utime(clip, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert clip.stat().st_size == stat.st_size
    assert get_video_metadata(clip).num_frames == TRUTH[other]["num_frames"]


def test_a_moved_file_takes_its_facts_along(clip, tmp_path, no_opening):
    get_video_metadata(clip)
    moved = clip.parent.rename(tmp_path / "new") / clip.name
    no_opening()
    assert get_video_metadata(moved).path == str(moved)


@pytest.fixture
def read_only(clip, monkeypatch):
    """Let nobody write beside the clip, not even root, who may ignore permissions."""
    real = metadata.write_whole

    def refuse(path, contents, **options):
        if path.parent == clip.parent:
            raise PermissionError(13, "Permission denied", str(path))
        real(path, contents, **options)

    monkeypatch.setattr(metadata, "write_whole", refuse)
    return clip


def test_a_read_only_folder_is_remembered_elsewhere(read_only, tmp_path, no_opening):
    assert is_remembered(read_only, no_opening)
    assert list(read_only.parent.iterdir()) == [read_only]
    assert [path.suffix for path in (tmp_path / "cache" / "pvio_lab").iterdir()] == [".json"]


def test_nowhere_to_write_is_no_error(read_only, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert get_video_metadata(read_only).num_frames == 60


def test_a_directory_where_the_cache_should_be(clip, no_opening):
    beside(clip).mkdir()
    assert is_remembered(clip, no_opening)


def test_one_name_with_two_endings(tmp_path):
    for name in ("gop2.mp4", "bframes.avi"):
        shutil.copy(SAMPLES / name, tmp_path / f"clip{Path(name).suffix}")
    for _ in range(2):
        assert get_video_metadata(tmp_path / "clip.mp4").num_frames == 60
        assert get_video_metadata(tmp_path / "clip.avi").num_frames == 90
    names = [path.name for path in tmp_path.iterdir() if path.suffix == ".json"]
    assert sorted(names) == ["clip.avi.metadata.json", "clip.mp4.metadata.json"]


WRITERS = """
import sys
from pathlib import Path
from pvio_lab import get_video_metadata
from pvio_lab.read import recall
clip, place = sys.argv[1], Path(sys.argv[1] + ".metadata.json")
for _ in range(150):
    place.unlink(missing_ok=True)
    assert get_video_metadata(clip).num_frames == 60
    assert (recall(clip) or get_video_metadata(clip)).num_frames == 60
"""


def test_processes_that_write_at_once(clip):
    environment = {**os.environ, "PYTHONPATH": str(Path(pvio_lab.__file__).parents[1])}
    command = [sys.executable, "-c", WRITERS, str(clip)]
    writers = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(3)]
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], errors
    json.loads(beside(clip).read_text())
    assert sorted(path.name for path in clip.parent.iterdir()) == [clip.name, beside(clip).name]


def test_a_thousand_remembered_files_cost_less_than_a_hundred_openings(tmp_path):
    clips = [Path(shutil.copy(SAMPLES / "shapes.mp4", tmp_path / f"{number}.mp4")) for number in range(20)]
    for clip in clips:
        get_video_metadata(clip)
    opening = min(repeat(lambda: get_video_metadata(clips[0], cache=False), number=1, repeat=5))
    remembering = min(repeat(lambda: [get_video_metadata(clip) for clip in clips], number=1, repeat=20))
    assert 50 * remembering < 100 * opening


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("with_sound.mp4", (True, 3, 8)),
        ("gop2.mp4", (False, 3, 8)),
        ("hevc_10bit.mp4", (False, 3, 10)),
        ("animated.gif", (False, 4, 8)),
    ],
)
def test_facts_that_follow_from_others(name, facts):
    info = get_video_metadata(SAMPLES / name, cache=False)
    assert (info.has_audio, info.channels, info.bit_depth) == facts


@pytest.mark.parametrize(
    ("name", "count"), [("gray", 1), ("ya8", 2), ("nv12", 3), ("yuva420p", 4), ("bgr0", 3)]
)
def test_channels_of_pixel_formats(name, count):
    assert metadata.channels_of(name) == count
