"""A labelled head: which tissue each voxel of a real head is, as far as one T1 scan tells.

The brain's labels come from the data set. What lies around it has none, so that it is made by
clustering intensities (Hoopes et al. 2022, section 3.1, cluster the air and tissue outside the
brain in the same way).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn.functional import interpolate

from anomri.scan import Labels, Mask, Volume

AIR_SHARE = 0.08  # of the brightest percentile: what is darker outside the head is air
SKULL_MM = 9.0  # how deep dark voxels around the brain are taken for skull and fluid
SAMPLE = 20_000  # voxels that the clusters' borders are taken from


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledHead:
    """One head that images can be drawn from.

    Attributes:
        scan: (I, J, K) T1, its 99.5th percentile at 1.
        brain: (I, J, K) bool.
        regions: (I, J, K), 0 outside the brain, else the group of anatomy.
        head: (I, J, K) bool, everything that is not air around it.
        depth_mm: (I, J, K) float32, distance to the brain, 0 inside.
        spacing: mm along I, J, K.
    """

    scan: Volume
    brain: Mask
    regions: Labels
    head: Mask
    depth_mm: Volume
    spacing: tuple[float, float, float]

    @classmethod
    def of(
        cls, scan: Volume, anatomy: Labels, spacing: tuple[float, float, float], groups: int = 12
    ) -> LabelledHead:
        """Take a scan and its anatomy apart.

        Args:
            scan: (I, J, K), RAS+, whole head.
            anatomy: (I, J, K) label numbers, above zero is brain.
            spacing: mm along I, J, K.
            groups: how many groups the anatomy's labels are dealt into.
        """
        bright = np.float32(np.percentile(scan, 99.5))
        scaled = np.clip(scan / bright, 0, 1.5).astype(np.float32)
        brain = ndimage.binary_fill_holes(_closed(anatomy > 0, 3.0, spacing))
        head = _closed((scaled > AIR_SHARE) | brain, 8.0, spacing)
        depth = ndimage.distance_transform_edt(~brain, sampling=spacing)
        nearest = ndimage.distance_transform_edt(
            anatomy == 0, return_distances=False, return_indices=True
        )
        filled = anatomy[tuple(nearest)]
        return cls(
            scan=scaled,
            brain=brain,
            regions=np.where(brain, 1 + filled % groups, 0).astype(np.uint8),
            head=ndimage.binary_fill_holes(head) | brain,
            depth_mm=depth.astype(np.float32),
            spacing=spacing,
        )


def tissues(head: LabelledHead, draw: np.random.Generator) -> NDArray[np.int16]:
    """Return (I, J, K) tissue numbers from 0, another division at each call.

    Brain: a group of anatomy or a random merger of groups, times an intensity class. Around it:
    air, two to eight intensity classes of the head, some cut in two by a smooth random border, and
    a shell of random thickness next to the brain where the scan is dark (fluid, dura, skull).
    """
    inside = _classes(head.scan, head.brain, int(draw.integers(2, 6)), draw)
    merged = draw.integers(0, int(draw.integers(1, 5)), int(head.regions.max()) + 1)
    brain = inside * 5 + merged[head.regions]
    around = head.head & ~head.brain
    outside = _classes(head.scan, around, int(draw.integers(2, 9)), draw)
    border = smooth_field(head.scan.shape, draw, coarse=int(draw.integers(3, 8))) > 0
    outside = outside * 2 + (border & (draw.random(outside.max() + 1) < 0.4)[outside])
    result = np.where(head.brain, 40 + brain, np.where(around, 1 + outside, 0)).astype(np.int16)
    dark = around & (head.scan < draw.uniform(0.12, 0.3))
    inner, outer = draw.uniform(0, 4), draw.uniform(3, SKULL_MM + 4)
    result[dark & (head.depth_mm < outer)] = 30
    if draw.random() < 0.5:
        result[around & (head.depth_mm < inner)] = 31
    return result


def smooth_field(shape: tuple[int, ...], draw: np.random.Generator, *, coarse: int) -> Volume:
    """Return (I, J, K), a smooth random field: N(0, 1) on ``coarse`` nodes per axis, linearly."""
    nodes = torch.from_numpy(draw.standard_normal((1, 1, *[coarse] * 3), dtype=np.float32))
    field = interpolate(nodes, size=shape, mode="trilinear", align_corners=True)
    result: Volume = field[0, 0].numpy()
    return result


def _closed(mask: Mask, reach_mm: float, spacing: tuple[float, float, float]) -> Mask:
    room = [int(reach_mm / mm) + 2 for mm in spacing]
    padded = np.pad(mask, [(n, n) for n in room])
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= reach_mm
    closed: Mask = ndimage.distance_transform_edt(grown, sampling=spacing) > reach_mm
    return closed[tuple(slice(n, -n) for n in room)]


def _classes(scan: Volume, where: Mask, count: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Return (I, J, K) intensity classes from 0, cut at random quantiles of ``where``."""
    values = scan[where][:: max(np.count_nonzero(where) // SAMPLE, 1)]
    cuts = np.quantile(values, np.sort(draw.uniform(0.02, 0.98, count - 1)))
    result: NDArray[np.int64] = np.searchsorted(cuts.astype(np.float32), scan.ravel()).reshape(
        scan.shape
    )
    return result
