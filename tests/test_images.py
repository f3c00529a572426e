from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from pvio_lab.errors import DecodeError, FrameTimestampError, OpenError
from pvio_lab.read import ImageSequence

HEIGHT, WIDTH = 24, 32


def save(path, number=0, mode="RGB", size=(WIDTH, HEIGHT), **options):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, (number, 100, 200)).convert(mode).save(path, **options)


@pytest.fixture
def directory(tmp_path):
    for number in range(12):
        save(tmp_path / f"{number}.png", number)
    return tmp_path


def numbers(frames):
    return frames[..., 0, 0, 0].tolist()


def names(images):
    return [path.name for path in images.paths]


def test_names_sort_naturally_and_without_regard_to_case(tmp_path):
    for name in ["b10.png", "B9.png", "a01.png", "A1.png", "a1.png", "10.png"]:
        save(tmp_path / name)
    assert names(ImageSequence(tmp_path)) == ["10.png", "A1.png", "a01.png", "a1.png", "B9.png", "b10.png"]


@pytest.mark.parametrize(
    "key", [[7, 3, 3, -1], [], slice(2, 9, 3), slice(None, None, -1), np.array([11, 0, 11])]
)
def test_many_frames_in_the_order_asked(directory, key):
    frames = ImageSequence(directory)[key]
    assert frames.shape[1:] == (HEIGHT, WIDTH, 3)
    assert frames.dtype == np.uint8
    assert numbers(frames) == np.arange(12)[np.asarray(key, int) if isinstance(key, list) else key].tolist()


def test_one_frame_is_the_callers_own(directory):
    frame = ImageSequence(directory)[-1]
    frame[:] = 0
    assert frame.shape == (HEIGHT, WIDTH, 3)
    assert numbers(ImageSequence(directory)[-1]) == 11


def test_time_follows_the_rate(directory):
    images = ImageSequence(directory, fps=2)
    assert numbers(images.at(0.5)) == 1
    assert numbers(images.at([5.9, 0])) == [11, 0]
    with pytest.raises(
        FrameTimestampError, match="at 6 s: the video runs from 0 s up to, not including, 6 s"
    ):
        images.at(6)


def test_batches_and_iterating(directory):
    batches = list(ImageSequence(directory).batches(4, start=1, step=2))
    assert [part.tolist() for part, _ in batches] == [[1, 3, 5, 7], [9, 11]]
    assert [numbers(frames) for _, frames in batches] == [[1, 3, 5, 7], [9, 11]]
    assert [numbers(frame) for frame in ImageSequence(directory)] == list(range(12))


def test_the_facts(directory):
    images = ImageSequence(directory)
    assert (len(images), images.shape) == (12, (12, HEIGHT, WIDTH, 3))
    assert (images.info.num_frames, images.info.height, images.info.width, images.info.fps) == (
        12,
        24,
        32,
        25,
    )
    assert (images.info.codec, images.info.container, images.info.pixel_format) == (
        "png",
        "directory",
        "rgb24",
    )
    assert images.info.duration_seconds == 12 / 25
    assert images.info.size_bytes == sum(path.stat().st_size for path in directory.iterdir())
    assert repr(images).endswith("12 frames, 32x24, 25 frames/s)")


def test_it_pickles_closes_and_is_shared_by_threads(directory):
    with pickle.loads(pickle.dumps(ImageSequence(directory))) as images, ThreadPoolExecutor(4) as pool:
        assert [numbers(frame) for frame in pool.map(images.__getitem__, range(12))] == list(range(12))
    images.close()


def test_other_files_and_hidden_ones_are_skipped(directory):
    (directory / "notes.txt").write_text("not an image")
    (directory / "clip.mp4").write_bytes(b"")
    (directory / ".hidden.png").write_bytes(b"")
    (directory / "folder.png").mkdir()
    assert len(ImageSequence(directory)) == 12


def test_a_pattern_chooses(directory):
    save(directory / "left_1.JPG")
    save(directory / "deeper" / "3.png", 3)
    assert names(ImageSequence(directory, pattern="left_*")) == ["left_1.JPG"]
    assert len(ImageSequence(directory, pattern="1*.png")) == 3
    assert names(ImageSequence(directory, pattern="**/3.png")) == ["3.png", "3.png"]


COLOURS = [("RGBA", (200, 0, 0, 9), (200, 0, 0)), ("LA", (70, 9), (70, 70, 70)), ("L", 70, (70, 70, 70))]
COLOURS += [("1", 1, (255, 255, 255)), ("I;16", 0xC8FF, (200, 200, 200))]


