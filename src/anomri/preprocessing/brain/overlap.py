"""Overlap of two masks."""

from __future__ import annotations

import numpy as np

from anomri.scan import Mask


def dice(first: Mask, second: Mask) -> float:
    """Return the Dice coefficient of two masks of one shape; 0 where both are empty."""
    total = int(np.count_nonzero(first) + np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total else 0.0
