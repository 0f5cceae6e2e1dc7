"""Lesions of one scan, blended into healthy tissue of another scan.

After Zhang et al. 2021 (CarveMix), who carve a lesion with a margin out of one labelled image and
put it into another; here masks are label-free, so that only lesions of stable scans are taken and
only tissue that is healthy beyond doubt receives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.scan import Mask, Volume
from anomri.training.adaptation.examples import Example

CONFIDENT = 0.7  # lowest weight of a scan whose lesions are pasted
BLEND_SIGMA = 0.8  # voxels; Gaussian of the edge
MARGIN = 2  # voxels around the lesion that the edge may reach
MIN_IN_BRAIN = 0.8  # share of the lesion that must fit into healthy brain
ATTEMPTS = 20  # positions that are tried

Box = tuple[slice, ...]


def with_pasted_lesion(
    recipient: Example, donors: Sequence[Example], rng: np.random.Generator
) -> Example:
    """Return the recipient with the largest lesion of a confident donor in its healthy tissue.

    The lesion keeps its shape, its size and its orientation, but for a mirror image now and then.
    Nothing is pasted where a contrast of the recipient is missing in the donor: the lesion would be
    seen in some contrasts and not in others.

    Args:
        recipient: the scan to paste into; returned as it is where nothing fits.
        donors: other scans of the half, perhaps of the same subject.
        rng: random numbers.
    """
    donors = [one for one in donors if _gives(one, recipient)]
    if not donors:
        return recipient
    donor = donors[rng.integers(len(donors))]
    box = _largest_lesion_box(donor.lesions)
    cut = _mirrored(donor, box) if rng.random() < 0.5 else _cut(donor, box)
    target = _free_box(recipient, cut.lesions, rng)
    return recipient if target is None else _blended(recipient, cut, target)


def _gives(donor: Example, recipient: Example) -> bool:
    has = donor.image.any(axis=(1, 2, 3))
    wanted = recipient.image.any(axis=(1, 2, 3))
    return donor.weight >= CONFIDENT and bool(donor.lesions.any() and (has | ~wanted).all())


def _largest_lesion_box(mask: Mask) -> Box:
    """Return the box of the largest component with its margin."""
    labels, count = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, labels, range(1, count + 1))
    tight = ndimage.find_objects(labels)[int(np.argmax(sizes))]
    return tuple(slice(max(part.start - MARGIN, 0), part.stop + MARGIN) for part in tight)


def _cut(donor: Example, box: Box) -> Example:
    """Return a part of the donor in which only its largest lesion is a lesion."""
    labels, _ = ndimage.label(donor.lesions[box])
    largest = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return Example(
        image=donor.image[:, *box],
        brain=donor.brain[box],
        regions=donor.regions[:, *box] & largest,
        doubtful=donor.doubtful[box],
        weight=donor.weight,
    )


def _mirrored(donor: Example, box: Box) -> Example:
    cut = _cut(donor, box)
    return Example(
        image=cut.image[:, ::-1],
        brain=cut.brain[::-1],
        regions=cut.regions[:, ::-1],
        doubtful=cut.doubtful[::-1],
        weight=cut.weight,
    )


def _free_box(recipient: Example, lesion: Mask, rng: np.random.Generator) -> Box | None:
    """Return a box in which the lesion lies in healthy brain; None where none was found."""
    spare = [n - length for n, length in zip(recipient.brain.shape, lesion.shape, strict=True)]
    if min(spare) < 0:
        return None
    healthy = recipient.brain & ~recipient.doubtful
    for _ in range(ATTEMPTS):
        starts = [int(rng.integers(n + 1)) for n in spare]
        box = tuple(
            slice(start, start + length) for start, length in zip(starts, lesion.shape, strict=True)
        )
        fits = np.count_nonzero(healthy[box] & lesion) >= MIN_IN_BRAIN * np.count_nonzero(lesion)
        if fits and not (recipient.doubtful[box] & lesion).any():
            return box
    return None


def _blended(recipient: Example, cut: Example, target: Box) -> Example:
    """Return the recipient with the lesion of ``cut`` in the box, its edge blended."""
    image, regions = recipient.image.copy(), recipient.regions.copy()
    inside, healthy = recipient.brain[target], np.logical_not(recipient.doubtful[target])
    share = _edge(cut.lesions) * (inside & healthy & cut.brain)
    present = np.asarray(recipient.image.any(axis=(1, 2, 3)))
    part = image[:, *target]
    blended = part + share * (cut.image - part)
    image[:, *target] = np.where(present[:, None, None, None], blended, part)
    regions[:, *target] |= cut.regions & inside
    doubtful: Mask = recipient.doubtful | regions[0]
    return replace(recipient, image=image, regions=regions, doubtful=doubtful)


def _edge(lesion: Mask) -> Volume:
    """Return the share of the lesion in each voxel: 1 inside, falling to 0 around it."""
    share: NDArray[np.float32] = ndimage.gaussian_filter(lesion.astype(np.float32), BLEND_SIGMA)
    return share
