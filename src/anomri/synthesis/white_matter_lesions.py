"""Random white-matter lesions: periventricular caps and lobar spots."""

from __future__ import annotations

import numpy as np

from anomri.scan import Mask, Volume
from anomri.synthesis.healthy_contrasts import Images, Tissue
from anomri.synthesis.random_fields import smooth_noise, soft_step

MAX_SPOTS = 45
SPOT_RADIUS_MM = (1.2, 7.0)


def draw_white_matter_lesions(images: Images, tissue: Tissue, rng: np.random.Generator) -> Mask:
    """Paint lesions into all contrasts, in place, and return their mask."""
    fine = smooth_noise(tissue.brain.shape, rng.uniform(4, 9) / tissue.spacing, rng)
    fraction = _spots(tissue, fine, rng)
    if rng.random() < 0.6:
        fraction = np.maximum(fraction, _caps(tissue, fine, rng))
    fraction = fraction * tissue.brain * (1 - tissue.fluid) * (0.25 + 1.3 * tissue.white).clip(0, 1)
    flair, level = images.values["flair"], np.float32(rng.uniform(1.2, 2.2))
    flair += fraction * (level * flair.clip(0.9) - flair)
    images.values["t2"] += fraction * np.float32(rng.uniform(0.2, 1.2))
    for name in ("t1", "t1ce"):
        images.values[name] *= 1 - fraction * np.float32(rng.uniform(0, 0.4))
    lesions: Mask = fraction > 0.45
    return lesions


def _caps(tissue: Tissue, fine: Volume, rng: np.random.Generator) -> Volume:
    """Return lesion fractions around the ventricles, with varying thickness."""
    thickness = np.float32(rng.uniform(1, 7)) * (1 + 0.7 * fine)
    return soft_step((thickness - tissue.ventricle_mm) / 1.2) * (tissue.edge_mm > 6)


def _spots(tissue: Tissue, fine: Volume, rng: np.random.Generator) -> Volume:
    """Return lesion fractions of 1 to 45 spots, mostly in lobar white matter."""
    fractions: Volume = np.zeros(tissue.brain.shape, np.float32)
    shape: list[int] = list(tissue.brain.shape)
    near = tissue.ventricle_mm < rng.uniform(10, 40)
    allowed = tissue.lobar & near if rng.random() < 0.8 else tissue.brain & (tissue.fluid < 0.3)
    count = int(np.exp(rng.uniform(0, np.log(MAX_SPOTS))))
    places = np.argwhere(allowed)
    if not len(places):
        return fractions
    for centre in places[rng.integers(len(places), size=count)]:
        radius = np.exp(rng.uniform(*np.log(SPOT_RADIUS_MM))) / tissue.spacing
        reach = int(np.ceil(radius * 2.2)) + 2
        box = tuple(
            slice(max(int(c) - reach, 0), min(int(c) + reach + 1, length))
            for c, length in zip(centre, shape, strict=True)
        )
        stretch = np.exp(rng.uniform(-0.4, 0.4, 3))
        offsets = np.ogrid[box]
        parts = zip(offsets, centre, stretch, strict=True)
        distance = np.sqrt(sum(np.square((o - c) / s) for o, c, s in parts))
        spot = soft_step((radius * (1 + 0.25 * fine[box]) - distance) * 2.2)
        fractions[box] = np.maximum(fractions[box], spot)
    return fractions
