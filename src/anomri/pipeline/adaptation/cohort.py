"""Whether a cohort is fit for adaptation, and its two halves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from anomri.errors import UsageError
from anomri.pipeline.adaptation.label_free_scan import LabelFreeScan
from anomri.preprocessing import SAME_BRAIN, SAME_IMAGE, brain_similarity

MIN_SUBJECTS = 6  # with a finding; three in each half
NAMED = 5  # scans in a message

Half = tuple[LabelFreeScan, ...]


def halves(scans: Sequence[LabelFreeScan]) -> tuple[Half, Half]:
    """Divide a cohort into two halves with as many subjects with a finding.

    All scans of a subject, and scans of one brain under two names, are in the same half: a network
    must not be applied to a brain that it was trained on.

    Raises:
        UsageError: the cohort is too small or too alike.
    """
    _refuse_one_image_twice(scans)
    groups = _by_brain(scans)
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


def _refuse_one_image_twice(scans: Sequence[LabelFreeScan]) -> None:
    """Raise where an image occurs twice, under whichever names."""
    pairs = [(a, b) for a, b in combinations(scans, 2) if _same_image(a, b)]
    if pairs:
        named = "; ".join(f"{a.label} and {b.label}" for a, b in pairs[:NAMED])
        more = f"; and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
        raise UsageError(
            f"expected different images, found one image twice: {named}{more}. "
            "Next: leave one of the two out with --subjects; `anomri audit` lists all of them."
        )


def _by_brain(scans: Sequence[LabelFreeScan]) -> list[Half]:
    """Return the scans of each subject, in the order of their labels; one brain is one subject."""
    groups: list[list[LabelFreeScan]] = []
    for scan in sorted(scans, key=lambda one: one.label):
        alike = [group for group in groups if any(_same_brain(scan, one) for one in group)]
        joined = [*(one for group in alike for one in group), scan]
        groups = [*(group for group in groups if group not in alike), joined]
    return sorted((tuple(group) for group in groups), key=lambda group: group[0].label)


def _same_brain(a: LabelFreeScan, b: LabelFreeScan) -> bool:
    return a.subject == b.subject or _similarity(a, b) >= SAME_BRAIN


def _same_image(a: LabelFreeScan, b: LabelFreeScan) -> bool:
    return a.contents == b.contents or _similarity(a, b) >= SAME_IMAGE


def _similarity(a: LabelFreeScan, b: LabelFreeScan) -> float:
    if a.signature.size == 0 or a.signature.shape != b.signature.shape:
        return 0.0
    return brain_similarity(a.signature, b.signature)


def labels_of(half: Iterable[LabelFreeScan]) -> frozenset[str]:
    """Return the BIDS prefixes of scans."""
    return frozenset(scan.label for scan in half)
