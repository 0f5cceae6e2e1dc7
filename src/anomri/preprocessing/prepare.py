"""Files or images of one subject to a :class:`~anomri.scan.Scan`, top to bottom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from anomri.errors import QualityRefused
from anomri.preprocessing.alignment import align
from anomri.preprocessing.bias_field import correct
from anomri.preprocessing.brain import (
    check_given,
    estimated_scale,
    find_brain,
    without_cut_edges,
)
from anomri.preprocessing.brain.quality_check import check_brain
from anomri.preprocessing.grids import (
    SAME_SPACING,
    THICK_MM,
    brain_box,
    orient,
    template_working_grid,
    to_ras,
    working_grid,
)
from anomri.preprocessing.intensities import scale_in_brain
from anomri.preprocessing.reading.files import read_segmentation
from anomri.preprocessing.reading.in_memory import ImageSource
from anomri.preprocessing.reading.mask_placement import place_mask
from anomri.preprocessing.reading.non_finite import refuse_within
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.reading.subject import Subject, read_contrasts, read_subject
from anomri.preprocessing.resampling import index_map, place
from anomri.preprocessing.template.contrast_check import check_units, doubts
from anomri.preprocessing.template.placement import Placement, locate, template_box
from anomri.preprocessing.template.registration_image import within
from anomri.preprocessing.working_frame import Frame
from anomri.recipe import Preparation
from anomri.scan import Grid, Labels, Mask, Note, NoteKind, Scan, ScanFiles, Volume, bids_label

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
    subject = read_subject(files, contrasts, orientation=preparation.orientation)
    return prepare_subject(subject, preparation)


def prepare_images(
    images: Mapping[str, ImageSource],
    preparation: Preparation,
    contrasts: Sequence[str],
    *,
    brain: ImageSource | None = None,
    name: str = "scan",
) -> Scan:
    """Do as :func:`prepare_scan` with paths or images in memory by contrast.

    Args:
        images: contrast name to a path, a nibabel or SimpleITK image, or (array, affine).
        preparation: spacing, shape and intensities.
        contrasts: channels of the result, in order.
        brain: brain mask, anything above zero.
        name: what to call the subject.
    """
    subject = Subject(
        name=name,
        label=f"sub-{bids_label(name)}",
        images=read_contrasts(images, contrasts, name, orientation=preparation.orientation),
        brain=None if brain is None else _given_mask(brain, preparation),
    )
    return prepare_subject(subject, preparation)


def _given_mask(brain: ImageSource, preparation: Preparation) -> RawImage:
    return read_segmentation(brain, orientation=preparation.orientation)


def prepare_subject(subject: Subject, preparation: Preparation) -> Scan:
    """Orient, mask, check, align, correct, place, resample and scale what was read."""
    first = subject.first
    volume = _ras(first, first.grid, linear=True)
    brain, notes = _brain_of(subject, volume, preparation)
    known = first.spacing_known
    if not known:
        subject, told = _with_estimated_size(subject, brain)
        first, notes = subject.first, [*notes, *told]
    oriented = orient(first.grid)
    notes += check_brain(brain, oriented, name=subject.name, spacing_known=known)
    volumes, told = _volumes(subject, brain, preparation)
    told += [note for image in list(subject.images.values())[1:] for note in image.notes]
    placement = _placement(volumes[0], brain, oriented, preparation, subject)
    grid = _grid(brain, oriented, preparation, placement)
    frame = Frame.around(brain, oriented, grid)
    working_brain = frame.mask(brain)
    notes += [*subject.notes, *told, *_lost(brain, oriented, grid), *_cut_thin(oriented, grid)]
    image = np.stack([frame.image(volume, brain) for volume in volumes])
    notes += check_units(volume, brain)
    if known:
        notes += doubts(image, working_brain, grid, tuple(subject.images))
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
        truth=_truth(subject, frame, preparation.mask_grid),
        healthy=subject.healthy,
        notes=tuple(dict.fromkeys(notes)),
        to_template=None if placement is None else placement.to_template,
        entities=subject.entities,
    )


def _volumes(
    subject: Subject, brain: Mask, preparation: Preparation
) -> tuple[list[Volume], list[Note]]:
    """Return each contrast on the oriented native grid, aligned and corrected, and notes."""
    first = subject.first
    volumes: list[Volume] = []
    notes: list[Note] = []
    for image in subject.images.values():
        moved = image
        if preparation.align and volumes:
            moved, told = align(image, first, volumes[0], brain)
            notes += told
        placed = place(moved, first.grid, linear=True)
        if placed.undefined is not None:
            refuse_within(image, to_ras(placed.undefined, first.grid), brain)
        volumes.append(to_ras(placed.values, first.grid))
    if preparation.bias_field is None:
        return volumes, notes
    spacing, step = orient(first.grid).spacing, preparation.bias_field
    for place_of, image in enumerate(subject.images.values()):
        volumes[place_of], told = correct(volumes[place_of], brain, spacing, step, image.name)
        notes += told
    return volumes, notes


def _placement(
    volume: Volume, brain: Mask, oriented: Grid, preparation: Preparation, subject: Subject
) -> Placement | None:
    """Return where the scan lies in the template; None where no recipe asks for it.

    Raises:
        QualityRefused: the file holds no voxel size, or a gate refuses the registration.
    """
    if preparation.template is None:
        return None
    if not subject.first.spacing_known:
        raise QualityRefused(
            subject.first.name,
            expected="a scan whose voxel size is known, to register it to the template",
            got="one without",
            next_step="give NIfTI or DICOM files, or leave `template` out of the recipe",
        )
    return locate(volume, brain, oriented, preparation.template.transform, subject.first.name)


def _grid(
    brain: Mask, oriented: Grid, preparation: Preparation, placement: Placement | None
) -> Grid:
    """Return the working grid; that on the template lies in native world mm too."""
    section = preparation.template
    if placement is None or section is None or not section.resample:
        return working_grid(oriented, brain_box(brain), preparation)
    grid = template_working_grid(*template_box(), preparation)
    return replace(grid, affine=np.linalg.inv(placement.to_template) @ grid.affine)


def _ras(image: RawImage, native: Grid, *, linear: bool) -> Volume:
    """Return an image on the native grid, turned to RAS+."""
    return to_ras(place(image, native, linear=linear).values, native)


def _brain_of(
    subject: Subject, volume: Volume, preparation: Preparation
) -> tuple[Mask, list[Note]]:
    """Return the brain on the oriented native grid, and the notes of the first image."""
    first, method = subject.first, preparation.brain
    if subject.brain is not None and method in ("auto", "given"):
        placed = place_mask(
            subject.brain.holding(subject.brain.mask()), first.grid, preparation.mask_grid
        )
        brain, notes = check_given(
            to_ras(placed.mask(), first.grid),
            volume,
            orient(first.grid),
            keep=method == "given",
            spacing_known=first.spacing_known,
            name=first.name,
        )
    else:
        brain, notes = find_brain(
            volume,
            orient(first.grid),
            method=method,
            spacing_known=first.spacing_known,
            name=first.name,
        )
    if not notes or method == "given":
        return brain, [*first.notes, *notes]
    brain, told = without_cut_edges(brain, volume, orient(first.grid))
    return brain, [*first.notes, *notes, *told]


def _with_estimated_size(subject: Subject, brain: Mask) -> tuple[Subject, list[Note]]:
    """Return the subject with voxels of the size that its brain tells, and a note of it."""
    scale = estimated_scale(orient(subject.first.grid), brain)
    estimated = subject.resized(scale)
    size = " x ".join(f"{mm:.2f}" for mm in orient(estimated.first.grid).spacing)
    text = f"voxel size estimated from the brain: {size} mm; volumes are estimated"
    return estimated, [Note(NoteKind.VOXEL_SIZE, text)]


def _truth(subject: Subject, frame: Frame, mask_grid: str) -> Labels | None:
    labels = subject.native_truth(mask_grid)
    return None if labels is None else frame.labels(to_ras(labels, subject.first.grid))


def _lost(brain: Mask, oriented: Grid, grid: Grid) -> list[Note]:
    """Say how much of the brain lies beyond a working grid of fixed shape."""
    corners = np.array(list(product(*((p.start, p.stop - 1) for p in brain_box(brain)))), float)
    matrix = index_map(grid, oriented)
    reached = corners @ matrix[:3, :3].T + matrix[:3, 3]
    if ((reached >= 0) & (reached <= np.array(grid.shape) - 1)).all():
        return []  # seen without looking at a voxel
    share = 1 - np.count_nonzero(brain & within(grid, oriented)) / np.count_nonzero(brain)
    if share <= OUTSIDE_SHARE:
        return []
    text = f"{share:.0%} of the brain lies outside the model's field of view"
    return [Note(NoteKind.FIELD_OF_VIEW, text)]


def _cut_thin(oriented: Grid, grid: Grid) -> list[Note]:
    """Say where thick slices were interpolated to finer ones."""
    thick = max(oriented.spacing)
    finest = grid.spacing[int(np.argmax(oriented.spacing))]
    if thick < THICK_MM or finest > thick * (1 - SAME_SPACING):
        return []
    text = f"slices of {thick:.1f} mm were interpolated to {finest:.1f} mm"
    return [Note(NoteKind.INTERPOLATED, text)]
