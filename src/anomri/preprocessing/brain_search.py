"""Finding the brain of a whole head with the network, on any grid.

The head is looked at on 4 mm voxels along the world's axes, so that neither oblique slices nor
flipped axes matter as long as the header is right. The first look is centred on the head, the next
ones on the brain that was found. What comes back to the scan's own voxels are logits, not a mask:
their linear interpolation places the border between the coarse voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from anomri.preprocessing.brain_network import (
    SHAPE,
    SPACING,
    BrainNetwork,
    brain_network,
    normalise,
)
from anomri.preprocessing.components import largest, solid
from anomri.preprocessing.grids import brain_box
from anomri.preprocessing.resampling import index_map, sample
from anomri.scan import Grid, Mask, Volume

LOOKS = 3
STILL_MM = 10.0  # a middle that moves less ends the search
BRAIN_BELOW_TOP_MM = 75.0  # the brain's middle under the top of the scalp
HEAD_SHARE = 0.15  # of the brightest percentile: what is brighter is head
STEPS_MM = 5.0  # between the voxels that the first look's centre is taken from
FAR = 8.0  # logits beyond it say no more
ASSUMED_FIELD_MM = (240.0, 150.0)  # in the slice and across slices, where the spacing is unknown

Point = NDArray[np.float64]  # (3,) world mm


@dataclass(frozen=True, slots=True)
class _Look:
    logits: Volume
    grid: Grid

    @property
    def brain(self) -> Mask:
        return largest(self.logits > 0)


def search_brain(
    volume: Volume, grid: Grid, *, spacing_known: bool = True, network: BrainNetwork | None = None
) -> Mask:
    """Return (I, J, K) bool, one piece without holes; empty where nothing like a brain was seen.

    Args:
        volume: (I, J, K), whole head.
        grid: where it lies.
        spacing_known: False takes the field of view for 240 mm in the slice, 150 mm across.
        network: another one than the one that ships with anomri.
    """
    where = grid if spacing_known else assumed_grid(grid.shape)
    values = volume - np.float32(min(float(volume.min()), 0.0))
    look = _settle(values, where, network or brain_network())
    if not look.brain.any():
        return np.zeros(volume.shape, dtype=bool)
    return _home(look, where)


def assumed_grid(shape: tuple[int, int, int]) -> Grid:
    """Return a grid for voxels of unknown size: RAS+, around zero."""
    in_plane, across = ASSUMED_FIELD_MM
    side = in_plane / max(shape[:2])
    affine = np.diag([side, side, float(np.clip(across / shape[2], 1, 8)), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Grid(shape=shape, affine=affine)


def _settle(values: Volume, grid: Grid, network: BrainNetwork) -> _Look:
    """Look again until the brain is in the middle."""
    smooth = _smooth(values, grid)
    centre = _first_centre(values, grid)
    look = _look(smooth, grid, centre, network)
    for _ in range(LOOKS - 1):
        if not look.brain.any():
            break
        box = brain_box(look.brain)
        middle = look.grid.to_world(np.array([(s.start + s.stop - 1) / 2 for s in box]))
        if np.abs(middle - centre).max() < STILL_MM:
            break
        centre = middle
        look = _look(smooth, grid, centre, network)
    return look


def _look(smooth: Volume, grid: Grid, centre: Point, network: BrainNetwork) -> _Look:
    """Return the logits around a point, the mean of the image's and its mirror image's."""
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = centre - SPACING * (np.array(SHAPE) - 1) / 2
    coarse = Grid(shape=SHAPE, affine=affine)
    image = sample(smooth, index_map(grid, coarse), SHAPE, linear=True)
    both = torch.from_numpy(normalise(image.astype(np.float32)))[None, None]
    with torch.inference_mode():
        logits = (network(both) + network(both.flip(2)).flip(2)) / 2
    return _Look(logits[0, 0].clamp(-FAR, FAR).numpy(), coarse)


def _first_centre(values: Volume, grid: Grid) -> Point:
    """Return the middle of the head from left to right and back to front, below its top."""
    steps = tuple(slice(None, None, max(round(STEPS_MM / mm), 1)) for mm in grid.spacing)
    few = values[steps]
    head = largest(few > HEAD_SHARE * np.percentile(few, 99))
    index = np.argwhere(head) * [part.step for part in steps]
    low, high = np.percentile(grid.to_world(index.astype(np.float64)), [1, 99], axis=0)
    centre: Point = (low + high) / 2
    centre[2] = max(high[2] - BRAIN_BELOW_TOP_MM, centre[2])
    return centre


def _smooth(values: Volume, grid: Grid) -> Volume:
    """Blur axes that are finer than what the network sees, so that sampling does not alias."""
    steps = [SPACING / mm for mm in grid.spacing]
    sigma = [float(np.sqrt(max(step * step - 1, 0)) / 2.355) for step in steps]
    smooth: Volume = ndimage.gaussian_filter(values, sigma, truncate=2)
    return smooth


def _home(look: _Look, grid: Grid) -> Mask:
    """Return the brain on the scan's own voxels, from the logits around its largest piece."""
    near = ndimage.binary_dilation(look.brain, iterations=2)
    logits = np.where(near, look.logits, np.float32(-FAR)) + np.float32(FAR)
    found = sample(logits, index_map(look.grid, grid), grid.shape, linear=True)
    return solid(found > FAR)  # zero beyond the grid is far from brain
