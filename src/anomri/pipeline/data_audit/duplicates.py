"""Images and brains that occur under two names.

Files and brains are compared in every contrast that both scans have: a brain that one subject has
as FLAIR alone and the other as T1 alone is not recognised.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from anomri.pipeline.data_audit.problems import Problem, Severity
from anomri.pipeline.data_audit.scan_audit import AuditedScan
from anomri.preprocessing import SAME_BRAIN, SAME_IMAGE, brain_similarities

LEAVE_OUT = "find out whose image it is, and exclude the other"
ONE_SPLIT = "put both into one split"
UNLIKE = (0.0, "")  # correlation and contrast

Pair = tuple[int, int]  # of scans, by their numbers


def duplicates(scans: Sequence[AuditedScan], splits: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each pair of subjects that share an image or a brain.

    Args:
        scans: of the data set.
        splits: split by subject; a subject that is missing is in none.
    """
    alike = _alike(scans)
    for i, j in sorted(alike.keys() | _with_one_file(scans)):
        if scans[i].subject != scans[j].subject:
            yield _problem(scans[i], scans[j], alike.get((i, j), UNLIKE), splits)


def _with_one_file(scans: Sequence[AuditedScan]) -> set[Pair]:
    """Return the pairs of scans that share the content of a file."""
    owners: dict[str, list[int]] = defaultdict(list)
    for number, scan in enumerate(scans):
        for digest in set(scan.contents.values()):
            owners[digest].append(number)
    return {pair for numbers in owners.values() for pair in combinations(numbers, 2)}


def _alike(scans: Sequence[AuditedScan]) -> dict[Pair, tuple[float, str]]:
    """Return the pairs of like brains: their highest correlation, and its contrast."""
    alike: dict[Pair, tuple[float, str]] = {}
    contrasts = dict.fromkeys(name for scan in scans for name in scan.signatures)
    for contrast in contrasts:
        numbers = [n for n, scan in enumerate(scans) if contrast in scan.signatures]
        similar = brain_similarities([scans[n].signatures[contrast] for n in numbers])
        for i, j in np.argwhere(np.triu(similar >= SAME_BRAIN, k=1)):
            pair = numbers[i], numbers[j]
            alike[pair] = max(alike.get(pair, UNLIKE), (float(similar[i, j]), contrast))
    return alike


def _problem(
    first: AuditedScan,
    second: AuditedScan,
    alike: tuple[float, str],
    splits: Mapping[str, str],
) -> Problem:
    """Return the problem of two subjects that share an image or a brain."""
    shared = [name for name, digest in first.contents.items() if digest in second.contents.values()]
    correlation, contrast = alike
    parts = [_split(scan, splits) for scan in (first, second)]
    apart = (
        f", in the splits {parts[0]} and {parts[1]}" if all(parts) and len({*parts}) == 2 else ""
    )
    if shared:
        found = f"the file of {', '.join(shared)} is also that of {second.subject}{apart}"
    elif correlation >= SAME_IMAGE:
        found = f"the {contrast} is also that of {second.subject}{apart}"
    else:
        found = f"the brain is also that of {second.subject} (correlation {correlation:.2f}){apart}"
    same_image = shared or correlation >= SAME_IMAGE
    check = "same_image" if same_image else "same_brain"
    step = ONE_SPLIT if apart and not same_image else LEAVE_OUT
    return Problem(first.subject, first.label, Severity.WRONG, check, found, step)


def _split(scan: AuditedScan, splits: Mapping[str, str]) -> str:
    """Return a subject's split, whether it is listed with ``sub-`` or without; empty if not."""
    label = scan.label.partition("_ses-")[0]
    names = (scan.subject, scan.label, label, label.removeprefix("sub-"))
    return next((splits[name] for name in names if name in splits), "")
