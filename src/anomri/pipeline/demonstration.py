"""The whole path at once, on digital phantoms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from anomri.batch import Progress, no_progress
from anomri.detector import load
from anomri.pipeline.detection import detect
from anomri.pipeline.evaluation import evaluate
from anomri.pipeline.model import calibrate, prepare, train
from anomri.pipeline.reports import report
from anomri.pipeline.scan_selection import find_scans
from anomri.recipe import Recipe
from anomri.synthesis import make_phantoms

DEMO_HEALTHY, DEMO_GLIOMAS, DEMO_LESIONS = 18, 4, 2
# Of the healthy: the first learn, the next set the threshold, the rest are looked at.
DEMO_TRAINED, DEMO_CALIBRATED = 12, 16


def demo(out: Path, *, device: str = "auto", progress: Progress = no_progress) -> Path:
    """Run the whole path on digital phantoms, and return the page.

    Twelve healthy phantoms teach the model, four more set its threshold; the rest, healthy and
    diseased, are looked at.
    """
    recipe = Recipe.load("demo")
    cohort = make_phantoms(
        out / "phantoms", healthy=DEMO_HEALTHY, gliomas=DEMO_GLIOMAS, lesions=DEMO_LESIONS
    )
    found = find_scans(cohort, layout="phantom")
    healthy = tuple(files for files in found.scans if files.healthy)
    seen = {
        "prepared": healthy[:DEMO_TRAINED],
        "calibration": healthy[DEMO_TRAINED:DEMO_CALIBRATED],
    }
    for name, scans in seen.items():
        prepare(replace(found, scans=scans), out / name, recipe=recipe, progress=progress)
    run = train(recipe, out / "prepared", out / "run", device=device)
    calibrate(run, out / "calibration", run, device=device, progress=progress)
    used = [files for scans in seen.values() for files in scans]
    unseen = replace(found, scans=tuple(files for files in found.scans if files not in used))
    results = out / "results"
    detect(unseen, load(run, device=device), results, progress=progress, command=("anomri", "demo"))
    evaluate(results, unseen, results, progress=progress)
    return report(results)
