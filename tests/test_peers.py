from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_peers import FakePeer, moving_frames
from optional import needs
from truth_frames import SAMPLES, TRUTH, psnr, read_number, true_frames

from pvio_lab.measure import PATTERNS, PEERS, timed_reads
from pvio_lab.measure.frame_check import plan_course
from pvio_lab.measure.peer_readers import load_peer
from pvio_lab.measure.timed_reads import Task, run_piece

CLIP = SAMPLES / "gop2.mp4"
HERE, OPTIONAL = ("pvio_lab", "decord", "pyav"), ("torchcodec", "opencv", "imageio")


@pytest.fixture(params=[*HERE, *(pytest.param(name, marks=pytest.mark.peers) for name in OPTIONAL)])
def name(request):
    needs(PEERS[request.param].module)
    return request.param


@pytest.fixture
def peer(name):
    peer = PEERS[name].open(str(CLIP), 1)
    yield peer
    peer.close()


def is_frame(frame, number):
    return psnr(np.asarray(frame), true_frames(CLIP)[number]) > 30 and read_number(frame) == number


def test_the_frames_of_a_peer(peer):
    for _ in range(2):
        frames = list(peer.sequential())
        assert len(frames) == 60
        assert all(is_frame(frame, number) for number, frame in enumerate(frames))
    assert all(is_frame(peer.random(number), number) for number in (31, 4, 59, 0))
    frames = peer.batch([31, 4, 59, 4])
    assert frames.shape == (4, 240, 320, 3)
    assert [read_number(frame) for frame in frames] == [31, 4, 59, 4]


def test_with_more_threads(name):
    peer = PEERS[name].open(str(CLIP), 2)
    assert read_number(peer.random(30)) == 30
    peer.close()


def test_a_peer_tells_its_version(name):
    package, version = load_peer(name).split()
    assert package in PEERS[name].distributions
    assert version[0].isdigit()


def test_a_peer_that_is_not_there(monkeypatch):
    monkeypatch.setitem(PEERS, "decord", PEERS["decord"].__class__("no_such_module", (), None))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        load_peer("decord")


# --- a measured piece ---

FRAMES = moving_frames(40)


def task(pattern, **changes):
    usual = {"path": "", "numbers": list(range(40)), "checked": [3, 9], "seconds": 0.0, "batch_size": 8}
    return Task(pattern=pattern, **usual | changes)


@pytest.mark.parametrize(("pattern", "count"), [("sequential", 1), ("random", 1), ("batch", 8)])
def test_a_piece_ends_after_the_call_in_which_its_time_is_up(pattern, count):
    assert run_piece(FakePeer(FRAMES), task(pattern)).num_frames == count


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_short_list_is_read_over_and_over(pattern):
    piece = run_piece(FakePeer(FRAMES), task(pattern, seconds=0.05))
    assert piece.num_frames > 80
    assert piece.seconds >= 0.05
    assert piece.checked == [3, 9]
    assert len(piece.prints) == 2
    assert (piece.size, piece.missing) == ((96, 128), 0)


def test_warming_up_is_a_short_call_of_the_same_kind():
    peer = FakePeer(FRAMES)
    run_piece(peer, task("batch"))
    assert peer.calls == {"batch": 2, "random": 2 + 8}


def test_a_reader_that_ends_early_is_noticed():
    assert run_piece(FakePeer(FRAMES, length=37), task("sequential", seconds=0.02)).missing == 3


def test_a_reader_that_returns_nothing():
    with pytest.raises(EOFError, match="no frame came"):
        run_piece(FakePeer(FRAMES, length=0), task("sequential"))


def test_a_task_travels_as_json():
    assert Task(**json.loads(json.dumps(vars(task("batch"))))) == task("batch")


# --- what is found out about readers is what their frames' barcodes say ---


PvioLab, Decord, PyAV = (PEERS[name].open for name in HERE)


class Late(PvioLab):
    """Shows the frame before instead of every third one."""

    def batch(self, numbers):
        return super().batch([number - (number % 3 == 2) for number in numbers])


@pytest.mark.parametrize("clip", ["open_gop_hevc.mp4", "cut_edit_list.mp4", "variable_rate.mp4", "stream.ts"])
@pytest.mark.parametrize("make", [PvioLab, Late, Decord, PyAV])
def test_as_many_frames_are_found_wrong_as_carry_another_number(clip, make, monkeypatch):
    seen = []
    measure = timed_reads.print_of
    monkeypatch.setattr(
        timed_reads, "print_of", lambda frame: [seen.append(read_number(frame)), measure(frame)][1]
    )
    course = plan_course(SAMPLES / clip, ("batch",), 0.01)
    peer = make(course.held.path, 1)
    try:
        piece = run_piece(peer, course.tasks["batch"])
    except (IndexError, RuntimeError) as error:
        if make in (PvioLab, Late):
            raise
        pytest.skip(f"it does not read this file: {error!r}")
    finally:
        peer.close()
    wanted = np.array(piece.checked) + TRUTH[clip]["first_number"]
    wrong = course.truth.judge(np.array(piece.checked), piece.prints).wrong
    assert wrong == (np.array(seen, object) != wanted).sum()
    if make in (PvioLab, Late):
        assert (wrong > 0) == (make is Late)


def test_of_a_damaged_file_only_what_can_be_decoded_is_checked():
    course = plan_course(Path(SAMPLES, "damaged.mp4"), ("random",), 0.01)
    assert 0 < len(course.truth.numbers) <= course.shape[0]
