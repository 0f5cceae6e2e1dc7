"""Selection of training images, axial slices or volumes, and their split for validation."""

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

BoolArray = NDArray[np.bool_]  # (I, J) or (I, J, K)


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """An axial slice or a volume used for training.

    Attributes:
        label: label of its scan.
        index: index of the slice along K; None for the whole volume.
        excluded: bit-packed mask of the voxels on and around lesions; None without any.
    """

    label: str
    index: int | None
    excluded: NDArray[np.uint8] | None = None


Selector = Callable[[Scan, Training], list[TrainingImage]]


def pack(mask: BoolArray | None) -> NDArray[np.uint8] | None:
    """Pack a mask, eight voxels to a byte; None for an empty mask."""
    return np.packbits(mask) if mask is not None and mask.any() else None


def unpack(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> BoolArray:
    """Unpack a mask of :func:`pack`."""
    return np.unpackbits(packed, count=prod(shape)).reshape(shape).astype(bool)


@dataclass(frozen=True, slots=True)
class Split:
    """Images for training and validation, split by subject.

    Attributes:
        train: images to train on.
        validation: images that determine the best epoch.
        subjects: names of the subjects of both.
    """

    train: tuple[TrainingImage, ...]
    validation: tuple[TrainingImage, ...]
    subjects: dict[str, list[str]] = field(default_factory=dict)


def split_images(
    prepared: PreparedFolder,
    training: Training,
    *,
    select: Selector | None = None,
    subjects: Sequence[str] | None = None,
) -> Split:
    """Select the training images and split them by subject, at random with the recipe's seed.

    Args:
        prepared: the prepared scans.
        training: criteria of healthy images, validation fraction and seed.
        select: lists the usable images of a scan; :func:`healthy_slices` by default.
        subjects: names or labels to use; None for all.

    Raises:
        UsageError: fewer than two subjects have usable images.
    """
    images: dict[str, list[TrainingImage]] = {}
    for label, subject in _selected_scans(prepared, subjects):
        usable = (select or healthy_slices)(prepared.load(label), training)
        if usable:
            images.setdefault(subject, []).extend(usable)
    if len(images) < 2:
        raise UsageError(
            "training: expected usable images from at least two subjects, one of them for "
            f"validation; found them in {len(images)}. "
            "Next: prepare more scans, or relax `slab_mm`, `min_brain_fraction` or `lesions` in "
            "the recipe's `training`."
        )
    validation, train = _split_subjects(sorted(images), training)
    log.info("%d subjects for training, %d for validation", len(train), len(validation))
    return Split(
        train=tuple(image for subject in train for image in images[subject]),
        validation=tuple(image for subject in validation for image in images[subject]),
        subjects={"train": train, "validation": validation},
    )


def healthy_slices(scan: Scan, training: Training) -> list[TrainingImage]:
    """List the slices of a scan that can be used as healthy.

    They lie in the middle slab of the brain, contain enough brain, and contain no lesion voxel or
    have it excluded. All slices of a scan without truth are used, unless the data set says that it
    is not healthy.
    """
    if not _may_be_healthy(scan):
        return []
    excluded = _excluded(scan, training)
    brain = scan.brain if excluded is None else scan.brain & ~excluded
    usable = _has_enough_brain(brain.mean(axis=(0, 1)), training) & _slab(scan, training.slab_mm)
    if training.lesions == "drop" and scan.truth is not None:
        usable &= ~np.asarray(scan.truth).any(axis=(0, 1))
    return [
        TrainingImage(scan.label, int(k), None if excluded is None else pack(excluded[:, :, k]))
        for k in np.flatnonzero(usable)
    ]


def healthy_volume(scan: Scan, training: Training) -> list[TrainingImage]:
    """Return the volume of a scan in a list, empty if it cannot be used as healthy.

    It must contain enough brain, and no lesion voxel or have it excluded. ``slab_mm`` applies to
    slices only; a volume is cropped by the preparation's shape.
    """
    if not _may_be_healthy(scan):
        return []
    if training.lesions == "drop" and scan.truth is not None and scan.truth.any():
        return []
    excluded = _excluded(scan, training)
    brain = scan.brain if excluded is None else scan.brain & ~excluded
    if not _has_enough_brain(brain.mean(), training):
        return []
    return [TrainingImage(scan.label, None, pack(excluded))]


HEALTHY: dict[int, Selector] = {2: healthy_slices, 3: healthy_volume}


def labelled_volume(scan: Scan, training: Training) -> list[TrainingImage]:
    """Return the volume of a scan in a list, empty if its lesions have not been labelled."""
    del training
    return [] if scan.truth is None else [TrainingImage(scan.label, None)]


def _may_be_healthy(scan: Scan) -> bool:
    """Refuse a patient without truth; log if a scan is assumed to be healthy."""
    if scan.lesions_unknown:
        log.warning("%s: skipped: not healthy, and its lesions are not labelled", scan.label)
        return False
    if scan.truth is None and scan.healthy is None:
        log.info("%s: no expert mask; assumed to be healthy", scan.label)
    return True


def _has_enough_brain(fraction: Any, training: Training) -> Any:
    """Compare brain fractions, of one image or an array of several, with the recipe's minimum."""
    return fraction >= max(training.min_brain_fraction, 1e-9)


def _selected_scans(
    prepared: PreparedFolder, subjects: Sequence[str] | None
) -> Iterator[tuple[str, str]]:
    """Yield label and subject of the selected scans.

    Raises:
        UsageError: a selected subject is missing.
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


def _split_subjects(subjects: list[str], training: Training) -> tuple[list[str], list[str]]:
    """Return the subjects for validation and for training, at least one of each."""
    shuffled = [
        subjects[n] for n in np.random.default_rng(training.seed).permutation(len(subjects))
    ]
    count = min(max(round(training.validation_fraction * len(subjects)), 1), len(subjects) - 1)
    return sorted(shuffled[:count]), sorted(shuffled[count:])


def _slab(scan: Scan, slab_mm: float | None) -> NDArray[np.bool_]:
    """Return (K,) whether each slice lies in the middle slab of the brain's extent along K."""
    occupied = np.flatnonzero(scan.brain.any(axis=(0, 1)))
    if slab_mm is None or not occupied.size:
        return np.ones(scan.brain.shape[2], bool)
    middle = (occupied[0] + occupied[-1]) / 2
    distance_mm = np.abs(np.arange(scan.brain.shape[2]) - middle) * scan.grid.spacing[2]
    return np.asarray(distance_mm <= slab_mm / 2)


def _excluded(scan: Scan, training: Training) -> Mask | None:
    """Return the mask of lesions and their margin; None if the recipe does not mask lesions."""
    if training.lesions != "mask" or scan.truth is None or not scan.truth.any():
        return None
    margin = training.lesion_margin_mm
    lesion = np.asarray(scan.truth) > 0
    # Distances are computed in the lesion's bounding box plus the margin, which is far smaller.
    box = tuple(
        slice(max(int(indices.min() - reach), 0), int(indices.max() + reach) + 1)
        for indices, spacing in zip(np.nonzero(lesion), scan.grid.spacing, strict=True)
        for reach in [np.ceil(margin / spacing)]
    )
    distance_mm = distance_transform_edt(~lesion[box], sampling=scan.grid.spacing)
    excluded = np.zeros_like(lesion)
    excluded[box] = np.asarray(distance_mm) <= margin
    return excluded
