"""Marks: every change can be undone, and a file holds exactly what was saved."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvio_lab import sample_indices
from pvio_lab.marks import FrameMark, Marks, RangeMark
from pvio_lab.marks.contents import Contents
from pvio_lab.marks.mark_colours import PALETTE

DATA = {
    "frames": [{"index": 12, "labels": ["a", "b"]}],
    "ranges": [{"start": 0, "end": 40, "label": "x"}],
}


def some_marks(**options):
    marks = Marks(**options)
    marks.add_frame(12, "a")
    marks.add_frame(12, "b")
    marks.add_range(0, 40, "x")
    return marks


def written(marks, folder):
    (folder / "marks.json").unlink(missing_ok=True)
    return json.loads(marks.save(folder / "marks.json").read_text("utf-8"))


def loaded(data, folder, **options):
    path = folder / "marks.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
    return Marks.load(path, **options)


def state(marks):
    """Return everything that can be seen from outside."""
    return marks.frames, marks.ranges, list(marks.colours.items())


# Marking


def test_marks_are_listed_in_order_and_labels_as_they_became_known():
    marks = Marks()
    marks.add_frame(7, "late")
    marks.add_frame(2)
    marks.add_frame(7, "again")
    marks.add_range(5, 9, "b")
    marks.add_range(5, 6, "c")
    assert marks.frames == (FrameMark(2, ()), FrameMark(7, ("late", "again")))
    assert marks.ranges == (RangeMark(5, 6, "c"), RangeMark(5, 9, "b"))
    assert marks.labels == ("late", "again", "b", "c")
    assert [marks.labels_at(number) for number in (5, 7, 9)] == [("c", "b"), ("late", "again", "b"), ()]


def test_the_same_mark_counts_once_and_is_no_step():
    marks = some_marks()
    assert not any((marks.add_frame(12, "a"), marks.add_frame(12), marks.add_range(0, 40, "x")))
    assert not any((marks.rename("a", "a"), marks.recolour("a", PALETTE[0])))
    assert state(marks) == state(some_marks())
    marks.undo()
    assert marks.ranges == ()


def test_numbers_of_numpy_are_numbers_up_to_the_last_frame(tmp_path):
    marks = Marks(num_frames=40)
    marks.add_frame(np.int64(39), "a")
    marks.add_range(np.int64(0), np.uint8(40), "x")
    assert written(marks, tmp_path)["frames"] == [{"index": 39, "labels": ["a"]}]
    marks.remove_frame(np.int64(39))
    marks.remove_range(np.int64(0), np.int64(40), "x")
    assert list(marks) == []


def test_removing():
    marks = some_marks()
    marks.remove_frame(12, "a")
    assert marks.frames == (FrameMark(12, ("b",)),)
    marks.remove_frame(12, "b")
    marks.remove_range(0, 40, "x")
    assert (marks.frames, marks.ranges, marks.labels) == ((), (), ("a", "b", "x"))
    whole = some_marks()
    whole.remove_frame(12)
    assert (whole.frames, len(whole.ranges)) == ((), 1)
    label = some_marks()
    label.add_frame(13, "a")
    label.add_range(1, 3, "a")
    label.remove_label("a")
    assert (label.frames, label.labels) == ((FrameMark(12, ("b",)),), ("b", "x"))
    assert label.ranges == (RangeMark(0, 40, "x"),)


def test_renaming_keeps_place_and_colour_and_joins_what_has_the_new_name():
    marks = some_marks()
    marks.add_range(0, 40, "a")
    colours = marks.colours
    marks.rename("a", "new")
    assert marks.frames == (FrameMark(12, ("new", "b")),)
    assert next(iter(marks.colours.items())) == ("new", colours["a"])
    marks.rename("new", "b")
    marks.rename("x", "b")
    assert marks.frames == (FrameMark(12, ("b",)),)
    assert marks.ranges == (RangeMark(0, 40, "b"),)
    assert marks.colours == {"b": colours["b"]}


def test_clearing_and_replacing_are_one_step_each_and_a_change_after_undo_forgets_what_could_be_redone():
    marks, other = some_marks(), Marks()
    other.add_frame(1, "other")
    assert marks.replace(other)
    assert marks == other
    assert marks.clear()
    assert not marks.clear()
    assert marks == Marks()
    marks.undo()
    other.clear()
    assert marks.labels == ("other",)
    marks.undo()
    assert state(marks) == state(some_marks())
    marks.add_frame(12, "a")  # changes nothing
    assert marks.can_redo
    marks.add_frame(1, "other")
    assert not marks.redo()


def test_new_labels_get_the_colours_that_the_fewest_others_have():
    few = some_marks()
    few.recolour("a", PALETTE[3].lower())
    few.add_frame(1, "c")
    few.add_frame(1, "d")
    assert list(few.colours.values()) == [PALETTE[3].lower(), PALETTE[1], PALETTE[2], PALETTE[0], PALETTE[4]]


def marks_beyond():
    marks = Marks()
    marks.add_frame(500, "far")
    return marks


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda marks: marks.add_frame(-1, "a"), ValueError, "index=-1 must be 0 or more"),
        (lambda marks: marks.add_frame(1.0, "a"), TypeError, "index=1.0 must be an integer"),
        (lambda marks: marks.add_frame(100, "a"), IndexError, "frame 100 .* 100 frames, numbered 0 to 99"),
        (lambda marks: marks.add_frame(1, " "), ValueError, "label=' ' is empty"),
        (lambda marks: marks.add_frame(1, 7), TypeError, "label=7 must be text"),
        (lambda marks: marks.add_range(3, 3, "a"), ValueError, "start=3 to end=3 has no frames"),
        (lambda marks: marks.add_range(90, 101, "a"), IndexError, "from 90 to 101 is out of range"),
        (lambda marks: marks.remove_frame(3), ValueError, "frame 3 is not marked$"),
        (lambda marks: marks.remove_frame(12, "x"), ValueError, "frame 12 is not marked as 'x'"),
        (lambda marks: marks.remove_range(0, 39, "x"), ValueError, "no range from 0 to 39 is marked as 'x'"),
        (lambda marks: marks.remove_label("y"), ValueError, "no label 'y'; there are 'a', 'b', 'x'"),
        (lambda marks: marks.rename("a", ""), ValueError, "label='' is empty"),
        (lambda marks: marks.recolour("a", "red"), ValueError, "like \"#0072B2\", not 'red'"),
        (lambda marks: marks.recolour("a", "#000000\n"), ValueError, "must be written like"),
        (lambda marks: marks.recolour("a", 0), TypeError, "must be text"),
        (lambda marks: marks.replace(marks_beyond()), IndexError, "frame 500 is out of range"),
    ],
)
def test_a_wrong_change_is_an_error_and_no_step(change, error, words):
    marks = some_marks(num_frames=100)
    with pytest.raises(error, match=words):
        change(marks)
    assert state(marks) == state(some_marks())
    marks.undo()
    assert marks.ranges == ()


# Undo and redo

LABELS = st.sampled_from("abcd")
INDICES = st.integers(0, 12)
STEP = st.one_of(
    st.tuples(st.just("add_frame"), INDICES, st.none() | LABELS),
    st.tuples(st.just("add_range"), INDICES, st.integers(13, 20), LABELS),
    st.tuples(st.just("add_range"), st.just(3), st.integers(4, 6), LABELS),
    st.tuples(st.just("remove_frame"), INDICES, st.none() | LABELS),
    st.tuples(st.just("remove_range"), st.just(3), st.integers(4, 6), LABELS),
    st.tuples(st.just("remove_label"), LABELS),
    st.tuples(st.just("rename"), LABELS, LABELS),
    st.tuples(st.just("recolour"), LABELS, st.sampled_from(PALETTE)),
    st.tuples(st.just("clear")),
)
STEPS = st.lists(STEP, max_size=25)


def apply(marks, step):
    """Make a step; return False where it changes nothing or is refused."""
    try:
        return getattr(marks, step[0])(*step[1:])
    except ValueError:
        return False


@settings(deadline=None)
@given(STEPS, st.lists(st.booleans(), max_size=40))
def test_steps_are_undone_and_redone_in_any_order(steps, moves):
    marks, states = Marks(), [state(Marks())]
    for step in steps:
        if apply(marks, step):
            states.append(state(marks))
            assert states[-1] != states[-2]
        assert state(marks) == states[-1]
    place = len(states) - 1
    for is_back in [*moves, *[True] * len(states), *[False] * len(states)]:
        can = place > 0 if is_back else place < len(states) - 1
        assert (marks.can_undo if is_back else marks.can_redo) == can
        assert (marks.undo() if is_back else marks.redo()) == can
        place += (-1 if is_back else 1) if can else 0
        assert state(marks) == states[place]


@settings(deadline=None)
@given(STEPS, STEPS, st.sets(INDICES, max_size=4))
def test_undo_takes_back_only_what_was_done_here(steps, more, others):
    marks, elsewhere = Marks(), Marks()
    for step in steps:
        apply(marks, step)
    before = marks.contents
    elsewhere.take_in(Contents(), before)
    for number in others:
        elsewhere.add_frame(number, "theirs")
    elsewhere.add_range(2, 4, "theirs")
    marks.take_in(before, elsewhere.contents)
    for step in more:
        apply(marks, step)
    while marks.undo():
        pass
    assert marks.frames == tuple(FrameMark(number, ("theirs",)) for number in sorted(others))
    assert marks.ranges == (RangeMark(2, 4, "theirs"),)
    assert marks.labels == ("theirs",)


def test_memory_is_bounded_and_the_last_steps_can_be_undone(monkeypatch):
    monkeypatch.setattr("pvio_lab.marks.marks.MOST_REMEMBERED", 2000)
    marks = Marks()
    for number in range(100):
        marks.add_frame(number)
    while marks.undo():
        pass
    assert list(marks) == list(range(100 - 2000 // 100 - 1))


# The numbers of the frames


@settings(deadline=None)
@given(STEPS)
def test_iterating_yields_each_marked_frame_once_in_order(steps):
    marks = Marks()
    for step in steps:
        apply(marks, step)
    numbers = {frame.index for frame in marks.frames}
    numbers.update(number for each in marks.ranges for number in range(each.start, each.end))
    assert list(marks) == sorted(numbers)
    assert len(marks) == len(numbers)
    assert all((number in marks) == (number in numbers) for number in range(25))
    used = {label for frame in marks.frames for label in frame.labels} | {r.label for r in marks.ranges}
    assert used <= set(marks.labels)


def test_marks_choose_the_frames_of_a_sample():
    marks = Marks()
    marks.add_range(5, 8, "x")
    marks.add_range(6, 10, "y")
    marks.add_frame(50, "a")
    info = SimpleNamespace(num_frames=100, fps=25.0)
    assert sample_indices(info, only=marks).tolist() == [5, 6, 7, 8, 9, 50]
    assert sample_indices(info, only=marks, start=7, max_frames=2).tolist() == [7, 8]
    assert sample_indices(info, only=Marks()).tolist() == []
    with pytest.raises(IndexError, match="frame 50 is out of range"):
        sample_indices(SimpleNamespace(num_frames=20, fps=25.0), only=marks)


# Files


def test_the_file_is_as_the_format_says(tmp_path):
    assert written(some_marks(), tmp_path) == DATA
    assert written(Marks(), tmp_path) == {"frames": [], "ranges": []}
    assert [path.name for path in tmp_path.iterdir()] == ["marks.json"]
    marks = loaded(DATA, tmp_path)
    assert marks == some_marks()
    assert not marks.can_undo


def test_colours_are_written_where_they_are_not_the_usual_ones(tmp_path):
    marks = some_marks()
    marks.recolour("b", "#123456")
    colours = {"a": PALETTE[0], "b": "#123456", "x": PALETTE[2]}
    assert written(marks, tmp_path) == {**DATA, "colors": colours}
    spare = {**DATA, "colors": {"spare": "#0072b2", "b": "#abcdef"}}
    marks = loaded(spare, tmp_path)
    assert marks.labels == ("spare", "b", "a", "x")
    assert PALETTE[4] not in (marks.colours["a"], marks.colours["x"])
    assert written(marks, tmp_path)["colors"] == marks.colours


def test_what_a_file_may_have(tmp_path):
    for data in ({"frames": []}, {"ranges": []}, '\ufeff{"frames": [], "ranges": []}'):
        assert loaded(data, tmp_path) == Marks()
    frames = [{"index": 2, "labels": ["a", "a"]}, {"index": 2, "labels": ["b", "a"]}]
    marks = loaded({"frames": frames, "ranges": 2 * DATA["ranges"]}, tmp_path)
    assert marks.frames == (FrameMark(2, ("a", "b")),)
    assert marks.ranges == (RangeMark(0, 40, "x"),)


def test_other_keys_are_kept(tmp_path):
    data = {"author": {"name": "Ada"}, **DATA, "version": 2}
    marks = loaded(data, tmp_path)
    marks.clear()
    assert written(marks, tmp_path) == {"author": {"name": "Ada"}, "frames": [], "ranges": [], "version": 2}
    marks.undo()
    assert written(marks, tmp_path) == data
    taken = Marks()
    taken.replace(loaded(data, tmp_path))
    assert written(taken, tmp_path) == data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "recursion|Expecting|nested"),
        ({"name": "pvio_lab"}, 'an object with "frames" and "ranges"'),
        ('{"frames": [], "frames": []}', "'frames' is in one object twice"),
        ({"frames": None}, '"frames" must be a list'),
        ({"frames": [12]}, r"frames\[0\]: it must be an object with index, labels and nothing else, not 12"),
        ({"frames": [{"index": True, "labels": []}]}, r"frames\[0\]: index=True must be an integer"),
        ({"frames": [{"index": 1, "labels": []}, {"index": -1, "labels": []}]}, r"frames\[1\]: index=-1"),
        ({"frames": [{"index": 1, "labels": "ab"}]}, "labels='ab' must be a list"),
        ({"frames": [{"index": 100, "labels": []}]}, "frame 100 is out of range: there are 100 frames"),
        ({"ranges": [{"start": 4, "end": 4, "label": "x"}]}, r"ranges\[0\]: .* has no frames"),
        ({"ranges": [{"start": 4, "end": 5}]}, "with start, end, label and nothing else"),
        ({"frames": [], "colors": []}, '"colors" must be an object'),
        ({"frames": [], "colors": {"a": "red"}}, "must be written like"),
    ],
)
def test_an_error_says_what_is_wrong_in_a_file(data, words, tmp_path):
    with pytest.raises(ValueError, match=rf"(?s)marks\.json is not a file of marks: .*({words})"):
        loaded(data, tmp_path, num_frames=100)


def test_files_that_cannot_be_loaded_or_saved(tmp_path):
    with pytest.raises(ValueError, match="must be a list") as error:
        loaded({"frames": "x" * 10_000}, tmp_path)
    assert len(str(error.value)) < 300 + len(str(tmp_path))
    (tmp_path / "clip.mp4").write_bytes(b"\x00\xff\xfe")
    with pytest.raises(ValueError, match=r"clip\.mp4 is not a file of marks"):
        Marks.load(tmp_path / "clip.mp4")
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        Marks.load(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        Marks().save(tmp_path / "none" / "marks.json")


def test_labels_in_any_script_are_readable_in_the_file(tmp_path):
    marks = Marks()
    for label in ("走る 🎬", 'quote " \\ \n', "half \ud800"):
        marks.add_frame(1, label)
    assert "走る 🎬" in marks.save(tmp_path / "marks.json").read_text("utf-8")
    assert Marks.load(tmp_path / "marks.json") == marks


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder for all examples of a property."""
    return tmp_path_factory.mktemp("marks")


