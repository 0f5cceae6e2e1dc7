"""A small chart for the page: axes, dots and lines as SVG shapes that follow the page's colours.

Everything a chart shows is told in words too, for readers who do not see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 460, 300  # pixels of the drawing, scaled to the width of its column
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 46

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
    def around(cls, title: str, values: Sequence[float], *, from_zero: bool = True) -> Axis:
        """Return an axis with round marks that holds all values."""
        low = min(0.0, *values) if from_zero else min(values)
        high = max(max(values), low + 1e-9)
        marks = [
            float(mark) for mark in MaxNLocator(5, integer=title == "epoch").tick_values(low, high)
        ]
        ticks = tuple((mark, f"{mark:g}".replace("-", "\N{MINUS SIGN}")) for mark in marks)
        return cls(title, marks[0], marks[-1], ticks)

    @classmethod
    def share(cls, title: str) -> Axis:
        """Return an axis from 0 to 1."""
        return cls.around(title, (0.0, 1.0))

    def place(self, value: float) -> float:
        """Return how far along the axis a value lies, 0 to 1."""
        return (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together.

    Attributes:
        name: in the legend; empty for none.
        points: across and up, in the units of the axes.
        look: colour of the page.
        drawn: as dots, as a line, or as one thin line of many.
    """

    name: str
    points: tuple[Point, ...]
    look: Look
    drawn: Literal["dots", "line", "thin"]


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawing.

    Attributes:
        title: above it.
        words: what it shows, under it.
        across: horizontal axis.
        up: vertical axis.
        series: what is drawn, in order.
        mark: a vertical line at this value, with its name.
        left: pixels kept for the names of the marks up the side.
        width: of the drawing, in pixels.
        height: of the drawing, in pixels.
    """

    title: str
    words: str
    across: Axis
    up: Axis
    series: tuple[Series, ...]
    mark: tuple[float, str] | None = None
    left: int = LEFT
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def frame(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom edge of the drawing area in pixels."""
        return self.left, TOP, self.width - RIGHT, self.height - BOTTOM

    def x(self, value: float) -> str:
        """Return the pixel across of a value."""
        left, _, right, _ = self.frame
        return f"{left + self.across.place(value) * (right - left):.1f}"

    def y(self, value: float) -> str:
        """Return the pixel down of a value."""
        _, top, _, bottom = self.frame
        return f"{bottom - self.up.place(value) * (bottom - top):.1f}"

    def path(self, series: Series) -> str:
        """Return the line through a series, as the ``points`` of a polyline."""
        return " ".join(f"{self.x(a)},{self.y(b)}" for a, b in series.points)

    @property
    def legend(self) -> list[Series]:
        """The series that have a name."""
        return [series for series in self.series if series.name]
