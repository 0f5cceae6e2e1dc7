"""Random gliomas and metastases: core, enhancing part and edema."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.scan import Mask, Volume
from anomri.synthesis.healthy_contrasts import Images, Tissue
from anomri.synthesis.random_fields import blur, smooth_noise

MIN_CORE_VOXELS = 6
BORDER_BLUR = 0.55  # voxels

Point = NDArray[np.float32]  # (3,)


@dataclass(frozen=True, slots=True)
class TumourSeed:
    """Position and size of a tumour.

    Attributes:
        centre: (3,) voxel indices.
        radius: of the core, in voxels.
    """

    centre: Point
    radius: float

    def distance(self, shape: tuple[int, ...], rng: np.random.Generator) -> Volume:
        """Return (I, J, K), the distance to the centre in radii of a random ellipsoid."""
        stretch = np.exp(rng.uniform(-0.3, 0.3, 3))
        stretch /= np.prod(stretch) ** (1 / 3)
        rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        offset = indices(shape) - self.centre
        scaled = offset @ (rotation / stretch).astype(np.float32)
        distance: Volume = np.sqrt(np.square(scaled).sum(-1)) / np.float32(self.radius)
        return distance


@dataclass(frozen=True, slots=True, kw_only=True)
class Tumour:
    """Parts of one tumour.

    Attributes:
        core: (I, J, K).
        enhancing: (I, J, K), inside the core.
        edema: (I, J, K), outside the core.
        depth_mm: (I, J, K) distance to the core, 0 inside.
        reach_mm: distance that edema spreads through white matter.
        diffuse: whether the core resembles the edema, as in lower grades.
    """

    core: Mask
    enhancing: Mask
    edema: Mask
    depth_mm: Volume
    reach_mm: float
    diffuse: bool


def draw_tumour(tissue: Tissue, seed: TumourSeed, rng: np.random.Generator) -> Tumour | None:
    """Return the parts of a tumour; None if hardly any of it lies in the brain.

    The core is an ellipsoid with an irregular border. Edema follows white matter. About half of the
    enhancing cores have a rim, the others enhance throughout or in patches; a third are diffuse.
    """
    shape, mm = tissue.brain.shape, tissue.spacing
    wide, fine = (smooth_noise(shape, rng.uniform(*w) / mm, rng) for w in ((8, 20), (6, 14)))
    border = seed.distance(shape, rng) + np.float32(rng.uniform(0.05, 0.35)) * wide
    core = largest((border < 1) & tissue.brain & (tissue.fluid < rng.uniform(0.6, 0.95)))
    if np.count_nonzero(core) < MIN_CORE_VOXELS:
        return None
    diffuse = rng.random() < 0.35
    reach = rng.uniform(0, 8) if rng.random() < 0.3 else rng.uniform(4, 34)
    depth = ndimage.distance_transform_edt(~core, sampling=mm).astype(np.float32)
    spread = 0.2 + 0.95 * blur(tissue.white, 1.0) + np.float32(rng.uniform(0.1, 0.5)) * fine
    edema = (depth < reach * spread) & tissue.brain & (tissue.fluid < rng.uniform(0.5, 0.8))
    enhances = not diffuse or rng.random() < 0.2
    return Tumour(
        core=core,
        enhancing=_enhancing(core, mm, wide, fine, rng) if enhances else np.zeros_like(core),
        edema=largest(edema | core) & ~core,
        depth_mm=depth,
        reach_mm=reach,
        diffuse=diffuse,
    )


def _enhancing(core: Mask, mm: float, wide: Volume, fine: Volume, rng: np.random.Generator) -> Mask:
    """Return the enhancing voxels: a rim, most of the core, patches, or none."""
    kind = rng.random()
    if kind < 0.55:
        inside = ndimage.distance_transform_edt(core, sampling=mm)
        rim = inside < rng.uniform(2.5, 9) * (1 + 0.6 * fine)
        open_ring: Mask = wide * rng.uniform(0, 0.8) > -rng.uniform(0.3, 1.5)
        return core & rim & open_ring
    if kind < 0.75:
        return core & (fine > rng.uniform(-2, 0.3))
    if kind < 0.9:
        return core & (smooth_noise(core.shape, rng.uniform(5, 12) / mm, rng) > rng.uniform(0, 1.2))
    return np.zeros_like(core)


def paint_tumour(images: Images, tissue: Tissue, tumour: Tumour, rng: np.random.Generator) -> None:
    """Paint a tumour into all contrasts, in place; edema fades with distance from the core."""
    parts = (tumour.edema, tumour.enhancing, tumour.core & ~tumour.enhancing)
    fractions = [blur(part, BORDER_BLUR) for part in parts]
    total = np.maximum(sum(fractions), 1)
    edema, enhancing, rest = (fraction / total for fraction in fractions)
    fade = np.exp(-tumour.depth_mm / max(tumour.reach_mm, 1) * np.float32(rng.uniform(0, 0.6)))
    for name, (edema_level, enhancing_level, rest_level) in _draw_intensities(
        images, tumour, fade, rng
    ).items():
        value, shape = images.values[name], tissue.brain.shape
        texture = [
            1 + rng.uniform(0, a) * smooth_noise(shape, rng.uniform(5, 20) / tissue.spacing, rng)
            for a in (0.14, 0.25)
        ]
        value *= 1 - edema - enhancing - rest
        value += edema * edema_level * texture[0] * (1 - 0.35 * tissue.fluid)
        value += (
            enhancing * np.float32(enhancing_level) * texture[0]
            + rest * np.float32(rest_level) * texture[1]
        )


Intensities = tuple[Volume, float, float]  # edema, enhancing tumour, the rest of the core


def _draw_intensities(
    images: Images, tumour: Tumour, fade: Volume, rng: np.random.Generator
) -> dict[str, Intensities]:
    """Draw the intensities of edema, enhancing tumour and the rest of the core per contrast."""
    top = float(np.exp(rng.uniform(0.05, 0.75))) * max(images.grey["flair"], 1.0)
    necrotic = rng.random() < 0.33 and not tumour.diffuse
    t2, dark = images.grey["t2"], rng.uniform(0.1, 0.45) * fade
    t1 = (1 - dark, rng.uniform(0.55, 1.0), rng.uniform(0.25, 0.85))
    return {
        "flair": (
            1 + np.float32(top - 1) * fade,
            top * rng.uniform(0.55, 1.2),
            rng.uniform(0.2, 1.0) if necrotic else top * rng.uniform(0.75, 1.15),
        ),
        "t2": (
            1 + np.float32(rng.uniform(1.3, 2.1) * t2 - 1) * fade,
            t2 * rng.uniform(0.9, 1.6),
            t2 * rng.uniform(1.1, 2.3),
        ),
        "t1": t1,
        "t1ce": (
            t1[0] + np.float32(rng.uniform(-0.05, 0.05)),
            rng.uniform(1.1, 2.4),
            t1[2] + rng.uniform(-0.05, 0.15),
        ),
    }


def largest(mask: Mask) -> Mask:
    """Return the largest component (6-connected)."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    main: Mask = labels == sizes.argmax()
    return main


def indices(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return (I, J, K, 3), the index of each voxel."""
    axes = [np.arange(n, dtype=np.float32) for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
