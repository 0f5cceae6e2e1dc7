"""Random white-matter lesions: periventricular caps and lobar spots."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from anomri.synthesis.healthy_contrasts import Images
from anomri.synthesis.random_fields import blur, smooth_noise, soft_step
from anomri.synthesis.random_streams import RandomStreams
from anomri.synthesis.tissue import Tissue

MAX_SPOTS = 45
SPOT_RADIUS_MM = (1.2, 7.0)


def draw_white_matter_lesions(images: Images, tissue: Tissue, random: RandomStreams) -> Tensor:
    """Paint lesions into all contrasts, in place, and return their masks (N, I, J, K)."""
    widths = [width / tissue.spacing for width in random.numbers(4, 9)]
    fine = smooth_noise(tissue.shape, widths, random)
    fraction = _spots(tissue, fine, random)
    capped = random.chosen(0.6)
    if capped:
        caps = _caps(tissue.of(capped), fine[capped], random.of(capped))
        fraction[capped] = torch.maximum(fraction[capped], caps)
    fraction *= tissue.brain * (1 - tissue.fluid) * (0.25 + 1.3 * tissue.white).clamp(0, 1)
    flair = images.values["flair"]
    flair += fraction * (random.uniform(1.2, 2.2) * flair.clamp(min=0.9) - flair)
    images.values["t1ce"] *= 1 - fraction * random.uniform(0, 0.4)
    return fraction > 0.45


def _caps(tissue: Tissue, fine: Tensor, random: RandomStreams) -> Tensor:
    """Return lesion fractions of varying thickness around the ventricles, in the lobes.

    Midbrain, hypothalamus and hippocampus are as near to the temporal horns, but have no caps.
    """
    thickness = random.uniform(1, 7) * (1 + 0.7 * fine)
    in_lobes = (2 * blur(tissue.lobar, 1.0)).clamp(max=1) * (tissue.edge_mm > 6)
    return soft_step((thickness - tissue.ventricle_mm) / 1.2) * in_lobes


def _spots(tissue: Tissue, fine: Tensor, random: RandomStreams) -> Tensor:
    """Return lesion fractions of 1 to 45 spots, mostly in lobar white matter."""
    near = tissue.ventricle_mm < random.uniform(10, 40)
    allowed = tissue.brain & (tissue.fluid < 0.3)
    lobar = random.chosen(0.9)
    allowed[lobar] = (tissue.lobar & near)[lobar]
    fractions = torch.zeros_like(fine)
    counts = [int(count) for count in random.log_numbers(1, MAX_SPOTS)]
    numbers = random.uniforms(0, 1, 5 * MAX_SPOTS).reshape(-1, MAX_SPOTS, 5)
    for n, count in enumerate(counts):
        places = allowed[n].nonzero()
        if len(places):
            chosen = numbers[n, :count]
            centres = places[(chosen[:, 0] * len(places)).long()].float()
            _paint_spots(fractions[n], fine[n], centres, chosen[:, 1:], tissue.spacing)
    return fractions


def _paint_spots(
    fractions: Tensor, fine: Tensor, centres: Tensor, numbers: Tensor, mm: float
) -> None:
    """Paint spots into (I, J, K) fractions, in place.

    Args:
        fractions: (I, J, K).
        fine: (I, J, K) noise of their borders.
        centres: (S, 3) voxel indices.
        numbers: (S, 4) uniform numbers, for the radius and the stretch along each axis.
        mm: voxel size.
    """
    low, high = (math.log(limit) for limit in SPOT_RADIUS_MM)
    radii = (low + (high - low) * numbers[:, 0]).exp() / mm
    stretches = (0.8 * numbers[:, 1:] - 0.4).exp()
    spots = zip(centres.tolist(), radii.tolist(), stretches.tolist(), strict=True)
    for centre, radius, stretch in spots:
        reach = math.ceil(radius * 2.2) + 2
        box = tuple(slice(max(int(c) - reach, 0), int(c) + reach + 1) for c in centre)
        part = fractions[box]
        squares = torch.zeros_like(part)
        for axis, (side, c, s) in enumerate(zip(box, centre, stretch, strict=True)):
            index = torch.arange(part.shape[axis], device=part.device) + side.start
            shape = [-1 if a == axis else 1 for a in range(3)]
            squares = squares + ((index - c) / s).square().reshape(shape)
        spot = soft_step((radius * (1 + 0.25 * fine[box]) - squares.sqrt()) * 2.2)
        torch.maximum(part, spot, out=part)
