"""FLAIR, T1 and T2 of a healthy brain, drawn at random around what scanners give.

All values are relative to white matter, which is 1. A lesion must not be known by anything that
healthy brains have too: bright rims, choroid plexus, vessels and flowing fluid are drawn as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomri.scan import Labels, Mask, Volume
from anomri.synthesis.fields import soften, waves

SEQUENCES = ("flair", "t1ce", "t1", "t2")

# grey matter and fluid, lowest and highest
LEVELS: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "flair": ((0.9, 1.4), (0.0, 0.5)),
    "t1": ((0.55, 0.9), (0.1, 0.5)),
    "t2": ((1.05, 1.6), (1.5, 3.0)),
}
SCRAPS: Mapping[str, tuple[float, float]] = {
    "flair": (0.8, 3.0),
    "t1ce": (0.5, 2.5),
    "t1": (0.4, 1.5),
    "t2": (0.8, 2.5),
}
NUMBERS = 256  # of labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """A healthy brain where it lies in the image.

    Attributes:
        brain: (I, J, K).
        fluid: (I, J, K) share of fluid.
        white: (I, J, K) share of white matter.
        ventricle_mm: (I, J, K) distance to the lateral ventricles.
        edge_mm: (I, J, K) depth below the brain's surface.
        lateral: (I, J, K), the lateral ventricles.
        lobar: (I, J, K), the white matter of the lobes.
        labels: (I, J, K) numbers of the atlas.
        spacing: mm, along each axis.
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
        """Share of grey matter."""
        return (1 - self.fluid - self.white).clip(0, 1)


@dataclass(slots=True)
class Images:
    """Contrasts that lesions are drawn into.

    Attributes:
        values: (I, J, K) by contrast, white matter near 1.
        grey: the level of grey matter by contrast.
    """

    values: dict[str, Volume]
    grey: dict[str, float]


def draw_healthy(tissue: Tissue, draw: np.random.Generator) -> Images:
    """Return FLAIR, T1CE, T1 and T2 of a healthy brain."""
    levels = {name: (draw.uniform(*g), draw.uniform(*f)) for name, (g, f) in LEVELS.items()}
    grey, fluid = levels["t1"]
    levels["t1ce"] = (
        float(np.clip(grey + draw.uniform(-0.06, 0.1), 0.5, 0.98)),
        float(np.clip(fluid + draw.uniform(-0.06, 0.1), 0.05, 0.6)),
    )
    common = draw.standard_normal(NUMBERS)
    values = {name: _paint(tissue, levels[name], common, draw) for name in SEQUENCES}
    images = Images(values, {name: levels[name][0] for name in SEQUENCES})
    _brighten_flair(images.values, tissue, draw)
    _enhance_vessels(images.values, tissue, draw)
    _leave_scraps(images.values, tissue, draw)
    return images


def _paint(
    tissue: Tissue,
    levels: tuple[float, float],
    common: NDArray[np.float64],
    draw: np.random.Generator,
) -> Volume:
    """Mix the tissues; each label is up to 22 % brighter or darker, partly so in all contrasts."""
    own = 0.5 * common + 0.8 * draw.standard_normal(NUMBERS)
    gain = 1 + np.clip(draw.uniform(0.02, 0.1) * own, -0.22, 0.22)
    grey, fluid = levels
    local = soften(gain.astype(np.float32)[tissue.labels], 0.9)
    image = (tissue.white + tissue.grey * grey) * local + tissue.fluid * fluid
    return image.astype(np.float32)


def _brighten_flair(values: dict[str, Volume], tissue: Tissue, draw: np.random.Generator) -> None:
    """Draw what is bright in healthy FLAIR: flowing fluid, the brain's rim, ventricles' walls."""
    flair, shape, mm = values["flair"], tissue.brain.shape, tissue.spacing
    if draw.random() < 0.5:
        flow = waves(shape, draw.uniform(12, 30) / mm, draw) - draw.uniform(0.6, 1.6)
        flair += tissue.fluid * flow.clip(0, 2) * np.float32(draw.uniform(0.1, 0.6))
    if draw.random() < 0.45:
        rim = np.exp(-tissue.edge_mm / np.float32(draw.uniform(1.5, 5)))
        patches = waves(shape, draw.uniform(20, 50) / mm, draw) + draw.uniform(-1, 0.5)
        flair *= 1 + np.float32(draw.uniform(0.05, 0.5)) * rim * patches.clip(0, 1.5)
    if draw.random() < 0.5:
        near = np.exp(-(tissue.ventricle_mm - 1).clip(0) / np.float32(draw.uniform(0.8, 2.2)))
        flair *= 1 + np.float32(draw.uniform(0.03, 0.3)) * near * ~tissue.lateral


def _leave_scraps(values: dict[str, Volume], tissue: Tissue, draw: np.random.Generator) -> None:
    """Draw what skull stripping leaves at the base, and fluid that flows there: both very bright.

    The base is the lower part of the image, with a border that is drawn at random.
    """
    shape, mm = tissue.brain.shape, tissue.spacing
    height = np.arange(shape[2], dtype=np.float32) / shape[2]
    low = (height < draw.uniform(0.3, 0.6))[None, None, :]
    if draw.random() < 0.5:
        flow = waves(shape, draw.uniform(8, 24) / mm, draw) + draw.uniform(-0.8, 0.8)
        values["flair"] += low * tissue.fluid * flow.clip(0, 1.5) * np.float32(draw.uniform(0.4, 2))
    if draw.random() < 0.6:
        where = (tissue.edge_mm < draw.uniform(2, 7)) & (low | (draw.random() < 0.3))
        scraps = where & (waves(shape, draw.uniform(6, 24) / mm, draw) > draw.uniform(0.2, 1.4))
        share = soften(scraps, 0.5)
        for name, (least, most) in SCRAPS.items():
            level = np.float32(draw.uniform(least, most))
            values[name] += share * (level - values[name])


def _enhance_vessels(values: dict[str, Volume], tissue: Tissue, draw: np.random.Generator) -> None:
    """Draw what enhances in healthy brains: choroid plexus, vessels, dura."""
    bright, shape, mm = values["t1ce"], tissue.brain.shape, tissue.spacing
    if draw.random() < 0.7:
        where = tissue.lateral & (waves(shape, 6 / mm, draw) > draw.uniform(0.6, 1.6))
        plexus = soften(where, 0.5)
        bright += plexus * np.float32(draw.uniform(0.3, 1.6))
        values["flair"] += plexus * np.float32(draw.uniform(0, 0.6))
    crossing = sum(np.abs(waves(shape, draw.uniform(8, 16) / mm, draw)) for _ in range(2))
    vessels = (crossing < draw.uniform(0.05, 0.16)) & (tissue.white < 0.55) & tissue.brain
    bright += soften(vessels, 0.45) * np.float32(draw.uniform(0.2, 1.6))
    if draw.random() < 0.6:
        patches = waves(shape, draw.uniform(20, 60) / mm, draw) + draw.uniform(-1, 0.4)
        shell = tissue.edge_mm < draw.uniform(2, 4.5)
        bright *= 1 + np.float32(draw.uniform(0.2, 1.2)) * shell * patches.clip(0, 1)
