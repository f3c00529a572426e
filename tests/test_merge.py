"""Joining two versions of the same marks: no change of either is lost silently."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvio_lab.marks import Contents, Marks, RangeMark
from pvio_lab.marks.contents import merge

RUN, WALK, JUMP = RangeMark(3, 6, "run"), RangeMark(3, 8, "run"), RangeMark(20, 22, "jump")


def contents(frames=None, *ranges, **more):
    return Contents(frames or {}, tuple(sorted(set(ranges))), **more)


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "frames", "ranges"),
    [
        (contents(), contents({1: ()}, RUN), contents({2: ("b",)}, JUMP), {1: (), 2: ("b",)}, (RUN, JUMP)),
        (contents(), contents({1: ("a",)}), contents({1: ("b",)}), {1: ("b", "a")}, ()),
        (contents({1: ("a",)}, RUN), contents(), contents({1: ("a",)}, RUN, JUMP), {}, (JUMP,)),
        (contents({1: ("a",)}, RUN), contents({1: ("a",)}, WALK), contents({}, RUN), {}, (WALK,)),
        (contents({1: ("a",)}, RUN), contents(), contents(), {}, ()),
        (contents({}, RUN), contents({}, WALK), contents({}, WALK), {}, (WALK,)),
    ],
)  # fmt: skip
def test_changes_that_do_not_meet(base, mine, theirs, frames, ranges):
    merged, conflicts = merge(base, mine, theirs)
    assert (merged.frames, merged.ranges, conflicts) == (frames, ranges, [])


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "words", "both"),
    [
        (
            contents({1: ("a",)}), contents({1: ("b",)}), contents({1: ("c",)}),
            "frame 1: 'b' here, 'c' in the file", contents({1: ("c", "b")}),
        ),
        (
            contents({1: ("a",)}), contents(), contents({1: ("b",)}),
            "frame 1: removed here, 'b' in the file", contents({1: ("b",)}),
        ),
        (
            contents({}, RUN), contents({}, WALK), contents(),
            "3 to 6 'run': 3 to 8 'run' here, removed in the file", contents({}, WALK),
        ),
        (
            contents({}, RUN), contents({}, WALK), contents({}, RangeMark(2, 6, "run")),
            "3 to 6 'run': 3 to 8 'run' here, 2 to 6 'run' in the file",
            contents({}, WALK, RangeMark(2, 6, "run")),
        ),
        (
            contents(extra={"by": "A"}), contents(extra={"by": "B"}), contents(extra={"by": "C"}),
            "what else the file says", contents(extra={"by": "C"}),
        ),
    ],
)  # fmt: skip
def test_conflicts_are_said_and_either_may_win(base, mine, theirs, words, both):
    assert merge(base, mine, theirs)[1] == [words]
    for keep, wanted in (("mine", mine), ("theirs", theirs), ("both", both)):
        got, _ = merge(base, mine, theirs, keep)
        assert (got.frames, got.ranges, got.extra) == (wanted.frames, wanted.ranges, wanted.extra), keep


def test_colours():
    base = contents({1: ("a",)}, colours={"a": "#000001"})
    mine = contents({1: ("a",), 2: ("b",)}, colours={"a": "#000001", "b": "#000002"})
    theirs = contents({1: ("a",), 3: ("b",)}, colours={"a": "#00000a", "b": "#00000b"})
    assert merge(base, mine, theirs)[0].colours == {"a": "#00000a", "b": "#00000b"}
    both_changed = contents({1: ("a",)}, colours={"a": "#00000c"})
    assert merge(base, both_changed, theirs)[1] == ["the colour of 'a': #00000c here, #00000a in the file"]


CONTENTS = st.builds(
    contents,
    st.dictionaries(st.integers(0, 4), st.sampled_from([(), ("a",), ("b",), ("a", "b")]), max_size=4),
    *[st.builds(RangeMark, st.integers(0, 4), st.integers(5, 9), st.sampled_from("ab"))] * 2,
)


@settings(deadline=None)
@given(CONTENTS, CONTENTS)
def test_a_change_of_one_alone_counts(base, mine):
    for merged, conflicts in (merge(base, mine, base), merge(base, base, mine), merge(base, mine, mine)):
        assert (merged.frames, merged.ranges, conflicts) == (mine.frames, mine.ranges, [])


@settings(deadline=None)
@given(CONTENTS, CONTENTS, CONTENTS)
def test_both_loses_nothing_that_is_new(base, mine, theirs):
    merged, _ = merge(base, mine, theirs, "both")
    for one in (mine, theirs):
        assert set(one.ranges) - set(base.ranges) <= set(merged.ranges)
        for index, labels in one.frames.items():
            if labels != base.frames.get(index):
                assert set(labels) <= set(merged.frames[index])


def test_a_step_is_repeated_beside_marks_from_elsewhere():
    marks = Marks()
    marks.add_frame(1, "mine")
    marks.take_in(marks.contents, contents({1: ("mine", "theirs"), 2: ("theirs",)}))
    marks.undo()
    assert {each.index: each.labels for each in marks.frames} == {1: ("theirs",), 2: ("theirs",)}
    marks.redo()
    assert marks.labels_at(1) == ("theirs", "mine")


def test_undoing_a_new_name_that_others_use():
    marks = Marks()
    marks.add_frame(1, "old")
    marks.rename("old", "new")
    before = marks.contents
    theirs = Contents(before.frames | {2: ("new",)}, before.ranges, before.colours)
    marks.take_in(before, theirs)
    marks.undo()
    assert (marks.labels_at(1), marks.labels_at(2)) == (("old",), ("new",))
    assert set(marks.labels) == {"old", "new"}
