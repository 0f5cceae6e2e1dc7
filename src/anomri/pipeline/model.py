"""The model's side of the path: scans are prepared, a network learns, thresholds are fitted."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anomri.datasets import Found
from anomri.detector import RECIPE, THRESHOLDS, load, load_thresholds
from anomri.pipeline.batch import Outcome, Track, each, untracked
from anomri.postprocessing import ThresholdFits
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe
from anomri.reporting import write_failures
from anomri.scan import Threshold
from anomri.training import train as fit


def prepare(found: Found, out: Path, *, recipe: Recipe, track: Track = untracked) -> Outcome:
    """Read, orient, crop, resample and scale every scan into ``out``, once."""
    prepared = PreparedFolder(out, recipe.preparation, recipe.contrasts)

    outcome = each(found.scans, prepared.add, track, "preparing")
    write_failures(out, outcome.failures)
    return outcome


def train(recipe: Recipe, data: Path, run: Path, **machine: Any) -> Path:
    """Train the recipe's model on prepared scans; see :func:`anomri.training.train`."""
    return fit(recipe, PreparedFolder.open(data), run, **machine)


def calibrate(
    model: str | Path,
    data: Path,
    run: Path,
    *,
    false_positive_ml: float = 5.0,
    device: str = "auto",
    track: Track = untracked,
) -> dict[str, Threshold]:
    """Fit the model's thresholds on prepared scans and keep them in the run folder.

    ``healthy`` needs tissue without lesions (healthy scans, or what lies outside the truth of the
    others); ``labelled`` needs truth and is fitted only where there is some.
    """
    detector = load(model, device=device)
    prepared = PreparedFolder.open(data)
    rule = detector.recipe.detection.threshold
    candidates: Any = rule.options.get("candidates", ()) if rule.name == "labelled" else ()
    fits = ThresholdFits(false_positive_ml=false_positive_ml, candidates=candidates)
    for label in track(prepared.labels(), "calibrating"):
        fits.add(detector.score(prepared.load(label)))
    fitted = load_thresholds(run) | fits.thresholds()
    run.mkdir(parents=True, exist_ok=True)
    if not (run / RECIPE).exists():
        (run / RECIPE).write_text(detector.recipe.to_yaml(), encoding="utf-8")
    entries = {rule: asdict(threshold) for rule, threshold in fitted.items()}
    (run / THRESHOLDS).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    return fitted
