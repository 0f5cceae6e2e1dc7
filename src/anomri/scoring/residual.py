"""Residual between a scan and its healthy reconstruction."""

from __future__ import annotations

from typing import Literal

import numpy as np
from torch import Tensor

from anomri.models import Network, Reconstructor
from anomri.scan import AnomalyMap

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


def reconstruction_error(network: Network, anomaly: AnomalyMap) -> float | None:
    """Return the mean absolute error in the brain, in prepared intensity units.

    None where nothing is reconstructed: by a segmenter, without a network, in no brain.
    """
    brain = anomaly.scan.brain
    if not (isinstance(network, Reconstructor) and network.has_parameters and brain.any()):
        return None
    return float(np.abs(anomaly.scan.image - anomaly.reconstruction)[:, brain].mean())
