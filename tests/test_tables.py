from __future__ import annotations

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from fake_reader import FakeReader
from PIL import Image

from pvio_lab.base import html_of
from pvio_lab.read import ImageSequence
from pvio_lab.view.tables import reader_card, scan_table


def facts(html):
    """Label -> fact, as the reader of a table sees them."""
    rows = re.findall(r"<tr><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td></tr>", html)
    return dict(rows)


def captions(html):
    return re.findall(r"<figcaption[^>]*>(.*?)<br>(.*?)</figcaption>", html)


def pictures(html):
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"base64,([^\"]+)", html)]


def test_a_card_tells_the_facts():
    assert facts(reader_card(FakeReader())) == {
        "codec": "h264, yuv420p, mp4",
        "size": "96 × 64 pixels, 1.5 KiB",
        "rate": "10 frames/s",
        "duration": "3 s",
        "frames": "30",
        "sound": "none",
        "keyframes": "3, up to 10 frames apart",
        "read by": "decord: every group is closed.",
    }


def test_a_card_tells_what_is_unusual():
    audio = SimpleNamespace(codec="aac", channel_layout=None, channels=6, sample_rate=44100)
    unusual = {"is_variable_rate": True, "start_seconds": 3600.5, "rotation_degrees": 90, "audio": audio}
    told = facts(reader_card(FakeReader(**unusual)))
    assert told["rate"] == "10 frames/s on average, variable"
    assert told["duration"] == "3 s, beginning at 3600.5 s"
    assert told["size"].startswith("96 × 64 pixels, turned by 90°")
    assert told["sound"] == "aac, 6 channels, 44.1 kHz"


@pytest.mark.parametrize(
    ("length", "gop", "words"),
    [(5, 1, "every frame"), (5, 9, "only the first frame"), (5, 3, "2, up to 3 frames apart")],
)
def test_the_spacing_of_keyframes_in_words(length, gop, words):
    assert facts(reader_card(FakeReader(length, gop)))["keyframes"] == words


def test_a_strip_has_numbers_and_times_and_is_the_same_each_time():
    card = reader_card(FakeReader())
    assert card == reader_card(FakeReader())
    assert (captions(card)[0], captions(card)[-1]) == (("0", "0.00 s"), ("29", "2.90 s"))
    assert [picture.size for picture in pictures(card)] == [(96, 64)] * 6


def test_a_strip_of_a_long_video_is_made_of_keyframes():
    reader = FakeReader(1000, gop=10)
    reader_card(reader)
    assert [int(number) for number in reader.asked] == [0, 200, 400, 590, 790, 990]


def test_a_card_stays_small_whatever_the_frames_hold():
    class Noise(FakeReader):
        def read(self, numbers):
            return np.random.default_rng(0).integers(0, 256, (len(numbers), 400, 600, 3), np.uint8)

    html = reader_card(Noise())
    assert len(html) < 60_000
    assert pictures(html)[0].size == (144, 96)


def test_names_are_escaped():
    html = reader_card(FakeReader(path='/a/<script>&"x".mp4', codec="<i>"))
    assert "&lt;script&gt;&amp;&quot;x&quot;.mp4" in html
    assert "<script" not in html
    assert "<i>" not in html
    assert "/a/" not in html


@pytest.mark.parametrize(("damaged", "first", "left"), [([12], 12, 5), (range(30), 0, 0)])
def test_damaged_frames_leave_the_rest_of_the_card(damaged, first, left):
    html = reader_card(FakeReader(damaged=damaged))
    assert f"Not all frames can be shown. frame {first} cannot be decoded" in html
    assert (len(pictures(html)), len(facts(html))) == (left, 8)


def test_the_card_of_a_directory_of_images(tmp_path):
    Image.new("RGB", (32, 24)).save(tmp_path / "1.png")
    html = ImageSequence(tmp_path)._repr_html_()
    assert facts(html)["codec"] == "png, rgb24, directory"
    assert "keyframes" not in facts(html)
    assert len(pictures(html)) == 1


def test_info_alone_is_a_table_without_pictures():
    html = html_of("info", FakeReader().info)
    assert len(facts(html)) == 6
    assert "<img" not in html
    with pytest.raises(KeyError, match="hologram"):
        html_of("hologram", None)


def row(path="clip.mp4", *, ok=True, **facts):
    usual = {"frames_promised": 30, "frames_decoded": 30, "damaged_frames": (), "is_variable_rate": False}
    rest = {"engine": "decord", "reason": "x", "error": None, "seconds": 1.234}
    return SimpleNamespace(path=path, ok=ok, **{**usual, **rest, **facts})


def report(*rows):
    class Report(tuple):
        bad = tuple(row for row in rows if not row.ok)

    return Report(rows)


def cells(html):
    return [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in html.split("<tr")[2:]]


def test_a_scan_is_a_row_a_file():
    damaged = row("<b>.mp4", ok=False, frames_decoded=26, damaged_frames=(3, 4, 5, 9), is_variable_rate=True)
    unopened = row(
        "c.mp4", ok=False, frames_promised=None, frames_decoded=0, error="no video stream", engine=None
    )
    html = scan_table(report(row(), damaged, unopened))
    assert cells(html) == [
        ["clip.mp4", "good", "30", "", "", "decord", "1.23"],
        ["&lt;b&gt;.mp4", "damaged", "26 of 30", "3 to 5, 9", "variable", "decord", "1.23"],
        ["c.mp4", "no video stream", "0", "", "", "", "1.23"],
    ]
    assert "3 files scanned, 2 bad" in html


def test_a_long_scan_shows_the_bad_files_first():
    html = scan_table(report(*[row() for _ in range(250)], row("bad.mp4", ok=False)))
    assert cells(html)[0][0] == "bad.mp4"
    assert len(cells(html)) == 200
    assert html.endswith("... and 51 more</div>")
    assert "0 files scanned, 0 bad" in scan_table(report())
