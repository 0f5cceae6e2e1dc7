"""Layout and drawing of a scan's picture.

Matplotlib writes and draws outlines over the panels without axes, in pixels from the upper left
corner. All panels share one scale in pixels per mm: thick slices keep their true proportions.
"""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from PIL import Image as Picture
from skimage.measure import find_contours

from anomri.reporting.figures.panels import Row, rows_of
from anomri.reporting.figures.region_colours import REGION_NAMES, paint
from anomri.reporting.figures.slice_choice import EDGES, Slice, box_around, choose
from anomri.scan import Detection

Extent = tuple[int, int, int, int]
Pixels = NDArray[np.uint8]  # (down, across, RGBA)

FOUND = "#ffa62b"  # orange and sky blue: told apart with every kind of colour vision
TRUTH = "#56b4e9"
PAPER = "#000000"
INK = "#e9eaec"
QUIET = "#9aa0a6"
# The greys end below white, so that outlines stay visible on the brightest tissue.
GREYS = ListedColormap(np.linspace((0, 0, 0), (0.95, 0.95, 0.95), 120), name="greys")
HEAT = colormaps["magma"]
DPI = 100
WIDTH = 1500  # pixels
LEFT, RIGHT, HEAD, FOOT, GAP = 46, 146, 68, 52, 6  # pixels around and between the panels
LOW = 0.25  # of the colour bar: a mark below it stands close to that of 0
WRAP = 24  # letters of a unit beside its colour bar, per line


