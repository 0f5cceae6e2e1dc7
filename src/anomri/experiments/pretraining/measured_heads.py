"""Measured FLAIR images whose lesions are filled in, as the background of synthetic lesions.

A drawn FLAIR has less texture than a measured one. Patients with a measured FLAIR and drawn lesions
show the network what healthy tissue looks like in a scanner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from anomri.datasets import converted, find
from anomri.detector import Detector, load
from anomri.errors import ScanError, UsageError
from anomri.preprocessing import (
    anatomy_on,
    resample_to_grid,
    resample_to_isotropic,
    tissues_on,
)
from anomri.scan import Mask, Scan, ScanFiles, Volume
from anomri.synthesis import FIRST_CORTEX, HINDBRAIN, LATERAL, LOBAR_WHITE, Anatomy

LESION = 0.2  # fraction of a voxel from which it is filled in
DEEP_WHITE, WHITE, SOME_WHITE, GREY = 0.85, 0.5, 0.3, 0.7  # probabilities of the template's tissues
BRIGHT_SD, BRIGHT_FACTOR = 3.0, 1.08  # of white matter; of the brighter quarter of grey matter
CAP_FACTOR = 1.2  # of the brighter quarter of grey matter, anywhere near the ventricles
NEAR_VENTRICLES_MM = 12.0
NO_FLUID, FLUID_RANGE = 0.78, 0.5  # of white matter: the level without fluid, and down to fluid
FILL_SIGMA, EDGE_SIGMA, FINE_SIGMA = 3.0, 0.7, 0.5  # voxels
LEAST_WEIGHT = 0.02  # of normal tissue around a voxel that is filled
TEXTURE_SHIFT = (17, 9, 5)  # voxels from a lesion to the tissue whose texture fills it


@dataclass(frozen=True, slots=True)
class TemplateTissue:
    """Tissue that the template has at each voxel of a scan.

    Attributes:
        white: (I, J, K) probability of white matter.
        grey: (I, J, K) probability of grey matter.
        ventricle_mm: (I, J, K) distance to the ventricles, at most 20.
        hindbrain: (I, J, K) bool, brain stem and cerebellum.
    """

    white: Volume
    grey: Volume
    ventricle_mm: Volume
    hindbrain: Mask


def read_measured_heads(
    folder: Path, spacing: float, shape: tuple[int, int, int], device: str
) -> Iterator[tuple[str, Anatomy]]:
    """Yield names and anatomies of the scans of a folder that have a FLAIR.

    What ``default`` finds in them is filled in, and so is what is unusually bright in white matter.

    Args:
        folder: data set in any layout of :func:`anomri.datasets.find`.
        spacing: voxel size in mm.
        shape: of the anatomies, centred on the brain.
        device: see :func:`~anomri.models.choose_device`.

    Raises:
        UsageError: no scan has a FLAIR.
        ScanError: a scan cannot be read, or was not registered to the template.
    """
    scans = [files for files in find(folder).scans if "flair" in files.contrasts]
    if not scans:
        raise UsageError(
            f"{folder.resolve().name}: expected scans with a FLAIR, found none. Next: name "
            "another folder."
        )
    detector = load("default", device=device)
    for files in scans:
        yield files.label, _read(files, detector, spacing, shape)


def _read(
    files: ScanFiles, detector: Detector, spacing: float, shape: tuple[int, int, int]
) -> Anatomy:
    flair = {"flair": files.contrasts["flair"]}
    with converted(replace(files, contrasts=flair, truth=None)) as images:
        scan = detector.prepare(images)
    mask = detector.detect_scan(scan).mask
    coarse = resample_to_isotropic(scan.select(("flair",)), spacing)
    lesions = resample_to_grid(mask[None].astype(np.float32), scan.grid, coarse.grid)[0] > LESION
    return measured_anatomy(coarse, lesions, _template_tissue(coarse), shape)


def _template_tissue(scan: Scan) -> TemplateTissue:
    anatomy = anatomy_on(scan.grid, scan.to_template)
    tissues = tissues_on(scan.grid, scan.to_template)
    if anatomy is None or tissues is None:
        raise ScanError(
            scan.label,
            expected="a scan that can be registered to the template",
            got="one that could not",
            next_step="remove it from the folder and start again",
        )
    grey, white = tissues
    return TemplateTissue(white, grey, anatomy.ventricle_mm, anatomy.infratentorial)


def measured_anatomy(
    scan: Scan, lesions: Mask, tissue: TemplateTissue, shape: tuple[int, int, int]
) -> Anatomy:
    """Return an anatomy with a measured FLAIR.

    Its labels are coarse: lobar white matter, cortex, hindbrain and ventricles only.

    Args:
        scan: with FLAIR alone, of isotropic voxels.
        lesions: (I, J, K) bool, filled in.
        tissue: template's tissue on the same grid.
        shape: of the result, centred on the brain.
    """
    brain = scan.brain
    flair, spread = _relative_to_white(scan.image[0], brain, lesions, tissue)
    bright = _bright(flair, brain, spread, tissue)
    flair = fill(flair, bright | (ndimage.binary_dilation(lesions) & brain), brain)
    above = NO_FLUID - ndimage.gaussian_filter(flair, FINE_SIGMA)
    fluid = np.clip(above / FLUID_RANGE, 0, 1) * brain
    labels = (np.where(tissue.white > 0.6, LOBAR_WHITE[0], FIRST_CORTEX) * brain).astype(np.uint8)
    labels[tissue.hindbrain & brain] = HINDBRAIN[0]
    labels[(tissue.ventricle_mm < 1) & (fluid > 0.4)] = LATERAL[0]
    whole = Anatomy(
        brain=brain.astype(np.float32),
        fluid=fluid,
        white=tissue.white * (1 - fluid),
        ventricle_mm=tissue.ventricle_mm,
        labels=labels,
        spacing=scan.grid.spacing[0],
        flair=flair * brain,
    )
    return whole.centred(shape)


def _relative_to_white(
    flair: Volume, brain: Mask, lesions: Mask, tissue: TemplateTissue
) -> tuple[Volume, float]:
    """Return the image relative to deep white matter, and the standard deviation there."""
    deep = ndimage.binary_erosion((tissue.white > DEEP_WHITE) & brain & ~lesions)
    level = float(np.median(flair[deep]))
    spread = 1.4826 * float(np.median(np.abs(flair[deep] - level)))
    return flair / level, spread / level


def _bright(flair: Volume, brain: Mask, spread: float, tissue: TemplateTissue) -> Mask:
    """Return white matter, and all that is near the ventricles, of unusual brightness."""
    smooth = ndimage.gaussian_filter(flair, EDGE_SIGMA)
    grey = float(np.percentile(smooth[(tissue.grey > GREY) & brain], 75))
    near = tissue.ventricle_mm < NEAR_VENTRICLES_MM
    white = (tissue.white > WHITE) | (near & (tissue.white > SOME_WHITE))
    bright = white & (smooth > max(1 + BRIGHT_SD * spread, BRIGHT_FACTOR * grey))
    found: Mask = ndimage.binary_dilation(bright | (near & (smooth > CAP_FACTOR * grey))) & brain
    return found


def fill(flair: Volume, hole: Mask, brain: Mask) -> Volume:
    """Replace a part of an image by the mean of the tissue around it, with texture from elsewhere.

    Args:
        flair: (I, J, K), white matter near 1.
        hole: (I, J, K) bool, what is replaced.
        brain: (I, J, K) bool; fluid in it does not count as tissue.
    """
    smooth = ndimage.gaussian_filter(flair, EDGE_SIGMA)
    normal = brain & ~hole & (smooth > NO_FLUID)
    weight = ndimage.gaussian_filter(normal.astype(np.float32), FILL_SIGMA)
    mean = ndimage.gaussian_filter(np.where(normal, flair, 0), FILL_SIGMA)
    mean = mean / np.maximum(weight, LEAST_WEIGHT)
    texture = np.roll(np.where(normal, flair - mean, 0), TEXTURE_SHIFT, (0, 1, 2))
    filled = np.where(weight > LEAST_WEIGHT, mean + texture, flair)
    soft = np.maximum(ndimage.gaussian_filter(hole.astype(np.float32), EDGE_SIGMA), hole)
    result: Volume = (flair + soft * (filled - flair)).astype(np.float32)
    return result
