"""FLAIR, T1 and T2 of a healthy brain, with random but realistic intensities.

Intensities are relative to white matter, which is 1. Bright rims, choroid plexus, vessels and
flowing fluid are painted too, so that a network cannot learn to take them for lesions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Labels, Mask, Volume
from anomri.synthesis.random_fields import blur, smooth_noise

SEQUENCES = ("flair", "t1ce", "t1", "t2")

# Lowest and highest intensity of grey matter and fluid
LEVELS: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "flair": ((0.9, 1.4), (0.0, 0.5)),
    "t1": ((0.55, 0.9), (0.1, 0.5)),
    "t2": ((1.05, 1.6), (1.5, 3.0)),
}
RESIDUE: Mapping[str, tuple[float, float]] = {
    "flair": (0.8, 3.0),
    "t1ce": (0.5, 2.5),
    "t1": (0.4, 1.5),
    "t2": (0.8, 2.5),
}
LABELS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """A healthy brain on the image grid.

    Attributes:
        brain: (I, J, K).
        fluid: (I, J, K) fraction of fluid.
        white: (I, J, K) fraction of white matter.
        ventricle_mm: (I, J, K) distance to the lateral ventricles.
        edge_mm: (I, J, K) depth below the brain's surface.
        lateral: (I, J, K) lateral ventricles.
        lobar: (I, J, K) lobar white matter.
        labels: (I, J, K) MUSE label numbers.
        spacing: voxel size in mm.
    """

    brain: Mask
    fluid: Volume
    white: Volume
    ventricle_mm: Volume
    edge_mm: Volume
    lateral: Mask
    lobar: Mask
    labels: Labels
    spacing: float

    @property
    def grey(self) -> Volume:
        """Fraction of grey matter."""
        return (1 - self.fluid - self.white).clip(0, 1)


@dataclass(slots=True)
class Images:
    """Contrasts of one head.

    Attributes:
        values: (I, J, K) by contrast, white matter near 1.
        grey: intensity of grey matter by contrast.
    """

    values: dict[str, Volume]
    grey: dict[str, float]


def draw_healthy(tissue: Tissue, rng: np.random.Generator) -> Images:
    """Return FLAIR, contrast-enhanced T1, T1 and T2 of a healthy brain."""
    levels = {name: (rng.uniform(*g), rng.uniform(*f)) for name, (g, f) in LEVELS.items()}
    grey, fluid = levels["t1"]
    levels["t1ce"] = (
        float(np.clip(grey + rng.uniform(-0.06, 0.1), 0.5, 0.98)),
        float(np.clip(fluid + rng.uniform(-0.06, 0.1), 0.05, 0.6)),
    )
    common = rng.standard_normal(LABELS)
    values = {name: _paint(tissue, levels[name], common, rng) for name in SEQUENCES}
    images = Images(values, {name: levels[name][0] for name in SEQUENCES})
    _brighten_flair(images.values, tissue, rng)
    _enhance_vessels(images.values, tissue, rng)
    _add_residue(images.values, tissue, rng)
    return images


def _paint(
    tissue: Tissue,
    levels: tuple[float, float],
    common: NDArray[np.float64],
    rng: np.random.Generator,
) -> Volume:
    """Mix the tissues; each label deviates by up to 22 %, partly alike in all contrasts."""
    deviation = 0.5 * common + 0.8 * rng.standard_normal(LABELS)
    gain = 1 + np.clip(rng.uniform(0.02, 0.1) * deviation, -0.22, 0.22)
    grey, fluid = levels
    local = blur(gain.astype(np.float32)[tissue.labels], 0.9)
    image = (tissue.white + tissue.grey * grey) * local + tissue.fluid * fluid
    return image.astype(np.float32)


def _brighten_flair(values: dict[str, Volume], tissue: Tissue, rng: np.random.Generator) -> None:
    """Paint what is bright in healthy FLAIR: flowing fluid, brain surface, ventricle walls."""
    flair, shape, mm = values["flair"], tissue.brain.shape, tissue.spacing
    if rng.random() < 0.5:
        flow = smooth_noise(shape, rng.uniform(12, 30) / mm, rng) - rng.uniform(0.6, 1.6)
        flair += tissue.fluid * flow.clip(0, 2) * np.float32(rng.uniform(0.1, 0.6))
    if rng.random() < 0.45:
        rim = np.exp(-tissue.edge_mm / np.float32(rng.uniform(1.5, 5)))
        patches = smooth_noise(shape, rng.uniform(20, 50) / mm, rng) + rng.uniform(-1, 0.5)
        flair *= 1 + np.float32(rng.uniform(0.05, 0.5)) * rim * patches.clip(0, 1.5)
    if rng.random() < 0.5:
        near = np.exp(-(tissue.ventricle_mm - 1).clip(0) / np.float32(rng.uniform(0.8, 2.2)))
        flair *= 1 + np.float32(rng.uniform(0.03, 0.3)) * near * ~tissue.lateral


def _add_residue(values: dict[str, Volume], tissue: Tissue, rng: np.random.Generator) -> None:
    """Paint very bright skull-stripping residue and flowing fluid at the skull base.

    The base is the lower part of the image, up to a random height.
    """
    shape, mm = tissue.brain.shape, tissue.spacing
    height = np.arange(shape[2], dtype=np.float32) / shape[2]
    low = (height < rng.uniform(0.3, 0.6))[None, None, :]
    if rng.random() < 0.5:
        flow = smooth_noise(shape, rng.uniform(8, 24) / mm, rng) + rng.uniform(-0.8, 0.8)
        values["flair"] += low * tissue.fluid * flow.clip(0, 1.5) * np.float32(rng.uniform(0.4, 2))
    if rng.random() < 0.6:
        where = (tissue.edge_mm < rng.uniform(2, 7)) & (low | (rng.random() < 0.3))
        residue = where & (
            smooth_noise(shape, rng.uniform(6, 24) / mm, rng) > rng.uniform(0.2, 1.4)
        )
        fraction = blur(residue, 0.5)
        for name, (low_level, high_level) in RESIDUE.items():
            level = np.float32(rng.uniform(low_level, high_level))
            values[name] += fraction * (level - values[name])


def _enhance_vessels(values: dict[str, Volume], tissue: Tissue, rng: np.random.Generator) -> None:
    """Paint what enhances in healthy brains: choroid plexus, vessels, dura."""
    bright, shape, mm = values["t1ce"], tissue.brain.shape, tissue.spacing
    if rng.random() < 0.7:
        where = tissue.lateral & (smooth_noise(shape, 6 / mm, rng) > rng.uniform(0.6, 1.6))
        plexus = blur(where, 0.5)
        bright += plexus * np.float32(rng.uniform(0.3, 1.6))
        values["flair"] += plexus * np.float32(rng.uniform(0, 0.6))
    crossing = sum(np.abs(smooth_noise(shape, rng.uniform(8, 16) / mm, rng)) for _ in range(2))
    vessels = (crossing < rng.uniform(0.05, 0.16)) & (tissue.white < 0.55) & tissue.brain
    bright += blur(vessels, 0.45) * np.float32(rng.uniform(0.2, 1.6))
    if rng.random() < 0.6:
        patches = smooth_noise(shape, rng.uniform(20, 60) / mm, rng) + rng.uniform(-1, 0.4)
        shell = tissue.edge_mm < rng.uniform(2, 4.5)
        bright *= 1 + np.float32(rng.uniform(0.2, 1.2)) * shell * patches.clip(0, 1)
