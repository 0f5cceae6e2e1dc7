"""Charts of a cohort and of its evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from statistics import fmean, median

from anomri.reporting.derivatives.sidecar import MULTIPLES, Record, scale_top
from anomri.reporting.formatting import as_number
from anomri.reporting.pages.charts import Axis, Chart, Look, Point, Series

Table = Sequence[Mapping[str, str]]

GROUPS: tuple[tuple[bool | None, str, Look], ...] = (
    (True, "healthy", "truth"),
    (False, "patients", "found"),
    (None, "scans", "accent"),
)
"""Health of the subjects of a group as the data set gives it, its name and its colour."""
NAMED, STRIP, FRAME = 84, 110, 60  # pixels: names beside a strip, its height, what is around all


def cohort_charts(records: Sequence[Record]) -> list[Chart]:
    """Return the distributions over three scans or more and the effect of other thresholds."""
    if len(records) < 3:
        return []
    charts = [
        _strips(records, "Volume found", "ml", lambda record: record.lesion_volume_ml),
        _strips(records, "Highest slice score", "", lambda record: record.highest_slice_score),
    ]
    with_curve = [record for record in records if len(record.volume_above_ml) == len(MULTIPLES)]
    if with_curve:
        charts.append(_calibration(with_curve))
    compared = [record for record in records if record.truth_volume_ml]
    return [*charts, _agreement(compared)] if len(compared) > 1 else charts


def curve_charts(curves: Table) -> list[Chart]:
    """Return precision-recall and ROC curves of an evaluation; none without its curve points."""
    if not curves:
        return []
    rows = sorted(curves, key=lambda row: row["subject"])  # stable: points keep their order
    cases = [list(points) for _, points in groupby(rows, key=lambda row: row["subject"])]
    recall = [_line(case, "sensitivity", "precision") for case in cases]
    roc = [_line(case, "false_positive_rate", "sensitivity") for case in cases]
    about = f"One thin line per scan ({len(cases)}), the thick one their mean at equal sensitivity."
    return [
        Chart(
            "Precision and recall",
            f"{about} Voxels in the brain, every threshold of the map.",
            Axis.share("recall (sensitivity)"),
            Axis.share("precision"),
            (*_thin(recall), Series("mean", _mean(recall, 1), "found", "line")),
        ),
        Chart(
            "ROC",
            f"{about} Lesions are rare, so only small false-positive rates are of use.",
            Axis.share("false-positive rate"),
            Axis.share("sensitivity"),
            (*_thin(roc), Series("mean", _mean(roc, 0), "found", "line")),
        ),
    ]


def _strips(
    records: Sequence[Record], title: str, unit: str, value: Callable[[Record], float]
) -> Chart:
    """Draw one row of dots per group, moved up and down a little so that none hides another."""
    groups = [group for group in GROUPS if any(r.healthy is group[0] for r in records)]
    series, ticks, words = [], [], list[str]()
    for row, (healthy, name, look) in enumerate(reversed(groups)):
        members = [record for record in records if record.healthy is healthy]
        values = [value(record) for record in members]
        dots = tuple((x, row + 0.5 + 0.11 * (number % 5 - 2)) for number, x in enumerate(values))
        series.append(Series("", dots, look, "dots", _scans(members, title, unit, values)))
        ticks.append((row + 0.5, name))
        middle = f"{median(values):.1f} ml" if unit == "ml" else f"{median(values):.2f}"
        words.insert(0, f"{name} ({len(values)}): median {middle}")
    return Chart(
        title,
        f"{'; '.join(words)}.",
        Axis.around(f"{title.lower()} ({unit})" if unit else title.lower(), _coordinates(series)),
        Axis("", 0, len(groups), tuple(ticks)),
        tuple(series),
        left=NAMED,
        height=FRAME + STRIP * len(groups),
    )


def _scans(
    records: Sequence[Record], title: str, unit: str, values: Sequence[float]
) -> tuple[tuple[str, str], ...]:
    """Return label and description of each scan's dot."""
    return tuple(
        (record.label, f"{record.subject}: {title.lower()} {value:.2f} {unit}".rstrip())
        for record, value in zip(records, values, strict=True)
    )


def _calibration(records: Sequence[Record]) -> Chart:
    low, high = MULTIPLES[1], _last_multiple(records[0])
    series = []
    for healthy, name, look in GROUPS:
        rows = [record.volume_above_ml for record in records if record.healthy is healthy]
        if rows:
            middle = [median(column) for column in zip(*rows, strict=True)]
            curve = zip(MULTIPLES, middle, strict=True)
            points = tuple(point for point in curve if low <= point[0] <= high)
            series.append(Series(f"{name} ({len(rows)})", points, look, "line"))
    marks = tuple((mark, f"{mark:g}") for mark in (0.5, 1, 1.5, 2, 2.5, 3) if mark <= high)
    return Chart(
        "Calibration of the threshold",
        "Median volume of the map above other thresholds, before the mask is refined. "
        "A good threshold leaves little in healthy scans and most of it in patients.",
        Axis("multiple of the threshold used", low, high, marks),
        Axis.around("median volume above (ml)", _coordinates(series, 1)),
        tuple(series),
        mark=(1.0, "used"),
    )


def _last_multiple(record: Record) -> float:
    """Return the highest of :data:`MULTIPLES` of the threshold that a map can reach."""
    top = scale_top(record.threshold.value, record.units) or 0.0
    return max((m for m in MULTIPLES if m * record.threshold.value <= top), default=MULTIPLES[-1])


def _agreement(records: Sequence[Record]) -> Chart:
    pairs = [(record.truth_volume_ml or 0.0, record.lesion_volume_ml) for record in records]
    scans = _scans(records, "Volume found", "ml", [found for _, found in pairs])
    volumes = [volume for pair in pairs for volume in pair]
    across, up = (Axis.around(title, volumes) for title in ("expert (ml)", "found (ml)"))
    equal = ((up.low, up.low), (up.high, up.high))
    return Chart(
        "Volume found against the expert's",
        f"{len(pairs)} scans with a lesion; on the grey line both are equal.",
        across,
        up,
        (Series("", equal, "quiet", "thin"), Series("", tuple(pairs), "found", "dots", scans)),
    )


def _line(rows: Table, across: str, up: str) -> tuple[Point, ...]:
    cells = ((as_number(row.get(across, "")), as_number(row.get(up, ""))) for row in rows)
    return tuple((a, b) for a, b in cells if a is not None and b is not None)


def _thin(lines: Iterable[tuple[Point, ...]]) -> list[Series]:
    return [Series("", points, "quiet", "thin") for points in lines]


def _mean(lines: Sequence[tuple[Point, ...]], axis: int) -> tuple[Point, ...]:
    """Average the coordinate ``axis`` at equal sensitivity, which is the other one."""
    points = []
    for step in zip(*lines, strict=False):
        averaged = fmean(point[axis] for point in step)
        points.append((step[0][0], averaged) if axis else (averaged, step[0][1]))
    return tuple(points)


def _coordinates(series: Iterable[Series], axis: int = 0) -> list[float]:
    return [point[axis] for line in series for point in line.points]
