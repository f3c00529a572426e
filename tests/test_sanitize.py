"""The sanitize file takes out what differs between machines, and leaves what a lesson says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nbval.plugin import get_sanitize_patterns

PATTERNS = get_sanitize_patterns((Path(__file__).parent / "nbval_sanitize.cfg").read_text("utf-8"))


def sanitized(text: str) -> str:
    for regex, replacement in PATTERNS:
        text = re.sub(regex, replacement, text)
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<Clip at 0x7f3a5c02d410>", "<Clip at ADDRESS>"),
        ('<img src="data:image/png;base64,iVBORw0KGg=="/>', '<img src="data:PICTURE"/>'),
        ('<source src="data:video/mp4;base64,AAAAIGZ0eXA=" type=', '<source src="data:PICTURE" type='),
        ("scan:  40%|####      | 4/10 [00:00<00:01, 5.1it/s]\nok", "PROGRESS\nok"),
        ("PosixPath('/home/ann/clips/a.mp4')", "Path('FOLDER/a.mp4')"),
        (r"WindowsPath('C:\\Users\\ann\\a.mp4')", "Path('FOLDER/a.mp4')"),
        ("Wall time: 12.1 ms\n3", "TIMES\n3"),
        ("10.3 ns ± 0.1 ns per loop (mean ± std. dev. of 7 runs)", "TIMES"),
        ("read 32 frames, took 1.25 s", "read 32 frames, took TIME"),
        ("1,234.5 frames/s", "RATE"),
        ('"layout": "IPY_MODEL_0123456789abcdef0123456789abcdef"', '"layout": "ID"'),
    ],
)
def test_accidents_are_taken_out(text, expected):
    assert sanitized(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "(137, 360, 640, 3) uint8",
        "frame 137 is on screen from 5.48 s to 5.52 s (40 ms at 25 fps)",
        "../data_samples/shapes.mp4",
        "https://example.org/clips/a.mp4",
        "<td>1/25</td><td>h264</td>",
        "checksum 0123456789abcdef0123456789abcdef",
    ],
)
def test_facts_are_left(text):
    assert sanitized(text) == text
