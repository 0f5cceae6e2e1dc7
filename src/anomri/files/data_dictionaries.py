"""Data dictionaries: what the columns of a table of results mean, in JSON beside it, as in BIDS."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anomri.files.atomic import write_text
from anomri.files.names import (
    AUDIT,
    CHANGES,
    EVALUATION,
    EVALUATION_CURVES,
    EVALUATION_FAILURES,
    EVALUATION_LESIONS,
    EVALUATION_SIZES,
    EVALUATION_SLICES,
    EVALUATION_SUMMARY,
    FAILURES,
    FINDINGS,
    RATINGS,
    REGION_SUMS,
    SUMMARY,
)

DESCRIBED = (
    *(FINDINGS, REGION_SUMS, SUMMARY, FAILURES, RATINGS, AUDIT, CHANGES),
    *(EVALUATION, EVALUATION_SUMMARY, EVALUATION_CURVES, EVALUATION_SLICES, EVALUATION_FAILURES),
    *(EVALUATION_LESIONS, EVALUATION_SIZES),
)
"""Tables with a dictionary."""
UNITS = {"_ml": "ml", "_mm": "mm", "seconds": "s"}
"""Unit by the last letters of a column's name."""
LEVELS: dict[str, dict[str, str]] = {
    "status": {
        "finished": "the scan has a result",
        "failed": "an error, or refused by a quality check",
        "left out": "no usable scan was found",
        "not detected": "not processed, and so not evaluated",
    },
    "zone": {
        "periventricular": "within 5 mm of the lateral or third ventricles",
        "juxtacortical/cortical": "within 6 mm of the brain's surface or of fluid in a sulcus",
        "deep white matter": "elsewhere in the cerebrum, the deep nuclei included",
        "infratentorial": "most of it in the brain stem or the cerebellum",
    },
    "severity": {
        "wrong": "results with it are wrong",
        "remark": "worth knowing before use",
    },
    "check": {
        "same_image": "one image under two subjects",
        "same_brain": "one brain under two subjects",
        "lesion_mask": "a lesion mask that is flipped or displaced",
        "brain_mask": "a brain mask that does not fit",
        "plausibility": "no brain, a rotated brain, another contrast or Hounsfield units",
        "geometry": "missing or corrected geometry",
        "intensities": "voxels or slices that were repaired",
        "files": "a file that is missing, ambiguous or unreadable",
        "quality": "refused by a quality check",
    },
    "rating": {"1": "unusable", "2": "poor", "3": "acceptable", "4": "good"},
    "judgement": {"real": "a lesion", "not_real": "no lesion"},
    "found": {"true": "at least one voxel is marked", "false": "no voxel is marked"},
    "healthy": {"true": "according to the data set", "false": "according to the data set"},
    "dissemination_in_space": {"true": "two or three regions", "false": "one region or none"},
}
COLUMNS = {
    # findings.tsv
    "subject": "Name of the subject in the data set",
    "label": "BIDS prefix of the scan's results: subject and session",
    "lesion": "Number of the lesion in desc-lesions_dseg; 1 is the largest; n/a for a whole scan",
    "volume_ml": "Volume of the lesion, or for a whole scan of the mask",
    "volume_least_ml": "Smallest volume of the lesion, at thresholds a fifth lower and higher",
    "volume_most_ml": "Largest volume of the lesion, at thresholds a fifth lower and higher",
    "threshold_stability": "Smallest divided by largest volume of that range, from 0 to 1 (stable)",
    "probability_real": "Probability that the lesion is real, from 0 to 1; n/a for other models",
    "long_axis_mm": "Largest distance between two of its voxels, in the slice if slices are thick",
    "centre_x_mm": "Centre of mass in the scan's world coordinates, to the right",
    "centre_y_mm": "Centre of mass in the scan's world coordinates, to the front",
    "centre_z_mm": "Centre of mass in the scan's world coordinates, upwards",
    "peak": "Highest value of the anomaly map in the lesion, in the Units of the sidecar",
    "position": "Position of the centre in the brain, in words",
    "side": "Side of the midline: left, right, midline or both; n/a where it is not known",
    "zone": "Zone of the brain; n/a for a scan that was not registered to the template",
    "template_x_mm": "Centre in the MNI152 template, to the right",
    "template_y_mm": "Centre in the MNI152 template, to the front",
    "template_z_mm": "Centre in the MNI152 template, upwards",
    "template_tissue": "Most probable tissue of the template at that position",
    # changes.tsv
    "half": "Half of the cohort with the scan; the other half's network was applied to it",
    "weight": "Weight of the scan in training: Dice of its masks at a lower and a higher threshold",
    "volume_before_ml": "Volume of all lesions by the model without adaptation",
    "volume_after_ml": "Volume of all lesions by the adapted model",
    "dice_of_both": "Dice of the masks before and after adaptation; 1 where nothing changed",
    "dice_before": "Dice with the expert mask before adaptation, which did not use that mask",
    "dice_after": "Dice with the expert mask after adaptation, which did not use that mask",
    # audit.tsv
    "severity": "Whether the problem makes results wrong",
    "check": "What was checked",
    "finding": "What was found",
    # summary.tsv
    "status": "Outcome of the scan",
    "lesion_volume_ml": "Volume of all lesions",
    "lesion_volume_least_ml": "Smallest such volume, at thresholds a fifth lower and higher",
    "lesion_volume_most_ml": "Largest such volume, at thresholds a fifth lower and higher",
    "lesion_count": "Number of lesions",
    "periventricular_count": "Lesions of at least 3 mm beside the ventricles; n/a with a mass",
    "juxtacortical_count": "Lesions of at least 3 mm in or beside the cortex; n/a with a mass",
    "infratentorial_count": "Lesions of at least 3 mm in brain stem or cerebellum; n/a with a mass",
    "dissemination_in_space": "Whether two or three of these regions have one; not a diagnosis",
    "scan_score": "Score of the whole scan: its abnormal volume in ml",
    "highest_slice_score": "Mean of the anomaly map in the brain of the most abnormal axial slice",
    "threshold": "Threshold of the anomaly map, in the Units of the sidecar",
    "model": "Name of the model that the result is of",
    "threshold_rule": "Rule by which the threshold was chosen",
    "brain_volume_ml": "Volume of the brain that was analysed",
    "healthy": "Whether the subject is healthy",
    "truth_volume_ml": "Volume of the expert's lesions, or of this one",
    "seconds": "Duration of the detection",
    "notes": "Remarks on the scan and its result",
    # failures.tsv, evaluation_failures.tsv
    "file": "Name of the faulty file, without its folder",
    "reason": "What was expected and what was found",
    "next_step": "What to do next",
    # ratings.tsv
    "rating": "A reader's rating of the scan's result; n/a in the row of a finding, or cleared",
    "judgement": "A reader's judgement of the finding; n/a in the row of a scan, or cleared",
    "rated": "Time of the rating, UTC",
    # evaluation.tsv
    "dice": "Voxel-wise Dice coefficient of mask and expert mask",
    "sensitivity": "Share of the lesion voxels that are marked",
    "specificity": "Share of the other brain voxels that are not marked",
    "precision": "Share of the marked voxels that are lesion",
    "slice_dice_all": "Mean Dice of the axial slices; 0 for slices without lesion",
    "slice_dice_lesion": "Mean Dice of the axial slices with lesion",
    "slice_dice_empty": "Mean Dice of the axial slices; 1 for those with neither lesion nor mask",
    "auprc": "Area under the precision-recall curve of the anomaly map",
    "auroc": "Area under the ROC curve of the anomaly map",
    "oracle_dice": "Best Dice of any threshold, chosen with the expert mask; not a result",
    "oracle_threshold": "The threshold of oracle_dice",
    "hd95_mm": "95th percentile of the distances between the surfaces",
    "surface_distance_mm": "Mean distance between the surfaces",
    "lesion_sensitivity": "Share of the expert's lesions that are detected",
    "lesion_precision": "Share of the marked lesions that are the expert's",
    "lesion_f1": "Harmonic mean of lesion_sensitivity and lesion_precision",
    "true_lesion_count": "Number of the expert's lesions",
    "detected_lesion_count": "Number of these that are detected",
    "predicted_lesion_count": "Number of marked lesions",
    "false_lesion_count": "Number of marked lesions that are not the expert's",
    "false_positive_ml": "Marked volume outside the expert's lesions",
    "volume_error_ml": "Marked volume minus the expert's",
    "mae_intensity": "Mean absolute error of the reconstruction in the brain",
    "reconstruction_mae": "Mean absolute error of the reconstruction, in prepared intensity units",
    # evaluation_summary.tsv
    "metric": "Name of the measure, a column of evaluation.tsv or an AUROC over slices",
    "mean": "Mean over the subjects; for an AUROC over slices, the value of all slices together",
    "median": "Median over the subjects",
    "sd": "Standard deviation over the subjects",
    "lower": "Lower end of the 95 % bootstrap interval over subjects of the mean or share",
    "upper": "Upper end of the 95 % bootstrap interval over subjects of the mean or share",
    "n": "Number of subjects",
    "undefined": "Number of subjects for which the measure is not defined",
    "absent": "Number of subjects to which the measure does not apply",
    # evaluation_lesions.tsv, evaluation_sizes.tsv
    "reference_lesion": "Number of the expert's lesion in the scan; 1 is the largest",
    "found": "Whether the mask overlaps this lesion of the expert",
    "overlap": "Share of this lesion that is marked",
    "size_class": "Range of volumes of the expert's lesions; a limit belongs to the class above",
    # evaluation_curves.tsv, evaluation_slices.tsv
    "false_positive_rate": "Share of the brain's other voxels that are marked",
    "slice": "Number of the axial slice in the file, from 0",
    "lesion_voxels": "Number of the expert's lesion voxels in the slice",
    "mean_residual": "Score of the slice: mean of the anomaly map in its brain",
    "mahalanobis": "Score of the slice: distance of its latents from those of healthy slices",
}


def write_dictionary(table: Path, columns: Iterable[str]) -> None:
    """Write the dictionary of a table beside it, if it is one of :data:`DESCRIBED`.

    A table without columns, of an evaluation without scans, has none.
    """
    entries = {name: _entry(name) for name in columns}
    if table.name in DESCRIBED and entries:
        write_text(dictionary_of(table), json.dumps(entries, indent=2) + "\n")


def dictionary_of(table: Path) -> Path:
    """Return the path of a table's dictionary.

    >>> dictionary_of(Path("findings.tsv")).name
    'findings.json'
    """
    return table.with_suffix(".json")


def _entry(name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"Description": COLUMNS.get(name, "Not described")}
    if name in LEVELS:
        entry["Levels"] = LEVELS[name]
    unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
    return {**entry, "Units": unit} if unit else entry
