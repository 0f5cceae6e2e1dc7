"""Registration to the template and of contrasts to each other.

The patient is the template itself, so that the true transform is known exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from anomri.errors import QualityRefused
from anomri.preprocessing import (
    RegistrationResult,
    grid_to_ras,
    make_registration_image,
    mask_to_native,
    prepare_images,
    volume_to_ras,
)
from anomri.preprocessing.alignment import _refuse_far, align_contrast
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.template.mni152 import load_template, template_registration_image
from anomri.preprocessing.template.registration import TransformType
from anomri.preprocessing.template.template_registration import (
    TemplateRegistration,
    brain_overlap,
    register_to_template,
)
from anomri.recipe import Preparation, Step, Template
from anomri.scan import Affine, Grid, Mask, Scan

LESION_MM = (28.0, -20.0, 22.0)  # in the template
LESION_RADIUS = 9.0


def patient(
    turn_deg: Sequence[float] = (0, 0, 0), shift: Sequence[float] = (0, 0, 0), size: float = 1.0
) -> Affine:
    """Return the (4, 4) map from template mm to the world mm of a rotated and moved patient."""
    matrix = np.eye(4)
    matrix[:3, :3] = size * Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def voxels(
    spacing: Sequence[float],
    signs: Sequence[int] = (1, 1, 1),
    *,
    shear: float = 0.0,
    tilt_deg: float = 0.0,
    reach: Sequence[float] = (95, 115, 100),
) -> tuple[Affine, tuple[int, int, int]]:
    """Return the affine and shape of a scanner's grid around the template's brain."""
    slanted = np.eye(3)
    slanted[1, 2] = shear
    affine = np.eye(4)
    tilted = Rotation.from_euler("x", tilt_deg, degrees=True).as_matrix()
    affine[:3, :3] = tilted @ slanted @ np.diag(np.array(signs) * np.array(spacing))
    i, j, k = (int(np.ceil(2 * mm / step)) for mm, step in zip(reach, spacing, strict=True))
    affine[:3, 3] = np.array([0, -17, 5]) - affine[:3, :3] @ (np.array([i, j, k]) - 1) / 2
    return affine, (i, j, k)


@cache
def atlas() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return tissue, brain and lesion on a 2 mm grid, and its affine: quick to look at."""
    values, grid = load_template()
    tissue = ndimage.zoom(values[:-1, :-1, :-1], 0.5, order=1, grid_mode=True, mode="nearest")
    affine = grid.affine @ np.diag([2, 2, 2, 1.0])
    affine[:3, 3] += 0.5
    index = np.moveaxis(np.indices(tissue.shape, dtype=np.float32), 0, -1)
    apart = np.linalg.norm(nib.affines.apply_affine(affine, index) - LESION_MM, axis=-1)
    return tissue, (tissue > 30).astype(np.float32), apart < LESION_RADIUS, affine


def seen_by(
    affine: Affine,
    shape: tuple[int, int, int],
    lies: Affine,
    *,
    inverted: bool = False,
    scalp: bool = False,
) -> tuple[nib.Nifti1Image, Mask]:
    """Return what a scanner sees of the patient, and the brain.

    Args:
        affine: of the scanner's voxels.
        shape: likewise.
        lies: template mm to the patient's world mm.
        inverted: another contrast of the same brain, without the lesion.
        scalp: a bright shell around the head.
    """
    values, mask, bright, at = atlas()
    matrix = np.linalg.inv(at) @ np.linalg.inv(lies) @ affine
    sigma = [max(float(np.linalg.norm(matrix[axis, :3])) - 1, 0) / 3 for axis in range(3)]

    def sampled(array: np.ndarray) -> np.ndarray:
        result: np.ndarray = ndimage.affine_transform(
            array.astype(np.float32), matrix[:3, :3], matrix[:3, 3], output_shape=shape, order=1
        )
        return result

    brain = sampled(mask) >= 0.5
    tissue = sampled(ndimage.gaussian_filter(values, sigma))
    lesion = sampled(bright)
    image = 400 - tissue if inverted else tissue + 250 * lesion
    noise = np.random.default_rng(0).normal(0, 4, shape)
    head = np.where(brain, (image + noise).clip(1), 0)
    if scalp:
        around = sampled(_shell(mask > 0))
        head = head + 400 * around * ~brain + np.abs(noise)
    return nib.Nifti1Image(head.astype(np.float32), affine), brain


