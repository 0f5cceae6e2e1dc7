"""Gliomas and metastases drawn at random: a core, what of it enhances, and edema around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.scan import Mask, Volume
from anomri.synthesis.fields import soften, waves
from anomri.synthesis.sequences import Images, Tissue

SMALLEST = 6  # voxels of a core; less is not drawn
BLUR = 0.55  # voxels, at the border between tumour and brain

Point = NDArray[np.float32]  # (3,)


@dataclass(frozen=True, slots=True)
class Seed:
    """Where a tumour begins.

    Attributes:
        centre: (3,) voxels.
        radius: of its core, in voxels.
    """

    centre: Point
    radius: float

    def distance(self, shape: tuple[int, ...], draw: np.random.Generator) -> Volume:
        """Return (I, J, K) the distance to the centre in radii, on axes stretched at random."""
        stretch = np.exp(draw.uniform(-0.3, 0.3, 3))
        stretch /= np.prod(stretch) ** (1 / 3)
        turn, _ = np.linalg.qr(draw.standard_normal((3, 3)))
        offset = indices(shape) - self.centre
        turned = offset @ (turn / stretch).astype(np.float32)
        distance: Volume = np.sqrt(np.square(turned).sum(-1)) / np.float32(self.radius)
        return distance


@dataclass(frozen=True, slots=True, kw_only=True)
class Tumour:
    """One tumour's parts.

    Attributes:
        core: (I, J, K).
        enhancing: (I, J, K), within the core.
        edema: (I, J, K), outside the core.
        depth_mm: (I, J, K) distance to the core, 0 inside.
        reach_mm: how far edema spreads through white matter.
        diffuse: whether the core looks much like the edema, as in lower grades.
    """

    core: Mask
    enhancing: Mask
    edema: Mask
    depth_mm: Volume
    reach_mm: float
    diffuse: bool


def draw_tumour(tissue: Tissue, seed: Seed, draw: np.random.Generator) -> Tumour | None:
    """Return a tumour's parts; None where next to nothing of it lies in the brain.

    The core is a ball with a wavy border. Edema follows white matter. Half of the enhancing cores
    have a rim, the others enhance as a whole or in patches; a third of all are diffuse.
    """
    shape, mm = tissue.brain.shape, tissue.spacing
    wide, fine = (waves(shape, draw.uniform(*w) / mm, draw) for w in ((8, 20), (6, 14)))
    border = seed.distance(shape, draw) + np.float32(draw.uniform(0.05, 0.35)) * wide
    core = largest((border < 1) & tissue.brain & (tissue.fluid < draw.uniform(0.6, 0.95)))
    if np.count_nonzero(core) < SMALLEST:
        return None
    diffuse = draw.random() < 0.35
    reach = draw.uniform(0, 8) if draw.random() < 0.3 else draw.uniform(4, 34)
    depth = ndimage.distance_transform_edt(~core, sampling=mm).astype(np.float32)
    ease = 0.2 + 0.95 * soften(tissue.white, 1.0) + np.float32(draw.uniform(0.1, 0.5)) * fine
    edema = (depth < reach * ease) & tissue.brain & (tissue.fluid < draw.uniform(0.5, 0.8))
    enhances = not diffuse or draw.random() < 0.2
    return Tumour(
        core=core,
        enhancing=_enhancing(core, mm, wide, fine, draw) if enhances else np.zeros_like(core),
        edema=largest(edema | core) & ~core,
        depth_mm=depth,
        reach_mm=reach,
        diffuse=diffuse,
    )


def _enhancing(
    core: Mask, mm: float, wide: Volume, fine: Volume, draw: np.random.Generator
) -> Mask:
    """Return a rim, most of the core, patches, or nothing."""
    kind = draw.random()
    if kind < 0.55:
        inside = ndimage.distance_transform_edt(core, sampling=mm)
        rim = inside < draw.uniform(2.5, 9) * (1 + 0.6 * fine)
        open_ring: Mask = wide * draw.uniform(0, 0.8) > -draw.uniform(0.3, 1.5)
        return core & rim & open_ring
    if kind < 0.75:
        return core & (fine > draw.uniform(-2, 0.3))
    if kind < 0.9:
        return core & (waves(core.shape, draw.uniform(5, 12) / mm, draw) > draw.uniform(0, 1.2))
    return np.zeros_like(core)


def paint_tumour(images: Images, tissue: Tissue, tumour: Tumour, draw: np.random.Generator) -> None:
    """Draw a tumour into all contrasts, in place; edema fades with the distance to the core."""
    parts = (tumour.edema, tumour.enhancing, tumour.core & ~tumour.enhancing)
    shares = [soften(part, BLUR) for part in parts]
    too_much = np.maximum(sum(shares), 1)
    edema, enhancing, rest = (share / too_much for share in shares)
    fade = np.exp(-tumour.depth_mm / max(tumour.reach_mm, 1) * np.float32(draw.uniform(0, 0.6)))
    for name, (swollen, bright, dead) in _colours(images, tumour, fade, draw).items():
        value, shape = images.values[name], tissue.brain.shape
        rough = [
            1 + draw.uniform(0, a) * waves(shape, draw.uniform(5, 20) / tissue.spacing, draw)
            for a in (0.14, 0.25)
        ]
        value *= 1 - edema - enhancing - rest
        value += edema * swollen * rough[0] * (1 - 0.35 * tissue.fluid)
        value += enhancing * np.float32(bright) * rough[0] + rest * np.float32(dead) * rough[1]


Colours = tuple[Volume, float, float]  # edema, enhancing tumour, the rest of the core


def _colours(
    images: Images, tumour: Tumour, fade: Volume, draw: np.random.Generator
) -> dict[str, Colours]:
    """Draw what edema, enhancing tumour and the rest of the core look like in each contrast."""
    top = float(np.exp(draw.uniform(0.05, 0.75))) * max(images.grey["flair"], 1.0)
    necrotic = draw.random() < 0.33 and not tumour.diffuse
    t2, dark = images.grey["t2"], draw.uniform(0.1, 0.45) * fade
    t1 = (1 - dark, draw.uniform(0.55, 1.0), draw.uniform(0.25, 0.85))
    return {
        "flair": (
            1 + np.float32(top - 1) * fade,
            top * draw.uniform(0.55, 1.2),
            draw.uniform(0.2, 1.0) if necrotic else top * draw.uniform(0.75, 1.15),
        ),
        "t2": (
            1 + np.float32(draw.uniform(1.3, 2.1) * t2 - 1) * fade,
            t2 * draw.uniform(0.9, 1.6),
            t2 * draw.uniform(1.1, 2.3),
        ),
        "t1": t1,
        "t1ce": (
            t1[0] + np.float32(draw.uniform(-0.05, 0.05)),
            draw.uniform(1.1, 2.4),
            t1[2] + draw.uniform(-0.05, 0.15),
        ),
    }


def largest(mask: Mask) -> Mask:
    """Return the largest component (6 neighbours)."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    main: Mask = labels == sizes.argmax()
    return main


def indices(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return (I, J, K, 3), each voxel's own indices."""
    axes = [np.arange(n, dtype=np.float32) for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
