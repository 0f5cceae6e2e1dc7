"""Brain extraction for scans without a brain mask.

Skull-stripped scans are recognised by their foreground, or because the brain that deepbet finds is
the whole foreground. In a whole head the brain is found by deepbet, or by HD-BET on request, and
quality checks refuse implausible results.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from anomri.errors import ScanError
from anomri.preprocessing.brain.deepbet import MIN_AGREEMENT, deepbet_brain
from anomri.preprocessing.brain.hdbet import hdbet_brain
from anomri.preprocessing.brain.overlap import dice
from anomri.preprocessing.brain.plausibility import check_against_template
from anomri.preprocessing.brain.shape_check import check_shape, refuse_ct
from anomri.preprocessing.brain.stripped import find_foreground, is_stripped
from anomri.preprocessing.brain.voxel_size import estimate_grid
from anomri.preprocessing.connected_components import largest_filled_component
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

MIN_STRIPPED_DICE = 0.9  # of brain and foreground: above it the scan was skull-stripped
ESTIMATED_SIZE_TOLERANCE = 1.3  # factor by which an estimated voxel size may be wrong

WHOLE_HEAD = Note(NoteKind.DEEPBET, "whole head: brain found by deepbet; check its outline")
WHOLE_HEAD_HDBET = Note(NoteKind.HDBET, "whole head: brain found by HD-BET; check its outline")

Method = Literal["auto", "given", "deepbet", "hdbet", "stripped"]


def find_brain(
    volume: Volume,
    grid: Grid,
    *,
    method: Method = "auto",
    spacing_known: bool = True,
    name: str = "scan",
    device: torch.device | None = None,
) -> tuple[Mask, tuple[Note, ...]]:
    """Return the brain mask of a scan, and notes for the user.

    Args:
        volume: (I, J, K), RAS+.
        grid: grid of the volume.
        method: ``stripped`` returns the foreground; ``deepbet`` and ``hdbet`` extract the brain
            from a whole head; ``auto`` uses the foreground of a stripped scan, else deepbet.
        spacing_known: whether the grid's voxel size is known.
        name: file name, for errors.
        device: where the networks run; None for CUDA where PyTorch sees it.

    Raises:
        ScanError: the method is ``given``, which needs a mask.
        QualityRefused: the mask found in a whole head is no plausible brain.
        MissingPiece: the chosen method is not installed.
    """
    if method == "given":
        raise ScanError(
            name,
            expected="a brain mask",
            got="none",
            next_step="provide one with --brain-mask, or use --brain auto",
        )
    foreground = np.zeros_like(volume, dtype=bool)
    if method in ("auto", "stripped"):
        foreground, background = find_foreground(volume)
        spacing = grid.spacing if spacing_known else None
        if method == "stripped" or is_stripped(volume, foreground, background, spacing):
            return foreground, ()
    mask, notes = _extract_brain(volume, grid, method, device)
    tolerance = 1.0
    if not spacing_known:
        grid, tolerance = _estimate_grid(grid, mask), ESTIMATED_SIZE_TOLERANCE
    if dice(mask, foreground) >= MIN_STRIPPED_DICE:
        check_against_template(foreground, grid, volume, name=name, tolerance=tolerance)
        return foreground, ()
    refuse_ct(mask, grid, volume, name=name)
    notes += check_shape(mask, grid, volume, name=name, tolerance=tolerance)
    check_against_template(mask, grid, volume, name=name, tolerance=tolerance)
    return mask, tuple(notes)


def _extract_brain(
    volume: Volume, grid: Grid, method: Method, device: torch.device | None
) -> tuple[Mask, list[Note]]:
    """Return the brain that HD-BET or deepbet finds in a whole head; it may be empty."""
    if method == "hdbet":
        return largest_filled_component(hdbet_brain(volume, grid, device)), [WHOLE_HEAD_HDBET]
    result = deepbet_brain(volume, device)
    if not result.mask.any() or result.agreement >= MIN_AGREEMENT:
        return result.mask, [WHOLE_HEAD]
    text = (
        "brain mask uncertain: deepbet's masks of the scan and of its mirror image overlap by "
        f"{result.agreement:.2f} (Dice), usually by {MIN_AGREEMENT:g} or more"
    )
    return result.mask, [WHOLE_HEAD, Note(NoteKind.BRAIN_MASK, text)]


def _estimate_grid(grid: Grid, mask: Mask) -> Grid:
    return estimate_grid(grid, mask) if mask.any() else grid
