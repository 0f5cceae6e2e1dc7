"""Images and brains that occur under two names.

Files and brains are compared in every contrast that both scans have: a brain that one subject has
as FLAIR alone and the other as T1 alone is not recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from anomri.pipeline.data_audit.problems import Problem, Severity
from anomri.pipeline.data_audit.scan_audit import AuditedScan
from anomri.preprocessing import SAME_BRAIN, SAME_IMAGE, brain_similarity

LEAVE_OUT = "find out whose image it is, and exclude the other"
ONE_SPLIT = "put both into one split"


def duplicates(scans: Sequence[AuditedScan], splits: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each pair of subjects that share an image or a brain.

    Args:
        scans: of the data set.
        splits: split by subject; a subject that is missing is in none.
    """
    for first, second in combinations(scans, 2):
        if first.subject != second.subject:
            yield from _of_pair(first, second, splits)


def _of_pair(
    first: AuditedScan, second: AuditedScan, splits: Mapping[str, str]
) -> Iterator[Problem]:
    shared = [name for name, digest in first.contents.items() if digest in second.contents.values()]
    contrast, alike = _most_alike(first, second)
    if not shared and alike < SAME_BRAIN:
        return
    parts = [_split(scan, splits) for scan in (first, second)]
    apart = (
        f", in the splits {parts[0]} and {parts[1]}" if all(parts) and len({*parts}) == 2 else ""
    )
    if shared:
        found = f"the file of {', '.join(shared)} is also that of {second.subject}{apart}"
    elif alike >= SAME_IMAGE:
        found = f"the {contrast} is also that of {second.subject}{apart}"
    else:
        found = f"the brain is also that of {second.subject} (correlation {alike:.2f}){apart}"
    same_image = shared or alike >= SAME_IMAGE
    check = "same_image" if same_image else "same_brain"
    step = ONE_SPLIT if apart and not same_image else LEAVE_OUT
    yield Problem(first.subject, first.label, Severity.WRONG, check, found, step)


def _split(scan: AuditedScan, splits: Mapping[str, str]) -> str:
    """Return a subject's split, whether it is listed with ``sub-`` or without; empty if not."""
    label = scan.label.partition("_ses-")[0]
    names = (scan.subject, scan.label, label, label.removeprefix("sub-"))
    return next((splits[name] for name in names if name in splits), "")


def _most_alike(first: AuditedScan, second: AuditedScan) -> tuple[str, float]:
    """Return the contrast in which two brains are most alike, and their correlation in it."""
    theirs = second.signatures
    similarities = {
        contrast: brain_similarity(signature, theirs[contrast])
        for contrast, signature in first.signatures.items()
        if contrast in theirs
    }
    return max(similarities.items(), key=lambda item: item[1], default=("", 0.0))
