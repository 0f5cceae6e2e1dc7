"""Preparation of one subject: from files or images to a :class:`~anomri.scan.Scan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch

from anomri.errors import QualityRefused
from anomri.preprocessing.alignment import align_contrast
from anomri.preprocessing.bias_field import correct_bias_field
from anomri.preprocessing.brain import (
    check_given_mask,
    estimate_scale,
    find_brain,
    remove_cut_edges,
)
from anomri.preprocessing.brain.quality_check import check_brain_volume
from anomri.preprocessing.brain_resampling import BrainResampler
from anomri.preprocessing.grids import (
    SAME_SPACING,
    THICK_MM,
    brain_box,
    grid_to_ras,
    template_working_grid,
    volume_to_ras,
    working_grid,
)
from anomri.preprocessing.intensities import scale_in_brain
from anomri.preprocessing.reading.in_memory import ImageSource
from anomri.preprocessing.reading.mask_orientation import BRIGHT_LESIONS, flipped_axes
from anomri.preprocessing.reading.mask_placement import place_mask
from anomri.preprocessing.reading.non_finite import refuse_non_finite_in_brain
from anomri.preprocessing.reading.orientation import check_orientation
from anomri.preprocessing.reading.segmentations import read_segmentation
from anomri.preprocessing.reading.subject import Subject, read_contrasts, read_subject
from anomri.preprocessing.resampling import index_map, resample_image
from anomri.preprocessing.template.contrast_check import (
    check_saturation,
    check_units,
    compare_with_template,
)
from anomri.preprocessing.template.mni152 import template_brain_bounds
from anomri.preprocessing.template.registration_image import inside_field_of_view
from anomri.preprocessing.template.template_registration import (
    TemplateRegistration,
    register_to_template,
)
from anomri.recipe import Preparation
from anomri.scan import (
    Affine,
    Grid,
    Labels,
    Mask,
    Note,
    NoteKind,
    Scan,
    ScanFiles,
    Volume,
    usual_label,
)

FOUND = frozenset({NoteKind.DEEPBET, NoteKind.HDBET})  # brains that a method found in a whole head
NOT_LOCATED = Note(
    NoteKind.LOCATION, "zones of lesions unknown: the scan does not fit the template"
)
NO_SIZE_TO_LOCATE = Note(
    NoteKind.LOCATION, "zones of lesions unknown: the file has no voxel size to register it by"
)
MAX_OUTSIDE = 0.01  # fraction of the brain outside the working grid that needs no note


def prepare_scan(
    files: ScanFiles,
    preparation: Preparation,
    contrasts: Sequence[str],
    *,
    device: torch.device | None = None,
) -> Scan:
    """Read one subject and prepare it as a recipe specifies.

    Args:
        files: the subject's files.
        preparation: the recipe's preparation section.
        contrasts: channels of the result, in order; the first one's grid is the native grid.
        device: where the brain extraction runs; None for CUDA where PyTorch sees it.

    Raises:
        ScanError: a file cannot be used; the subclass says why.
        RecipeError: unknown intensity scaling or option.
    """
    subject = read_subject(files, contrasts, orientation=preparation.orientation)
    return prepare_subject(subject, preparation, device=device)


def prepare_images(
    images: Mapping[str, ImageSource],
    preparation: Preparation,
    contrasts: Sequence[str],
    *,
    brain: ImageSource | None = None,
    name: str = "scan",
    orientation: str = "",
    device: torch.device | None = None,
) -> Scan:
    """Prepare a scan given as paths or as images in memory; see :func:`prepare_scan`.

    Args:
        images: contrast name to a path, a nibabel or SimpleITK image, or (array, affine).
        preparation: the recipe's preparation section.
        contrasts: channels of the result, in order.
        brain: brain mask, True above zero.
        name: the subject's name.
        orientation: where the axes of images point whose headers do not say so, in place of the
            recipe's.
        device: as there.
    """
    if orientation:
        known = {"orientation": check_orientation(orientation)}
        preparation = preparation.model_copy(update=known)
    subject = Subject(
        name=name,
        label=f"sub-{usual_label(name)}",
        images=read_contrasts(images, contrasts, name, orientation=preparation.orientation),
        brain=None
        if brain is None
        else read_segmentation(brain, orientation=preparation.orientation),
    )
    return prepare_subject(subject, preparation, device=device)


def prepare_subject(
    subject: Subject, preparation: Preparation, *, device: torch.device | None = None
) -> Scan:
    """Orient, mask, check, align, correct, register, resample and scale one subject.

    Raises:
        ScanError: an image cannot be used; the subclass says why.
        RecipeError: unknown intensity scaling or option.
    """
    volume = volume_to_ras(subject.reference.values, subject.reference.grid)
    known = subject.reference.spacing_known
    subject, brain, notes = _with_brain(subject, volume, preparation, device)
    oriented = grid_to_ras(subject.reference.grid)
    volumes, volume_notes = _volumes(subject, brain, preparation)
    registration = _register(volumes[0], brain, oriented, preparation, subject)
    grid = _working_grid(brain, oriented, preparation, registration)
    resampler = BrainResampler.between(oriented, grid, brain)
    truth = _truth(subject, preparation.mask_grid)
    scan = Scan(
        subject=subject.name,
        label=subject.label,
        image=resampler.images(volumes, brain),
        contrasts=tuple(subject.images),
        brain=resampler.mask(brain),
        grid=grid,
        native=subject.reference.grid,
        truth=None if truth is None else resampler.labels(truth),
        healthy=subject.healthy,
        entities=subject.entities,
    )
    notes += [*subject.notes, *volume_notes]
    notes += [*_outside_notes(brain, oriented, grid), *_thick_slice_notes(oriented, grid)]
    notes += [*check_units(volume, brain), *check_saturation(volume, brain)]
    to_template, place_notes = _place(scan, registration, spacing_known=known)
    notes += [*place_notes, *_turned_truth_notes(truth, volume, brain, subject)]
    names = [raw.name for raw in subject.images.values()]
    scale_in_brain(scan.image, scan.brain, preparation.intensity, names)
    return replace(scan, notes=tuple(dict.fromkeys(notes)), to_template=to_template)


def _with_brain(
    subject: Subject, volume: Volume, preparation: Preparation, device: torch.device | None
) -> tuple[Subject, Mask, list[Note]]:
    """Find the brain and check its volume; estimate an unknown voxel size from it.

    Args:
        subject: as read.
        volume: the reference image on the oriented native grid.
        preparation: the recipe's preparation section.
        device: where the brain extraction runs.

    Returns:
        The subject with a voxel size, the brain on the oriented native grid, and notes.
    """
    known = subject.reference.spacing_known
    brain, notes = _find_brain(subject, volume, preparation, device)
    if not known:
        subject, size_notes = _with_estimated_size(subject, brain)
        notes += size_notes
    oriented = grid_to_ras(subject.reference.grid)
    notes += check_brain_volume(brain, oriented, name=subject.name, spacing_known=known)
    return subject, brain, notes


def _place(
    scan: Scan, registration: TemplateRegistration | None, *, spacing_known: bool
) -> tuple[Affine | None, list[Note]]:
    """Return the scan's world mm to template mm, and notes on how it compares with the template.

    Args:
        scan: before intensities are scaled.
        registration: the one that the recipe asks for; without it a rough one is used.
        spacing_known: only a known voxel size can be compared.
    """
    matrix = None if registration is None else registration.to_template
    if not spacing_known:
        return matrix, [NO_SIZE_TO_LOCATE] if matrix is None else []
    comparison = compare_with_template(scan.image, scan.brain, scan.grid, scan.contrasts)
    matrix = comparison.to_template if registration is None else matrix
    return matrix, [*comparison.notes, *([NOT_LOCATED] if matrix is None else [])]


def _volumes(
    subject: Subject, brain: Mask, preparation: Preparation
) -> tuple[list[Volume], list[Note]]:
    """Return each contrast on the oriented native grid, aligned and bias-corrected, and notes."""
    volumes, notes = _aligned(subject, brain, preparation)
    if step := preparation.bias_field:
        spacing = grid_to_ras(subject.reference.grid).spacing
        for channel, image in enumerate(subject.images.values()):
            volumes[channel], new_notes = correct_bias_field(
                volumes[channel], brain, spacing, step, image.name
            )
            notes += new_notes
    others = list(subject.images.values())[1:]
    return volumes, [*notes, *(note for image in others for note in image.notes)]


def _aligned(
    subject: Subject, brain: Mask, preparation: Preparation
) -> tuple[list[Volume], list[Note]]:
    """Return each contrast on the oriented native grid, aligned to the first one, and notes."""
    native = subject.reference.grid
    volumes: list[Volume] = []
    notes: list[Note] = []
    for image in subject.images.values():
        aligned = image
        if preparation.align and volumes:
            aligned, new_notes = align_contrast(image, subject.reference, volumes[0], brain)
            notes += new_notes
        resampled = resample_image(aligned, native, linear=True)
        if resampled.undefined is not None:
            refuse_non_finite_in_brain(image, volume_to_ras(resampled.undefined, native), brain)
        volumes.append(volume_to_ras(resampled.values, native))
    return volumes, notes


def _register(
    volume: Volume, brain: Mask, oriented: Grid, preparation: Preparation, subject: Subject
) -> TemplateRegistration | None:
    """Register the scan to the template; None where the recipe does not ask for it.

    Raises:
        QualityRefused: the voxel size is unknown, or the registration is implausible.
    """
    if preparation.template is None:
        return None
    if not subject.reference.spacing_known:
        raise QualityRefused(
            subject.reference.name,
            expected="a scan whose voxel size is known, to register it to the template",
            got="one without",
            next_step="use NIfTI or DICOM files, or remove `template` from the recipe",
        )
    transform, name = preparation.template.transform, subject.reference.name
    return register_to_template(volume, brain, oriented, transform, name)


def _working_grid(
    brain: Mask,
    oriented: Grid,
    preparation: Preparation,
    registration: TemplateRegistration | None,
) -> Grid:
    """Return the working grid in native world mm, along the axes of the scan or the template."""
    section = preparation.template
    if registration is None or section is None or not section.resample:
        return working_grid(oriented, brain_box(brain), preparation)
    grid = template_working_grid(*template_brain_bounds(), preparation)
    return replace(grid, affine=np.linalg.inv(registration.to_template) @ grid.affine)


def _find_brain(
    subject: Subject, volume: Volume, preparation: Preparation, device: torch.device | None
) -> tuple[Mask, list[Note]]:
    """Return the brain on the oriented native grid, and notes on it and the reference image."""
    reference, method = subject.reference, preparation.brain
    oriented = grid_to_ras(reference.grid)
    if subject.brain is not None and method in ("auto", "given"):
        given = place_mask(
            subject.brain.with_values(subject.brain.mask()), reference.grid, preparation.mask_grid
        )
        brain, notes = check_given_mask(
            volume_to_ras(given.mask(), reference.grid),
            volume,
            oriented,
            keep=method == "given",
            spacing_known=reference.spacing_known,
            name=reference.name,
            device=device,
        )
    else:
        brain, notes = find_brain(
            volume,
            oriented,
            method=method,
            spacing_known=reference.spacing_known,
            name=reference.name,
            device=device,
        )
    if FOUND.isdisjoint(note.kind for note in notes):
        return brain, [*reference.notes, *notes]
    brain, edge_notes = remove_cut_edges(brain, volume, oriented)
    return brain, [*reference.notes, *notes, *edge_notes]


def _with_estimated_size(subject: Subject, brain: Mask) -> tuple[Subject, list[Note]]:
    """Return the subject with the voxel size estimated from its brain, and a note."""
    scale = estimate_scale(grid_to_ras(subject.reference.grid), brain)
    estimated = subject.resized(scale)
    size = " x ".join(f"{mm:.2f}" for mm in grid_to_ras(estimated.reference.grid).spacing)
    text = f"voxel size estimated from the brain: {size} mm; volumes are estimated"
    return estimated, [Note(NoteKind.VOXEL_SIZE, text)]


def _truth(subject: Subject, mask_grid: str) -> Labels | None:
    """Return the expert labels on the oriented native grid."""
    labels = subject.native_truth(mask_grid)
    return None if labels is None else volume_to_ras(labels, subject.reference.grid)


def _turned_truth_notes(
    truth: Labels | None, volume: Volume, brain: Mask, subject: Subject
) -> list[Note]:
    if truth is None or next(iter(subject.images)) not in BRIGHT_LESIONS:
        return []
    axes = flipped_axes(truth > 0, volume, brain)
    text = (
        f"the expert's mask covers brighter voxels when it is flipped {axes}: check its header "
        "before the scan is evaluated"
    )
    return [Note(NoteKind.TURNED_TRUTH, text)] if axes else []


def _outside_notes(brain: Mask, oriented: Grid, grid: Grid) -> list[Note]:
    """Return a note on the part of the brain outside a working grid of fixed shape."""
    corners = np.array(list(product(*((p.start, p.stop - 1) for p in brain_box(brain)))), float)
    matrix = index_map(grid, oriented)
    index = corners @ matrix[:3, :3].T + matrix[:3, 3]
    if ((index >= 0) & (index <= np.array(grid.shape) - 1)).all():
        return []  # the common case, decided without reading voxels
    inside = np.count_nonzero(brain & inside_field_of_view(grid, oriented))
    share = 1 - inside / np.count_nonzero(brain)
    if share <= MAX_OUTSIDE:
        return []
    text = f"{share:.0%} of the brain lies outside the model's field of view"
    return [Note(NoteKind.FIELD_OF_VIEW, text)]


def _thick_slice_notes(oriented: Grid, grid: Grid) -> list[Note]:
    """Return a note where thick slices were interpolated to thinner ones."""
    thick = max(oriented.spacing)
    finest = grid.spacing[int(np.argmax(oriented.spacing))]
    if thick < THICK_MM or finest > thick * (1 - SAME_SPACING):
        return []
    text = f"slices of {thick:.1f} mm were interpolated to {finest:.1f} mm"
    return [Note(NoteKind.INTERPOLATED, text)]
