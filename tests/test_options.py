"""Every encoder and every option: either arguments for ffmpeg, or an error that says what there is."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pvio_lab.write import MUXERS
from pvio_lab.write.encoders import CODECS, ENCODERS
from pvio_lab.write.encoding import container_arguments
from pvio_lab.write.options import Options, choose_encoder, encoder_arguments, exact_rate

NAMES = sorted(ENCODERS)
LOSSY = [name for name in NAMES if ENCODERS[name].quality]
FORMATS = sorted({name for encoder in ENCODERS.values() for name in encoder.pixel_formats})
CHOICES = sorted([*CODECS, *ENCODERS, "auto"])
SUFFIXES = sorted([*MUXERS, "", ".txt"])
PRESETS = st.one_of(
    st.none(), st.sampled_from(["fast", "p4", "hq", "placebo", "8", "nonsense"]), st.integers()
)
WISHES = st.builds(
    Options,
    codec=st.sampled_from(CHOICES),
    crf=st.one_of(st.none(), st.integers(-5, 70), st.floats()),
    preset=PRESETS,
    gop=st.one_of(st.none(), st.integers(-2, 300), st.floats()),
    pixel_format=st.one_of(st.none(), st.sampled_from([*FORMATS, "nonsense"])),
    fast_decode=st.booleans(),
    threads=st.one_of(st.none(), st.integers(-2, 64)),
    ffmpeg_params=st.sampled_from([(), ("-metadata", "title=Ramp"), ("-svtav1-params", "tune=0"), ("-n",)]),
)


def all_work(_):
    return None


def software_works(name):
    return "there is no such device" if ENCODERS[name].is_hardware else None


def arguments(name, **wishes):
    return encoder_arguments(ENCODERS[name], Options(name, **wishes))


def value_after(option, line):
    return line[line.index(option) + 1]


def quality(name, crf):
    """The number that the encoder gets, on its own scale."""
    option = ENCODERS[name].quality.split("{}")[0].split()[-1]
    line = arguments(name, crf=crf)
    if option.endswith("="):
        settings = dict(each.split("=") for each in value_after(ENCODERS[name].params, line).split(":"))
        return float(settings[option[:-1]])
    return float(value_after(option, line))


@settings(deadline=None)
@given(WISHES, st.sampled_from(SUFFIXES))
def test_any_wish_gives_arguments_or_an_error_with_words(options, suffix):
    error = None
    try:
        encoder = choose_encoder(options, suffix, all_work)
        line = encoder_arguments(encoder, options)
    except ValueError as caught:
        error = str(caught)
    if error is not None:
        assert len(error.split()) >= 4
        return
    assert line[:2] == ["-c:v", encoder.name]
    assert all(each and isinstance(each, str) and "{}" not in each for each in line)
    assert suffix in CODECS[encoder.codec].suffixes
    assert options.pixel_format in (None, *encoder.pixel_formats)
    assert options.codec in (encoder.name, encoder.codec, "auto")


@pytest.mark.parametrize("name", NAMES)
def test_every_encoder_has_arguments_for_what_it_says_it_has(name):
    encoder, codec = ENCODERS[name], CODECS[ENCODERS[name].codec]
    assert arguments(name)[:2] == ["-c:v", name]
    for preset in encoder.presets:
        assert preset in arguments(name, preset=preset)
    for crf in codec.crf or () if encoder.quality else ():
        arguments(name, crf=crf)
    if not codec.is_intra_only:
        assert value_after("-g", arguments(name, gop=7)) == "7"


@pytest.mark.parametrize("name", NAMES)
def test_every_encoder_says_what_there_is_instead(name):
    encoder, codec = ENCODERS[name], CODECS[ENCODERS[name].codec]
    with pytest.raises(ValueError, match=", ".join(encoder.presets) or "has no presets"):
        arguments(name, preset="nonsense")
    with pytest.raises(
        ValueError, match="is a keyframe; leave gop out" if codec.is_intra_only else "from 1 on"
    ):
        arguments(name, gop=0)
    with pytest.raises(ValueError, match="between .*, the best, and" if encoder.quality else "has no crf"):
        arguments(name, crf=1000)
    with pytest.raises(ValueError, match=", ".join(codec.suffixes)):
        choose_encoder(Options(name), ".txt", all_work)
    with pytest.raises(ValueError, match=", ".join(encoder.pixel_formats)):
        choose_encoder(Options(name, pixel_format="nonsense"), codec.suffixes[0], all_work)


@pytest.mark.parametrize("name", LOSSY)
def test_quality_stays_on_the_encoders_own_scale_and_never_turns_back(name):
    encoder, crf = ENCODERS[name], CODECS[ENCODERS[name].codec].crf
    best, worst = encoder.scale or (crf[0], crf[-1])
    values = [quality(name, each) for each in crf]
    assert (values[0], values[-1]) == (best, worst)
    assert values == sorted(values, reverse=best > worst)
    assert min(best, worst) <= quality(name, None) <= max(best, worst)


@pytest.mark.parametrize(
    ("name", "option", "values", "error", "message"),
    [
        (
            *("libx264", "crf", [-1, 52, float("nan"), float("inf"), True, "20", [20]], ValueError),
            "must be between 0, the best, and 51 for h264",
        ),
        (
            *("libx264", "gop", [0, -1, 2.5, "10", True, float("nan")], ValueError),
            "must be a whole number from 1 on: frames from a keyframe to the next",
        ),
        (
            *("libx264", "ffmpeg_params", ["-tune grain", [1], [("-tune", "grain")]], TypeError),
            "must be a sequence of strings, such as",
        ),
        (
            *("ffv1", "fast_decode", [True], ValueError),
            "ffv1 does not have it; libx264, libx264rgb, libx265, libsvtav1 do",
        ),
        ("h264_nvenc", "threads", [2], ValueError, "encodes on a device and has no threads to set"),
    ],
)
def test_values_that_do_not_exist(name, option, values, error, message):
    for value in values:
        with pytest.raises(error, match=message):
            arguments(name, **{option: value})


def test_other_spellings_of_values():
    numbers = arguments("libx264", crf=np.int64(30), gop=np.int32(10), threads=np.int8(2))
    assert numbers == arguments("libx264", crf=30, gop=10, threads=2)
    assert arguments("libx264", crf=np.float32(20.5)) == arguments("libx264", crf=20.5)
    assert arguments("libsvtav1", preset=6) == arguments("libsvtav1", preset="6")


@pytest.mark.parametrize(
    ("name", "own"), [("libsvtav1", "crf=28:fast-decode=1"), ("libx265", "log-level=error:open-gop=0")]
)
def test_the_users_settings_join_our_own(name, own):
    option = ENCODERS[name].params
    line = arguments(name, fast_decode=True, ffmpeg_params=("-an", option, "scd=0", "-dn"))
    assert line.count(option) == 1
    assert value_after(option, line) == f"{own}:scd=0"
    assert line[-4:] == ["-an", option, f"{own}:scd=0", "-dn"]


def test_other_raw_options_come_last():
    assert arguments("libx264", ffmpeg_params=("-tune", "grain"))[-2:] == ["-tune", "grain"]
    assert arguments("libx265", ffmpeg_params=("-x265-params",))[-1] == "-x265-params"  # ffmpeg complains


@pytest.mark.parametrize(
    ("rate", "exact"),
    [
        (25, Fraction(25)),
        (25.0, Fraction(25)),
        (30000 / 1001, Fraction(30000, 1001)),
        (24000 / 1001, Fraction(24000, 1001)),
        (60000 / 1001, Fraction(60000, 1001)),
        (29.97, Fraction(2997, 100)),
        (0.1, Fraction(1, 10)),
        (1 / 3, Fraction(1, 3)),
        (Fraction(30000, 1001), Fraction(30000, 1001)),
        (Decimal("23.976"), Fraction(23976, 1000)),
        (np.int64(25), Fraction(25)),
        (np.float64(12.5), Fraction(25, 2)),
    ],
)
def test_rates_are_exact(rate, exact):
    assert exact_rate(rate) == exact


@settings(deadline=None)
@given(st.fractions(Fraction(1, 1000), 1000, max_denominator=1001))
def test_a_rate_survives_as_a_float(rate):
    assert exact_rate(rate) == rate
    assert exact_rate(float(rate)) == rate


@settings(deadline=None)
@given(st.one_of(st.floats(), st.integers(), st.fractions()))
@example(10**400)
@example(Fraction(1, 10**400))
@example(5e-324)
def test_any_number_is_a_rate_that_ffmpeg_can_hold_or_an_error(number):
    try:
        rate = exact_rate(number)
    except ValueError:
        return
    assert 0 < rate.numerator < 2**31
    assert 0 < rate.denominator < 2**31
    assert float(rate) == pytest.approx(float(number), rel=1e-5)


def test_a_rate_is_a_number_above_0():
    for rate in (0, -25, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="must be above 0 and finite"):
            exact_rate(rate)
    for rate in (None, "25", True, [25], 25j):
        with pytest.raises(TypeError, match="must be a number, such as 25 or"):
            exact_rate(rate)


@pytest.mark.parametrize(
    ("suffix", "highest"), [(".gif", 100), (".mkv", 1000), (".webm", 1000), (".ts", 90_000)]
)
def test_frames_that_would_fall_into_one_moment(suffix, highest):
    container_arguments(suffix, Fraction(highest))
    with pytest.raises(ValueError, match=f"more than a {suffix} file can hold: up to {highest} frames"):
        container_arguments(suffix, Fraction(highest + 1))


@pytest.mark.parametrize(
    ("codec", "suffix", "message"),
    [
        ("h264", ".webm", "and '.webm' is none of them; .webm takes av1, vp9"),
        ("vp9", ".mov", "vp9 goes into .webm, .mp4, .mkv files, and '.mov' is"),
        ("h264", "", "and a name without a suffix is none of them"),
        ("auto", ".txt", "'.txt' is not a kind of video file; there are .mp4, .m4v, .mov"),
        ("auto", "", "a name without a suffix is not a kind of video file"),
        ("h265", ".mp4", "h264, hevc, av1, vp9, ffv1, mjpeg, prores, gif, 'auto', and the enc"),
    ],
)
def test_a_codec_or_suffix_that_does_not_fit(codec, suffix, message):
    with pytest.raises(ValueError, match=message):
        choose_encoder(Options(codec), suffix, all_work)


@pytest.mark.parametrize("suffix", MUXERS)
def test_every_suffix_has_a_codec_and_a_muxer(suffix):
    encoder = choose_encoder(Options("auto"), suffix, software_works)
    assert suffix in CODECS[encoder.codec].suffixes
    assert container_arguments(suffix, Fraction(25))[-2:] == ["-f", MUXERS[suffix]]


def test_auto_chooses_a_device_or_what_is_usual_and_small():
    for suffix in (".mp4", ".mov", ".mkv", ".m4v", ".ts", ".webm"):
        assert choose_encoder(Options("auto"), suffix, all_work).is_hardware
    for suffix in (".mp4", ".mov", ".mkv"):
        assert choose_encoder(Options("auto"), suffix, software_works).name == "libx264"
    assert choose_encoder(Options("auto"), ".webm", software_works).name == "libvpx-vp9"
    assert choose_encoder(Options("auto"), ".gif", software_works).name == "gif"


@settings(deadline=None)
@given(WISHES, st.sampled_from(SUFFIXES))
def test_auto_never_chooses_what_does_not_work(options, suffix):
    with pytest.raises(ValueError, match=r"no encoder that works here writes|is not a kind of video file"):
        choose_encoder(Options("auto", options.crf, options.preset), suffix, lambda name: "no")
