"""The brain mask of a scan that came without one.

Already-stripped scans are recognised; in a whole head the network looks for the brain, or HD-BET
where it is asked for, and gates look at what was found.

A scan is taken for skull-stripped when what stands out of its background is as large and as
solid as a brain:

* the background is one number: its faces do not scatter (air in a whole head is noise);
* the largest region, holes filled, has at most 2000 ml, where the voxel size is known;
* at most 12 % of that region is nearly as dark as the background (skull, sinuses and air make it
  more). Scans with values below the background, as after a z-score, are exempt.

Measured on real scans: stripped FLAIR and T1 of gliomas (24 subjects), white-matter lesions (2)
and MS (1) have no scatter, 1100-1610 ml and at most 8 % dark; whole heads have 2350 ml or more,
or, without a voxel size, scatter or at least 50 % dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from anomri.errors import ScanError
from anomri.preprocessing.brain_gates import check_found
from anomri.preprocessing.brain_hdbet import hdbet_brain
from anomri.preprocessing.brain_in_template import check_in_template
from anomri.preprocessing.brain_search import assumed_grid, search_brain
from anomri.preprocessing.components import solid
from anomri.scan import ML_PER_MM3, Grid, Mask, Volume

MAX_STRIPPED_ML = 2000.0
MAX_DARK_SHARE = 0.12
DARK = 0.1  # of the brightest percentile above the background
ASSUMED_SLACK = 2.0  # millilitres of an assumed voxel size may be wrong by this factor
BELOW_SHARE = 0.05  # this share below the background means that zero is not the darkest value
NOISE_SIGMAS = 5.0
RINGING = 1e-3  # interpolation leaves values of this size around a stripped brain

WHOLE_HEAD = "whole head: brain found by the built-in network; look at its outline"

Spacing = tuple[float, float, float]
Method = Literal["auto", "given", "network", "hdbet", "stripped"]


@dataclass(frozen=True, slots=True)
class Background:
    """What lies around the head.

    Attributes:
        level: its value.
        noise: robust standard deviation over the faces of the volume.
        scale: how far the brightest percentile of everything else lies from the level.
    """

    level: float
    noise: float
    scale: float

    @classmethod
    def of(cls, volume: Volume) -> Background:
        """Measure it on the six faces: median, 1.4826 · MAD."""
        ends = [np.moveaxis(volume, axis, 0)[[0, -1]] for axis in range(3)]
        faces = np.concatenate([end.ravel() for end in ends])
        level = float(np.median(faces))
        noise = 1.4826 * float(np.median(np.abs(faces - level)))
        distance = np.abs(volume[volume != level] - level)
        return cls(level, noise, float(np.percentile(distance, 99)))

    def foreground(self, volume: Volume) -> Mask:
        """Return (I, J, K) bool: farther from the level than noise and ringing reach."""
        reach = max(NOISE_SIGMAS * self.noise, RINGING * self.scale)
        far: Mask = np.abs(volume - np.float32(self.level)) > reach
        return far


def find_brain(
    volume: Volume,
    grid: Grid,
    *,
    method: Method = "auto",
    spacing_known: bool = True,
    name: str = "scan",
) -> tuple[Mask, tuple[str, ...]]:
    """Return the brain of a scan, and what a reader must know of it.

    Args:
        volume: (I, J, K), RAS+.
        grid: where it lies.
        method: ``stripped`` takes the foreground for the brain; ``network`` and ``hdbet`` look
            for it in a whole head; ``auto`` decides between the first two.
        spacing_known: whether the grid's millimetres mean anything.
        name: of the scan, for errors.

    Raises:
        ScanError: ``given``, and there is no mask.
        QualityRefused: what was found in a whole head cannot be a brain.
        MissingPiece: HD-BET or weights are not there.
    """
    if method == "given":
        raise ScanError(
            name, expected="a brain mask", got="none", next_step="give one, or use --brain auto"
        )
    if method in ("auto", "stripped"):
        background = Background.of(volume)
        mask = solid(background.foreground(volume))
        spacing = grid.spacing if spacing_known else None
        if method == "stripped" or is_stripped(volume, mask, background, spacing):
            return mask, ()
    if method == "hdbet":
        mask, notes = solid(hdbet_brain(volume, grid)), ("whole head: brain found by HD-BET",)
    else:
        mask, notes = search_brain(volume, grid, spacing_known=spacing_known), (WHOLE_HEAD,)
    return mask, (*notes, *_gated(mask, grid, volume, name=name, spacing_known=spacing_known))


def _gated(mask: Mask, grid: Grid, volume: Volume, *, name: str, spacing_known: bool) -> list[str]:
    slack = 1.0 if spacing_known else ASSUMED_SLACK
    where = grid if spacing_known else assumed_grid(grid.shape)
    notes = check_found(mask, where, volume, name=name, slack=slack)
    check_in_template(mask, where, volume, name=name, slack=slack)
    return notes


def is_stripped(
    volume: Volume, mask: Mask, background: Background, spacing: Spacing | None
) -> bool:
    """Say whether ``mask``, the solid foreground, is a brain alone; see the module's criterion."""
    if not mask.any() or background.noise > RINGING * background.scale:
        return False
    if spacing and np.count_nonzero(mask) * np.prod(spacing) * ML_PER_MM3 > MAX_STRIPPED_ML:
        return False
    relative = (volume[mask] - background.level) / background.scale
    if np.mean(relative < -DARK) > BELOW_SHARE:
        return True
    return bool(np.mean(relative < DARK) <= MAX_DARK_SHARE)
