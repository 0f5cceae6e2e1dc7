"""Which charts a page shows, made of what sidecars and tables say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median

from anomri.reporting.derivatives.sidecar import MULTIPLES, Record, scale_top
from anomri.reporting.formatting import as_number, capitalise, heading
from anomri.reporting.pages.charts import Axis, Chart, Look, Point, Series

Table = Sequence[Mapping[str, str]]

GROUPS: tuple[tuple[bool | None, str, Look], ...] = (
    (True, "healthy", "truth"),
    (False, "patients", "found"),
    (None, "scans", "accent"),
)
"""What the data set says of a subject, what it is called and how it is drawn."""
NAMED, STRIP, FRAME = 84, 110, 60  # pixels: names beside a strip, its height, what is around all


def cohort_charts(records: Sequence[Record]) -> list[Chart]:
    """Return the distributions over the scans and the cost of other thresholds; fewer for two."""
    if len(records) < 3:
        return []
    charts = [
        _strips(records, "Volume found", "ml", lambda record: record.lesion_volume_ml),
        _strips(records, "Highest slice score", "", lambda record: record.highest_slice_score),
    ]
    with_curve = [record for record in records if len(record.volume_above_ml) == len(MULTIPLES)]
    if with_curve:
        charts.append(_calibration(with_curve))
    pairs = [(r.truth_volume_ml, r.lesion_volume_ml) for r in records if r.truth_volume_ml]
    return [*charts, _agreement(pairs)] if len(pairs) > 1 else charts


def curve_charts(curves: Table) -> list[Chart]:
    """Return precision-recall and ROC curves of an evaluation; none without its curve points."""
    cases: dict[str, list[Mapping[str, str]]] = {}
    for row in curves:
        cases.setdefault(row["subject"], []).append(row)
    if not cases:
        return []
    recall = [_line(rows, "sensitivity", "precision") for rows in cases.values()]
    roc = [_line(rows, "false_positive_rate", "sensitivity") for rows in cases.values()]
    many = f"One thin line per scan ({len(cases)}), the thick one their mean at equal sensitivity."
    return [
        Chart(
            "Precision and recall",
            f"{many} Voxels in the brain, every threshold of the map.",
            Axis.share("recall (sensitivity)"),
            Axis.share("precision"),
            (*_thin(recall), Series("mean", _mean(recall, 1), "found", "line")),
        ),
        Chart(
            "ROC",
            f"{many} Lesions are rare, so small false-positive rates are what counts.",
            Axis.share("false-positive rate"),
            Axis.share("sensitivity"),
            (*_thin(roc), Series("mean", _mean(roc, 0), "found", "line")),
        ),
    ]


def learning_charts(metrics: Table) -> list[Chart]:
    """Return one chart per part of the loss, training and validation over epochs."""
    names = [name.removeprefix("train_") for name in (metrics[0] if metrics else {})]
    parts = [name for name in names if f"train_{name}" in metrics[0]] if metrics else []
    return [_learning(metrics, part) for part in sorted(parts, key=lambda part: part != "loss")]


def _strips(
    records: Sequence[Record], title: str, unit: str, value: Callable[[Record], float]
) -> Chart:
    """Draw one row of dots per group, moved up and down a little so that none hides another."""
    there = [group for group in GROUPS if any(r.healthy is group[0] for r in records)]
    series, ticks, words = [], [], []
    for row, (healthy, name, look) in enumerate(reversed(there)):
        values = [value(record) for record in records if record.healthy is healthy]
        dots = tuple((x, row + 0.5 + 0.11 * (number % 5 - 2)) for number, x in enumerate(values))
        series.append(Series("", dots, look, "dots"))
        ticks.append((row + 0.5, name))
        middle = f"{median(values):.1f} ml" if unit == "ml" else f"{median(values):.2f}"
        words.append(f"{name} ({len(values)}): median {middle}")
    across = Axis.around(f"{title.lower()}{f' ({unit})' if unit else ''}", _all_x(series))
    up = Axis("", 0, len(there), tuple(ticks))
    words_of_all = "; ".join(reversed(words)) + "."
    height = FRAME + STRIP * len(there)
    return Chart(title, words_of_all, across, up, tuple(series), left=NAMED, height=height)


def _calibration(records: Sequence[Record]) -> Chart:
    series = []
    for healthy, name, look in GROUPS:
        rows = [record.volume_above_ml for record in records if record.healthy is healthy]
        if rows:
            middle = [median(column) for column in zip(*rows, strict=True)]
            points = tuple(zip(MULTIPLES, middle, strict=True))
            series.append(Series(f"{name} ({len(rows)})", points, look, "line"))
    words = (
        "Median volume of the map above other thresholds, before the mask is refined. "
        "A good threshold leaves little in healthy scans and most of it in patients."
    )
    ends = MULTIPLES[1], _last_multiple(records)
    shown = tuple(_between(line, *ends) for line in series)
    marks = tuple((mark, f"{mark:g}") for mark in (0.5, 1, 1.5, 2, 2.5, 3) if mark <= ends[1])
    return Chart(
        "Calibration of the threshold",
        words,
        Axis("multiple of the threshold used", *ends, marks),
        Axis.around("median volume above (ml)", [ml for line in shown for _, ml in line.points]),
        shown,
        mark=(1.0, "used"),
    )


def _last_multiple(records: Sequence[Record]) -> float:
    """Return the highest multiple of the threshold that a map can reach, of :data:`MULTIPLES`."""
    record = records[0]
    top = scale_top(record.threshold.value, record.units) or 0.0
    return max((m for m in MULTIPLES if m * record.threshold.value <= top), default=MULTIPLES[-1])


def _agreement(pairs: Sequence[Point]) -> Chart:
    axis = Axis.around("", [volume for pair in pairs for volume in pair])
    across, up = (
        Axis(title, axis.low, axis.high, axis.ticks) for title in ("expert (ml)", "found (ml)")
    )
    equal = ((axis.low, axis.low), (axis.high, axis.high))
    return Chart(
        "Volume found against the expert's",
        f"{len(pairs)} scans with a lesion; on the grey line both are equal.",
        across,
        up,
        (
            Series("", equal, "quiet", "thin"),
            Series("", tuple((float(a), float(b)) for a, b in pairs), "found", "dots"),
        ),
    )


def _learning(metrics: Table, part: str) -> Chart:
    looks: tuple[tuple[str, str, Look], ...] = (
        ("train", "training", "truth"),
        ("val", "validation", "found"),
    )
    series = tuple(
        _curve(name, _line(metrics, "epoch", f"{split}_{part}"), look)
        for split, name, look in looks
        if f"{split}_{part}" in metrics[0]
    )
    heights = [point[1] for line in series for point in line.points] or [0.0]
    last = "; ".join(f"{line.name} {line.points[-1][1]:.4g}" for line in series if line.points)
    epochs = Axis.around("epoch", [1.0, *_all_x(series)])
    return Chart(
        capitalise(heading(part)),
        f"Last epoch: {last}.",
        epochs,
        Axis.around(heading(part), heights),
        series,
    )


def _curve(name: str, points: tuple[Point, ...], look: Look) -> Series:
    """Return a line; a dot where there is one point alone, of which no line can be drawn."""
    return Series(name, points, look, "line" if len(points) > 1 else "dots")


def _line(rows: Table, across: str, up: str) -> tuple[Point, ...]:
    cells = ((as_number(row.get(across, "")), as_number(row.get(up, ""))) for row in rows)
    return tuple((a, b) for a, b in cells if a is not None and b is not None)


def _thin(lines: Iterable[tuple[Point, ...]]) -> list[Series]:
    return [Series("", points, "quiet", "thin") for points in lines]


def _mean(lines: Sequence[tuple[Point, ...]], axis: int) -> tuple[Point, ...]:
    """Average the coordinate that is not the sensitivity, at equal sensitivity."""
    points = []
    for step in zip(*lines, strict=False):
        averaged = fmean(point[axis] for point in step)
        points.append((step[0][0], averaged) if axis else (averaged, step[0][1]))
    return tuple(points)


def _between(series: Series, first: float, last: float) -> Series:
    points = tuple(point for point in series.points if first <= point[0] <= last)
    return Series(series.name, points, series.look, series.drawn)


def _all_x(series: Iterable[Series]) -> list[float]:
    return [point[0] for line in series for point in line.points]
