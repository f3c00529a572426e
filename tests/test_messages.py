import numpy as np
import pytest

from pvio_lab import video_sources


def user(*items):
    return {"role": "user", "content": list(items)}


def test_all_forms_in_order():
    messages = [
        {"role": "system", "content": "Be brief."},
        user(
            {"type": "video", "video": "a.mp4"},
            {"type": "text", "text": "and"},
            {"type": "video_url", "video_url": {"url": "http://host/b.mp4"}},
            {"type": "image_url", "image_url": {"url": "c.png"}},
        ),
        {"role": "assistant", "content": None},
        user({"type": "video_url", "video_url": "d.mp4"}, "text", {"type": "video", "video": "a.mp4"}),
    ]
    assert video_sources(messages) == ["a.mp4", "http://host/b.mp4", "d.mp4", "a.mp4"]


def test_no_messages_have_no_videos():
    assert video_sources([]) == video_sources([{"role": "user", "content": "none"}]) == []


def test_rows_of_a_table():
    """There, lists are arrays, and items have all the keys of all items."""
    content = np.array(
        [
            {"type": "text", "text": "?", "video": None, "video_url": None},
            {"type": "video", "text": None, "video": "a.mp4", "video_url": None},
            {"type": "video_url", "text": None, "video": None, "video_url": {"url": "b.mp4"}},
        ]
    )
    assert video_sources(np.array([{"role": "user", "content": content}])) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (None, r"^messages must be a list; it is None"),
        ("a.mp4", r"^messages must be a list"),
        ({"role": "user"}, r"^messages must be a list"),
        (["a.mp4"], r"^messages\[0\] must be a message"),
        ([user(), {"content": 5}], r"^messages\[1\]\['content'\] must be a list; it is 5"),
        ([user({"type": "text"}, 3)], r"^messages\[0\]\['content'\]\[1\] must be a text or an item"),
        ([user({"type": "video"})], r"^messages\[0\]\['content'\]\[0\] must be .*path or URL"),
        ([user({"type": "video", "video": ""})], r"path or URL"),
        ([user({"type": "video_url", "video_url": {"uri": "a.mp4"}})], r"path or URL"),
    ],
)
def test_another_shape_is_named_with_its_place(messages, words):
    with pytest.raises(ValueError, match=words):
        video_sources(messages)