@pytest.mark.parametrize(("mode", "colour", "expected"), COLOURS)
def test_every_kind_of_pixel_becomes_rgb(tmp_path, mode, colour, expected):
    Image.new(mode, (WIDTH, HEIGHT), colour).save(tmp_path / "0.png")
    assert ImageSequence(tmp_path)[0][0, 0].tolist() == list(expected)


def test_a_palette_is_applied_also_with_transparency(tmp_path):
    image = Image.new("P", (WIDTH, HEIGHT), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "0.png", transparency=b"\xff\x00")
    image.save(tmp_path / "1.gif")
    assert ImageSequence(tmp_path)[:][:, 0, 0].tolist() == [[10, 20, 30]] * 2


def test_an_exif_orientation_is_followed(tmp_path):
    image, exif = Image.new("RGB", (HEIGHT, WIDTH)), Image.Exif()
    image.putpixel((0, 0), (255, 255, 255))
    exif[0x0112] = 6
    image.save(tmp_path / "0.png", exif=exif)
    frame = ImageSequence(tmp_path)[0]
    assert frame.shape == (HEIGHT, WIDTH, 3)
    assert frame[0, -1, 0] == 255


def test_pixels_without_an_agreed_range(tmp_path):
    Image.new("F", (WIDTH, HEIGHT), 0.5).save(tmp_path / "0.tiff")
    with pytest.raises(DecodeError, match=r"frame 0 .*0\.tiff: its pixels are floating-point"):
        ImageSequence(tmp_path)[0]


def test_sizes_that_differ(directory):
    save(directory / "7.png", size=(64, 48))
    images = ImageSequence(directory)
    assert numbers(images[6]) == 6
    with pytest.raises(ValueError, match=r"7\.png, is 64x48 and .*0\.png is 32x24: .* one size"):
        images[:]


@pytest.mark.parametrize("keep", [0, 4, 40, -30])
def test_a_damaged_image_is_named_and_the_others_are_read(directory, keep):
    path = directory / "0.png"
    path.write_bytes(path.read_bytes()[:keep])
    images = ImageSequence(directory)
    with pytest.raises(DecodeError, match=r"frame 0 cannot be decoded: .*0\.png"):
        images[:]
    assert numbers(images[1:]) == list(range(1, 12))


def test_nothing_but_damaged_images(tmp_path):
    (tmp_path / "0.png").write_bytes(b"text")
    with pytest.raises(DecodeError, match=r"frame 0 cannot be decoded, and no other either: .*0\.png"):
        ImageSequence(tmp_path)


def test_an_image_that_vanishes(directory):
    images = ImageSequence(directory)
    (directory / "5.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"5\.png"):
        images[5]


@pytest.mark.parametrize(
    ("name", "pattern", "error", "words"),
    [
        ("nowhere", None, FileNotFoundError, r"there is no directory .*nowhere"),
        ("0.png", None, NotADirectoryError, r"0\.png is a file, .* VideoReader"),
        ("empty", None, OpenError, r"no images in the directory"),
        ("empty", "*.jpg", OpenError, r"match pattern='\*\.jpg' in the directory"),
        ("empty", 3, TypeError, r"pattern=3"),
    ],
)
def test_what_is_no_directory_of_images(directory, name, pattern, error, words):
    (directory / "empty").mkdir()
    with pytest.raises(error, match=words):
        ImageSequence(directory / name, pattern=pattern)


@pytest.mark.parametrize(
    ("option", "value"),
    [("fps", 0), ("fps", -1), ("fps", np.nan), ("fps", "2"), ("width", 0), ("height", -1), ("width", 1.5)],
)
def test_a_wrong_rate_or_size(directory, option, value):
    with pytest.raises((ValueError, TypeError), match=f"{option}={value!r} must be"):
        ImageSequence(directory, **{option: value})


def test_a_size_of_ones_own(directory):
    assert ImageSequence(directory, width=16).shape == (12, 12, 16, 3)
    images = ImageSequence(directory, width=10, height=20)
    assert images[:].shape == images.shape == (12, 20, 10, 3)
    assert images[2][0, 0].tolist() == [2, 100, 200]
    assert images.info.width == WIDTH


def test_images_of_several_sizes_come_out_at_the_one_asked_for(tmp_path):
    for number, size in enumerate([(64, 48), (30, 20), (20, 10)]):
        Image.new("RGB", size, (number, 0, 0)).save(tmp_path / f"{number}.png")
    images = ImageSequence(tmp_path, width=20, height=10)
    assert images[:].shape == (3, 10, 20, 3)
    assert images[:][:, 0, 0, 0].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="give both width= and height="):
        ImageSequence(tmp_path, width=20)[:]