def _shell(brain: np.ndarray) -> np.ndarray:
    distance = ndimage.distance_transform_edt(~brain, sampling=2)
    near: np.ndarray = (distance > 6) & (distance < 13)
    return near


RIGID = Template()
ON_TEMPLATE = Template(resample=True)


def register(
    image: nib.Nifti1Image, brain: Mask, transform: TransformType = "rigid"
) -> TemplateRegistration:
    grid = Grid(shape=brain.shape, affine=image.affine)
    values = volume_to_ras(image.get_fdata(dtype=np.float32), grid)
    return register_to_template(
        values, volume_to_ras(brain, grid), grid_to_ras(grid), transform, "flair.nii.gz"
    )


def registration_error(registration: TemplateRegistration, lies: np.ndarray) -> float:
    """Return the largest distance in mm between points of the template and their estimates."""
    points = np.array([[-50, -17, 5], [50, -17, 5], [0, -90, 5], [0, 55, 5], [0, -17, 65]], float)
    there = nib.affines.apply_affine(lies, points)
    estimated = nib.affines.apply_affine(registration.to_template, there)
    return float(np.linalg.norm(estimated - points, axis=1).max())


@pytest.mark.parametrize(
    ("turn", "shift", "spacing", "signs"),
    [
        ((0, 0, 0), (0, 0, 0), (2, 2, 2), (1, 1, 1)),
        ((12, -8, 15), (30, -25, 40), (2, 2, 3), (-1, -1, 1)),
        ((-15, 5, -10), (-200, 100, 50), (2, 2, 6), (-1, 1, 1)),
    ],
)
def test_a_patients_position_is_found(
    turn: Sequence[float], shift: Sequence[float], spacing: Sequence[float], signs: Sequence[int]
) -> None:
    lies = patient(turn, shift)
    affine, shape = voxels(spacing, signs, reach=(95, 115, 100))
    affine[:3, 3] += shift
    registration = register(*seen_by(affine, shape, lies))
    assert registration_error(registration, lies) < 2.0
    assert registration.overlap > 0.95


def test_an_affine_registration_finds_the_size_too() -> None:
    lies = patient((8, 0, 5), (10, 5, -5), size=0.9)
    registration = register(*seen_by(*voxels((2, 2, 2)), lies), transform="affine")
    assert registration_error(registration, lies) < 2.5
    scales = np.linalg.svd(registration.to_template[:3, :3], compute_uv=False)
    np.testing.assert_allclose(scales, 1 / 0.9, atol=0.03)


def test_it_is_the_same_each_time() -> None:
    image, brain = seen_by(*voxels((3, 3, 3)), patient((5, 5, 5)))
    once, again = (register(image, brain) for _ in range(2))
    np.testing.assert_array_equal(once.to_template, again.to_template)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_header_that_turns_the_head_is_refused(axis: int) -> None:
    image, brain = seen_by(*voxels((3, 3, 3)), patient())
    turned = tuple(part for part in range(3) if part != axis)
    lying = nib.Nifti1Image(np.flip(image.get_fdata(dtype=np.float32), turned), image.affine)
    with pytest.raises(QualityRefused, match="half a turn") as caught:
        register(lying, np.flip(brain, turned))
    assert caught.value.exit_code == 5


def test_a_head_that_is_too_small_is_refused() -> None:
    image, brain = seen_by(*voxels((3, 3, 3)), patient(size=0.6))
    with pytest.raises(QualityRefused, match=r"times the template's size|overlaps"):
        register(image, brain, transform="affine")


def test_something_round_is_refused() -> None:
    index = np.indices((60, 60, 60)) - 29.5
    ball = np.linalg.norm(index * np.array([1, 1, 3])[:, None, None, None], axis=0) < 28
    noise = np.random.default_rng(0).normal(100, 10, ball.shape)
    image = nib.Nifti1Image(np.where(ball, noise, 0).astype(np.float32), np.diag([3, 3, 3, 1]))
    with pytest.raises(QualityRefused):
        register(image, ball)


