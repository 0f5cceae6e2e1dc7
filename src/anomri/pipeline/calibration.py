"""Calibration: thresholds are fitted on prepared scans."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from anomri.batch import Progress, no_progress
from anomri.detector import Detector, load
from anomri.errors import UsageError
from anomri.files import private_temporary_files, remove_stale_drafts, replacing_folder
from anomri.pipeline.model_copies import copy_model
from anomri.pipeline.preparation import refuse_unclear
from anomri.pipeline.threshold_calibration import Calibration
from anomri.preprocessing import PreparedFolder
from anomri.scan import Threshold


def calibrate(
    model: str | Path,
    data: Path,
    run: Path,
    *,
    false_positive_ml: float = 5.0,
    device: str = "auto",
    progress: Progress = no_progress,
) -> dict[str, Threshold]:
    """Fit the model's thresholds on prepared scans and write them to the run folder.

    ``healthy`` needs tissue without lesions: healthy scans, or the voxels outside the truth of
    others. ``labelled`` needs scans with truth. The slices that training would use set the
    thresholds of the slice scores. False positives are then measured on each scan, with thresholds
    fitted to the others. One scan is in memory at a time. Several maps are calibrated together.

    Args:
        model: run folder, or name of a model; it is copied into ``run`` if that is another folder.
        data: folder of prepared scans.
        run: run folder to write.
        false_positive_ml: volume to allow per healthy scan.
        device: name of a device, see :func:`anomri.models.choose_device`.
        progress: shows progress; called with the scans and a description.

    Returns:
        The fitted thresholds, by rule.

    Raises:
        UsageError: the scans were prepared differently, or it is unknown which are healthy.
        DamagedFile: a prepared scan cannot be read.
    """
    with private_temporary_files():
        from anomri.training import healthy_slices

    remove_stale_drafts(run)
    remove_stale_drafts(run.parent, recursive=False)
    detector = load(model, device=device)
    prepared = PreparedFolder.open(data)
    _check_prepared(detector, prepared)
    refuse_unclear(prepared)
    calibration = Calibration(detector, false_positive_ml=false_positive_ml)
    # Lesion-free slices, even if the network was trained with masked lesions.
    lesion_free = detector.recipe.training.model_copy(update={"lesions": "drop"})
    for label in progress(prepared.labels(), "calibrating"):
        scan = prepared.load(label)
        slices = [sample.index for sample in healthy_slices(scan, lesion_free)]
        calibration.add(scan, np.array(slices, dtype=np.intp))
    again = prepared.labels() if calibration.looks_twice else []
    for label in progress(again, "measuring"):
        calibration.measure(prepared.load(label))
    with _run_folder(run) as place:
        copy_model(model, place)
        return calibration.save(place)


@contextmanager
def _run_folder(run: Path) -> Iterator[Path]:
    """Yield an existing run folder, or a draft that is renamed to it when complete."""
    if run.is_dir():
        yield run
        return
    with replacing_folder(run) as draft:
        yield draft


def _check_prepared(detector: Detector, prepared: PreparedFolder) -> None:
    """Raise where scans were prepared differently than the model prepares them in a detection."""
    required = [name for name in detector.contrasts if name not in detector.optional]
    missing = [name for name in required if name not in prepared.contrasts]
    if missing or not detector.recipe.preparation.sees_like(prepared.preparation):
        difference = f"has no '{missing[0]}'" if missing else "was prepared differently"
        raise UsageError(
            f"{prepared.folder.resolve().name}: expected scans prepared with the recipe "
            f"'{detector.recipe.name}'; this folder {difference}. "
            "Next: run `anomri prepare` with this recipe."
        )
