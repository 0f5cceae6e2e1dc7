"""The files of one scan's result, written all or none.

They are written into a hidden folder, which is then renamed: a result is always complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydantic import TypeAdapter

from anomri.datasets import DicomText, write_dicom_objects
from anomri.files import (
    BRAIN_MASK,
    LESION_LABELS,
    LESION_MASK,
    PICTURE,
    PREVIEW,
    REGION_LABELS,
    anat_folder,
    map_name,
    refuse_foreign,
    replacing_folder,
)
from anomri.preprocessing import TEMPLATE_SPACE, write_image
from anomri.reporting.derivatives.images import native_images, template_images
from anomri.reporting.derivatives.sidecar import Record
from anomri.reporting.figures.region_colours import REGION_NAMES
from anomri.reporting.figures.scan_figure import picture
from anomri.reporting.pages.viewer_volumes import preview_of
from anomri.scan import RESEARCH_USE, Detection

SIDECAR = TypeAdapter(dict[str, Any])


def write_detection(
    detection: Detection,
    folder: Path,
    *,
    slices: Sequence[Path] = (),
    dicom: Sequence[str] = ("seg",),
    seconds: float | None = None,
) -> Path:
    """Write the images, sidecars and picture of one scan, replacing an earlier result.

    Args:
        detection: the result.
        folder: of the results; created if missing.
        slices: DICOM files that the scan was converted from, if any: DICOM objects that refer to
            them are written too, or a note that this failed.
        dicom: kinds of these objects, of :data:`anomri.datasets.DICOM_OBJECTS`.
        seconds: duration, if measured.

    Returns:
        The scan's folder, ``sub-<label>[/ses-<label>]/anat``. File names keep the entities of the
        input file, as in ``sub-03_acq-3D_label-lesion_mask.nii.gz``.

    Raises:
        UsageError: the scan's label is not a BIDS label.
        ScanError: the folder contains files that anomri did not write.
    """
    scan = detection.anomaly.scan
    target = anat_folder(folder, scan.label)
    refuse_foreign(folder, scan.label)
    prefix = "_".join(filter(None, (scan.label, scan.entities)))
    images, record = native_images(detection), Record.of(detection, seconds=seconds)
    with replacing_folder(target, draft_parent=folder) as draft:
        shown = picture(detection)
        if slices:
            words = DicomText(record.units, RESEARCH_USE, record.provenance.key, record.findings)
            notes = write_dicom_objects(images, shown, words, slices, draft / prefix, kinds=dicom)
            record = record.model_copy(update={"notes": (*record.notes, *notes)})
        _write_images(images, draft, prefix, record)
        there = record.model_copy(update={"spatial_reference": TEMPLATE_SPACE})
        _write_images(template_images(detection), draft, f"{prefix}_space-{TEMPLATE_SPACE}", there)
        for name, table in _tables(images).items():
            (draft / f"{prefix}_{name}").write_text(table, encoding="utf-8")
        (draft / f"{prefix}_{PICTURE}").write_bytes(shown)
        copy = preview_of(detection).model_dump_json()
        (draft / f"{prefix}_{PREVIEW}").write_text(copy, encoding="utf-8")
    return target


def _write_images(
    images: Mapping[str, nib.Nifti1Image], folder: Path, prefix: str, record: Record
) -> None:
    for name, image in images.items():
        path = folder / f"{prefix}_{_file_name(name)}"
        write_image(image, path)
        sidecar = path.with_name(path.name.removesuffix(".nii.gz") + ".json")
        sidecar.write_text(_sidecar(name, record), encoding="utf-8")


def _file_name(name: str) -> str:
    """Return the file name of an image of :func:`anomri.reporting.native_images`."""
    kind, _, contrast = name.partition("_")
    fixed = {
        "mask": LESION_MASK,
        "brain": BRAIN_MASK,
        "lesions": LESION_LABELS,
        "regions": REGION_LABELS,
    }
    return fixed.get(name) or map_name(kind, contrast)


def _sidecar(name: str, record: Record) -> str:
    """Return the sidecar of an image; that of the mask is the whole record."""
    if name == "mask":
        return record.to_json()
    kind, _, contrast = name.partition("_")
    about: dict[str, dict[str, Any]] = {
        "brain": {"Description": "the brain that was analysed", "Type": "Brain"},
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
        "SpatialReference": record.spatial_reference,
        "Sources": record.sources,
        "Provenance": record.provenance,
        "ResearchUse": RESEARCH_USE,
    }
    return SIDECAR.dump_json(sidecar, indent=2).decode() + "\n"


def _tables(images: Mapping[str, nib.Nifti1Image]) -> dict[str, str]:
    """Return the tables that explain the numbers in label images, by file name."""
    numbers = np.asarray(images["lesions"].dataobj).ravel("K")
    lesions = [(number, f"lesion {number}") for number in np.unique(numbers[numbers > 0])]
    tables: dict[str, list[tuple[Any, ...]]] = {LESION_LABELS: [("index", "name"), *lesions]}
    if "regions" in images:
        tables[REGION_LABELS] = [("index", "name", "abbreviation", "color"), *REGION_NAMES]
    return {
        name.replace(".nii.gz", ".tsv"): "".join("\t".join(map(str, row)) + "\n" for row in rows)
        for name, rows in tables.items()
    }
