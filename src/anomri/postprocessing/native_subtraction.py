"""Subtraction of the native T1 from T1 after contrast medium, as radiologists do.

Blood and fat are bright before contrast medium too; enhancing tumour is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from anomri.errors import RecipeError
from anomri.recipe import Size
from anomri.scan import AnomalyMap


def subtract_native(anomaly: AnomalyMap, *, above: Size, raise_by: Size = 0.0) -> AnomalyMap:
    """Reduce two contrasts, after and before contrast medium, to one.

    With values ``e`` and ``n`` the result is ``e + raise_by - max(n - above, 0)``. It exceeds a
    threshold ``t`` where ``e > t - raise_by`` and ``e - n > t - raise_by - above``. Without the
    second contrast, which is 0 everywhere then, it is ``e``.

    Args:
        anomaly: standardised map of both contrasts.
        above: values of the second contrast up to this one count as those of brain.
        raise_by: added where there is a second contrast, whose evidence allows a lower threshold.

    Raises:
        RecipeError: the map has not two contrasts.
    """
    if len(anomaly.values) != 2:
        raise RecipeError(
            f"subtract_native: expected a map of T1CE and T1, got {len(anomaly.values)} contrasts. "
            "Next: set `contrasts: [t1ce, t1]` in the recipe."
        )
    enhanced, native = anomaly.values
    if native.any():
        gained = enhanced + np.float32(raise_by) - np.maximum(native - np.float32(above), 0)
        enhanced = np.where(anomaly.brain, gained, 0).astype(np.float32)
    return replace(
        anomaly,
        scan=anomaly.scan.select(anomaly.scan.contrasts[:1]),
        values=enhanced[None],
        reconstruction=anomaly.reconstruction[:1],
        shows=anomaly.shows[:1],
    )


CONTRAST_STEPS: Mapping[str, Callable[..., AnomalyMap]] = {"subtract_native": subtract_native}
"""Steps on all contrasts of a map together."""
