from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from fake_reader import FakeReader
from PIL import Image

from pvio_lab.read import ImageSequence
from pvio_lab.view import filmstrip, plot_gops
from pvio_lab.view.figures import COLOURS

PNG = b"\x89PNG"


def labels(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def bars(figure):
    """Colour -> heights of its bars in KiB."""
    groups = {group.patches[0].get_facecolor(): group for group in figure.axes[0].containers}
    return [[bar.get_height() for bar in group] for group in groups.values()]


@pytest.fixture
def image_directory(tmp_path):
    for number in range(3):
        Image.new("RGB", (32, 24), (number, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_a_filmstrip_names_numbers_and_times():
    assert labels(filmstrip(FakeReader(), 3)) == ["frame 0\n0.00 s", "frame 15\n1.50 s", "frame 29\n2.90 s"]


@pytest.mark.parametrize(("asked", "shown"), [(1, 1), (11, 11), (99, 30)])
def test_a_filmstrip_has_as_many_frames_as_asked_or_there_are(asked, shown):
    figure = filmstrip(FakeReader(), asked)
    assert len(figure.axes) == shown
    assert figure._repr_png_().startswith(PNG)


def test_a_filmstrip_shows_the_frames():
    pictures = [axes.images[0].get_array() for axes in filmstrip(FakeReader(), 3).axes]
    assert [int(picture[0, 0, 0]) for picture in pictures] == [0, 15, 29]


def test_a_filmstrip_of_a_path_and_of_nothing(image_directory):
    assert labels(filmstrip(image_directory)) == ["frame 0\n0.00 s", "frame 1\n0.04 s", "frame 2\n0.08 s"]
    with pytest.raises(ValueError, match="no frames"):
        filmstrip(FakeReader(0))


@pytest.mark.parametrize("draw", [filmstrip, plot_gops])
def test_a_picture_fits_a_notebook(draw):
    figure = draw(FakeReader())
    assert repr(figure) == f"<NotebookFigure size {figure.bbox.width:g}x{figure.bbox.height:g} with " + (
        "8 Axes>" if draw is filmstrip else "1 Axes>"
    )
    assert figure.bbox.width <= 900
    assert len(figure._repr_png_()) < 100_000


def test_every_frame_is_a_bar_of_its_size_and_type():
    keyframes, builds_on_one, builds_on_two = bars(plot_gops(FakeReader()))
    assert np.flatnonzero(keyframes).tolist() == [0, 10, 20]
    assert max(keyframes) == 10.0
    assert sum(builds_on_one) == 12
    assert sum(builds_on_two) == 15


def test_axes_have_units_and_the_legend_explains():
    figure = plot_gops(FakeReader())
    axes, (legend,) = figure.axes[0], figure.legends
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (seconds)", "compressed size (KiB)")
    assert [text.get_text().partition(":")[0] for text in legend.texts] == [*COLOURS, "a group begins"]
    assert axes.get_title(loc="left") == "30 frames in 3 groups (GOPs) of 10"


def test_a_window_shows_its_frames_only():
    figure = plot_gops(FakeReader(), start=-12, end=-2)
    assert figure.axes[0].get_xlim() == pytest.approx((1.8, 2.8))
    assert figure.axes[0].get_title(loc="left").endswith("; shown: 18 to 27")


def test_a_long_video_sums_frames_and_says_so():
    figure = plot_gops(FakeReader(24_600, gop=249))
    assert len(figure.axes[0].patches) <= 3 * 400
    assert sum(map(sum, bars(figure))) == pytest.approx(
        FakeReader(24_600, gop=249).index.frame_bytes.sum() / 1024
    )
    assert figure.axes[0].get_title(loc="left").endswith("of up to 249; each bar is the sum of 62 frames")
    assert figure.axes[0].get_ylabel() == "size of 62 frames (KiB)"


@pytest.mark.parametrize("reader", [FakeReader(1), FakeReader(1).index, FakeReader(9, gop=1)])
def test_small_videos_and_bare_indexes_are_drawn(reader):
    assert plot_gops(reader)._repr_png_().startswith(PNG)


def test_an_empty_window():
    with pytest.raises(ValueError, match="start=30 to end=None: the video has 30 frames"):
        plot_gops(FakeReader(), start=30)


@pytest.mark.parametrize("as_path", [True, False])
def test_images_have_no_groups(image_directory, as_path):
    with pytest.raises(TypeError, match="only compressed video has groups"):
        plot_gops(image_directory if as_path else ImageSequence(image_directory))


def test_a_figure_shows_itself_where_pyplot_was_never_imported():
    code = """
import sys
from IPython.core.formatters import DisplayFormatter
from pvio_lab.view.figures import NotebookFigure
shown, _ = DisplayFormatter().format(NotebookFigure())
print(*sorted(shown), "matplotlib.pyplot" in sys.modules)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["image/png", "text/plain", "False"]
