"""The lesions of the truth one by one, and the share of them that is found, by size.

Lesions and detections are those of :mod:`anomri.evaluation.lesion_detection`: connected components
(26-connectivity), found if the mask marks at least one of their voxels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.evaluation.intervals import pooled_share
from anomri.evaluation.lesion_detection import component_sizes, volume_classes
from anomri.scan import Mask

EDGES_ML = (0.1, 1.0, 10.0)
"""Limits between the classes of lesion volume."""


def reference_lesions(mask: Mask, truth: Mask, *, voxel_ml: float) -> list[dict[str, Any]]:
    """Return a row per lesion of the truth, largest first.

    Args:
        mask: (I, J, K) segmentation.
        truth: (I, J, K) reference.
        voxel_ml: volume of a voxel in ml.

    Returns:
        ``reference_lesion``, its number from 1; ``truth_volume_ml``; ``found``, ``true`` or
        ``false``; and ``overlap``, the share of the lesion that is marked.
    """
    sizes, covered = component_sizes(truth, mask)
    return [
        {
            "reference_lesion": number,
            "truth_volume_ml": float(sizes[index] * voxel_ml),
            "found": "true" if covered[index] else "false",
            "overlap": float(covered[index] / sizes[index]),
        }
        for number, index in enumerate(np.argsort(-sizes, kind="stable"), start=1)
    ]


def recall_by_size(
    rows: Sequence[Mapping[str, Any]], *, edges_ml: Sequence[float] = EDGES_ML, seed: int = 0
) -> list[dict[str, Any]]:
    """Return the share of lesions that is found in each class of volume, small to large.

    Args:
        rows: of :func:`reference_lesions`, with ``subject``.
        edges_ml: ascending limits between the classes, see
            :func:`~anomri.evaluation.lesion_detection.volume_classes`.
        seed: seed of the bootstrap.

    Returns:
        Rows with ``size_class``, ``true_lesion_count``, ``detected_lesion_count``,
        ``lesion_sensitivity``, their ratio over all lesions together, its 95 % bootstrap interval
        ``lower`` and ``upper`` over subjects, and ``n``, the subjects with such lesions.
    """
    bounds = volume_classes(edges_ml)
    members = [[r for r in rows if low <= r["truth_volume_ml"] < high] for low, high in bounds]
    return [
        {"size_class": _name(low, high), **_recall(_counts(lesions), seed)}
        for (low, high), lesions in zip(bounds, members, strict=True)
    ]


def _name(low: float, high: float) -> str:
    """Return the name of a class of volume.

    >>> _name(0.0, 0.1), _name(0.1, 1.0), _name(10.0, float("inf"))
    ('under 0.1 ml', '0.1 to 1 ml', '10 ml and more')
    """
    if high == float("inf"):
        return f"{low:g} ml and more"
    return f"{low:g} to {high:g} ml" if low else f"under {high:g} ml"


def _counts(lesions: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    """Count lesions and found lesions of each subject: (N, 2)."""
    counts: dict[str, list[int]] = {}
    for lesion in lesions:
        of_subject = counts.setdefault(lesion["subject"], [0, 0])
        of_subject[0] += 1
        of_subject[1] += lesion["found"] == "true"
    return np.array(list(counts.values()), np.int64).reshape(-1, 2)


def _recall(counts: NDArray[np.int64], seed: int) -> dict[str, Any]:
    lesions, found = (int(total) for total in counts.sum(axis=0))
    interval = pooled_share(counts, seed=seed)
    return {
        "true_lesion_count": lesions,
        "detected_lesion_count": found,
        "lesion_sensitivity": interval.estimate,
        "lower": interval.lower,
        "upper": interval.upper,
        "n": len(counts),
    }
