"""The sample clips. Every frame carries its number twice: as large digits and as a barcode.

python data_samples/make.py            # make every clip again and verify it
python data_samples/make.py --check    # verify the existing clips
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]

# Okabe and Ito's colours, which most people can tell apart, on a calm ground.
ORANGE, SKY, GREEN, VERMILLION, PURPLE = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (204, 121, 167)], np.float32
)
PAPER, DUSK, NIGHT = np.array([(236, 240, 244), (38, 56, 78), (14, 20, 32)], np.float32)
TURN = 30  # frames to one turn of the clock's hand
CELLS = 20  # white, black, 16 bits of the number, 2 bits of checksum


class Layout(NamedTuple):
    """The places of things in a picture of one size, in pixels."""

    width: int
    height: int  # without the barcode
    clock: tuple[float, float, float]  # x, y, radius
    digits: tuple[float, float, float]  # x, y of the middle, room in x


def draw_frame(number: int, width: int = 320, height: int = 240) -> Pixels:
    """Draw one frame.

    >>> read_number(draw_frame(1234))
    1234

    Args:
        number: The frame number, 0 to 65535.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.

    Returns:
        A new (height, width, 3) array of uint8.
    """
    layout = _layout(width, height)
    frame = _ground(width, height).copy()
    rows, columns, dial = _dial(number % TURN, width, height)
    frame[rows, columns] = dial
    _draw_shapes(frame[: layout.height], number)
    _draw_digits(frame, number, layout)
    frame[layout.height :] = (_cells(number) * 255)[_cell_of_column(width), None]
    return frame


def read_number(frame: Pixels) -> int | None:
    """Read the barcode of a frame of any size; None if there is no valid barcode.

    >>> read_number(np.zeros((240, 320, 3), np.uint8)) is None
    True
    """
    height, width = frame.shape[:2]
    top, bottom = int(0.93 * height), int(0.97 * height)
    strip = frame[top : max(bottom, top + 1)]
    cell = width / CELLS
    spans = [(int((i + 0.3) * cell), int((i + 0.7) * cell) + 1) for i in range(CELLS)]
    level = np.array([strip[:, left:right].mean() for left, right in spans])
    white, black = level[:2]
    if white - black < 64:
        return None
    light = (level - black) / (white - black)
    bits = (light > 0.5).astype(np.uint8)
    number = int("".join(map(str, bits[2:18])), 2)
    clear = bool(np.all(np.abs(light - 0.5) > 0.2))
    return number if clear and np.array_equal(bits, _cells(number)) else None


def _cells(number: int) -> Pixels:
    """Return the barcode: 1 for a white cell, 0 for a black one."""
    if not 0 <= number < 1 << 16:
        raise ValueError(f"number must be 0 to 65535, got {number}")
    return np.array([int(bit) for bit in f"10{number:016b}{number.bit_count() % 4:02b}"], np.uint8)


@cache
def _cell_of_column(width: int) -> NDArray[np.int64]:
    return np.arange(width) * CELLS // width


@cache
def _layout(width: int, height: int) -> Layout:
    """Place clock and digits side by side, or one above the other if the picture is taller than wide."""
    inner = height - max(height // 10, 1)
    if width >= inner:
        clock = (0.29 * width, 0.5 * inner, min(0.23 * width, 0.38 * inner))
        return Layout(width, inner, clock, (0.75 * width, 0.5 * inner, 0.42 * width))
    clock = (0.5 * width, 0.34 * inner, min(0.36 * width, 0.27 * inner))
    return Layout(width, inner, clock, (0.5 * width, 0.82 * inner, 0.7 * width))


@lru_cache(maxsize=4 * TURN)
def _dial(phase: int, width: int, height: int) -> tuple[slice, slice, Pixels]:
    """Draw the clock at one moment of the hand's turn; return its rows, columns and pixels."""
    x, y, radius = _layout(width, height).clock
    rows, columns = (slice(int(c - radius), int(c + radius) + 2) for c in (y, x))
    dial = _ground(width, height)[rows, columns].copy()
    right, down = _offsets(dial, x - columns.start, y - rows.start)
    angle = 2 * math.pi * phase / TURN
    behind = (angle - np.arctan2(right, -down)) % (2 * math.pi)
    _mix(dial, _cover(_disc(right, down, 0.8 * radius)) * np.clip(1 - behind / 2, 0, 1) * 0.45, ORANGE)
    hand = (0.78 * radius * math.sin(angle), -0.78 * radius * math.cos(angle))
    _mix(dial, _cover(_segment(right, down, *hand) - 0.03 * radius), ORANGE)
    _mix(dial, _cover(_disc(right, down, 0.075 * radius)), PAPER)
    return rows, columns, dial


@cache
def _ground(width: int, height: int) -> Pixels:
    """Draw what never moves: a ground, lighter around the clock, and a tick for each frame of a turn."""
    x, y, radius = _layout(width, height).clock
    frame = np.empty((height, width, 3), np.uint8)
    frame[:] = NIGHT
    right, down = _offsets(frame, x, y)
    _mix(frame, 1 - np.hypot(right, down) / math.hypot(width, height), DUSK)
    _mix(frame, _cover(_disc(right, down, radius)) * 0.5, NIGHT)
    for tick in range(TURN):
        angle, long = 2 * math.pi * tick / TURN, tick % 5 == 0
        ray, length = np.array((math.sin(angle), -math.cos(angle))), radius * (0.12 if long else 0.05)
        begin = ray * (0.93 * radius - length)
        line = _segment(right - begin[0], down - begin[1], *(ray * length))
        _mix(frame, _cover(line - radius * (0.016 if long else 0.008)), PAPER)
    return frame


