"""Checks that a scan looks like a brain, and like the contrasts it is labelled as.

A mismatch is noted, not refused. The brain is registered to the template, roughly. A bad match
suggests that it is no brain, a better match after a half turn that the header is wrong. Otherwise
the features of each contrast are compared with its label, see
:mod:`anomri.preprocessing.template.contrast_features`:

* labelled FLAIR, looks like T1: correlation with T1 above 0.15 and a main peak wider than 0.6. Each
  alone errs: FLAIRs of elderly subjects with thin cortex correlate with T1 up to 0.35 but have a
  narrow peak; FLAIRs of large tumours have a peak up to 1.06 wide but do not correlate.
* labelled FLAIR or T1, looks like T2: ventricles brighter than white matter, below -0.5.
* labelled T1, does not look like it: correlation with T1 below 0.
* labelled T2, does not look like it: ventricles clearly darker than white matter, above 0.4.
* FLAIR and T1 of one subject swapped: FLAIR correlates with T1 more than the T1 does, by 0.12.

The limits were chosen on training scans; ``docs/preparation.md`` reports their error rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anomri.preprocessing.brain import has_ct_values, template_mismatch
from anomri.preprocessing.template.contrast_features import (
    ContrastFeatures,
    ScannedTissues,
    contrast_features,
)
from anomri.preprocessing.template.mni152 import template_registration_image
from anomri.preprocessing.template.rough_registration import (
    SPACING_MM,
    refine_by_outline,
    register_by_intensities,
)
from anomri.preprocessing.template.template_registration import half_turn_axis
from anomri.scan import Affine, Grid, Image, Mask, Note, NoteKind, Volume

FLAIR, T2 = "flair", "t2"
T1_KINDS = ("t1", "t1ce")
MIN_SATURATED = 0.01  # share of the brain; in 23 scans of four sources it was below 0.0001
T1_CORRELATION = 0.15  # a FLAIR above it looks like T1, if its peak is wide too
WIDE_PEAK = 0.6
MIN_T1_CORRELATION = 0.0  # a T1 below it does not look like T1
BRIGHT_VENTRICLES = -0.5
DARK_VENTRICLES = 0.4  # T2 registers badly to a T1 template: synthetic ones reach 0.3
SWAPPED_DIFFERENCE = 0.12  # of the correlations with T1

ADVICE = "check the file; do not rely on the mask"


@dataclass(frozen=True, slots=True)
class TemplateComparison:
    """A scan beside the template.

    Attributes:
        notes: on what makes the scan implausible.
        to_template: (4, 4) world mm of the scan to template mm, roughly; None where the scan does
            not fit the template.
    """

    notes: list[Note]
    to_template: Affine | None = None


def check_plausibility(
    image: Image, brain: Mask, grid: Grid, contrasts: Sequence[str]
) -> list[Note]:
    """Return notes on what makes a scan implausible as a brain of these contrasts."""
    return compare_with_template(image, brain, grid, contrasts).notes


def compare_with_template(
    image: Image, brain: Mask, grid: Grid, contrasts: Sequence[str]
) -> TemplateComparison:
    """Check whether a scan is plausible as a brain of these contrasts, and register it roughly.

    Args:
        image: (C, I, J, K), before intensities are scaled.
        brain: (I, J, K) bool.
        grid: grid of both, with a known voxel size.
        contrasts: labels of the C channels.
    """
    if any(_is_constant(volume[brain]) for volume in image):
        return TemplateComparison([])  # intensity scaling refuses it
    fixed = template_registration_image(SPACING_MM)
    try:
        moving, result = register_by_intensities(image[0], brain, grid)
    except RuntimeError:  # the two images do not overlap
        fault = "this cannot be registered to the template as a brain"
        return TemplateComparison([_implausible(fault)])
    if mismatch := template_mismatch(fixed, moving, result):
        expected, got = mismatch
        fault = f"this may not be a brain: expected {expected}, got {got}"
        return TemplateComparison([_implausible(fault, ";")])
    if axis := half_turn_axis(fixed, moving, result.coarse):
        fault = f"this fits the template better after half a turn about the {axis} axis"
        return TemplateComparison([_implausible(fault)])
    notes = _contrast_notes(image, brain, grid, contrasts, result.matrix)
    return TemplateComparison(notes, refine_by_outline(moving, result))


def _contrast_notes(
    image: Image, brain: Mask, grid: Grid, contrasts: Sequence[str], matrix: Affine
) -> list[Note]:
    """Return notes on contrasts that look like others; ``matrix`` is template to scan."""
    tissues = ScannedTissues.of(brain, grid, matrix)
    if tissues is None:
        return []
    features = {
        name: contrast_features(volume, tissues)
        for name, volume in zip(contrasts, image, strict=True)
    }
    return swapped_contrasts(features) or [
        _implausible(f"{name.upper()} {mismatch}")
        for name, measured in features.items()
        if (mismatch := contrast_mismatch(name, measured))
    ]


def check_units(volume: Volume, brain: Mask) -> list[Note]:
    """Return a note where air and brain have the values of a CT, in Hounsfield units."""
    if not has_ct_values(volume, brain):
        return []
    lowest = float(volume.min())
    return [_implausible(f"values down to {lowest:.0f} look like the Hounsfield units of a CT")]


def check_saturation(volume: Volume, brain: Mask) -> list[Note]:
    """Return a note where much of the brain has the highest value: a lesion may be cut off there.

    In scans that are not cut off a few voxels have it.
    """
    values = volume[brain]
    share = float(np.mean(values == values.max(initial=0))) if values.size else 0.0
    if share < MIN_SATURATED:
        return []
    fault = f"{share:.0%} of the brain has the highest value: brighter values seem to be clipped"
    return [_implausible(fault, ";")]


def contrast_mismatch(name: str, features: ContrastFeatures) -> str:
    """Return how a contrast differs from its label; empty where it agrees.

    Args:
        name: the label.
        features: of the image.
    """
    if name == T2:
        darker = features.ventricle_darkness > DARK_VENTRICLES
        return "does not look like T2 (ventricles darker than white matter)" if darker else ""
    if features.ventricle_darkness < BRIGHT_VENTRICLES:
        return "looks like T2 (ventricles brighter than white matter)"
    like_t1 = features.t1_correlation > T1_CORRELATION and features.peak_width > WIDE_PEAK
    if name == FLAIR and like_t1:
        return "looks like T1 (white matter stands out from grey matter)"
    if name in T1_KINDS and features.t1_correlation < MIN_T1_CORRELATION:
        return "does not look like T1 (white matter is no brighter than grey matter)"
    return ""


def swapped_contrasts(features: Mapping[str, ContrastFeatures]) -> list[Note]:
    """Return notes where FLAIR and T1 of one subject seem to be swapped.

    Args:
        features: by the label of each contrast.
    """
    if FLAIR not in features:
        return []
    flair = features[FLAIR].t1_correlation
    return [
        _implausible(f"{FLAIR.upper()} and {name.upper()} seem to be swapped")
        for name in T1_KINDS
        if name in features and flair > features[name].t1_correlation + SWAPPED_DIFFERENCE
    ]


def _implausible(fault: str, mark: str = ":") -> Note:
    return Note(NoteKind.IMPLAUSIBLE, f"{fault}{mark} {ADVICE}")


def _is_constant(values: Volume) -> bool:
    middle = values.mean(dtype=np.float64) if values.size else 0.0
    sides = np.count_nonzero(values < middle), np.count_nonzero(values > middle)
    if min(sides) > max(1, 0.02 * values.size):  # then the percentiles differ: no need to sort
        return False
    low, high = np.percentile(values, [1, 99]) if values.size else (0, 0)
    return bool(low == high)
