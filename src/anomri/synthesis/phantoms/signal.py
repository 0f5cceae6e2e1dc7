"""Signal of each tissue by contrast, with bias field and noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from anomri.scan import Volume
from anomri.synthesis.phantoms.anatomy import Anatomy
from anomri.synthesis.phantoms.spline_fields import smooth_field

FLUID, GREY, WHITE = "fluid", "grey", "white"
NECROSIS, EDEMA, ENHANCING, HYPERINTENSITY = "necrosis", "edema", "enhancing", "hyperintensity"

# Signal of each tissue, relative to the brightest normal tissue.
SIGNAL: dict[str, dict[str, float]] = {
    "flair": {
        FLUID: 0.12,
        GREY: 0.62,
        WHITE: 0.50,
        NECROSIS: 0.45,
        EDEMA: 0.95,
        ENHANCING: 0.80,
        HYPERINTENSITY: 0.92,
    },
    "t1": {
        FLUID: 0.18,
        GREY: 0.58,
        WHITE: 0.86,
        NECROSIS: 0.36,
        EDEMA: 0.56,
        ENHANCING: 0.55,
        HYPERINTENSITY: 0.64,
    },
    "t1ce": {
        FLUID: 0.18,
        GREY: 0.58,
        WHITE: 0.82,
        NECROSIS: 0.34,
        EDEMA: 0.56,
        ENHANCING: 1.25,
        HYPERINTENSITY: 0.62,
    },
    "t2": {
        FLUID: 1.00,
        GREY: 0.56,
        WHITE: 0.40,
        NECROSIS: 0.90,
        EDEMA: 0.82,
        ENHANCING: 0.66,
        HYPERINTENSITY: 0.74,
    },
}
# Standard deviation of the lesion signal between patients, as a fraction of it.
SPREAD = {NECROSIS: 0.2, EDEMA: 0.06, ENHANCING: 0.08, HYPERINTENSITY: 0.06}
VESSEL = 1.15
PARTIAL_VOLUME = 0.35  # Gaussian sigma in voxels, for partial volume at borders
CAP = 0.16  # additional FLAIR signal of white matter next to a ventricle


def paint(
    rng: np.random.Generator, anatomy: Anatomy, lesion: Mapping[str, Volume], contrast: str
) -> Volume:
    """Return an image with bias field and noise in arbitrary units, 0 outside the brain.

    Args:
        rng: random number generator.
        anatomy: the brain.
        lesion: (I, J, K) fraction of each voxel by tissue name.
        contrast: a key of :data:`SIGNAL`.
    """
    signal = ndimage.gaussian_filter(_signal(rng, anatomy, lesion, contrast), PARTIAL_VOLUME)
    field = smooth_field(rng, anatomy.brain.shape, knots=70 / anatomy.spacing_mm)
    bias = np.exp(rng.uniform(0.04, 0.10) * field)
    noise = rng.uniform(0.015, 0.03)
    image = _rician(rng, signal * bias, noise) * rng.uniform(250, 1200)
    return np.where(anatomy.brain, image, 0).astype(np.float32)


def _signal(
    rng: np.random.Generator, anatomy: Anatomy, lesion: Mapping[str, Volume], contrast: str
) -> Volume:
    levels = SIGNAL[contrast]
    spacing = anatomy.spacing_mm
    texture = smooth_field(rng, anatomy.brain.shape, knots=7 / spacing)
    healthy = (
        levels[FLUID] * anatomy.fluid + levels[GREY] * anatomy.grey + levels[WHITE] * anatomy.white
    ) * (1 + 0.035 * texture)
    if contrast == "flair":
        healthy += CAP * anatomy.white * ndimage.gaussian_filter(anatomy.ventricles, 3 / spacing)
    if contrast == "t1ce":
        vessels = _vessels(rng, anatomy)
        healthy += vessels * (VESSEL - healthy)
    for tissue, fraction in lesion.items():
        level = levels[tissue] * rng.normal(1.0, SPREAD[tissue]) * (1 + 0.07 * texture)
        healthy += fraction * (level - healthy)
    signal: Volume = healthy
    return signal


def _vessels(rng: np.random.Generator, anatomy: Anatomy) -> Volume:
    """Return enhancing vessels: curves where two random fields are both zero, within fluid."""
    first, second = (
        smooth_field(rng, anatomy.brain.shape, knots=14 / anatomy.spacing_mm) for _ in range(2)
    )
    curve = np.exp(-(first**2 + second**2) / (2 * (0.06 * anatomy.spacing_mm) ** 2))
    vessels: Volume = curve * np.clip(1.4 * (anatomy.fluid - anatomy.ventricles) + 0.1, 0, 1)
    return vessels


def _rician(rng: np.random.Generator, signal: Volume, sigma: float) -> Volume:
    """Return the signal with Rician noise (Gudbjartsson 1995)."""
    real, imaginary = (
        sigma * rng.standard_normal(signal.shape, dtype=np.float32) for _ in range(2)
    )
    magnitude: Volume = np.hypot(signal + real, imaginary)
    return magnitude
