"""Residual between a scan and its healthy reconstruction."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from anomri.models import Reconstructor

Sign = Literal["signed", "positive", "negative", "absolute"]


def residual(
    network: Reconstructor,  # noqa: ARG001 - the common signature of scores
    images: Tensor,
    reconstruction: Tensor,
    *,
    sign: Sign = "signed",
) -> Tensor:
    """Return ``images - reconstruction``, above 0 where the scan is brighter than expected.

    Weninger et al. use the opposite sign (their tumours "show up as negative values"); in an
    anomaly map higher is always more abnormal.

    Args:
        network: unused.
        images: (N, C, *space).
        reconstruction: (N, C, *space).
        sign: ``signed`` keeps both signs; ``positive`` sets negative residuals to 0, ``negative``
            returns the magnitude of negative residuals and 0 elsewhere, ``absolute`` the magnitude
            of all.
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
