"""The page of one subject: two time points side by side, their lesions and volumes over time."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from scipy import ndimage

from anomri.longitudinal.change import DAYS_PER_YEAR, ChangeClass
from anomri.longitudinal.comparison_figure import comparison_figure
from anomri.longitudinal.evolution import Evolution
from anomri.longitudinal.record import EvolutionRecord
from anomri.reporting import Axis, Chart, Look, Series, niivue, pack, policy, write_html
from anomri.scan import Volume

PACKAGE = "anomri.longitudinal"
CLASS_COLOURS = {
    ChangeClass.NEW: "#ff3b30",
    ChangeClass.ENLARGED: "#ff9f0a",
    ChangeClass.STABLE: "#8e8e93",
    ChangeClass.SHRUNKEN: "#5ac8fa",
    ChangeClass.RESOLVED: "#34c759",
    ChangeClass.MERGED: "#bf5af2",
    ChangeClass.SPLIT: "#ffd60a",
}
"""The numbers of the classes in overlays follow this order, from 1."""
WINDOW = (-4.0, 8.0)  # robust standard deviations of healthy tissue: black and white
SKULL_MM = 4.0  # shown around the brain; faces are not
MAX_CURVES = 12  # lesions with a curve of their own


def write_evolution_page(path: Path, evolution: Evolution, record: EvolutionRecord) -> Path:
    """Write the page of one subject; it opens offline."""
    style, scripts = _assets()
    return write_html(
        path,
        "evolution.html.j2",
        package=PACKAGE,
        style=Markup(style),  # noqa: S704 - our own
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own
        policy=policy(style, scripts, [niivue().source]),
        record=record,
        colours={kind.value: colour for kind, colour in CLASS_COLOURS.items()},
        summary=summary_of(record),
        charts=list(_charts(record)),
        pictures=_pictures(evolution, record),
        volumes=_inert(_volumes(evolution, record)),
    )


def summary_of(record: EvolutionRecord) -> str:
    """Return the counts of the last interval in one sentence, without a full stop."""
    last = record.of_interval(len(record.points))
    counts = Counter(c.kind for c in last if c.change_ml is not None)
    words = [f"{counts[kind]} {kind.value}" for kind in CLASS_COLOURS if counts[kind]]
    before, after = record.points[-2], record.points[-1]
    change = after.lesion_volume_ml - before.lesion_volume_ml
    text = f"{', '.join(words) or 'no lesion'}; {before.lesion_volume_ml:.1f} ml before, "
    text += f"{after.lesion_volume_ml:.1f} ml after"
    if before.days is not None and after.days is not None and after.days > before.days:
        days = after.days - before.days
        text += f", {days} days later ({change / days * DAYS_PER_YEAR:+.1f} ml per year)"
    return text.replace("-", "\N{MINUS SIGN}")


@cache
def _assets() -> tuple[str, list[str]]:
    theirs, ours = (resources.files(name) / "templates" for name in ("anomri.reporting", PACKAGE))
    style = "".join((theirs / name).read_text("utf-8") for name in ("page.css", "charts.css"))
    style += (ours / "evolution.css").read_text("utf-8")
    return style, [
        (theirs / "page.js").read_text("utf-8"),
        (ours / "evolution.js").read_text("utf-8"),
    ]


def _charts(record: EvolutionRecord) -> Iterator[Chart]:
    """Yield the volume of all lesions, and of the largest ones, over time."""
    across, times = _time_axis(record)
    yield _total_chart(record, across, times)
    curves = sorted(_curves(record).values(), key=lambda volumes: -max(volumes))[:MAX_CURVES]
    if curves:
        lines = [_line("", times, volumes, "accent") for volumes in curves]
        highest = Axis.around("ml", [max(volumes) for volumes in curves])
        words = f"One line per lesion; the {len(curves)} largest are shown."
        yield Chart("Volume of each lesion", words, across, highest, tuple(lines))


def _time_axis(record: EvolutionRecord) -> tuple[Axis, list[float]]:
    """Return the axis of time and the place of each time point on it: days if all are known."""
    if all(point.days is not None for point in record.points):
        times = [float(point.days or 0) for point in record.points]
        return Axis.around("days since the first scan", times), times
    times = [float(point.number) for point in record.points]
    ticks = tuple((time, f"{time:g}") for time in times)
    return Axis("time point", times[0], times[-1], ticks), times


def _total_chart(record: EvolutionRecord, across: Axis, times: Sequence[float]) -> Chart:
    """Return the volume of all lesions, with its range where every time point has one."""
    total = [point.lesion_volume_ml for point in record.points]
    ranges = [point.lesion_volume_range_ml for point in record.points]
    known = [ends for ends in ranges if ends]
    series = [_line("all lesions", times, total, "found")]
    series.append(replace(series[0], name="", drawn="dots"))
    words, top = "", total
    if len(known) == len(times):
        words = "Thin lines: threshold a fifth lower and higher."
        least, most = zip(*known, strict=True)
        lines = [_line("range", times, least, "quiet"), _line("", times, most, "quiet")]
        series += [replace(line, drawn="thin") for line in lines]
        top = [*total, *most]
    upwards = Axis.around("ml", top)
    return Chart("Volume of all lesions", words, across, upwards, tuple(series))


def _line(name: str, times: Sequence[float], volumes: Sequence[float], look: Look) -> Series:
    return Series(name, tuple(zip(times, volumes, strict=True)), look, "line")


def _curves(record: EvolutionRecord) -> dict[int, list[float]]:
    """Return the volume of each lesion at each time point, 0 where it was not found."""
    curves: dict[int, list[float]] = {}
    for change in record.changes:
        curve = curves.setdefault(change.identity, [0.0] * len(record.points))
        curve[change.to_point - 2] = change.before.ml if change.before else 0.0
        curve[change.to_point - 1] = change.after.ml if change.after else 0.0
    return curves


def class_overlay(
    evolution: Evolution, record: EvolutionRecord, number: int, to_point: int
) -> NDArray[np.uint8]:
    """Return the classes of an interval where lesions are at one of its time points.

    Args:
        evolution: the lesions.
        record: of the same.
        number: index of the time point, from 0.
        to_point: the interval's later time point, from 2.
    """
    identities = evolution.identities[number]
    codes = np.zeros(max((c.identity for c in record.changes), default=0) + 1, np.uint8)
    order = list(CLASS_COLOURS)
    for change in record.of_interval(to_point):
        codes[change.identity] = order.index(change.kind) + 1
    overlay: NDArray[np.uint8] = codes[identities]
    return overlay


def _volumes(evolution: Evolution, record: EvolutionRecord) -> dict[str, Any]:
    """Return what the viewer shows: images by time point, and two overlays by interval."""
    grid = evolution.halfway.grid
    shown = shown_region(evolution)
    images = [pack(_levels(np.where(shown, image, WINDOW[0]))) for image in evolution.images]
    overlays = [
        [pack(class_overlay(evolution, record, n - offset, n + 1)) for offset in (1, 0)]
        for n in range(1, len(evolution.points))
    ]
    return {
        "shape": list(grid.shape),
        "spacing": [float(mm) for mm in grid.spacing],
        "affine": [float(value) for value in grid.affine.ravel()],
        "images": images,
        "overlays": overlays,
        "colours": list(CLASS_COLOURS.values()),
    }


def shown_region(evolution: Evolution) -> NDArray[np.bool_]:
    """Return the brain of any time point and a little around it: no face is on a page."""
    mm = evolution.halfway.grid.spacing[0]
    brain = np.logical_or.reduce(evolution.brains)
    return np.asarray(ndimage.distance_transform_edt(~brain, sampling=mm) <= SKULL_MM)


def _levels(image: Volume) -> NDArray[np.uint8]:
    low, high = WINDOW
    levels: NDArray[np.uint8] = np.rint(255 * np.clip((image - low) / (high - low), 0, 1)).astype(
        np.uint8
    )
    return levels


def _pictures(evolution: Evolution, record: EvolutionRecord) -> list[str]:
    shown = shown_region(evolution)
    return [
        base64.b64encode(
            comparison_figure(
                evolution,
                n,
                [class_overlay(evolution, record, n - offset, n + 1) for offset in (1, 0)],
                shown,
                (list(CLASS_COLOURS.values()), WINDOW),
            )
        ).decode("ascii")
        for n in range(1, len(evolution.points))
    ]


def _inert(value: dict[str, Any]) -> Markup:
    """Write JSON that cannot end the script element it lies in."""
    return Markup(json.dumps(value).replace("<", "\\u003c"))  # noqa: S704