def test_a_brain_beyond_the_field_of_view_does_not_count_against_the_overlap() -> None:
    affine, shape = voxels((2, 2, 4))
    affine[2, 3] += 40
    image, brain = seen_by(affine, (shape[0], shape[1], 20), patient((3, 0, 4)))
    registration = register(image, brain)
    assert registration.overlap > 0.9
    assert registration.coverage < 0.8
    assert registration_error(registration, patient((3, 0, 4))) < 3.0


def bright(scan: Scan) -> np.ndarray:
    """(I, J, K) bool: the core of the phantom's lesion, which fills 0.16 % of its brain."""
    found: np.ndarray = scan.image[0] > np.percentile(scan.image[0][scan.brain], 99.9)
    return found


def centre(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    middle: np.ndarray = nib.affines.apply_affine(affine, np.median(np.argwhere(mask), axis=0))
    return middle


LIES = patient((10, -6, 12), (25, -40, 60))
SCANNERS = [
    voxels((1.5, 1.5, 5.0), (-1, -1, 1), shear=0.15),
    voxels((2.0, 2.0, 2.0), (-1, 1, -1), tilt_deg=20, shear=-0.2),
]


@pytest.mark.parametrize(
    ("scanner", "section"), list(zip(SCANNERS, (RIGID, ON_TEMPLATE), strict=True))
)
def test_a_lesion_is_found_at_its_position_and_returns_to_native_space(
    scanner: tuple[np.ndarray, tuple[int, int, int]], section: Template
) -> None:
    affine = scanner[0].copy()
    affine[:3, 3] += (25, -40, 60)
    image, _ = seen_by(affine, scanner[1], LIES)
    preparation = Preparation(
        spacing_mm=(1.5, 1.5, 1.5) if section.resample else (1.5, 1.5, None),
        template=section,
        intensity=Step(name="percentile"),
    )
    scan = prepare_images({"flair": image}, preparation, ["flair"])
    lesion = bright(scan)
    truth = nib.affines.apply_affine(LIES, LESION_MM)
    assert np.linalg.norm(centre(lesion, scan.affine) - truth) < 2.5
    native = mask_to_native(lesion, scan)
    assert native.shape == image.shape
    assert np.linalg.norm(centre(native, image.affine) - truth) < 2.5
    found = scan.template_mm(centre(native, image.affine).tolist())
    assert found is not None
    assert np.linalg.norm(np.array(found) - LESION_MM) < 4.0


def test_a_whole_head_with_a_mask_is_registered_by_its_brain() -> None:
    affine, shape = voxels((2, 2, 2), (-1, -1, 1))
    image, brain = seen_by(affine, shape, patient((10, 0, 8)), scalp=True)
    given = nib.Nifti1Image(brain.astype(np.uint8), affine)
    preparation = Preparation(template=RIGID, bias_field=Step(name="n4", options={"levels": 2}))
    scan = prepare_images({"flair": image}, preparation, ["flair"], brain=given)
    assert scan.to_template is not None
    registration = TemplateRegistration(scan.to_template, 1, 1)
    assert registration_error(registration, patient((10, 0, 8))) < 2.0


def test_a_papers_grid_is_specified_by_its_numbers() -> None:
    image, _ = seen_by(*voxels((2, 2, 2)), patient((5, 0, 5), (10, 10, 10)))
    preparation = Preparation(spacing_mm=(1, 1, 1), shape=(160, 192, 75), template=ON_TEMPLATE)
    scan = prepare_images({"flair": image}, preparation, ["flair"])
    assert scan.grid.shape == (160, 192, 75)
    middle = scan.template_mm(scan.grid.to_world(np.array([79.5, 95.5, 37.0])).tolist())
    assert middle is not None
    np.testing.assert_allclose(middle, (0, -17, 5), atol=0.6)
    assert any("outside the model's field of view" in note.text for note in scan.notes)


def test_thick_slices_stay_unless_a_number_of_them_is_asked_for() -> None:
    image, _ = seen_by(*voxels((2, 2, 6)), patient())
    for asked, spacing in (
        (Preparation(spacing_mm=(1.5, 1.5, 1.5)), 6.0),
        (Preparation(spacing_mm=(1.5, 1.5, 1.5), thick_slices="resample"), 1.5),
        (Preparation(spacing_mm=(1.5, 1.5, 1.5), shape=(None, None, 96)), 1.5),
    ):
        scan = prepare_images({"flair": image}, asked, ["flair"])
        assert scan.grid.spacing == pytest.approx((1.5, 1.5, spacing))
        assert any("interpolated" in note.text for note in scan.notes) == (spacing < 6)


def test_two_equal_brains_overlap_fully() -> None:
    overlap, coverage = brain_overlap(
        template_registration_image(), template_registration_image(), np.eye(4)
    )
    assert overlap > 0.85  # the rim is registered, but is no brain
    assert coverage == pytest.approx(1)


MOVED = patient((3, -2, 4), (5, -4, 3))  # between the two contrasts, the patient moved


def raw_image_of(name: str, image: nib.Nifti1Image) -> RawImage:
    i, j, k = image.shape
    values = image.get_fdata(dtype=np.float32)
    return RawImage(name, values, Grid(shape=(i, j, k), affine=image.affine))


def test_a_contrast_that_moved_is_moved_back() -> None:
    lies = patient((4, 0, 6))
    flair, brain = seen_by(*voxels((2, 2, 4)), lies)
    t1, _ = seen_by(*voxels((2.5, 2, 2)), MOVED @ lies, inverted=True)
    first = raw_image_of("flair.nii", flair)
    moved, notes = align_contrast(raw_image_of("t1.nii", t1), first, first.values, brain)
    points = np.array([[-50, -17, 5], [50, -17, 5], [0, -90, 5], [0, 55, 5], [0, -17, 65]], float)
    after = nib.affines.apply_affine(np.linalg.inv(t1.affine) @ MOVED, points)
    back = nib.affines.apply_affine(moved.grid.affine, after)
    assert np.linalg.norm(back - points, axis=1).max() < 1.0
    assert "t1.nii was moved by" in notes[0].text


def test_grids_that_agree_are_left_alone() -> None:
    affine = np.diag([2.0, 2, 2, 1])
    values = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    reference = RawImage("flair.nii", values, Grid(shape=(8, 8, 8), affine=affine))
    t1 = RawImage("t1.nii", values, Grid(shape=(8, 8, 8), affine=affine + 1e-5))
    moved, notes = align_contrast(t1, reference, values, values > 0)
    assert moved is t1
    assert not notes


def test_a_match_far_from_the_header_is_refused() -> None:
    mask = np.ones((8, 8, 8), dtype=bool)
    values = np.random.default_rng(0).normal(size=mask.shape).astype(np.float32)
    grid = Grid(shape=(8, 8, 8), affine=np.diag([4.0, 4, 4, 1]))
    fixed = make_registration_image(values, mask, grid, 4, keep_surroundings=True)
    _refuse_far(RegistrationResult(patient((5, 0, 0), (10, 0, 0)), 1), fixed, "t1.nii.gz")
    for lost in (patient((60, 0, 0)), patient((0, 0, 0), (90, 0, 0))):
        with pytest.raises(QualityRefused, match=r"t1\.nii\.gz"):
            _refuse_far(RegistrationResult(lost, 1), fixed, "t1.nii.gz")


def test_a_contrast_outside_the_brain_is_refused() -> None:
    values = np.random.default_rng(0).random((40, 40, 40), dtype=np.float32)
    brain = np.zeros(values.shape, dtype=bool)
    brain[10:22, 10:22, 10:22] = True
    here, beside = np.diag([2.0, 2, 2, 1]), np.diag([2.0, 2, 2, 1])
    beside[:3, 3] = 70  # the two meet in a corner, far from the brain
    first = RawImage("flair.nii", values, Grid(shape=values.shape, affine=here))
    t1 = RawImage("t1.nii", values, Grid(shape=values.shape, affine=beside))
    with pytest.raises(QualityRefused, match=r"t1\.nii.*outside the brain of flair\.nii"):
        align_contrast(t1, first, values, brain)
