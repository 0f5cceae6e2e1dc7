"""The brain mask of a scan that came without one.

Scans that were stripped before are recognised, at a glance or because deepbet finds a brain that
is all of them. In a whole head deepbet finds the brain, or HD-BET where it is asked for, and gates
check what was found.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from anomri.errors import ScanError
from anomri.preprocessing.brain.deepbet import AGREEMENT, deepbet_brain
from anomri.preprocessing.brain.hdbet import hdbet_brain
from anomri.preprocessing.brain.plausibility import check_in_template
from anomri.preprocessing.brain.shape_check import check_found, check_no_ct
from anomri.preprocessing.brain.stripped import foreground_of, is_stripped
from anomri.preprocessing.brain.voxel_size import estimated_grid
from anomri.preprocessing.connected_components import largest_filled_component
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

SAME_BRAIN = 0.9  # Dice with the foreground: where the brain is all there is, it was stripped
ESTIMATE_SLACK = 1.3  # sizes that were estimated from the brain itself may be off by this factor

WHOLE_HEAD = Note(NoteKind.DEEPBET, "whole head: brain found by deepbet; look at its outline")
WHOLE_HEAD_HDBET = Note(NoteKind.HDBET, "whole head: brain found by HD-BET; look at its outline")

Method = Literal["auto", "given", "deepbet", "hdbet", "stripped"]


def find_brain(
    volume: Volume,
    grid: Grid,
    *,
    method: Method = "auto",
    spacing_known: bool = True,
    name: str = "scan",
) -> tuple[Mask, tuple[Note, ...]]:
    """Return the brain of a scan, and what a reader must know of it.

    Args:
        volume: (I, J, K), RAS+.
        grid: where it lies.
        method: ``stripped`` takes the foreground for the brain; ``deepbet`` and ``hdbet`` look
            for it in a whole head; ``auto`` decides between the first two.
        spacing_known: whether the grid's millimetres mean anything.
        name: of the scan, for errors.

    Raises:
        ScanError: ``given``, and there is no mask.
        QualityRefused: what was found in a whole head cannot be a brain.
        MissingPiece: the chosen method is not installed.
    """
    if method == "given":
        raise ScanError(
            name, expected="a brain mask", got="none", next_step="give one, or use --brain auto"
        )
    foreground = np.zeros_like(volume, dtype=bool)
    if method in ("auto", "stripped"):
        foreground, background = foreground_of(volume)
        spacing = grid.spacing if spacing_known else None
        if method == "stripped" or is_stripped(volume, foreground, background, spacing):
            return foreground, ()
    mask, notes = _brain_of_head(volume, grid, method)
    where, slack = (grid, 1.0) if spacing_known else (_estimated(grid, mask), ESTIMATE_SLACK)
    if overlap(mask, foreground) >= SAME_BRAIN:
        check_in_template(foreground, where, volume, name=name, slack=slack)
        return foreground, ()
    check_no_ct(mask, where, volume, name=name)
    notes += check_found(mask, where, volume, name=name, slack=slack)
    check_in_template(mask, where, volume, name=name, slack=slack)
    return mask, tuple(notes)


def overlap(first: Mask, second: Mask) -> float:
    """Return the Dice of two masks; 0 where both are empty."""
    total = int(np.count_nonzero(first) + np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total else 0.0


def _brain_of_head(volume: Volume, grid: Grid, method: Method) -> tuple[Mask, list[Note]]:
    if method == "hdbet":
        return largest_filled_component(hdbet_brain(volume, grid)), [WHOLE_HEAD_HDBET]
    found = deepbet_brain(volume)
    if not found.mask.any() or found.agreement >= AGREEMENT:
        return found.mask, [WHOLE_HEAD]
    text = (
        f"brain uncertain: deepbet's brains in the scan and in its mirror image agree to "
        f"{found.agreement:.2f} (Dice), usually to {AGREEMENT:g} or more"
    )
    return found.mask, [WHOLE_HEAD, Note(NoteKind.BRAIN_MASK, text)]


def _estimated(grid: Grid, mask: Mask) -> Grid:
    return estimated_grid(grid, mask) if mask.any() else grid
