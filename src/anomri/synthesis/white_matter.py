"""White-matter lesions drawn at random: caps around the ventricles and spots in the lobes."""

from __future__ import annotations

import numpy as np

from anomri.scan import Mask, Volume
from anomri.synthesis.fields import step, waves
from anomri.synthesis.sequences import Images, Tissue

MOST_SPOTS = 45
SPOT_MM = (1.2, 7.0)  # radius


def draw_white_matter_lesions(images: Images, tissue: Tissue, draw: np.random.Generator) -> Mask:
    """Draw lesions into all contrasts, in place, and return where they are."""
    fine = waves(tissue.brain.shape, draw.uniform(4, 9) / tissue.spacing, draw)
    share = _spots(tissue, fine, draw)
    if draw.random() < 0.6:
        share = np.maximum(share, _caps(tissue, fine, draw))
    share = share * tissue.brain * (1 - tissue.fluid) * (0.25 + 1.3 * tissue.white).clip(0, 1)
    flair, level = images.values["flair"], np.float32(draw.uniform(1.2, 2.2))
    flair += share * (level * flair.clip(0.9) - flair)
    images.values["t2"] += share * np.float32(draw.uniform(0.2, 1.2))
    for name in ("t1", "t1ce"):
        images.values[name] *= 1 - share * np.float32(draw.uniform(0, 0.4))
    found: Mask = share > 0.45
    return found


def _caps(tissue: Tissue, fine: Volume, draw: np.random.Generator) -> Volume:
    """Return shares of lesion around the ventricles, of wavy thickness."""
    thickness = np.float32(draw.uniform(1, 7)) * (1 + 0.7 * fine)
    return step((thickness - tissue.ventricle_mm) / 1.2) * (tissue.edge_mm > 6)


def _spots(tissue: Tissue, fine: Volume, draw: np.random.Generator) -> Volume:
    """Return shares of lesion of one to 45 spots, mostly in the lobes' white matter."""
    shares: Volume = np.zeros(tissue.brain.shape, np.float32)
    ends: list[int] = list(tissue.brain.shape)
    near = tissue.ventricle_mm < draw.uniform(10, 40)
    usual = tissue.lobar & near if draw.random() < 0.8 else tissue.brain & (tissue.fluid < 0.3)
    count = int(np.exp(draw.uniform(0, np.log(MOST_SPOTS))))
    places = np.argwhere(usual)
    if not len(places):
        return shares
    for centre in places[draw.integers(len(places), size=count)]:
        radius = np.exp(draw.uniform(*np.log(SPOT_MM))) / tissue.spacing
        reach = int(np.ceil(radius * 2.2)) + 2
        box = tuple(
            slice(max(int(c) - reach, 0), min(int(c) + reach + 1, length))
            for c, length in zip(centre, ends, strict=True)
        )
        stretch = np.exp(draw.uniform(-0.4, 0.4, 3))
        offsets = np.ogrid[box]
        parts = zip(offsets, centre, stretch, strict=True)
        distance = np.sqrt(sum(np.square((o - c) / s) for o, c, s in parts))
        spot = step((radius * (1 + 0.25 * fine[box]) - distance) * 2.2)
        shares[box] = np.maximum(shares[box], spot)
    return shares