def _draw_shapes(canvas: Pixels, number: int) -> None:
    """Draw four shapes on slow closed paths, each with a fading trail."""
    height, width = canvas.shape[:2]
    size = 0.075 * min(width, height)
    for echo, strength in ((10, 0.12), (5, 0.3), (0, 1.0)):
        for shape, colour, period_x, period_y, start in PATHS:
            x = width * (0.5 + 0.42 * math.sin(2 * math.pi * (number - echo) / period_x + start))
            y = height * (0.5 + 0.38 * math.sin(2 * math.pi * (number - echo) / period_y + 2 * start))
            left, top = max(int(x - 1.5 * size), 0), max(int(y - 1.5 * size), 0)
            part = canvas[top : int(y + 1.5 * size) + 2, left : int(x + 1.5 * size) + 2]
            _mix(part, _cover(shape(*_offsets(part, x - left, y - top), size)) * np.float32(strength), colour)


def _draw_digits(frame: Pixels, number: int, layout: Layout) -> None:
    """Draw the number in the middle of its space; every digit has the same width."""
    text = str(number)
    x, y, room = layout.digits
    step = room / max(len(text), 3)
    for place, digit in enumerate(text):
        mask = _digit(digit, int(1.65 * step))
        left = int(x + (place + 0.5 - len(text) / 2) * step - mask.shape[1] / 2)
        top = int(y - mask.shape[0] / 2)
        _mix(frame[top : top + mask.shape[0], left : left + mask.shape[1]], mask, PAPER)


@cache
def _digit(digit: str, size: int) -> Floats:
    """Return how much of each pixel a digit covers."""
    font = ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(digit)
    _, top, _, bottom = font.getbbox("0")
    image = Image.new("L", (math.ceil(right - left), math.ceil(bottom - top)))
    ImageDraw.Draw(image).text((-left, -top), digit, 255, font)
    return np.array(image, np.float32) / np.float32(255)


def _offsets(part: Pixels, x: float, y: float) -> tuple[Floats, Floats]:
    """Return the distance of each column and each row from a point."""
    down = np.arange(part.shape[0], dtype=np.float32)[:, None] - np.float32(y)
    return np.arange(part.shape[1], dtype=np.float32) - np.float32(x), down


def _disc(x: Floats, y: Floats, size: float) -> Floats:
    return np.sqrt(x * x + y * y) - np.float32(size)


def _ring(x: Floats, y: Floats, size: float) -> Floats:
    return np.abs(_disc(x, y, size)) - np.float32(0.3 * size)


def _square(x: Floats, y: Floats, size: float) -> Floats:
    half = np.float32(0.6 * size)
    return _disc(np.maximum(np.abs(x) - half, 0), np.maximum(np.abs(y) - half, 0), 0.3 * size)


def _triangle(x: Floats, y: Floats, size: float) -> Floats:
    return np.maximum(np.abs(x) * np.float32(0.866) - y * np.float32(0.5), y) - np.float32(0.6 * size)


def _segment(x: Floats, y: Floats, end_x: float, end_y: float) -> Floats:
    along = np.clip((x * end_x + y * end_y) / (end_x**2 + end_y**2), 0, 1)
    return np.hypot(x - along * end_x, y - along * end_y)


def _cover(distance: Floats) -> Floats:
    """Distance to an edge -> how much of each pixel lies inside, so that edges are soft."""
    cover: Floats = np.minimum(np.maximum(np.float32(0.5) - distance, 0), 1)
    return cover


def _mix(part: Pixels, cover: Floats, colour: Floats) -> None:
    part[...] = part + (colour - part) * cover[..., None] + np.float32(0.5)


# shape, colour, frames to one swing across and one down, where it starts
PATHS: tuple[tuple[Callable[[Floats, Floats, float], Floats], Floats, int, int, float], ...] = (
    (_disc, SKY, 150, 210, 0.0),
    (_square, GREEN, 230, 170, 1.7),
    (_triangle, VERMILLION, 190, 260, 3.1),
    (_ring, PURPLE, 270, 140, 4.6),
)


def main() -> None:
    """Make the clips and truth.json, or check them."""
    parser = argparse.ArgumentParser(description="Make the sample clips and truth.json.")
    parser.add_argument("--check", action="store_true", help="verify the existing clips, make none")
    folder = Path(__file__).parent
    if parser.parse_args().check:
        check_all(folder)
    else:
        make_all(folder)


def make_all(folder: Path) -> None:
    """Make every clip again, verify it, and write its facts to truth.json."""
    from clips import CLIPS, make_clip, remove_clips  # drawing alone needs neither ffmpeg nor PyAV
    from truth import measure, to_json, verify

    remove_clips(folder)
    truth = {}
    for name in CLIPS:
        make_clip(name, folder)
        truth[name] = measure(folder, name)
        verify(name, truth[name])
        print(f"{name}: {truth[name]['num_frames']} frames")
    (folder / "truth.json").write_text(to_json(truth))


def check_all(folder: Path) -> None:
    """Measure every clip and compare it with truth.json."""
    from clips import CLIPS
    from truth import measure, verify

    truth = json.loads((folder / "truth.json").read_text())
    if missing := sorted(set(CLIPS) ^ set(truth)):
        raise SystemExit(f"in the table or in truth.json, but not in both: {missing}")
    for name, expected in truth.items():
        found = measure(folder, name)
        verify(name, found)
        if wrong := {
            key: (expected.get(key), found[key]) for key in found if found[key] != expected.get(key)
        }:
            raise SystemExit(f"{name} is not what truth.json says (expected, found): {wrong}")
        print(f"{name}: {found['num_frames']} frames, as truth.json says")


if __name__ == "__main__":
    main()
