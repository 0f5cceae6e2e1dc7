"""Whether a cohort is fit for adaptation, and its two halves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from anomri.errors import UsageError
from anomri.pipeline.adaptation.label_free_scan import LabelFreeScan
from anomri.preprocessing import SAME_BRAIN, SAME_IMAGE, brain_similarities

MIN_SUBJECTS = 6  # with a finding; three in each half
NAMED = 5  # scans in a message

Half = tuple[LabelFreeScan, ...]
Similarities = NDArray[np.float64]  # of each pair of scans


def halves(scans: Sequence[LabelFreeScan]) -> tuple[Half, Half]:
    """Divide a cohort into two halves with as many subjects with a finding.

    All scans of a subject, and scans of one brain under two names, are in the same half: a network
    must not be applied to a brain that it was trained on.

    Raises:
        UsageError: the cohort is too small or too alike.
    """
    scans = sorted(scans, key=lambda scan: scan.label)
    similar = brain_similarities([scan.signature for scan in scans])
    _refuse_one_image_twice(scans, similar)
    groups = _by_brain(scans, similar)
    with_finding = [group for group in groups if any(scan.has_finding for scan in group)]
    _refuse_small(len(scans), len(groups), len(with_finding))
    others = [group for group in groups if group not in with_finding]
    ordered = [*with_finding, *others]
    first, second = (
        tuple(scan for group in ordered[start::2] for scan in group) for start in (0, 1)
    )
    return first, second


def _refuse_small(scans: int, subjects: int, with_finding: int) -> None:
    if scans > 1 and subjects == 1:
        raise UsageError(
            f"expected scans of several subjects, found {scans} scans of one brain, so that a "
            "network would be applied to the brain that it was trained on. Next: add scans of "
            "other subjects."
        )
    if with_finding < MIN_SUBJECTS:
        raise UsageError(
            f"expected at least {MIN_SUBJECTS} subjects with a finding, found {with_finding} among "
            f"{subjects}: a network would overfit to these few. Next: add scans, or use the "
            "model `default` as it is."
        )


def _refuse_one_image_twice(scans: Sequence[LabelFreeScan], similar: Similarities) -> None:
    """Raise where an image occurs twice, under whichever names."""
    contents = np.array([scan.contents for scan in scans])
    same = (similar >= SAME_IMAGE) | (contents[:, None] == contents)
    pairs = np.argwhere(np.triu(same, k=1))
    if len(pairs):
        named = "; ".join(f"{scans[i].label} and {scans[j].label}" for i, j in pairs[:NAMED])
        more = f"; and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
        raise UsageError(
            f"expected different images, found one image twice: {named}{more}. "
            "Next: leave one of the two out with --subjects; `anomri audit` lists all of them."
        )


def _by_brain(scans: Sequence[LabelFreeScan], similar: Similarities) -> list[Half]:
    """Return the scans of each subject, in the order of their labels; one brain is one subject."""
    subjects = np.array([scan.subject for scan in scans])
    same = (similar >= SAME_BRAIN) | (subjects[:, None] == subjects)
    _, group_of = connected_components(same, directed=False)
    groups: dict[int, list[LabelFreeScan]] = {}
    for scan, group in zip(scans, group_of, strict=True):
        groups.setdefault(int(group), []).append(scan)
    return [tuple(group) for group in groups.values()]


def labels_of(half: Iterable[LabelFreeScan]) -> frozenset[str]:
    """Return the BIDS prefixes of scans."""
    return frozenset(scan.label for scan in half)
