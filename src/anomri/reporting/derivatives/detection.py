"""What ``detect`` leaves on disk for one scan, all of it or nothing.

Everything is written into a hidden folder beside its place and appears by one rename, so that a
folder that is there is a folder that is finished.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from anomri.datasets import write_segmentation
from anomri.errors import ScanError
from anomri.files import replacing_folder
from anomri.preprocessing import SPACE
from anomri.reporting.derivatives.images import native_images, template_images, write_image
from anomri.reporting.derivatives.naming import (
    BRAIN,
    LESIONS,
    MASK,
    PICTURE,
    PREVIEW,
    REGIONS,
    SEGMENTATION,
    anat_folder,
    refuse_foreign,
)
from anomri.reporting.derivatives.sidecar import RESEARCH_USE, Record
from anomri.reporting.figures.region_colours import REGION_NAMES
from anomri.reporting.figures.scan_figure import picture
from anomri.reporting.pages.viewer_volumes import preview_of
from anomri.scan import Detection, bids_label

log = logging.getLogger(__name__)


def write_detection(detection: Detection, folder: Path, *, slices: Sequence[Path] = ()) -> Path:
    """Write the images, sidecars and picture of one scan, replacing an earlier result.

    Args:
        detection: what was found.
        folder: where the detections of a run are written; made where it is missing.
        slices: the DICOM files that the scan was made from; the lesions become a DICOM
            segmentation that refers to them. Where it cannot be made, as on slices whose geometry
            had to be corrected, the record says so, and the rest is written.

    Returns:
        The scan's own folder, ``sub-<label>[/ses-<label>]/anat``. The names in it keep entities
        of the scan's own file: ``sub-03_acq-3D_label-lesion_mask.nii.gz``.

    Raises:
        UsageError: the scan's label is no BIDS label.
        ScanError: there are files in that folder that anomri did not write.
    """
    scan = detection.anomaly.scan
    home = anat_folder(folder, scan.label)
    refuse_foreign(folder, scan.label)
    prefix = "_".join(filter(None, (scan.label, scan.entities)))
    images, record = native_images(detection), Record.of(detection)
    with replacing_folder(home, beside=folder) as draft:
        if slices:
            key = str(detection.provenance.get("key", ""))
            told = _answer(images["mask"], slices, draft / f"{prefix}_{SEGMENTATION}", key)
            record = record.model_copy(update={"notes": (*record.notes, *told)})
        for name, image in images.items():
            path = draft / f"{prefix}_{_file_name(name)}"
            write_image(image, path)
            _sidecar_of(path).write_text(_sidecar(name, record), encoding="utf-8")
        for name, image in template_images(detection).items():
            path = draft / f"{prefix}_space-{SPACE}_{_file_name(name)}"
            write_image(image, path)
            _sidecar_of(path).write_text(_in_template(_sidecar(name, record)), encoding="utf-8")
        for name, table in _tables(images).items():
            (draft / f"{prefix}_{name}").write_text(table, encoding="utf-8")
        (draft / f"{prefix}_{PICTURE}").write_bytes(picture(detection))
        copy = preview_of(detection).model_dump_json()
        (draft / f"{prefix}_{PREVIEW}").write_text(copy, encoding="utf-8")
    return home


def _answer(
    mask: nib.Nifti1Image, slices: Sequence[Path], path: Path, identity: str
) -> tuple[str, ...]:
    """Write the DICOM segmentation, or return what a reader must know."""
    try:
        write_segmentation(mask, slices, path, identity=identity)
    except ScanError as error:
        log.warning("%s: no DICOM segmentation: %s", path.name, error.reason)
        return (f"no DICOM segmentation: {error.reason}; the NIfTI mask lies right",)
    return ()


def _in_template(sidecar: str) -> str:
    """Say that the image beside this sidecar lies on the template's grid."""
    return json.dumps({**json.loads(sidecar), "SpatialReference": SPACE}, indent=2) + "\n"


def _sidecar_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".nii.gz") + ".json")


def _file_name(name: str) -> str:
    """Return the file name of an image of :func:`anomri.reporting.native_images`."""
    kind, _, contrast = name.partition("_")
    fixed = {"mask": MASK, "brain": BRAIN, "lesions": LESIONS, "regions": REGIONS}
    return fixed.get(name) or f"desc-{kind}_{bids_label(contrast)}.nii.gz"


def _sidecar(name: str, record: Record) -> str:
    """Say what an image holds and where it comes from; the mask's sidecar is the record itself."""
    if name == "mask":
        return record.to_json()
    kind, _, contrast = name.partition("_")
    about: dict[str, dict[str, Any]] = {
        "brain": {"Description": "the brain that was looked at", "Type": "Brain"},
        "lesions": {"Description": "lesions, with their numbers in findings.tsv"},
        "regions": {"Description": "regions of the lesion, with BraTS numbers"},
        "anomaly": {
            "Description": "how abnormal each voxel looks, higher is more abnormal: what the "
            "threshold was compared with",
            "Units": record.units,
            "Threshold": record.threshold.model_dump(mode="json", by_alias=True),
        },
        "reconstruction": {
            "Description": "the healthy version of the scan that the model expects",
            "Units": "prepared intensity units",
        },
    }
    sidecar = {
        **about[kind],
        **({"Contrast": contrast} if contrast else {}),
        "SpatialReference": "orig",
        "Provenance": record.provenance,
        "ResearchUse": RESEARCH_USE,
    }
    return json.dumps(sidecar, indent=2) + "\n"


def _tables(images: Mapping[str, nib.Nifti1Image]) -> dict[str, str]:
    """Return the tables that say what the numbers in images mean, by file name."""
    numbers = np.unique(np.asarray(images["lesions"].dataobj))
    lesions = [(number, f"lesion {number}") for number in numbers[numbers > 0]]
    tables = {LESIONS: _table([("index", "name"), *lesions])}
    if "regions" in images:
        tables[REGIONS] = _table([("index", "name", "abbreviation", "color"), *REGION_NAMES])
    return {name.removesuffix(".nii.gz") + ".tsv": table for name, table in tables.items()}


def _table(lines: Sequence[Sequence[Any]]) -> str:
    return "".join("\t".join(str(cell) for cell in line) + "\n" for line in lines)