class Mosaic:
    """The picture of one detection."""

    def __init__(self, detection: Detection) -> None:
        scan = detection.anomaly.scan
        self.detection = detection
        self.scan = scan
        self.truth = scan.lesions
        interest = detection.mask if self.truth is None else detection.mask | self.truth
        self.box = box_around(scan.brain, scan.grid.spacing)
        self.slices = choose(interest, scan.brain, scan.grid)
        self.rows = rows_of(detection)
        sizes = [cut.size_mm(self.box) for cut in self.slices]
        room = WIDTH - LEFT - RIGHT - GAP * (len(sizes) - 1)
        self.scale = room / sum(width for width, _ in sizes)  # pixels per mm
        self.row_height = round(max(height for _, height in sizes) * self.scale)
        self.place = Affine2D().scale(1, -1).translate(0, self.height)  # Matplotlib counts upwards

    @property
    def height(self) -> int:
        """Height of the whole picture in pixels."""
        return HEAD + FOOT + len(self.rows) * self.row_height + GAP * (len(self.rows) - 1)

    def top(self, row: int) -> int:
        """Upper edge of a row in pixels from the top of the picture."""
        return HEAD + row * (self.row_height + GAP)

    def extent(self, row: int, column: int) -> Extent:
        """Left, right, bottom and top of a panel, centred in its row, in pixels."""
        before = sum(cut.size_mm(self.box)[0] for cut in self.slices[:column])
        width, height = (side * self.scale for side in self.slices[column].size_mm(self.box))
        left = round(LEFT + before * self.scale + column * GAP)
        top = self.top(row) + (self.row_height - round(height)) // 2
        return left, left + round(width), top + round(height), top

    def draw(self) -> Pixels:
        """Return the pixels of the whole picture.

        Matplotlib draws over those of the panels; as an image of its figure it would resample them.
        """
        renderer: Any = RendererAgg(WIDTH, self.height, DPI)  # type: ignore[no-untyped-call]
        pixels = np.asarray(renderer.buffer_rgba())
        self._fill(pixels)
        self._annotations().draw(renderer)
        return pixels

    def _annotations(self) -> Figure:
        """Return titles, outlines, marks of the colour bars and legend, without a background."""
        figure = Figure(figsize=(WIDTH / DPI, self.height / DPI), dpi=DPI, frameon=False)
        for number, row in enumerate(self.rows):
            self._draw_row(figure, number, row)
        for draw in (self._draw_outlines, self._draw_headings, self._draw_legend):
            draw(figure)
        return figure

    def _fill(self, pixels: Pixels) -> None:
        """Fill in all slices and colour bars, on black."""
        pixels[:] = 0
        pixels[..., 3] = 255
        for number, row in enumerate(self.rows):
            for column, cut in enumerate(self.slices):
                left, right, bottom, top = self.extent(number, column)
                panel = self._panel(row, cut, (right - left, bottom - top))
                pixels[top:bottom, left:right] = panel
            if row.kind == "anomaly":
                left, right, bottom, top = self._bar(number)
                pixels[top:bottom, left:right] = HEAT(
                    np.linspace(1, 0, bottom - top)[:, None], bytes=True
                )

    def _panel(self, row: Row, cut: Slice, size: tuple[int, int]) -> Pixels:
        """Return a slice in colours, with its regions over it; size is (across, down)."""
        plane = np.ascontiguousarray(cut.cut(row.volume, self.box), np.float32)
        values = np.asarray(Picture.fromarray(plane).resize(size, Picture.Resampling.HAMMING))
        colours = HEAT if row.kind == "anomaly" else GREYS
        panel: Pixels = colours((values - row.low) / (row.high - row.low), bytes=True)
        if row.kind == "regions" and self.detection.regions is not None:
            labels = np.ascontiguousarray(cut.cut(self.detection.regions, self.box), np.uint8)
            shown = np.asarray(Picture.fromarray(labels).resize(size, 0))
            panel[..., :3] = paint(panel[..., :3], shown)
        return panel

    def _bar(self, number: int) -> Extent:
        """Return the place of a row's colour bar."""
        top, left = self.top(number) + 14, WIDTH - RIGHT + 12
        return left, left + 12, top + self.row_height - 28, top

    def _draw_row(self, figure: Figure, number: int, row: Row) -> None:
        if row.kind == "anomaly":
            self._draw_colour_bar(figure, number, row)
        middle = self.top(number) + self.row_height / 2
        self._write(figure, LEFT / 2, middle, row.title, rotation=90, size=13, ma="center")

    def _draw_outlines(self, figure: Figure) -> None:
        rows = [number for number, row in enumerate(self.rows) if row.kind == "outlines"]
        for mask, colour in ((self.truth, TRUTH), (self.detection.mask, FOUND)):
            if mask is None:
                continue
            lines = [
                line
                for number in rows
                for column, cut in enumerate(self.slices)
                for line in contours(cut.cut(mask, self.box), self.extent(number, column))
            ]
            for edge, width, alpha in ((PAPER, 2.4, 0.6), (colour, 1.25, None)):
                style: dict[str, Any] = {"colors": edge, "linewidths": width, "alpha": alpha}
                figure.add_artist(LineCollection(lines, transform=self.place, **style))

    def _draw_headings(self, figure: Figure) -> None:
        self._write(figure, LEFT, 20, self.scan.label, ha="left", size=15, weight="bold")
        self._write(figure, WIDTH - 12, 20, "Research use only", ha="right", size=12, color=QUIET)
        for column, cut in enumerate(self.slices):
            left, right, _, top = self.extent(0, column)
            self._write(figure, (left + right) / 2, HEAD - 14, cut.title, size=11.5, color=QUIET)
            for x, letter in zip((left + 8, right - 8), EDGES[cut.axis], strict=True):
                self._write(figure, x, top + 12, letter, size=12, weight="bold")

    def _draw_colour_bar(self, figure: Figure, number: int, row: Row) -> None:
        left, right, bottom, top = self._bar(number)
        for value in sorted({row.low, row.cut, row.high}):
            share = (value - row.low) / (row.high - row.low)
            if not 0 <= share <= 1:
                continue
            y = bottom - share * (bottom - top)
            self._line(figure, right, right + 5, y, color=INK, linewidth=0.8)
            text, off = f"{value:.3g}", 0
            if value == row.cut:  # its name goes where no other mark stands
                text, off = (f"{text}\nthreshold", 8) if share > LOW else (f"threshold\n{text}", -8)
            self._write(figure, left + 21, y + off, text, ha="left", size=10.5)
        unit = fill(self.detection.units, WRAP)
        self._write(figure, WIDTH - 16, (top + bottom) / 2, unit, rotation=90, size=10, color=QUIET)

    def _draw_legend(self, figure: Figure) -> None:
        y = self.height - FOOT / 2
        masks = [(FOUND, "found", self.detection.mask)]
        if self.truth is not None:
            masks.append((TRUTH, "expert", self.truth))
        if (regions := self.detection.regions) is not None:
            masks += [(colour, short, regions == k) for k, _, short, colour in REGION_NAMES]
        for number, (colour, name, mask) in enumerate(masks):
            x = LEFT + number * 195
            volume_ml = np.count_nonzero(mask) * self.scan.grid.voxel_ml
            self._line(figure, x, x + 22, y, color=colour, linewidth=2)
            self._write(figure, x + 30, y, f"{name}: {volume_ml:.1f} ml", ha="left", size=12)
        convention = "Radiological convention: R is the patient's right"
        self._write(figure, WIDTH - 12, y, convention, ha="right", size=11.5, color=QUIET)

    def _write(self, figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
        """Write plain text at a pixel; names are never read as formulas."""
        style = {"ha": "center", "va": "center", "color": INK, **style}
        figure.text(x, y, text, parse_math=False, transform=self.place, **style)

    def _line(self, figure: Figure, left: float, right: float, y: float, **style: Any) -> None:
        figure.add_artist(Line2D((left, right), (y, y), transform=self.place, **style))


def contours(plane: NDArray[np.bool_], extent: Extent) -> list[NDArray[np.float64]]:
    """Return the closed outlines (N, 2) of a displayed mask (down, across) in a panel's extent."""
    left, right, bottom, top = extent
    step = np.array([(bottom - top) / plane.shape[0], (right - left) / plane.shape[1]])
    # One ring of nothing closes the outlines at the edge; a voxel's centre lies half a step in.
    lines = find_contours(np.pad(plane, 1).astype(np.float32), 0.5)
    return [((line - 0.5) * step + (top, left))[:, ::-1] for line in lines]
