"""A detection as NIfTI images on the input's own grid, with only geometry in the header."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from anomri.postprocessing import number_lesions
from anomri.preprocessing import (
    labels_to_native,
    lesion_numbers_to_native,
    mask_to_native,
    template_grid,
    volume_to_native,
)
from anomri.scan import Detection, Grid

# Noise in float32 maps hardly compresses: level 1 is four times faster than the default and
# its files are a few per cent larger.
COMPRESSION = 1


def native_images(detection: Detection) -> dict[str, nib.Nifti1Image]:
    """Return the images of a detection on the grid of the input file.

    Args:
        detection: the result on the model's working grid.

    Returns:
        ``mask`` and ``brain`` (uint8), ``lesions`` (the numbers of the findings, uint8 or uint16
        where there are more than 255), ``anomaly_<contrast>`` and, for models that reconstruct,
        ``reconstruction_<contrast>`` (float32), and ``regions`` (uint8, BraTS numbers) where
        regions were segmented.
    """
    scan = detection.anomaly.scan
    mask = mask_to_native(detection.mask, scan)
    arrays: dict[str, NDArray[Any]] = {
        "mask": mask.astype(np.uint8),
        "brain": mask_to_native(scan.brain, scan).astype(np.uint8),
    }
    numbers = lesion_numbers_to_native(
        number_lesions(detection.mask, detection.anomaly), mask, scan
    )
    arrays["lesions"] = numbers.astype(np.min_scalar_type(numbers.max(initial=0)))
    for channel, contrast in enumerate(scan.contrasts):
        arrays[f"anomaly_{contrast}"] = volume_to_native(detection.anomaly.values[channel], scan)
        if reconstructs(detection, channel):
            expected = detection.anomaly.reconstruction[channel]
            arrays[f"reconstruction_{contrast}"] = volume_to_native(expected, scan)
    if detection.regions is not None:
        arrays["regions"] = labels_to_native(detection.regions, scan).astype(np.uint8)
    return {name: image_on(array, scan.native) for name, array in arrays.items()}


def template_images(detection: Detection) -> dict[str, nib.Nifti1Image]:
    """Return what :func:`native_images` does, on the 1 mm grid of the MNI152 template.

    Each is one interpolation away from the model's working grid. Empty where the scan was not
    registered, or where the recipe does not ask for it.
    """
    scan = detection.anomaly.scan
    asked = detection.provenance.first.detection.space == "template"
    if scan.to_template is None or not asked:
        return {}
    grid = template_grid()
    native = replace(grid, affine=np.linalg.inv(scan.to_template) @ grid.affine)
    anomaly = replace(detection.anomaly, scan=replace(scan, native=native))
    images = native_images(replace(detection, anomaly=anomaly))
    return {name: image_on(np.asarray(image.dataobj), grid) for name, image in images.items()}


def reconstructs(detection: Detection, channel: int) -> bool:
    """Whether the model reconstructed a contrast; models of brightness alone leave zeros."""
    return bool(np.any(detection.anomaly.reconstruction[channel]))


def image_on(array: NDArray[Any], grid: Grid) -> nib.Nifti1Image:
    """Return an image with a fresh header on a grid.

    Both transforms and their codes are those of the input file, so that every viewer, whichever
    of the two it uses, shows the result over the scan. Nothing else of the input's header is
    kept: its free-text fields may name a patient.

    Args:
        array: (I, J, K), uint8, uint16 or float32, in the order of the file.
        grid: the input's own grid.
    """
    kind = array.dtype if array.dtype in (np.uint8, np.uint16) else np.float32
    image = nib.Nifti1Image(array.astype(kind, copy=False), grid.affine)
    image.header.set_xyzt_units("mm")
    qform = grid.affine if grid.qform is None else grid.qform
    image.set_qform(qform, code=grid.qform_code)
    # Last, because it decides the image's affine: nibabel prefers an sform with a code.
    image.set_sform(grid.affine if grid.sform_code else None, code=grid.sform_code)
    return image


def write_image(image: nib.Nifti1Image, path: Path) -> None:
    """Write ``.nii.gz`` quickly and reproducibly: no time stamp and no file name in the stream."""
    path.write_bytes(gzip.compress(image.to_bytes(), COMPRESSION, mtime=0))
