"""Names of what is written, after BIDS derivatives."""

from __future__ import annotations

import re
from pathlib import Path

from anomri.errors import UsageError

LABEL = re.compile(r"(sub-[0-9A-Za-z]+)(?:_(ses-[0-9A-Za-z]+))?")

MASK = "label-lesion_mask.nii.gz"
BRAIN = "desc-brain_mask.nii.gz"
REGIONS = "desc-regions_dseg.nii.gz"
PICTURE = "desc-qc.png"
RECORD = "label-lesion_mask.json"
PREVIEW = "desc-preview.json"
SEGMENTATION = "label-lesion_seg.dcm"


def anat_folder(folder: Path, label: str) -> Path:
    """Return the folder of one scan's files: ``sub-<label>[/ses-<label>]/anat``.

    Args:
        folder: where detections are written.
        label: BIDS prefix of the scan, ``sub-<label>[_ses-<label>]``.

    Raises:
        UsageError: the prefix is none; without this check a name could lead out of the folder.
    """
    parts = LABEL.fullmatch(label)
    if parts is None:
        raise UsageError(
            f"label '{label}': expected sub-<letters and digits>, and _ses-<letters and digits> "
            "where there are sessions. Next: give the scan a name with a letter or a digit in it."
        )
    return folder.joinpath(*(part for part in parts.groups() if part), "anat")


def derivative(folder: Path, label: str, name: str) -> Path:
    """Return the path of one file of a scan, such as :data:`MASK`."""
    return anat_folder(folder, label) / f"{label}_{name}"