LABEL = st.text(min_size=1, max_size=6).filter(str.strip)
ANY_STEP = STEP | st.tuples(st.just("add_frame"), st.integers(0, 10**6), st.none() | LABEL)
ANY_STEP |= st.tuples(st.just("add_range"), st.integers(0, 99), st.integers(100, 10**9), LABEL)


@settings(deadline=None)
@given(st.lists(ANY_STEP, max_size=25))
def test_a_saved_file_is_loaded_and_saved_alike(files, steps):
    marks, path = Marks(), files / "marks.json"
    for step in steps:
        apply(marks, step)
    path.unlink(missing_ok=True)
    text = marks.save(path).read_bytes()
    again = Marks.load(path)
    assert state(again) == state(marks)
    assert again == marks
    assert again.save(path).read_bytes() == text


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    marks = loaded(DATA, tmp_path)
    path = tmp_path / "marks.json"
    old = path.read_bytes()
    marks.add_frame(1)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pvio_lab.base.files.os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        marks.save(path)
    assert path.read_bytes() == old
    assert [each.name for each in tmp_path.iterdir()] == ["marks.json"]


# Observers and threads


def test_observers_hear_of_changes_only():
    marks, heard = Marks(), []
    end = marks.observe(lambda each: heard.append(list(each)))
    marks.observe(heard.append)()  # one of two that are equal ends
    marks.add_frame(1, "a")
    marks.add_frame(1, "a")
    marks.undo()
    marks.undo()
    marks.redo()
    with pytest.raises(ValueError, match="not marked"):
        marks.remove_frame(5)
    assert heard == [[1], [], [1]]
    end()
    end()
    marks.clear()
    assert len(heard) == 3


