"""Demonstration: the whole pipeline on digital phantoms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from anomri.batch import Execution, Progress, no_progress
from anomri.detector import load
from anomri.files import remove_stale_drafts
from anomri.pipeline.calibration import calibrate
from anomri.pipeline.detection import detect
from anomri.pipeline.evaluation import evaluate
from anomri.pipeline.preparation import prepare
from anomri.pipeline.reports import report
from anomri.pipeline.scan_selection import find_scans
from anomri.pipeline.training import require_training, train
from anomri.recipe import Recipe
from anomri.synthesis import make_phantoms

DEMO_HEALTHY, DEMO_GLIOMAS, DEMO_LESIONS = 18, 4, 2
# Of the healthy phantoms the first train, the next calibrate, and the rest are detected in.
DEMO_TRAINING, DEMO_CALIBRATION = 12, 4


def demo(out: Path, *, device: str = "auto", progress: Progress = no_progress) -> Path:
    """Run the whole pipeline on digital phantoms and return the report.

    Twelve healthy phantoms train the model and four more calibrate it; anomalies are detected in
    the others, healthy and diseased.
    """
    require_training()
    execution = Execution(progress=progress)
    remove_stale_drafts(out)
    recipe = Recipe.load("demo")
    cohort = make_phantoms(
        out / "phantoms", healthy=DEMO_HEALTHY, gliomas=DEMO_GLIOMAS, lesions=DEMO_LESIONS
    )
    found = find_scans(cohort, layout="phantom")
    healthy = tuple(files for files in found.scans if files.healthy)
    training, others = healthy[:DEMO_TRAINING], healthy[DEMO_TRAINING:]
    seen = {"prepared": training, "calibration": others[:DEMO_CALIBRATION]}
    for name, scans in seen.items():
        part = replace(found, scans=scans)
        prepare(part, out / name, recipe=recipe, execution=execution, device=device)
    run = train(recipe, out / "prepared", out / "run", device=device)
    calibrate(run, out / "calibration", run, device=device, progress=progress)
    used = [files for scans in seen.values() for files in scans]
    unseen = replace(found, scans=tuple(files for files in found.scans if files not in used))
    results = out / "results"
    model, command = load(run, device=device), ("anomri", "demo")
    detect(unseen, model, results, execution=execution, command=command)
    evaluate(results, unseen, results, execution=execution)
    return report(results)
