from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from truth_frames import CLIPS, SAMPLES, hard_clips, read_number, true_frames

import pvio_lab
from pvio_lab.errors import EncodeError, OpenError
from pvio_lab.write import concatenate_video_files
from pvio_lab.write.join import compatibility as clip_module
from pvio_lab.write.join import concat
from pvio_lab.write.join.compatibility import inspect_clip
from pvio_lab.write.join.parameter_sets import ParameterSets
from pvio_lab.write.join.tracks import VideoTrack

draw_frame = import_module("make").draw_frame

_SCRATCH = TemporaryDirectory(prefix="test_concat_")
X264 = "-c:v libx264 -preset veryfast -g 15"
REFUSED = {
    "animated.gif": "not always one frame",
    "bframes.avi": "stores no presentation times",
    "raw.h264": "stores no presentation times",
    "cut_edit_list.mp4": "hides 45 of its 120 frames by an edit list",
    "damaged.mp4": "is damaged",
    "truncated.mp4": "is damaged|cut short",
}
JOINED = [name for name in CLIPS if name not in REFUSED]


def ffmpeg(*arguments: object) -> bytes:
    command = [get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


@cache
def drawn(name: str, first: int = 0, count: int = 20, options: str = X264, more: str = "", rate: str = "25"):
    """A clip of frames that carry their numbers; `more` are further inputs."""
    path = Path(_SCRATCH.name, f"{abs(hash((first, count, options, more, rate)))}_{name}")
    source = f"-f rawvideo -pix_fmt rgb24 -s 160x120 -r {rate} -i -".split()
    command = [get_ffmpeg_exe(), "-v", "error", "-y", *source, *more.split(), *options.split()]
    frames = b"".join(draw_frame(number, 160, 120).tobytes() for number in range(first, first + count))
    subprocess.run([*command, "-pix_fmt", "yuv420p", path], input=frames, check=True)
    return path


def numbers(path: Path) -> list[int | None]:
    return [read_number(frame) for frame in true_frames(path)]


def times(path: Path) -> np.ndarray:
    with pvio_lab.VideoReader(path) as reader:
        return reader.index.pts_seconds


def packets(path: Path, kind: str) -> list[tuple[float, float, int]]:
    """Time, duration and size of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(each for each in container.streams if each.type == kind)
        return [
            (float(p.pts * p.time_base), float((p.duration or 0) * p.time_base), p.size)
            for p in container.demux(stream)
            if p.size
        ]


# --- frames and times ---


@pytest.mark.parametrize("name", JOINED)
def test_every_frame_and_time_is_that_of_the_single_files(name, tmp_path):
    source = SAMPLES / name
    output = concatenate_video_files([source, source], tmp_path / f"both{source.suffix}")
    truth, joined = true_frames(source), true_frames(output)
    assert len(joined) == 2 * len(truth)
    assert (joined[: len(truth)] == truth).all()
    assert (joined[len(truth) :] == truth).all()
    length = float(inspect_clip(str(source)).length)
    own, found = times(source) - times(source)[0], times(output)
    expected = np.concatenate([own, own + length]) + found[0]
    tick = 0.001 if source.suffix in (".mkv", ".webm") else 1e-9
    np.testing.assert_allclose(found, expected, rtol=0, atol=tick)
    assert found[0] == 0 or source.suffix == ".ts"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [None, ".mp4", ".mkv", ".ts"])
def test_hard_clips_are_joined_exactly_or_refused(suffix, tmp_path):
    wrong, num_joined = [], 0
    for name, source in hard_clips().items():
        if name in ("damaged.mp4", "drop_middle.mp4"):  # broken frames look as what was before them
            continue
        try:
            output = concatenate_video_files([source] * 3, tmp_path / f"{name}{suffix or source.suffix}")
        except (ValueError, EncodeError):
            continue
        truth, num_joined = true_frames(source), num_joined + 1
        if not np.array_equal(true_frames(output), np.concatenate([truth] * 3)):
            wrong.append(name)
    assert wrong == []
    assert num_joined > 20


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts", ".flv"])
def test_different_clips_follow_each_other(suffix, tmp_path):
    clips = [drawn("a.mp4", 0, 20), drawn("b.mp4", 100, 1), drawn("c.mp4", 200, 33)]
    output = concatenate_video_files(clips, tmp_path / f"joined{suffix}")
    assert numbers(output) == [*range(20), 100, *range(200, 233)]
    np.testing.assert_allclose(np.diff(times(output)), 0.04, atol=0.0011 if suffix == ".mkv" else 1e-9)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_500_clips_do_not_drift(suffix, tmp_path):
    rate = Fraction(30000, 1001)
    clip = drawn(f"ntsc{suffix}", 0, 3, X264 + " -g 250", rate=str(rate))
    output = concatenate_video_files([clip] * 500, tmp_path / f"long{suffix}")
    found = times(output)
    tick = 0.001 if suffix == ".mkv" else 1e-6
    np.testing.assert_allclose(found - found[0], np.arange(1500) / float(rate), rtol=0, atol=1.1 * tick)


def test_rounded_times_do_not_add_up(tmp_path):
    clip = drawn("third.mkv", 0, 4, rate="30")  # 0, 33, 67, 100 ms, and 133 long
    output = concatenate_video_files([clip] * 60, tmp_path / "long.mp4")
    np.testing.assert_allclose(times(output), np.arange(240) / 30, rtol=0, atol=0.0011)


def test_a_variable_rate_is_kept_exactly(tmp_path):
    source = SAMPLES / "variable_rate.mp4"
    output = concatenate_video_files([source, source], tmp_path / "joined.mp4")
    own, found = times(source), times(output)
    assert (found[:90] == own).all()
    np.testing.assert_allclose(found[90:] - found[90], own, rtol=0, atol=1e-9)


def test_a_far_start_is_removed(tmp_path):
    assert times(concatenate_video_files([SAMPLES / "late_start.mp4"], tmp_path / "joined.mp4"))[0] == 0


def test_different_delays_of_decoding(tmp_path):
    with_b, without = drawn("b.mkv", 0, 12), drawn("one.mkv", 50, 1)
    output = concatenate_video_files([without, with_b, without, with_b], tmp_path / "joined.mp4")
    assert numbers(output) == [50, *range(12), 50, *range(12)]


# --- what stays ---


def test_rotation_stays(tmp_path):
    output = concatenate_video_files([SAMPLES / "rotated_90.mp4"] * 2, tmp_path / "joined.mkv")
    info = pvio_lab.get_video_metadata(output)
    assert (info.rotation_degrees, info.width, info.height) == (90, 240, 320)


def test_a_container_that_refuses_says_why_without_pyavs_log(tmp_path, monkeypatch):
    for name in ("set_level", "Capture", "restore_default_callback", "set_libav_level"):
        monkeypatch.setattr(av.logging, name, None)
    with pytest.raises(
        EncodeError, match="cannot hold what is to be joined: Unsupported codec id in stream 0"
    ):
        concatenate_video_files([SAMPLES / "gop2.mp4"] * 2, tmp_path / "joined.ogg")


def test_a_container_that_loses_the_rotation_is_refused(tmp_path):
    with pytest.raises(EncodeError, match="cannot hold a rotation"):
        concatenate_video_files([SAMPLES / "rotated_90.mp4"] * 2, tmp_path / "joined.ts")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_shape_of_pixels_colours_and_languages_stay(suffix, tmp_path):
    colours = "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -color_range pc"
    words = "-metadata:s:a language=deu -metadata:s:a title=Ton"
    options = f"{X264} {colours} -vf setsar=4/3 -c:a aac -shortest {words}"
    clip = drawn("tags.mkv", 0, 10, options, "-f lavfi -i sine=440")
    with (
        av.open(str(clip)) as one,
        av.open(str(concatenate_video_files([clip], tmp_path / f"j{suffix}"))) as new,
    ):
        for name in ("color_primaries", "color_trc", "colorspace", "color_range"):
            assert getattr(new.streams.video[0], name) == getattr(one.streams.video[0], name)
        assert new.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert new.streams.audio[0].language == "deu"
        assert suffix != ".mkv" or new.streams.audio[0].metadata["title"] == "Ton"


def test_the_shape_of_pixels_of_the_container_stays(tmp_path):
    ffmpeg("-i", drawn("square.mp4"), "-c", "copy", "-aspect", "21:9", tmp_path / "wide.mp4")
    with av.open(str(concatenate_video_files([tmp_path / "wide.mp4"], tmp_path / "joined.mp4"))) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(7, 4)


def test_the_tag_that_players_ask_for_stays(tmp_path):
    output = concatenate_video_files([SAMPLES / "hevc_10bit.mp4"], tmp_path / "joined.mp4")
    assert b"hvc1" in output.read_bytes()


def test_mp4_begins_with_its_index(tmp_path):
    data = concatenate_video_files([drawn("a.mp4", 0, 20)], tmp_path / "joined.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_both_video_streams_are_joined(tmp_path):
    output = concatenate_video_files([SAMPLES / "two_streams.mp4"] * 2, tmp_path / "joined.mp4")
    assert numbers(output) == [*range(60)] * 2
    with av.open(str(output)) as container:
        first = container.streams.video[0]
        found = [read_number(f.to_ndarray(format="rgb24")) for f in container.decode(first)]
    assert found == [*range(1000, 1060)] * 2


def test_the_main_stream_stays_the_main_one(tmp_path):
    small, large = drawn("a.mp4", rate="30"), SAMPLES / "gop2.mp4"
    streams = ("-map", 0, "-map", 1, "-c", "copy", "-disposition:v", 0, "-frames:v", 20)
    ffmpeg(
        "-i", small, "-i", large, *streams, tmp_path / "both.mkv"
    )  # none is the default: the larger counts
    output = concatenate_video_files([tmp_path / "both.mkv"], tmp_path / "joined.mp4")
    assert true_frames(output).shape[1:] == (240, 320, 3)


def test_a_cover_picture_is_left_out(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "color=s=64x64", "-frames:v", 1, tmp_path / "cover.png")
    inputs = ("-i", drawn("a.mp4", 0, 20), "-i", tmp_path / "cover.png", "-map", 0, "-map", 1)
    ffmpeg(*inputs, "-c", "copy", "-disposition:v:1", "attached_pic", tmp_path / "with.mp4")
    output = concatenate_video_files([tmp_path / "with.mp4"] * 2, tmp_path / "joined.mp4")
    assert numbers(output) == [*range(20)] * 2
    with av.open(str(output)) as container:
        assert len(container.streams) == 1


@pytest.mark.parametrize("options", ["", "-x264-params aud=1", "-bf 3 -preset slow"])
@pytest.mark.parametrize("source", ["mp4", "ts"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_h264_may_differ_in_quality(source, suffix, options, tmp_path):
    clips = [drawn(f"a.{source}", 0, 20, f"{X264} {options} -crf {crf}") for crf in (18, 35, 18, 51)]
    output = concatenate_video_files(clips, tmp_path / f"joined.{suffix}")
    truth = np.concatenate([true_frames(clip) for clip in clips])
    assert (true_frames(output) == truth).all()
    with pvio_lab.VideoReader(output) as reader:
        order = np.random.default_rng(0).permutation(len(truth))
        assert all((reader[number] == truth[number]).all() for number in order)


def test_h264_that_orders_frames_otherwise_is_refused(tmp_path):
    clips = [drawn("a.mp4", 0, 20, f"{X264} {options}") for options in ("-bf 0", "-bf 3 -refs 4")]
    with pytest.raises(ValueError, match="video extradata"):
        concatenate_video_files(clips, tmp_path / "joined.mp4")


AVCC = bytes.fromhex("01640029 ff e1 0003 67aabb 02 0002 68c1 0002 68c2".replace(" ", ""))
START_CODES = bytes.fromhex("0000000167aabb 0000000168c1 00000168c2 000001060501".replace(" ", ""))


@pytest.mark.parametrize(("extradata", "length"), [(AVCC, 4), (START_CODES, 0)])
def test_parameter_sets_of_a_stream(extradata, length):
    sets = ParameterSets.of(extradata)
    assert (sets.length, sets.sequence, sets.picture) == (length, (b"g\xaa\xbb",), (b"h\xc1", b"h\xc2"))


@pytest.mark.parametrize("cut", range(1, len(AVCC)))
def test_no_parameter_sets(cut):
    assert not (found := ParameterSets.of(AVCC[:cut])) or found.sequence == (b"g\xaa\xbb",)


@pytest.mark.parametrize(
    ("extradata", "packet", "expected"),
    [
        (AVCC, "00000002 65ff", "00000003 67aabb 00000002 68c1 00000002 68c2 00000002 65ff"),
        (
            AVCC,
            "00000002 09f0 00000001 65",
            "00000002 09f0 00000003 67aabb 00000002 68c1 00000002 68c2 00000001 65",
        ),
        (START_CODES, "000001 65ff", "00000001 67aabb 00000001 68c1 00000001 68c2 000001 65ff"),
        (
            START_CODES,
            "000001 09f0 000001 65",
            "000001 09f0 00000001 67aabb 00000001 68c1 00000001 68c2 000001 65",
        ),
    ],
)
def test_sets_stand_before_the_picture(extradata, packet, expected):
    assert ParameterSets.of(extradata).before(bytes.fromhex(packet)) == bytes.fromhex(expected)


# --- sound ---

BEEP = "-f lavfi -i aevalsrc=sin(2*PI*1000*t)*between(t\\,0.4\\,0.45):s={rate}:d={seconds}"


def beeping(name: str, codec: str, rate: int = 44100, seconds: float = 0.92) -> Path:
    """23 frames, 0.92 s, with a beep at 0.4 s."""
    more = BEEP.format(rate=rate, seconds=seconds)
    return drawn(name, 0, 23, f"{X264 if 'webm' not in name else '-c:v libvpx'} {codec}", more)


def beeps(samples: np.ndarray, rate: int) -> np.ndarray:
    loud = np.flatnonzero(np.abs(samples.astype(np.float64)) > 0.2 * np.abs(samples).max())
    return loud[np.diff(loud, prepend=-rate) > rate // 4] / rate


def heard_by_counting(path: Path, rate: int) -> np.ndarray:
    """When there are beeps, for those who put all samples one after the other."""
    return beeps(np.frombuffer(ffmpeg("-i", path, "-vn", "-ac", 1, "-f", "s16le", "-"), np.int16), rate)


def heard(path: Path, rate: int) -> np.ndarray:
    """When there are beeps, by the times of the sound; counted from the first picture."""
    samples = np.zeros(rate * 60, np.float32)
    with av.open(str(path)) as container:
        start = float(container.streams.video[0].start_time * container.streams.video[0].time_base)
        for frame in container.decode(audio=0):
            data = frame.to_ndarray().astype(np.float32).reshape(-1)
            at = round((frame.time - start) * rate)
            samples[max(at, 0) : at + len(data)] = data[max(-at, 0) :]
    return beeps(samples, rate)


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "target"),
    [
        (".mp4", "-c:a aac", 44100, ".mp4"),
        (".mp4", "-c:a aac", 44100, ".mkv"),
        (".mp4", "-c:a aac", 48000, ".ts"),
        (".mkv", "-c:a libmp3lame", 44100, ".mkv"),
        (".mov", "-c:a pcm_s16le", 44100, ".mov"),
        (".webm", "-c:a libopus", 48000, ".webm"),
    ],
)
def test_beeps_stay_with_the_pictures(suffix, codec, rate, target, tmp_path):
    clip = beeping(f"beep{suffix}", codec, rate)
    output = concatenate_video_files([clip] * 50, tmp_path / f"joined{target}")
    expected = 0.4 + 0.92 * np.arange(50)
    np.testing.assert_allclose(heard(output, rate), expected, rtol=0, atol=0.003)
    if codec != "-c:a libmp3lame":  # of which a part of a packet is lost at each joint
        np.testing.assert_allclose(heard_by_counting(output, rate), expected, rtol=0, atol=0.03)
    begins = [begin for begin, *_ in packets(output, "audio")]
    assert (np.diff(begins) > 0).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("seconds", [0.6, 1.7])
def test_sound_shorter_or_longer_than_the_video(seconds, suffix, tmp_path):
    clip = beeping("uneven.mp4", "-c:a aac", seconds=seconds)
    output = concatenate_video_files([clip] * 10, tmp_path / f"joined{suffix}")
    assert len(true_frames(output)) == 230
    np.testing.assert_allclose(heard(output, 44100), 0.4 + 0.92 * np.arange(10), rtol=0, atol=0.003)
    begins = np.array([begin for begin, *_ in packets(output, "audio")])
    assert (np.diff(begins) > 0.005).all()
    last = begins[-1] - times(output)[0]
    assert abs(last - (9 * 0.92 + seconds)) < 0.06  # the last clip's sound is whole


# --- subtitles ---

SUBTITLES = "1\n00:00:00,200 --> 00:00:00,500\nfirst\n\n2\n00:00:00,600 --> 00:00:03,000\nbeyond\n"


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "mov_text"), (".mkv", "srt")])
def test_subtitles_stay_within_their_clip(suffix, codec, tmp_path):
    (tmp_path / "words.srt").write_text(SUBTITLES)
    clip = tmp_path / f"clip{suffix}"
    inputs = ("-i", drawn("a.mp4", 0, 20), "-i", tmp_path / "words.srt", "-map", "0:v", "-map", "1")
    ffmpeg(*inputs, "-c:v", "copy", "-c:s", codec, "-metadata:s:s", "language=fre", clip)
    output = concatenate_video_files([clip] * 3, tmp_path / f"joined{suffix}")
    texts = [(begin, length) for begin, length, size in packets(output, "subtitle") if size > 2]
    expected = [(0.2, 0.3), (0.6, 0.2), (1.0, 0.3), (1.4, 0.2), (1.8, 0.3), (2.2, 2.4)]
    np.testing.assert_allclose(texts, expected, rtol=0, atol=0.001)
    with av.open(str(output)) as container:
        assert container.streams.subtitles[0].language == "fre"


# --- files ---


@pytest.mark.parametrize(
    "name", ['it\'s "quoted".mp4', "100% %d%s.mp4", "two\nlines.mp4", "видео 視頻 é.mp4"]
)
def test_names_of_any_kind(name, tmp_path):
    source = Path(shutil.copy(drawn("a.mp4", 0, 20), tmp_path / name))
    output = concatenate_video_files([source, str(source)], tmp_path / f"joined {name}")
    assert output == tmp_path / f"joined {name}"
    assert numbers(output) == [*range(20)] * 2


def test_the_output_may_be_an_input(tmp_path):
    clip = Path(shutil.copy(drawn("a.mp4", 0, 20), tmp_path / "clip.mp4"))
    concatenate_video_files([clip, drawn("c.mp4", 200, 33), clip], clip)
    assert numbers(clip) == [*range(20), *range(200, 233), *range(20)]
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_an_output_is_replaced_only_where_asked(tmp_path):
    (tmp_path / "old.mp4").write_bytes(b"old")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        concatenate_video_files([drawn("a.mp4", 0, 20)], tmp_path / "old.mp4", overwrite=False)
    assert (tmp_path / "old.mp4").read_bytes() == b"old"


def test_inputs_may_come_from_a_generator(tmp_path):
    output = concatenate_video_files((drawn("a.mp4", 0, 20) for _ in range(2)), tmp_path / "joined.mp4")
    assert pvio_lab.get_video_metadata(output).num_frames == 40


def test_more_files_than_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(clip_module, "_most_files", lambda: 3)
    output = concatenate_video_files([drawn("a.mp4", 0, 20)] * 7, tmp_path / "joined.mp4")
    assert numbers(output) == [*range(20)] * 7


# --- refusals ---


def test_wrong_arguments(tmp_path):
    with pytest.raises(TypeError, match=r"write \['a.mp4'\]"):
        concatenate_video_files("a.mp4", tmp_path / "joined.mp4")
    with pytest.raises(ValueError, match="inputs is empty"):
        concatenate_video_files([], tmp_path / "joined.mp4")
    with pytest.raises(TypeError, match="must be a path"):
        concatenate_video_files([3], tmp_path / "joined.mp4")
    with pytest.raises(FileNotFoundError, match=r"no video file .*none\.mp4"):
        concatenate_video_files([SAMPLES / "none.mp4"], tmp_path / "joined.mp4")
    with pytest.raises(FileNotFoundError, match="no folder"):
        concatenate_video_files([drawn("a.mp4", 0, 20)], tmp_path / "none" / "joined.mp4")
    with pytest.raises(OpenError, match=r"make\.py"):
        concatenate_video_files([SAMPLES / "make.py"], tmp_path / "joined.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", REFUSED)
def test_files_that_cannot_be_joined_exactly(name, tmp_path):
    with pytest.raises(ValueError, match=REFUSED[name]) as raised:
        concatenate_video_files([SAMPLES / name], tmp_path / "joined.mkv")
    assert name in str(raised.value)
    assert "write_frames_to_video" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_all_refused_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)raw\.h264.*cut_edit_list\.mp4"):
        concatenate_video_files(
            [SAMPLES / "raw.h264", SAMPLES / "cut_edit_list.mp4"], tmp_path / "joined.mp4"
        )


def test_a_later_clip_has_to_begin_afresh(tmp_path):
    hevc = "-c:v libx265 -x265-params log-level=error:open-gop=1:keyint=10:min-keyint=10:scenecut=0:bframes=0"
    ffmpeg("-ss", 0.4, "-i", drawn("open.mp4", 0, 30, hevc), "-c", "copy", tmp_path / "cut.mkv")
    assert numbers(concatenate_video_files([tmp_path / "cut.mkv"], tmp_path / "alone.mkv")) == [
        *range(10, 30)
    ]
    with pytest.raises(ValueError, match="no IDR picture"):
        concatenate_video_files([tmp_path / "cut.mkv"] * 2, tmp_path / "joined.mkv")


@pytest.mark.parametrize(
    ("other", "row"),
    [
        ("rotated_90.mp4", r"video display matrix\s+\| none\s+\| 0 -65536 "),
        ("hevc_10bit.mp4", r"video codec\s+\| h264\s+\| hevc"),
        ("hevc_10bit.mp4", r"video pixel format\s+\| yuv420p\s+\| yuv420p10le"),
        ("shapes.mp4", r"video size\s+\| 320x240\s+\| 640x360"),
        ("with_sound.mp4", r"streams\s+\| video\s+\| video, sound"),
        ("no_count.mkv", r"video time base\s+\| 1/15360\s+\| 1/1000"),
        ("stream.ts", r"video extradata\s+\| \d+ bytes, \w{10}\s+\| \d+ bytes, \w{10}"),
    ],
)
def test_files_that_do_not_fit_give_a_table(other, row, tmp_path):
    with pytest.raises(ValueError, match=row) as raised:
        concatenate_video_files([SAMPLES / "gop2.mp4", SAMPLES / other], tmp_path / "joined.mp4")
    assert "gop2.mp4" in str(raised.value)
    assert str(SAMPLES / other) in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "row"),
    [
        ("-c:a aac -ar 48000", r"sound sample rate\s+\| 44100\s+\| 48000"),
        ("-c:a aac -ac 2", r"sound channel layout\s+\| mono\s+\| stereo"),
        ("-c:a libmp3lame", r"sound codec\s+\| aac\s+\| mp3"),
    ],
)
def test_sound_has_to_fit(options, row, tmp_path):
    with pytest.raises(ValueError, match=row):
        concatenate_video_files([beeping("a.mp4", "-c:a aac"), beeping("b.mp4", options)], tmp_path / "j.mp4")


def test_rates_have_to_fit(tmp_path):
    with pytest.raises(ValueError, match=r"video frame rate\s+\| 25\s+\| 50"):
        concatenate_video_files([drawn("a.mkv"), drawn("b.mkv", rate="50")], tmp_path / "joined.mkv")


def test_all_files_that_do_not_fit_are_listed_up_to_a_limit(tmp_path):
    first, other = drawn("a.mp4", 0, 20), SAMPLES / "shapes.mp4"
    copies = [Path(shutil.copy(other, tmp_path / f"copy{number}.mp4")) for number in range(20)]
    with pytest.raises(ValueError, match=r"copy0.mp4(?s:.*)copy1.mp4") as raised:
        concatenate_video_files([first, copies[0], first, copies[1]], tmp_path / "joined.mp4")
    assert "more" not in str(raised.value)
    with pytest.raises(ValueError, match=r"more differences; 20 files differ") as raised:
        concatenate_video_files([first, *copies], tmp_path / "joined.mp4")
    assert len(str(raised.value).splitlines()) < 40


@pytest.mark.parametrize(
    ("output", "words", "kind"),
    [
        ("joined.webm", "'webm' format does not support 'h264' codec", ValueError),
        ("joined.xyz", "names no container", ValueError),
        ("joined", "names no container", ValueError),
        ("joined.m3u8", "more than one file", ValueError),
        ("joined.ogg", "Unsupported codec id in stream 0", EncodeError),
        ("joined.yuv", "cannot be read again", EncodeError),
    ],
)
def test_containers_that_cannot_hold_it(output, words, kind, tmp_path):
    with pytest.raises(kind, match=words):
        concatenate_video_files([drawn("a.mp4", 0, 20)], tmp_path / output)
    assert list(tmp_path.iterdir()) == []


def test_ticks_too_coarse_for_the_frames(tmp_path):
    clip = drawn("fast.mp4", 0, 20, X264 + " -bf 0", rate="3000")
    with pytest.raises(EncodeError, match="too coarse"):
        concatenate_video_files([clip], tmp_path / "joined.mkv")
    assert times(concatenate_video_files([clip] * 2, tmp_path / "joined.mp4"))[-1] == pytest.approx(39 / 3000)


# --- failures ---


def fail_after(monkeypatch, count: int, error: BaseException) -> None:
    real, left = VideoTrack.take, iter(range(count))

    def take(self, packet):
        if next(left, None) is None:
            raise error
        real(self, packet)

    monkeypatch.setattr(VideoTrack, "take", take)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_an_interrupt_leaves_everything_as_it_was(error, tmp_path, monkeypatch):
    (tmp_path / "old.mp4").write_bytes(b"old")
    fail_after(monkeypatch, 30, error)
    with pytest.raises(type(error)):
        concatenate_video_files([drawn("a.mp4", 0, 20)] * 3, tmp_path / "old.mp4")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old.mp4", b"old")]


@pytest.mark.parametrize(
    ("row", "by", "words"), [(5, 700, "packet 5 at"), (None, 0, "has 20 packets, not 21")]
)
def test_a_result_that_is_not_what_was_meant_is_not_kept(row, by, words, tmp_path, monkeypatch):
    real = VideoTrack.end

    def end(self):
        real(self)
        if row is None:
            self.times.append(0)
        else:
            self.times[row] += by

    monkeypatch.setattr(VideoTrack, "end", end)
    (tmp_path / "old.mp4").write_bytes(b"old")
    with pytest.raises(EncodeError, match=words):
        concatenate_video_files([drawn("a.mp4", 0, 20)], tmp_path / "old.mp4")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old.mp4", b"old")]


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path, monkeypatch):
    source = Path(shutil.copy(drawn("a.mkv"), tmp_path / "a.mkv"))
    real = concat.check_fit

    def check(clips, refusals):
        real(clips, refusals)
        shutil.copy(drawn("b.mkv", 50, 25), source)

    monkeypatch.setattr(concat, "check_fit", check)
    with pytest.raises(EncodeError, match="has changed while it was read"):
        concatenate_video_files([source], tmp_path / "joined.mkv")


def test_a_full_disk_is_an_error_in_ffmpegs_words(tmp_path, monkeypatch):
    fail_after(monkeypatch, 3, av.error.OSError(28, "No space left on device"))
    with pytest.raises(EncodeError, match="No space left on device"):
        concatenate_video_files([drawn("a.mp4", 0, 20)], tmp_path / "joined.mp4")
    assert list(tmp_path.iterdir()) == []
