"""A measurement with buttons: it runs beside the notebook, shows its results so far, and can be stopped."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import closing
from html import escape
from typing import Any, NamedTuple

import ipywidgets as widgets

from ..base import new_lock
from ..measure import Stop, time_left, tsv_text
from .figures import figure_html
from .html import LIVE, LIVE_STYLE, PALE, TEXT, WRONG, StaticCopy, note_html, static_html

_LABEL_WIDTH = "84px"
# Drawing takes time from the beginning of the next piece, so it is not done for each.
_DRAW_EVERY_SECONDS = 0.7
# Closing waits so long for a piece to end.
_CLOSING_SECONDS = 10.0


class Choices(widgets.Box):  # type: ignore[misc]
    """Boxes to tick, as many as one likes, with the texts and values of `options`, and a note beside them."""

    def __init__(self, label: str, options: dict[str, Any], ticked: Collection[Any], note: str = ""):
        self.boxes = {
            value: widgets.Checkbox(
                value=value in ticked,
                description=text,
                indent=False,
                tooltip=f"{label}: {text}",
                layout={"width": "auto", "margin": "0 14px 0 0"},
            )
            for text, value in options.items()
        }
        style = f"{TEXT}; display: inline-block; width: {_LABEL_WIDTH}; text-align: right; padding-right: 8px"
        name = widgets.HTML(f'<span style="{style}; box-sizing: border-box">{escape(label)}</span>')
        notes = [widgets.HTML(f'<span style="{PALE}">{escape(note)}</span>')] if note else []
        ticks = widgets.Box(
            [*self.boxes.values(), *notes],
            layout={"flex_flow": "row wrap", "flex": "1 1 0", "min_width": "0"},
        )
        super().__init__([name, ticks], layout={"align_items": "baseline"})

    @property
    def chosen(self) -> list[Any]:
        """The values that are ticked, in order."""
        return [value for value, box in self.boxes.items() if box.value]

    def choose(self, values: Iterable[Any]) -> None:
        """Tick these, and no others."""
        wanted = set(values)
        for value, box in self.boxes.items():
            box.value = value in wanted


def number_field(label: str, tooltip: str, value: float, least: float, most: float, step: float) -> Any:
    """Return a field for a number, which is whole if `value` is."""
    kind = widgets.BoundedIntText if isinstance(value, int) else widgets.BoundedFloatText
    return kind(
        value=value,
        min=least,
        max=most,
        step=step,
        description=label,
        tooltip=tooltip,
        style={"description_width": _LABEL_WIDTH},
        layout={"width": "180px", "margin": "2px 14px 2px 0"},
    )


def pace_fields(seconds: float, pieces_of: str) -> tuple[Any, Any]:
    """Return fields for how long each piece takes, and for how many pieces there are of each."""
    return (
        number_field("seconds", "How long each piece takes", seconds, 0.01, 60.0, 0.1),
        number_field("repeats", f"How many pieces for each {pieces_of}", 3, 1, 20, 1),
    )


def dropdown(label: str, options: dict[str, Any], tooltip: str) -> Any:
    """Return a list of which one option is chosen."""
    return widgets.Dropdown(
        options=list(options.items()),
        description=label,
        tooltip=tooltip,
        style={"description_width": _LABEL_WIDTH},
        layout={"width": "auto", "max_width": "560px", "margin": "2px 0"},
    )


def line(*parts: Any) -> Any:
    """Put parts beside each other, or below where there is no room."""
    return widgets.Box(parts, layout={"flex_flow": "row wrap", "align_items": "center"})


class Moment(NamedTuple):
    """A state of the measurement."""

    done: int
    """The number of pieces that are done."""
    total: int
    """The number of all pieces; 0 while it is not known."""
    text: str
    """The last piece, or the present activity."""


class Run:
    """One run, in a thread. Two at once would slow each other down, so a new one ends the previous one."""

    _latest: Run | None = None
    _lock = new_lock()

    def __init__(self, work: Callable[[Stop], None]):
        self.stop = Stop()
        with Run._lock:
            self.thread = threading.Thread(
                target=self._run, args=(work, Run._latest), name="pvio_lab measurement", daemon=True
            )
            self.thread.start()
            Run._latest = self

    def _run(self, work: Callable[[Stop], None], before: Run | None) -> None:
        if before is not None:
            before.stop.request()
            before.thread.join()
        work(self.stop)


class MeasurePanel(widgets.VBox):  # type: ignore[misc]
    """Controls on top, then buttons and progress, a picture, a sentence, and the table."""

    is_running = False
    """True while it measures."""
    _run: Run | None = None

    def __init__(self, controls: Sequence[Any], name: str):
        self._name, self._drawn = name, 0.0
        self.report: Any = None
        self.error: Exception | None = None
        self.controls = controls  # they cannot be changed while it runs
        self.start_button = widgets.Button(description="Start", icon="play", button_style="primary")
        self.stop_button = widgets.Button(description="Stop", icon="stop", disabled=True)
        self.bar = widgets.IntProgress(min=0, max=1, layout={"width": "220px"})
        self.status, self.picture, self.advice = (widgets.HTML() for _ in range(3))
        self.table = widgets.HTML(layout={"overflow": "auto"})
        self.text = _copyable("The table as text")
        self.tsv = _copyable("The table with tabs, for a spreadsheet")
        self.tables = widgets.Tab(
            [self.table, self.text, self.tsv],
            titles=["Table", "Text to copy", "For a spreadsheet"],
            layout={"display": "none"},
        )
        buttons = line(self.start_button, self.stop_button, self.bar, self.status)
        buttons.layout.margin = "6px 0"
        style = widgets.HTML(f"<style>{LIVE_STYLE}</style>", layout={"display": "none"})
        super().__init__([*controls, buttons, self.picture, self.advice, self.tables, style])
        self.add_class(LIVE)
        self._copy = StaticCopy(self._static_html)
        self.start_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self.stop())
        self._say("Ready.")

    def start(self) -> None:
        """Measure with the chosen settings, in a thread; another measurement that runs is stopped."""
        if self.is_running:
            return
        options = self._options()
        self.report = self.error = None
        self.bar.value, self.bar.bar_style = 0, ""
        for part in (self.picture, self.advice, self.table, self.text, self.tsv):
            part.value = ""
        self.tables.layout.display = "none"
        self._drawn = 0.0
        self._set_running(True)
        self._say("Starting ...")
        self._run = Run(lambda stop: self._follow(options, stop))

    def stop(self) -> None:
        """Stop the measurement; the results so far stay."""
        if self._run is not None and self.is_running:
            self.stop_button.disabled = True
            self._say("Stopping ...")
            self._run.stop.request()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; return whether it has come, or raise the error of the measurement."""
        if self._run is not None:
            self._run.thread.join(timeout)
        if self.error is not None:
            raise self.error
        return not self.is_running

    def close(self) -> None:
        """End the measurement and close all parts; can be called twice."""
        if self._run is not None:
            self._run.stop.request()
            if self._run.thread is not threading.current_thread():
                self._run.thread.join(_CLOSING_SECONDS)
        for part in _all_parts(self.children):
            part.close()
        super().close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name})"

    def _ipython_display_(self) -> None:
        self._copy.display(self)

    # --- different in each panel ---

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Return the settings as they are now."""

    @abstractmethod
    def _measure(self, options: dict[str, Any], stop: Stop) -> Generator[Moment]:
        """Measure, and set `report` on the way."""

    @abstractmethod
    def _conclusion(self, is_whole: bool) -> tuple[str, str]:
        """Return the picture in words, and HTML for the advice; the report may not be complete yet."""

    # --- in the thread ---

    def _follow(self, options: dict[str, Any], stop: Stop) -> None:
        begin, moment = time.perf_counter(), Moment(0, 0, "")
        try:
            with closing(self._measure(options, stop)) as moments:
                for moment in moments:
                    self._show(moment, time.perf_counter() - begin)
        except Exception as error:  # shown below the buttons, and raised by `wait`
            self.error = error
        try:
            self._draw(is_end=True, is_whole=not stop.is_wanted and self.error is None)
        except Exception as error:
            self.error = self.error or error
        self._say_end(moment, time.perf_counter() - begin, stop.is_wanted)
        self._copy.update()
        self._set_running(False)

    def _show(self, moment: Moment, seconds: float) -> None:
        text = moment.text
        if moment.total:
            self.bar.max, self.bar.value = moment.total, moment.done
            parts = f"{moment.done} of {moment.total}", time_left(moment.done, moment.total, seconds), text
            text = "; ".join(filter(None, parts))
        self._say(text)
        if time.perf_counter() - self._drawn > _DRAW_EVERY_SECONDS:
            self._draw()

    def _draw(self, *, is_end: bool = False, is_whole: bool = False) -> None:
        """Draw the report as it is now."""
        self._drawn = time.perf_counter()
        if self.report is None or not (len(self.report) or is_end):
            return
        picture_in_words, self.advice.value = self._conclusion(is_whole)
        if self._has_rates:
            self.picture.value = figure_html(self.report.plot(), picture_in_words)
        self.table.value = self.report._repr_html_()
        self.text.value, self.tsv.value = repr(self.report), tsv_text(self.report.to_dicts())
        self.tables.layout.display = ""

    def _static_html(self) -> str:
        """Draw the results for a notebook without a kernel."""
        if self.report is None or not self._has_rates:
            return static_html("Nothing was measured yet. Run the cell, then press Start.")
        shown = (self.picture.value, self.advice.value, self.table.value)
        return "".join(shown) + static_html("Run the cell to measure anew.")

    @property
    def _has_rates(self) -> bool:
        return any(row.frames_per_second is not None for row in self.report or ())

    def _set_running(self, is_running: bool) -> None:
        self.is_running = is_running
        for part in _all_parts(self.controls):
            if hasattr(part, "disabled"):
                part.disabled = is_running
        self.start_button.disabled, self.stop_button.disabled = is_running, not is_running

    def _say_end(self, moment: Moment, seconds: float, is_stopped: bool) -> None:
        pieces = f"{moment.done} of {moment.total} pieces"
        if self.error is not None:
            style, text = "danger", f"It did not work: {self.error} ({type(self.error).__name__})"
        elif is_stopped and moment.total:
            style = "warning"
            text = f"Stopped after {pieces}{'; what was measured is kept' if moment.done else ''}."
        elif is_stopped:
            style, text = "warning", "Stopped before anything was measured."
        elif not self._has_rates:
            style, text = "danger", "Nothing could be measured."
        else:
            style, text = "success", f"Done: {pieces} in {seconds:.0f} s."
        self.bar.bar_style = style
        self._say(text, wrong=style == "danger")

    def _say(self, text: str, *, wrong: bool = False) -> None:
        role, style = ("alert", WRONG) if wrong else ("status", PALE)
        style += "; line-height: 1.4; overflow-wrap: anywhere; white-space: normal"
        self.status.value = f'<div role="{role}" style="{style}">{escape(text)}</div>'


def sentence_html(text: str, *, wrong: bool = False) -> str:
    """Draw a sentence that matters."""
    colour = WRONG if wrong else TEXT
    return note_html(text, style=f"{colour}; font-weight: 600; line-height: 1.4; margin: 4px 0")


def _copyable(label: str) -> Any:
    return widgets.Textarea(
        tooltip=label, placeholder=label, rows=12, layout={"width": "100%", "height": "220px"}
    )


def _all_parts(parts: Iterable[Any]) -> list[Any]:
    """Return widgets and everything inside them, the innermost first."""
    found = []
    for part in parts:
        found += [*_all_parts(getattr(part, "children", ())), part]
    return found
