"""Names of the files of one scan's results, after BIDS derivatives."""

from __future__ import annotations

import re
from pathlib import Path

from anomri.errors import ScanError, UsageError
from anomri.scan import bids_label

BIDS_PREFIX = re.compile(r"(sub-[0-9A-Za-z]+)(?:_(ses-[0-9A-Za-z]+))?")
KINDS = r"label-lesion|desc-(?:anomaly|brain|lesions|preview|qc|reconstruction|refused|regions)"
KEPT = r"(?:(?:acq|ce|rec|run)-[0-9A-Za-z+]+_)*"  # entities of the scan's own file
OURS = re.compile(rf"{BIDS_PREFIX.pattern}_{KEPT}(?:space-[0-9A-Za-z]+_)?(?:{KINDS})[_.].*")

LESION_MASK = "label-lesion_mask.nii.gz"
BRAIN_MASK = "desc-brain_mask.nii.gz"
LESION_LABELS = "desc-lesions_dseg.nii.gz"
REGION_LABELS = "desc-regions_dseg.nii.gz"
PICTURE = "desc-qc.png"
RECORD = "label-lesion_mask.json"
PREVIEW = "desc-preview.json"
SEGMENTATION = "label-lesion_seg.dcm"
STRUCTURED_REPORT = "label-lesion_sr.dcm"
SECONDARY_CAPTURE = "desc-qc_sc.dcm"
PARAMETRIC_MAP = "desc-anomaly_pm.dcm"
LESION_ROI = "label-lesion_roi.nii.gz"  # for fMRIPrep


def anat_folder(folder: Path, label: str) -> Path:
    """Return the folder of one scan's files: ``sub-<label>[/ses-<label>]/anat``.

    Args:
        folder: where detections are written.
        label: BIDS prefix of the scan, ``sub-<label>[_ses-<label>]``.

    Raises:
        UsageError: not a BIDS prefix; without this check a name could lead out of the folder.
    """
    parts = BIDS_PREFIX.fullmatch(label)
    if parts is None:
        raise UsageError(
            f"label '{label}': expected sub-<letters and digits>, and _ses-<letters and digits> "
            "where there are sessions. Next: give the scan a name with a letter or a digit in it."
        )
    return folder.joinpath(*(part for part in parts.groups() if part), "anat")


def refuse_foreign(folder: Path, label: str) -> None:
    """Check that a scan's folder holds results alone: writing them replaces the whole folder.

    Args:
        folder: where detections are written.
        label: BIDS prefix of the scan.

    Raises:
        ScanError: there are other files in it, such as the scan itself.
    """
    anat = anat_folder(folder, label)
    for path in sorted(anat.iterdir()) if anat.is_dir() else ():
        if not (OURS.fullmatch(path.name) or path.name.startswith(".")):
            raise ScanError(
                path,
                expected=f"nothing but results in {anat.relative_to(folder).as_posix()} of the "
                "folder to write to",
                got="a file that anomri did not write, and does not replace",
                next_step="write to another folder, or move the file elsewhere",
            )


def derivative(folder: Path, label: str, name: str) -> Path:
    """Return the path of one file of a scan, such as :data:`LESION_MASK`.

    An existing file may keep entities of the scan's own file, such as ``acq-3D``, in its name.
    """
    anat = anat_folder(folder, label)
    plain = anat / f"{label}_{name}"
    if plain.exists() or not anat.is_dir():
        return plain
    named = re.compile(rf"{re.escape(label)}_{KEPT}{re.escape(name)}")
    return next((path for path in sorted(anat.iterdir()) if named.fullmatch(path.name)), plain)


def map_name(kind: str, contrast: str) -> str:
    """Return the file name of a map, to be read with :func:`derivative`.

    Args:
        kind: ``anomaly`` or ``reconstruction``.
        contrast: of the scan, such as ``flair``; its letters and digits are kept.

    >>> map_name("anomaly", "t1_post")
    'desc-anomaly_t1post.nii.gz'
    """
    return f"desc-{kind}_{bids_label(contrast)}.nii.gz"
