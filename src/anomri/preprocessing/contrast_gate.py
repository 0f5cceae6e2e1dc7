"""A scan that does not look like what it is given as says so; it is not refused.

The brain is laid on the template, roughly. If that fails it may be no brain; if half a turn fits
better, its header may be wrong. If neither, each contrast is looked at, see
:mod:`anomri.preprocessing.appearance`:

* given as FLAIR, T1: likeness to T1 above 0.15 and a main peak wider than 0.6. Both, because each
  alone errs: FLAIRs of the elderly, whose cortex is thin, are up to 0.35 like T1 but narrow; FLAIRs
  of large tumours are up to 1.06 wide but unlike T1.
* given as FLAIR or T1, T2: ventricles brighter than white matter, below -0.5.
* given as T1, none: likeness below 0. Given as T2, none: ventricles clearly darker than white
  matter, above 0.4.
* FLAIR and T1 of one subject, exchanged: the FLAIR is liker T1 than the T1 is, by 0.12.

The limits were chosen on training scans; ``docs/preparation.md`` has what they hit and miss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from anomri.preprocessing.appearance import Appearance, appearance
from anomri.preprocessing.brain import SIDE_MM, fault_of, has_ct_values
from anomri.preprocessing.coarse import coarse
from anomri.preprocessing.registration import quick
from anomri.preprocessing.template import template_picture, turned_about
from anomri.scan import Grid, Image, Mask, Volume

FLAIR, T2 = "flair", "t2"
T1_KINDS = ("t1", "t1ce")
LIKE_T1 = 0.15
WIDE = 0.6
UNLIKE_T1 = 0.0
BRIGHT_VENTRICLES = -0.5
DARK_VENTRICLES = 0.4  # T2 alone lies badly on a T1 template: drawn ones reach 0.3
EXCHANGED = 0.12

DOUBT = "check the file; the mask should not be trusted"


def doubts(image: Image, brain: Mask, grid: Grid, contrasts: Sequence[str]) -> list[str]:
    """Return what a reader must know of a scan that does not look like what it is given as.

    Args:
        image: (C, I, J, K), before intensities are scaled.
        brain: (I, J, K).
        grid: where they lie, in millimetres that mean something.
        contrasts: names of the C channels.
    """
    if any(_even(volume[brain]) for volume in image):
        return []  # the scaling refuses it
    fixed = template_picture(SIDE_MM)
    moving = coarse(image[0], brain, grid, side_mm=SIDE_MM, around=False)
    try:
        match = quick(fixed, moving)
    except RuntimeError:  # no voxel of the one lies in the other
        return [f"this does not lie like a brain in the template: {DOUBT}"]
    if fault := fault_of(fixed, moving, match):
        expected, got = fault
        return [f"this may be no brain: expected {expected}, got {got}; {DOUBT}"]
    if axis := turned_about(fixed, moving):
        return [f"this fits the template better by half a turn about the {axis} axis: {DOUBT}"]
    looks = {
        name: appearance(volume, brain, grid, match.matrix)
        for name, volume in zip(contrasts, image, strict=True)
    }
    seen = {name: look for name, look in looks.items() if look is not None}
    return exchanged(seen) or [
        f"{name.upper()} {told}: {DOUBT}"
        for name, look in seen.items()
        if (told := told_of(name, look))
    ]


def check_units(volume: Volume, brain: Mask) -> list[str]:
    """Say that a file holds the values of a CT: air and brain in Hounsfield units."""
    if not has_ct_values(volume, brain):
        return []
    return [f"values down to {volume.min():.0f} look like the Hounsfield units of a CT: {DOUBT}"]


def told_of(name: str, look: Appearance) -> str:
    """Say what a contrast looks like, if that is not what it is given as.

    Args:
        name: what it is given as.
        look: how it looks.
    """
    if name == T2:
        darker = look.ventricles > DARK_VENTRICLES
        return "does not look like T2 (ventricles darker than white matter)" if darker else ""
    if look.ventricles < BRIGHT_VENTRICLES:
        return "looks like T2 (ventricles brighter than white matter)"
    if name == FLAIR and look.likeness > LIKE_T1 and look.width > WIDE:
        return "looks like T1 (white matter stands out from grey matter)"
    if name in T1_KINDS and look.likeness < UNLIKE_T1:
        return "does not look like T1 (white matter is no brighter than grey matter)"
    return ""


def exchanged(seen: Mapping[str, Appearance]) -> list[str]:
    """Say that FLAIR and T1 were mistaken for each other.

    Args:
        seen: how each contrast of one subject looks, by the name that it is given as.
    """
    if FLAIR not in seen:
        return []
    return [
        f"{FLAIR.upper()} and {name.upper()} look exchanged: {DOUBT}"
        for name in T1_KINDS
        if name in seen and seen[FLAIR].likeness > seen[name].likeness + EXCHANGED
    ]


def _even(values: Volume) -> bool:
    low, high = np.percentile(values, [1, 99]) if values.size else (0, 0)
    return bool(low == high)
