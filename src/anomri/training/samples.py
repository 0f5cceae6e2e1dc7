"""Healthy parts of prepared scans: which ones count, and whose are kept for validation.

A part is what a network sees at once, an axial slice or a whole volume.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from anomri.errors import UsageError
from anomri.recipe import Training
from anomri.scan import Mask, Scan

if TYPE_CHECKING:
    from anomri.preprocessing import PreparedFolder

log = logging.getLogger(__name__)

Marks = NDArray[np.bool_]  # (I, J) or (I, J, K)


@dataclass(frozen=True, slots=True)
class Part:
    """One axial slice, or one volume, that may be learnt from.

    Attributes:
        label: of its scan.
        index: of the slice along K; None for the whole volume.
        excluded: voxels on and around lesions, packed eight to a byte; None where there are none.
    """

    label: str
    index: int | None
    excluded: NDArray[np.uint8] | None = None


Choose = Callable[[Scan, Training], list[Part]]


def pack(marks: Marks | None) -> NDArray[np.uint8] | None:
    """Pack marks, eight to a byte; None where there are none."""
    return np.packbits(marks) if marks is not None and marks.any() else None


def unpack(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> Marks:
    """Undo :func:`pack`."""
    return np.unpackbits(packed, count=prod(shape)).reshape(shape).astype(bool)


@dataclass(frozen=True, slots=True)
class Split:
    """Parts by purpose; a subject's parts, over all its sessions, are never divided.

    Attributes:
        train: parts to learn from.
        validation: parts to choose the best epoch by.
        subjects: names of the subjects behind each of the two.
    """

    train: tuple[Part, ...]
    validation: tuple[Part, ...]
    subjects: dict[str, list[str]] = field(default_factory=dict)


def split_parts(
    prepared: PreparedFolder,
    training: Training,
    *,
    choose: Choose | None = None,
    subjects: Sequence[str] | None = None,
) -> Split:
    """Choose the parts to learn from and divide them by subject, at random from the recipe's seed.

    Args:
        prepared: where the scans are.
        training: what counts as healthy, the share for validation and the seed.
        choose: lists the usable parts of a scan; :func:`healthy_slices` where None.
        subjects: names or labels to use; all where None.

    Raises:
        UsageError: fewer than two subjects have a usable part.
    """
    parts: dict[str, list[Part]] = {}
    for label, subject in _chosen(prepared, subjects):
        found = (choose or healthy_slices)(prepared.load(label), training)
        if found:
            parts.setdefault(subject, []).extend(found)
    if len(parts) < 2:
        raise UsageError(
            "training: expected usable images from at least two subjects, one of them for "
            f"validation; found them in {len(parts)}. "
            "Next: prepare more scans, or relax `slab_mm`, `min_brain_fraction` or `lesions` in "
            "the recipe's `training`."
        )
    validation, train = _divide(sorted(parts), training)
    log.info("%d subjects to train on, %d to validate on", len(train), len(validation))
    return Split(
        train=tuple(one for subject in train for one in parts[subject]),
        validation=tuple(one for subject in validation for one in parts[subject]),
        subjects={"train": train, "validation": validation},
    )


def healthy_slices(scan: Scan, training: Training) -> list[Part]:
    """List the slices of one scan that may be learnt from.

    They lie in the middle slab of the brain, hold enough brain, and hold no lesion voxel or have
    it masked. A scan without truth is taken whole, unless the data set says that it is not
    healthy.
    """
    if not _may_be_healthy(scan):
        return []
    excluded = _excluded(scan, training)
    brain = scan.brain if excluded is None else scan.brain & ~excluded
    usable = _enough(brain.mean(axis=(0, 1)), training) & _slab(scan, training.slab_mm)
    if training.lesions == "drop" and scan.truth is not None:
        usable &= ~np.asarray(scan.truth).any(axis=(0, 1))
    return [
        Part(scan.label, int(k), None if excluded is None else pack(excluded[:, :, k]))
        for k in np.flatnonzero(usable)
    ]


def healthy_volume(scan: Scan, training: Training) -> list[Part]:
    """Return one scan as a single part, or nothing where it may not be learnt from.

    It must hold enough brain, and no lesion voxel or have it masked. ``slab_mm`` is for slices:
    what of a volume is seen is the preparation's shape.
    """
    if not _may_be_healthy(scan):
        return []
    if training.lesions == "drop" and scan.truth is not None and scan.truth.any():
        return []
    excluded = _excluded(scan, training)
    brain = scan.brain if excluded is None else scan.brain & ~excluded
    return [Part(scan.label, None, pack(excluded))] if _enough(brain.mean(), training) else []


HEALTHY: dict[int, Choose] = {2: healthy_slices, 3: healthy_volume}


def labelled_volume(scan: Scan, training: Training) -> list[Part]:
    """Return one scan as a single part where experts have drawn its lesions, or found none."""
    del training
    return [] if scan.truth is None else [Part(scan.label, None)]


def _may_be_healthy(scan: Scan) -> bool:
    """Say no to a patient without truth; say aloud where health is taken on trust."""
    if scan.lesions_unknown:
        log.warning("%s: left out: not healthy, and no truth says where", scan.label)
        return False
    if scan.truth is None and scan.healthy is None:
        log.info("%s: no truth, taken to be healthy", scan.label)
    return True


def _enough(fraction: Any, training: Training) -> Any:
    """Compare the share that is brain, of one part or of several, with what the recipe asks."""
    return fraction >= max(training.min_brain_fraction, 1e-9)


def _chosen(prepared: PreparedFolder, subjects: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Yield label and subject of the scans asked for.

    Raises:
        UsageError: somebody asked for is not there.
    """
    missing = set(subjects or ())
    for label, subject, _ in prepared.index():
        names = {label, subject, label.removeprefix("sub-")}
        missing -= names
        if subjects is None or names & set(subjects):
            yield label, subject
    if missing:
        raise UsageError(
            f"training: subject '{sorted(missing)[0]}' is not among the prepared scans. "
            "Next: check its name, or prepare it."
        )


