"""The page of a run folder: learning curves, settings and fitted thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from anomri.files import (
    ENVIRONMENT,
    MAP_THRESHOLDS,
    METRICS,
    NOTHING,
    RECIPE,
    REPORT,
    THRESHOLDS,
    TOGETHER,
    parse_yaml,
    read_json,
    read_text,
    read_thresholds,
    read_thresholds_by_part,
    read_tsv,
)
from anomri.reporting import (
    Axis,
    Chart,
    Look,
    Series,
    Tile,
    as_number,
    capitalise,
    heading,
    noun,
    number,
    sentence,
    write_html,
)
from anomri.scan import Threshold

RUN_FILES = (METRICS, THRESHOLDS, MAP_THRESHOLDS, TOGETHER)
"""A folder with one of these is a run folder."""
VALIDATION = "val_loss"
SPLITS: tuple[tuple[str, str, Look], ...] = (
    ("train", "training", "truth"),
    ("val", "validation", "found"),
)
"""Prefix of a split's columns, its name and its colour."""


def write_run_page(run: Path) -> Path | None:
    """Write ``report.html`` of a run folder; None where a folder is none.

    Args:
        run: written by ``anomri train`` or ``anomri calibrate``; models that work together have
            a folder each in it.
    """
    if not any((run / file).is_file() for file in RUN_FILES):
        return None
    return write_html(run / REPORT, "run.html.j2", package="anomri.pipeline", **_contents(run))


def learning_charts(metrics: Sequence[Mapping[str, str]]) -> list[Chart]:
    """Return one chart per part of the loss, training and validation over epochs."""
    columns = metrics[0] if metrics else {}
    parts = [name.removeprefix("train_") for name in columns if name.startswith("train_")]
    return [_chart(metrics, part) for part in sorted(parts, key=lambda part: part != "loss")]


def _chart(metrics: Sequence[Mapping[str, str]], part: str) -> Chart:
    series = []
    for split, label, look in SPLITS:
        names = "epoch", f"{split}_{part}"
        cells = ([as_number(row.get(name, "")) for name in names] for row in metrics)
        curve = tuple((x, y) for x, y in cells if x is not None and y is not None)
        if curve:  # of one point no line can be drawn
            series.append(Series(label, curve, look, "line" if len(curve) > 1 else "dots"))
    points = [point for line in series for point in line.points] or [(0.0, 0.0)]
    epochs, values = zip(*points, strict=True)
    last = "; ".join(f"{line.name} {line.points[-1][1]:.4g}" for line in series)
    return Chart(
        capitalise(heading(part)),
        f"Last epoch: {last}.",
        Axis.around("epoch", [1.0, *epochs]),
        Axis.around(heading(part), values),
        tuple(series),
    )


def _contents(run: Path) -> dict[str, Any]:
    """Return everything that the page shows."""
    metrics = read_tsv(run / METRICS)
    environment = _environment(run / ENVIRONMENT)
    recipes = {file.name: read_text(file) for file in run.glob(RECIPE)} | {
        file.parent.name: read_text(file) for file in sorted(run.glob(f"*/{RECIPE}"))
    }
    thresholds = [("", entry) for entry in read_thresholds(run / THRESHOLDS).values()]
    # A run folder of version 0.1 that was calibrated again has both; the new file is used.
    by_map = read_thresholds_by_part(run / MAP_THRESHOLDS)
    for name, by_rule in (by_map or read_thresholds_by_part(run / TOGETHER)).items():
        thresholds += [(name, entry) for entry in by_rule.values()]
    return {
        "name": run.resolve().name,
        "doing": "Training" if metrics else "Calibration",
        "tiles": _tiles(metrics, environment),
        "facts": _facts(environment),
        "charts": learning_charts(metrics),
        "thresholds": [_threshold_row(part, entry) for part, entry in thresholds],
        "lead": " ".join(_lead(text) for text in recipes.values()),
        "recipes": recipes,
    }


def _tiles(metrics: list[dict[str, str]], environment: Mapping[str, Any]) -> list[Tile]:
    losses = [as_number(row.get(VALIDATION, "")) for row in metrics]
    known = [loss for loss in losses if loss is not None]
    tiles = [Tile(str(len(metrics)), "", noun(len(metrics), "epoch"))] if metrics else []
    if known:
        best = min(known)
        tiles.append(Tile(number(best), "", f"best validation loss, epoch {losses.index(best)}"))
    subjects = {split: len(names) for split, names in environment.get("subjects", {}).items()}
    for counts, unit in ((subjects, "subject"), (environment.get("slices", {}), "slice")):
        for split, count in counts.items():
            name = "training" if split == "train" else split
            tiles.append(Tile(str(count), "", noun(count, f"{name} {unit}")))
    return tiles


def _lead(recipe: str) -> str:
    """Describe the model in the words of its recipe."""
    try:
        fields = parse_yaml(recipe)
    except yaml.YAMLError:
        fields = None
    if not isinstance(fields, dict) or not fields.get("about"):
        return "How the model was trained."
    return sentence(f"Recipe {fields.get('name', 'unnamed')}: {fields['about']}")


def _facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the versions and the seed; names of subjects stay in the run folder."""
    return [(key, str(value)) for key, value in environment.items() if isinstance(value, str | int)]


def _threshold_row(part: str, threshold: Threshold) -> dict[str, str]:
    """Return a row of the table of thresholds; ``part`` is a model of several."""
    expected, measured = threshold.false_positive_ml, threshold.false_positives
    return {
        **({"part": part} if part else {}),
        "rule": threshold.rule,
        "value": f"{threshold.value:.4g}",
        "scans_fitted_on": str(len(threshold.fitted_on)),
        "expected_false_positive_ml": NOTHING if expected is None else str(expected),
        "marked_median_ml": str(measured.median_ml) if measured else NOTHING,
        "marked_mean_ml": str(measured.mean_ml) if measured else NOTHING,
        "marked_95th_percentile_ml": str(measured.upper_ml) if measured else NOTHING,
        "healthy_scans": str(measured.scans) if measured else NOTHING,
    }


class _Environment(BaseModel):
    """The fields of ``environment.json`` that the page shows."""

    model_config = ConfigDict(extra="allow")

    subjects: dict[str, list[str]] = {}
    slices: dict[str, int] = {}


def _environment(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return read_json(path, _Environment, what="how a model was trained").model_dump()
