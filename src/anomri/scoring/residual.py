"""The difference between a scan and its healthy version."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from anomri.models import Reconstructor

Sign = Literal["signed", "positive", "negative", "absolute"]


def residual(
    family: Reconstructor,  # noqa: ARG001 - every score is called in the same way
    images: Tensor,
    reconstruction: Tensor,
    *,
    sign: Sign = "signed",
) -> Tensor:
    """Return ``images - reconstruction``: above zero where the scan is brighter than expected.

    Weninger et al. subtract the other way round (their tumours "show up as negative values"); in
    an anomaly map higher is always more abnormal.

    Args:
        family: not asked.
        images: (N, C, *space).
        reconstruction: (N, C, *space).
        sign: ``signed`` keeps both signs. ``positive`` keeps what is brighter than expected and
            sets the rest to 0, ``negative`` what is darker, as a positive number, and
            ``absolute`` counts both alike.
    """
    difference = images - reconstruction
    match sign:
        case "positive":
            return difference.clamp(min=0)
        case "negative":
            return (-difference).clamp(min=0)
        case "absolute":
            return difference.abs()
    return difference
