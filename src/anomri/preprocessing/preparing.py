"""Files or images of one subject to a :class:`~anomri.scan.Scan`, top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from anomri.preprocessing.brain import Spacing, find_brain
from anomri.preprocessing.frame import Frame
from anomri.preprocessing.grids import brain_box, orient, to_ras, working_grid
from anomri.preprocessing.intensities import scale_in_brain
from anomri.preprocessing.native import Native
from anomri.preprocessing.quality import check_brain
from anomri.preprocessing.reading import ImageSource, read_segmentation
from anomri.preprocessing.resampling import index_map, place
from anomri.preprocessing.subject import Subject, read_contrasts, read_subject
from anomri.recipe import Preparation
from anomri.scan import Grid, Labels, Mask, Scan, ScanFiles, Volume, bids_label

OUTSIDE_SHARE = 0.01  # of the brain: beyond it the reader is told


def prepare_scan(files: ScanFiles, preparation: Preparation, contrasts: Sequence[str]) -> Scan:
    """Read one subject and put it on the grid and scale that a recipe asks for.

    Args:
        files: where the subject lies on disk.
        preparation: spacing, shape and intensities.
        contrasts: channels of the result, in order; the first one's grid is the native grid.

    Raises:
        ScanError: a file cannot be used; the kind says why.
        RecipeError: the intensity step is unknown or has a wrong option.
    """
    return prepare_subject(read_subject(files, contrasts), preparation)


def prepare_images(
    images: Mapping[str, ImageSource],
    preparation: Preparation,
    contrasts: Sequence[str],
    *,
    brain: ImageSource | None = None,
    name: str = "scan",
) -> Scan:
    """Do as :func:`prepare_scan` with nibabel images (or paths) by contrast.

    Args:
        images: contrast name to image.
        preparation: spacing, shape and intensities.
        contrasts: channels of the result, in order.
        brain: brain mask, anything above zero.
        name: what to call the subject.
    """
    subject = Subject(
        name=name,
        label=f"sub-{bids_label(name)}",
        images=read_contrasts(images, contrasts, name),
        brain=None if brain is None else read_segmentation(brain),
    )
    return prepare_subject(subject, preparation)


def prepare_subject(subject: Subject, preparation: Preparation) -> Scan:
    """Orient, mask, check, crop, resample and scale what was read."""
    first = subject.first
    volumes = [_ras(image, first.grid, linear=True) for image in subject.images.values()]
    brain, notes = _brain_of(subject, volumes[0])
    oriented = orient(first.grid)
    known = first.spacing_known
    notes += check_brain(brain, oriented, name=subject.name, spacing_known=known)
    grid = working_grid(oriented, brain_box(brain), preparation)
    frame = Frame.around(brain, oriented, grid)
    working_brain = frame.mask(brain)
    notes += _lost(brain, oriented, grid)
    image = np.stack([frame.image(volume, brain) for volume in volumes])
    names = [native.name for native in subject.images.values()]
    scale_in_brain(image, working_brain, preparation.intensity, names)
    return Scan(
        subject=subject.name,
        label=subject.label,
        image=image,
        contrasts=tuple(subject.images),
        brain=working_brain,
        grid=grid,
        native=first.grid,
        truth=_truth(subject, frame, first.grid),
        healthy=subject.healthy,
        notes=tuple(dict.fromkeys(notes)),
    )


def _ras(image: Native, native: Grid, *, linear: bool) -> Volume:
    """Return an image on the native grid, turned to RAS+."""
    return to_ras(place(image, native, linear=linear).values, native)


def _brain_of(subject: Subject, volume: Volume) -> tuple[Mask, list[str]]:
    """Return the brain on the oriented native grid, and the notes of the first image."""
    first = subject.first
    if subject.brain is not None:
        placed = place(subject.brain.holding(subject.brain.mask()), first.grid, linear=False)
        return to_ras(placed.mask(), first.grid), list(first.notes)
    spacing: Spacing | None = orient(first.grid).spacing if first.spacing_known else None
    brain, notes = find_brain(volume, spacing)
    return brain, [*first.notes, *notes]


def _truth(subject: Subject, frame: Frame, native: Grid) -> Labels | None:
    labels = subject.native_truth()
    return None if labels is None else frame.labels(to_ras(labels, native))


def _lost(brain: Mask, oriented: Grid, grid: Grid) -> list[str]:
    """Say how much of the brain lies beyond a working grid of fixed shape."""
    matrix = index_map(oriented, grid)
    steps, first = np.diag(matrix)[:3], matrix[:3, 3]
    low = np.ceil(first - steps / 2).astype(int).clip(0)
    past = np.floor(first + steps * (np.array(grid.shape) - 0.5)).astype(int) + 1
    kept = brain[tuple(slice(a, b) for a, b in zip(low, past.clip(0), strict=True))]
    share = 1 - np.count_nonzero(kept) / np.count_nonzero(brain)
    if share <= OUTSIDE_SHARE:
        return []
    return [f"{share:.0%} of the brain lies outside the model's field of view"]
