from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvio_lab.read.decode import NO_FRAME, NO_TIME, Packets
from pvio_lab.read.decode.bitstream import NOT_A_START, PLAIN, UNKNOWN
from pvio_lab.read.decode.order import find_order, is_known
from pvio_lab.read.decode.packets import StreamFacts


def table(pts, dts=None, keys=(0,), hidden=(), **columns):
    """Return packets with these times, of different sizes one behind the other."""
    count = len(pts)
    sizes = np.arange(100, 100 + count)
    flags = {name: np.isin(np.arange(count), rows) for name, rows in (("key", keys), ("hidden", hidden))}
    known = {
        "pts": np.array(pts, np.int64),
        "dts": np.arange(count) - 2 if dts is None else np.array(dts, np.int64),
        "pos": np.cumsum(sizes),
        "size": sizes,
        "is_key": flags["key"],
        "is_discarded": flags["hidden"],
        "is_corrupt": np.zeros(count, bool),
        "duration": np.ones(count, np.int64),
        "notes": np.full(count, PLAIN),
        "trouble": None,
    }
    return Packets(**known | columns)


def stream(**facts):
    known = {
        "index": 0,
        "codec": "h264",
        "containers": ("mov", "mp4"),
        "pixel_format": "yuv420p",
        "is_intra_only": False,
        "has_b_frames": True,
        "promised_frames": 0,
        "promised_seconds": 1.0,
        "start_seconds": 0.0,
        "time_base": float(Fraction(1, 25)),
        "rates": (25.0,),
        "keyframe_table": (),
        "num_videos": 1,
        "has_size": True,
        "audio": None,
    }
    return StreamFacts(**known | facts)


class Decoding:
    """A stand-in for decoding that notes the ranges it was asked for."""

    def __init__(self, *shown):
        self.shown, self.asked = list(shown), []

    def __call__(self, first, last):
        self.asked.append((first, last))
        return self.shown


def never(first, last):
    pytest.fail(f"packets {first} to {last} were decoded")


def test_times_tell_the_order():
    assert find_order(table([0, 4, 2, 1, 3]), stream(), never).packet_of.tolist() == [0, 3, 2, 4, 1]


@given(st.permutations(range(1, 40)))
def test_any_order_of_times(pts):
    order = find_order(table([0, *pts]), stream(has_b_frames=False), never)
    assert [[0, *pts][packet] for packet in order.packet_of] == list(range(40))
    assert (order.why, order.is_counted) == (None, False)


@pytest.mark.parametrize(
    ("packets", "shown"),
    [
        (table([-3, -2, -1, 0, 2, 1], hidden=(0, 1, 2)), [3, 5, 4]),
        (table([0, 1, 2], notes=np.array([PLAIN, NO_FRAME, PLAIN])), [0, 2]),
    ],
)
def test_hidden_and_empty_packets_are_no_frames(packets, shown):
    assert find_order(packets, stream(), never).packet_of.tolist() == shown


DOUBTS = [
    (table([0, NO_TIME, 2]), {}, "no presentation time"),
    (table([0, 1, 1]), {}, "the same presentation time"),
    (table([0, 2, 1]), {"codec": "vp9"}, "go backwards"),
    (table([0, 1, 2]), {"containers": ("avi",)}, "stores no presentation times"),
    (table([0, 1, 2]), {"codec": "new"}, "not always one frame"),
    (table([0, 1, 2], notes=np.full(3, UNKNOWN)), {"codec": "mpeg4"}, "two frames, or none"),
    (table([0, 1, 2], is_corrupt=np.array([False, True, False])), {}, "parts of the file are missing"),
    (table([0, 1, 2], dts=[0, 1, 2]), {}, "only decoding times"),
    (table([0, 2, 4, 3], hidden=(1,)), {}, "hides frames in the middle"),
    (table([0, 2, 1], pos=np.array([9, 9, 9]), size=np.array([5, 6, 5])), {}, "shows parts more than once"),
]


@pytest.mark.parametrize(("packets", "facts", "why"), DOUBTS, ids=[why for *_, why in DOUBTS])
def test_times_in_doubt_are_learnt_by_decoding(packets, facts, why):
    decode = Decoding(0, 2, 1)
    order = find_order(packets, stream(**facts), decode)
    assert order.packet_of.tolist() == [0, 2, 1]
    assert why in order.why
    assert decode.asked == [(0, len(packets))]


@pytest.mark.parametrize("shown", [(0, 0, 1), (0, -1, 2), (0, 1, 99)])
def test_frames_without_a_packet_of_their_own_are_counted(shown):
    order = find_order(table([0, 1, 1]), stream(), Decoding(*shown))
    assert order.is_counted
    assert len(order.packet_of) == 3
    assert set(order.packet_of.tolist()) <= {0, 1, 2}


def test_ends_in_doubt_are_decoded_and_the_middle_is_not():
    pts = np.arange(1000)
    pts[1::3], pts[2::3] = pts[2::3].copy(), pts[1::3].copy()
    packets, decode = table(pts, keys=range(0, 1000, 50)), Decoding(*range(900, 980))
    decode.shown = [int(row) for row in np.argsort(pts, kind="stable") if 900 <= row < 980]
    order = find_order(packets, stream(promised_frames=1100), decode)
    assert decode.asked == [(900, 1000)]
    assert len(order.packet_of) == 980
    assert order.why is None


@pytest.mark.parametrize(
    "packets",
    [
        table([0, 2, 1, 3, 5, 4], keys=(3,)),
        table([0, 2, 1, 3, 5, 4], notes=np.array([NOT_A_START] + [PLAIN] * 5)),
    ],
)
def test_frames_before_the_first_true_keyframe_are_asked_for(packets):
    decode = Decoding(3, 5, 4)
    order = find_order(packets, stream(), decode)
    assert decode.asked == [(0, 6)]
    assert order.packet_of.tolist() == [3, 5, 4]


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        ({}, True),
        ({"codec": "av1"}, True),
        ({"codec": "new"}, False),
        ({"codec": "new", "is_intra_only": True}, True),
    ],
)
def test_known_codecs(facts, known):
    assert is_known(stream(**facts)) == known
