"""What the page of a run folder says: learning curves, settings and fitted thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from anomri.files import (
    ENVIRONMENT,
    METRICS,
    NOTHING,
    RECIPE,
    THRESHOLDS,
    TOGETHER,
    parse_yaml,
    read_json,
    read_text,
    read_thresholds,
    read_thresholds_by_part,
    read_tsv,
)
from anomri.reporting.formatting import as_number, number, sentence
from anomri.reporting.pages.cohort_charts import learning_charts
from anomri.reporting.pages.results_contents import Tile
from anomri.scan import Threshold

VALIDATION = "val_loss"


def run_contents(run: Path) -> dict[str, Any]:
    """Gather everything that the page of a run folder shows.

    Args:
        run: written by ``anomri train`` or ``anomri calibrate``; models that work together have
            a folder each in it.
    """
    metrics = read_tsv(run / METRICS)
    environment = _environment(run / ENVIRONMENT)
    texts = {home.name: read_text(home) for home in sorted(run.glob(RECIPE))}
    parts = {home.parent.name: read_text(home) for home in sorted(run.glob(f"*/{RECIPE}"))}
    thresholds = [_threshold(entry) for entry in read_thresholds(run / THRESHOLDS).values()]
    return {
        "name": run.resolve().name,
        "doing": "Training" if metrics else "Calibration",
        "tiles": _tiles(metrics, environment),
        "facts": _facts(environment),
        "charts": learning_charts(metrics) if metrics else [],
        "thresholds": thresholds + _thresholds_together(run),
        "lead": " ".join(_lead(text) for text in (texts or parts).values()),
        "recipes": texts or parts,
    }


def _thresholds_together(run: Path) -> list[dict[str, str]]:
    """Return what was fitted to models that work together: a line each, and their part."""
    return [
        {"part": part, **_threshold(entry)}
        for part, by_rule in read_thresholds_by_part(run / TOGETHER).items()
        for entry in by_rule.values()
    ]


def _tiles(metrics: list[dict[str, str]], environment: Mapping[str, Any]) -> list[Tile]:
    losses = [as_number(row.get(VALIDATION, "")) for row in metrics]
    known = [loss for loss in losses if loss is not None]
    tiles = [Tile(str(len(metrics)), "", _many(len(metrics), "epoch"))] if metrics else []
    if known:
        best = min(known)
        tiles.append(Tile(number(best), "", f"best validation loss, epoch {losses.index(best)}"))
    for split, subjects in environment.get("subjects", {}).items():
        tiles.append(Tile(str(len(subjects)), "", _many(len(subjects), f"{_spelt(split)} subject")))
    for split, slices in environment.get("slices", {}).items():
        tiles.append(Tile(str(slices), "", _many(slices, f"{_spelt(split)} slice")))
    return tiles


def _lead(recipe: str) -> str:
    """Say what was learnt, in the recipe's own words."""
    try:
        told = parse_yaml(recipe)
    except yaml.YAMLError:
        told = None
    if not isinstance(told, dict) or not told.get("about"):
        return "How the model was learnt."
    return sentence(f"Recipe {told.get('name', 'unnamed')}: {told['about']}")


def _many(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _spelt(split: str) -> str:
    return "training" if split == "train" else split


def _facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the versions and the seed; names of subjects stay in the run folder."""
    plain = {key: value for key, value in environment.items() if isinstance(value, str | int)}
    return [(key, str(value)) for key, value in plain.items()]


def _threshold(held: Threshold) -> dict[str, str]:
    expected = held.false_positive_ml
    return {
        "rule": held.rule,
        "value": f"{held.value:.4g}",
        "scans_fitted_on": str(len(held.fitted_on)),
        "expected_false_positive_ml": NOTHING if expected is None else str(expected),
        **_marked({} if held.marked is None else asdict(held.marked)),
    }


def _marked(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return what was marked on healthy scans that had no part in the threshold."""
    names = {"median_ml": "marked_median_ml", "mean_ml": "marked_mean_ml"}
    names |= {"upper_ml": "marked_95th_percentile_ml", "scans": "healthy_scans"}
    return {words: str(entry.get(name, NOTHING)) for name, words in names.items()}


class _Environment(BaseModel):
    """What a page tells of ``environment.json``."""

    model_config = ConfigDict(extra="allow")

    subjects: dict[str, list[str]] = {}
    slices: dict[str, int] = {}


def _environment(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return read_json(path, _Environment, what="how a model was trained").model_dump()
