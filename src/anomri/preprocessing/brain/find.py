"""The brain mask of a scan that came without one.

Scans that were stripped before are recognised. In a whole head deepbet finds the brain, or HD-BET
where it is asked for, and gates check what was found.
"""

from __future__ import annotations

from typing import Literal

from anomri.errors import ScanError
from anomri.preprocessing.brain.deepbet import AGREEMENT, deepbet_brain
from anomri.preprocessing.brain.hdbet import hdbet_brain
from anomri.preprocessing.brain.plausibility import check_in_template
from anomri.preprocessing.brain.shape_check import check_found
from anomri.preprocessing.brain.stripped import Background, is_stripped
from anomri.preprocessing.brain.voxel_size import estimated_grid
from anomri.preprocessing.connected_components import largest_filled_component
from anomri.scan import Grid, Mask, Note, NoteKind, Volume

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
    if method == "stripped":
        return largest_filled_component(Background.of(volume).foreground(volume)), ()
    if method == "auto":
        foreground = stripped_brain(volume, grid if spacing_known else None)
        if foreground is not None:
            return foreground, ()
    mask, notes = _brain_of_head(volume, grid, method)
    return mask, (*notes, *_gated(mask, grid, volume, name=name, spacing_known=spacing_known))


def stripped_brain(volume: Volume, grid: Grid | None) -> Mask | None:
    """Return the foreground of a scan that was stripped before; None for a whole head.

    Args:
        volume: (I, J, K), RAS+.
        grid: where it lies; None where its voxel size is unknown.
    """
    background = Background.of(volume)
    mask = largest_filled_component(background.foreground(volume))
    spacing = grid.spacing if grid is not None else None
    return mask if is_stripped(volume, mask, background, spacing) else None


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


def _gated(mask: Mask, grid: Grid, volume: Volume, *, name: str, spacing_known: bool) -> list[Note]:
    slack = 1.0 if spacing_known else ESTIMATE_SLACK
    where = grid if spacing_known or not mask.any() else estimated_grid(grid, mask)
    notes = check_found(mask, where, volume, name=name, slack=slack)
    check_in_template(mask, where, volume, name=name, slack=slack)
    return notes
