"""A detection as NIfTI images on the input's own grid, with only geometry in the header."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from anomri.postprocessing import number_lesions
from anomri.preprocessing import (
    image_on,
    labels_to_native,
    lesion_numbers_to_native,
    mask_to_native,
    template_grid,
    volume_to_native,
)
from anomri.scan import Detection


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
    mask = mask_to_native(detection.mask, scan, detection.margin)
    arrays: dict[str, NDArray[Any]] = {
        "mask": mask.view(np.uint8),
        "brain": mask_to_native(scan.brain, scan).view(np.uint8),
    }
    numbers = number_lesions(detection.mask, detection.anomaly)
    kind = np.uint8 if numbers.max(initial=0) < 256 else np.uint16
    arrays["lesions"] = lesion_numbers_to_native(numbers.astype(kind), mask, scan)
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