def test_an_observer_that_fails_does_not_stop_the_others():
    marks, heard = Marks(), []
    marks.observe(lambda _: 1 / 0)
    marks.observe(heard.append)
    with pytest.raises(ZeroDivisionError):
        marks.add_frame(1, "a")
    assert list(marks) == [1]
    assert heard == [marks]


def test_an_observer_may_change_the_marks_or_wait_for_another_thread():
    marks, seen = Marks(), []

    def look_from_elsewhere(each):
        each.add_frame(2, "b")
        thread = threading.Thread(target=lambda: seen.append(each.add_frame(3)), daemon=True)
        thread.start()
        thread.join(10)

    end = marks.observe(lambda each: (end(), look_from_elsewhere(each)))
    marks.add_frame(1, "a")
    assert (seen, list(marks)) == ([True], [1, 2, 3])


def test_threads_lose_nothing():
    marks, heard = Marks(), []
    marks.observe(heard.append)

    def work(first):
        for number in range(first, first + 50):
            marks.add_frame(number, f"from {first}")
            list(marks), marks.labels, repr(marks)

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(marks) == len(heard) == 200
    assert sum(iter(marks.undo, False)) == 200
    assert state(marks) == state(Marks())


def test_repr_is_short():
    assert repr(Marks()) == "Marks(0 frames, 0 ranges; labels: none)"
    many = some_marks()
    for number in range(5):
        many.add_frame(number, str(number))
    assert repr(many) == "Marks(6 frames, 1 range; labels: 'a', 'b', 'x', '0', '1', 3 more)"
    assert many not in (some_marks(), [12])
