"""Which lesion of one time point is which lesion of the next: overlap in the halfway space.

Every lesion is linked to the lesion of the other time point that it overlaps most, in both
directions; lesions that are linked form a group. A lesion without any overlap is linked to the
nearest one within :data:`REACH_MM`, because small lesions in thick slices miss each other by
part of a voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import expand_labels

REACH_MM = 2.0


@dataclass(frozen=True, slots=True)
class Group:
    """Lesions of two time points that belong together.

    Attributes:
        before: numbers of the lesions at the earlier time point.
        after: likewise, at the later one.
        pairs: the number before and the number after of lesions that continue each other, each
            at most once; the rest of a group was joined to these or split off.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...] = ()


def group_lesions(
    before: NDArray[np.int32], after: NDArray[np.int32], spacing_mm: float
) -> list[Group]:
    """Group the lesions of two time points.

    Args:
        before: (I, J, K) numbers of lesions, 0 elsewhere.
        after: likewise, on the same isotropic grid.
        spacing_mm: of the grid.

    Returns:
        Every lesion of both in exactly one group.
    """
    overlaps = _overlaps(before, after)
    links = _main_links(overlaps)
    lone_before = _numbers(before) - {first for first, _ in links}
    lone_after = _numbers(after) - {second for _, second in links}
    if lone_before or lone_after:
        near = _overlaps(*(expand_labels(x, REACH_MM / spacing_mm / 2) for x in (before, after)))
        close = {link for link in _main_links(near) if _joins(link, lone_before, lone_after)}
        overlaps |= dict.fromkeys(close, 0)
        links |= close
    ordered = sorted(links, key=lambda link: (-overlaps[link], link))
    return _groups(_numbers(before), _numbers(after), ordered)


def _joins(link: tuple[int, int], lone_before: set[int], lone_after: set[int]) -> bool:
    return link[0] in lone_before or link[1] in lone_after


def _numbers(labels: NDArray[np.int32]) -> set[int]:
    return {int(number) for number in np.unique(labels) if number}


def _overlaps(before: NDArray[np.int32], after: NDArray[np.int32]) -> dict[tuple[int, int], int]:
    """Count the voxels of each pair of lesions that overlap."""
    both = (before > 0) & (after > 0)
    pairs, counts = np.unique([before[both], after[both]], axis=1, return_counts=True)
    return {
        (int(first), int(second)): int(n) for first, second, n in zip(*pairs, counts, strict=True)
    }


def _main_links(overlaps: dict[tuple[int, int], int]) -> set[tuple[int, int]]:
    """Return the link of each lesion to the one that it overlaps most, in both directions."""
    best: dict[tuple[str, int], tuple[int, int]] = {}
    for link in sorted(overlaps, key=lambda link: (-overlaps[link], link)):
        best.setdefault(("before", link[0]), link)
        best.setdefault(("after", link[1]), link)
    return set(best.values())


def _groups(before: set[int], after: set[int], links: Sequence[tuple[int, int]]) -> list[Group]:
    """Return the connected parts of the graph of lesions and links, strongest link first."""
    parts: dict[tuple[str, int], set[tuple[str, int]]] = {}
    for node in [*(("before", n) for n in before), *(("after", n) for n in after)]:
        parts[node] = {node}
    for first, second in links:
        joined = parts["before", first] | parts["after", second]
        parts.update(dict.fromkeys(joined, joined))
    distinct = {id(part): part for part in parts.values()}.values()
    groups = [_group(part, links) for part in distinct]
    return sorted(groups, key=lambda group: (group.before or (10**9,), group.after))


def _group(part: set[tuple[str, int]], links: Sequence[tuple[int, int]]) -> Group:
    before, after = _of(part, "before"), _of(part, "after")
    pairs: dict[int, int] = {}
    for first, second in links:
        if first in before and first not in pairs and second not in pairs.values():
            pairs[first] = second
    return Group(before, after, tuple(pairs.items()))


def _of(part: set[tuple[str, int]], time: str) -> tuple[int, ...]:
    return tuple(sorted(number for when, number in part if when == time))