def _divide(subjects: list[str], training: Training) -> tuple[list[str], list[str]]:
    """Return the subjects for validation and those for training, at least one of each."""
    shuffled = [
        subjects[n] for n in np.random.default_rng(training.seed).permutation(len(subjects))
    ]
    kept = min(max(round(training.validation_fraction * len(subjects)), 1), len(subjects) - 1)
    return sorted(shuffled[:kept]), sorted(shuffled[kept:])


def _slab(scan: Scan, slab_mm: float | None) -> NDArray[np.bool_]:
    """Mark the slices whose centre lies in the middle of the brain's extent along K."""
    occupied = np.flatnonzero(scan.brain.any(axis=(0, 1)))
    if slab_mm is None or not occupied.size:
        return np.ones(scan.brain.shape[2], bool)
    middle = (occupied[0] + occupied[-1]) / 2
    distance_mm = np.abs(np.arange(scan.brain.shape[2]) - middle) * scan.grid.spacing[2]
    return np.asarray(distance_mm <= slab_mm / 2)


def _excluded(scan: Scan, training: Training) -> Mask | None:
    """Mark lesions and their margin, where the recipe masks them."""
    if training.lesions != "mask" or scan.truth is None or not scan.truth.any():
        return None
    margin = training.lesion_margin_mm
    lesion = np.asarray(scan.truth) > 0
    # The distance is only needed around the lesion: a box with the margin added is far smaller.
    box = tuple(
        slice(max(int(where.min() - reach), 0), int(where.max() + reach) + 1)
        for where, spacing in zip(np.nonzero(lesion), scan.grid.spacing, strict=True)
        for reach in [np.ceil(margin / spacing)]
    )
    distance_mm = distance_transform_edt(~lesion[box], sampling=scan.grid.spacing)
    excluded = np.zeros_like(lesion)
    excluded[box] = np.asarray(distance_mm) <= margin
    return excluded
