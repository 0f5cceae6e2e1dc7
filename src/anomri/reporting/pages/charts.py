"""A small chart for the page: axes, dots and lines as SVG shapes in the colours of the page.

Everything that a chart shows is described in words too, for readers who do not see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.ticker import MaxNLocator

RIGHT, TOP, BOTTOM = 16, 14, 46  # pixels around the drawing area

Point = tuple[float, float]
Look = Literal["found", "truth", "quiet", "accent"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        title: with its unit.
        low: value at its beginning.
        high: value at its end.
        ticks: value and text of each mark.
    """

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    @classmethod
    def around(cls, title: str, values: Sequence[float]) -> Axis:
        """Return an axis with round marks that holds zero and all values."""
        low = min(0.0, *values)
        high = max(*values, low + 1e-9)
        locator = MaxNLocator(5, integer=title == "epoch")
        marks = [float(mark) for mark in locator.tick_values(low, high)]
        ticks = tuple((mark, f"{mark:g}".replace("-", "\N{MINUS SIGN}")) for mark in marks)
        return cls(title, marks[0], marks[-1], ticks)

    @classmethod
    def share(cls, title: str) -> Axis:
        """Return an axis from 0 to 1."""
        return cls.around(title, (0.0, 1.0))

    def place(self, value: float) -> float:
        """Return the position of a value along the axis, 0 to 1."""
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together.

    Attributes:
        name: in the legend; empty for none.
        points: across and up, in the units of the axes.
        look: colour of the page.
        drawn: as dots, as a line, or as one thin line of many.
        scans: label and description of the scan of each dot, which leads to it; empty for none.
    """

    name: str
    points: tuple[Point, ...]
    look: Look
    drawn: Literal["dots", "line", "thin"]
    scans: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing.

    Attributes:
        title: above it.
        words: description, under it.
        across: horizontal axis.
        up: vertical axis.
        series: in the order in which they are drawn.
        mark: a vertical line at this value, with its name.
        left: pixels for the names of the marks of the vertical axis.
        width: of the drawing, in pixels; it is scaled to the width of its column.
        height: of the drawing, in pixels.
    """

    title: str
    words: str
    across: Axis
    up: Axis
    series: tuple[Series, ...]
    mark: tuple[float, str] | None = None
    left: int = 62
    width: int = 460
    height: int = 300

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom edge of the drawing area in pixels."""
        return self.left, TOP, self.width - RIGHT, self.height - BOTTOM

    def x(self, value: float) -> str:
        """Return the horizontal pixel of a value."""
        left, _, right, _ = self.frame
        return f"{left + self.across.place(value) * (right - left):.1f}"

    def y(self, value: float) -> str:
        """Return the vertical pixel of a value, from the top."""
        _, top, _, bottom = self.frame
        return f"{bottom - self.up.place(value) * (bottom - top):.1f}"
