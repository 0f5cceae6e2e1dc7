from __future__ import annotations

from itertools import permutations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass
from scipy.spatial.transform import Rotation

from anomri.preprocessing import labels_to_native, mask_to_native, prepare_images, volume_to_native
from anomri.recipe import Preparation, Step
from anomri.scan import Affine, Scan

BRAIN_MM = 52.0
LESION_MM = 12.1234  # no voxel centre lies exactly on the border, where rounding would decide

affines = st.builds(
    lambda order, signs, spacing, turn, shear, shift: compose(
        order, signs, spacing, turn, shear, shift
    ),
    st.sampled_from(list(permutations(range(3)))),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.sampled_from([2.0, 2.5, 3.3, 5.0])] * 3),
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    st.floats(-0.25, 0.25),
    st.tuples(*[st.floats(-200, 200)] * 3),
)


def compose(
    order: tuple[int, ...],
    signs: tuple[int, ...],
    spacing: tuple[float, ...],
    turn: tuple[float, ...],
    shear: float,
    shift: tuple[float, ...],
) -> Affine:
    """Return the affine of voxels of ``spacing``, sheared, permuted, flipped, rotated and moved."""
    affine = np.eye(4)
    slanted = np.eye(3)
    slanted[0, 1] = shear
    axes = np.diag(np.array(signs, float))[:, list(order)]
    turned = Rotation.from_rotvec(turn).as_matrix()
    affine[:3, :3] = turned @ slanted @ axes @ np.diag(spacing)
    affine[:3, 3] = shift
    return affine


def head(affine: Affine) -> tuple[nib.Nifti1Image, np.ndarray, np.ndarray]:
    """Return a spherical brain with a spherical lesion: image, lesion mask, its centre in mm."""
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    shape = tuple(int(n) for n in np.ceil(2 * (BRAIN_MM + 25) / lengths))
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    middle = nib.affines.apply_affine(affine, (np.array(shape) - 1) / 2)
    centre = middle + np.array([18, -12, 9])
    brain = np.linalg.norm(world - middle, axis=-1) < BRAIN_MM
    lesion = np.linalg.norm(world - centre, axis=-1) < LESION_MM
    shade = 100 + 0.3 * (world - middle)[..., 0]
    values = np.where(brain, shade + 100 * lesion, 0).astype(np.float32)
    return nib.Nifti1Image(values, affine), lesion, centre


def centre_of(mask: np.ndarray, affine: Affine) -> np.ndarray:
    found: np.ndarray = nib.affines.apply_affine(affine, np.argwhere(mask).mean(axis=0))
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(affine=affines, spacing=st.sampled_from([None, 2.0, 3.0]))
def test_a_ball_returns_to_its_position(affine: Affine, spacing: float | None) -> None:
    image, lesion, centre = head(affine)
    preparation = Preparation(spacing_mm=(spacing, spacing, None), intensity=Step(name="zscore"))
    scan = prepare_images({"flair": image}, preparation, ["flair"])
    world = scan.grid.to_world(np.moveaxis(np.indices(scan.grid.shape), 0, -1).astype(float))
    distance = np.linalg.norm(world - centre, axis=-1)
    native = mask_to_native(distance < LESION_MM, scan)
    assert native.shape == image.shape
    coarsest = max(*scan.grid.spacing, *scan.native.spacing)
    # A binary mask that is moved by almost half a voxel moves by none or a whole one, on each axis.
    assert np.linalg.norm(centre_of(native, affine) - centre) < 0.5 * np.sqrt(3) * coarsest
    # A smooth map has no such steps.
    weights = volume_to_native(np.exp(-((2 * distance / LESION_MM) ** 2)).astype(np.float32), scan)
    middle = affine[:3] @ [*center_of_mass(weights), 1]
    assert np.linalg.norm(middle - centre) < 0.2 * coarsest
    overlap = 2 * np.count_nonzero(native & lesion) / (native.sum() + lesion.sum())
    assert overlap > (0.999 if spacing is None else 0.8)


def test_a_margin_places_the_border_between_voxels() -> None:
    image, lesion, centre = head(np.diag([1.5, 1.5, 1.5, 1]))
    preparation = Preparation(spacing_mm=(5, 5, None), intensity=Step(name="zscore"))
    scan = prepare_images({"flair": image}, preparation, ["flair"])
    world = scan.grid.to_world(np.moveaxis(np.indices(scan.grid.shape), 0, -1).astype(float))
    margin = (LESION_MM - np.linalg.norm(world - centre, axis=-1)).astype(np.float32)
    overlaps = [
        2 * np.count_nonzero(native & lesion) / (native.sum() + lesion.sum())
        for native in (
            mask_to_native(margin > 0, scan),
            mask_to_native(margin > 0, scan, margin),
        )
    ]
    assert overlaps[1] > max(0.97, overlaps[0] + 0.02)
    emptied = mask_to_native(np.zeros_like(margin, dtype=bool), scan, margin)
    assert not emptied.any()  # what a later step removed does not come back


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(affine=affines)
def test_working_axes_point_right_anterior_superior(affine: Affine) -> None:
    scan = prepare_images({"flair": head(affine)[0]}, Preparation(), ["flair"])
    expected = nib.as_closest_canonical(nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), affine))
    np.testing.assert_allclose(scan.affine[:3, :3], expected.affine[:3, :3], atol=1e-9)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(affine=affines, seed=st.integers(0, 9))
def test_own_spacing_there_and_back_changes_no_voxel(affine: Affine, seed: int) -> None:
    image, _, _ = head(affine)
    brain = image.get_fdata() > 0
    scan = prepare_images({"flair": image}, Preparation(), ["flair"])
    np.testing.assert_array_equal(mask_to_native(scan.brain, scan), brain)
    raw = np.random.default_rng(seed).normal(size=scan.brain.shape).astype(np.float32)
    values = np.where(scan.brain, raw, 0)
    native = volume_to_native(values, scan)
    assert np.count_nonzero(native) == np.count_nonzero(values)
    np.testing.assert_array_equal(np.sort(native[brain]), np.sort(values[scan.brain]))


def known_scan(preparation: Preparation) -> tuple[Scan, np.ndarray]:
    image, lesion, _ = head(compose((0, 1, 2), (-1, -1, 1), (2, 2, 2), (0, 0, 0), 0, (9, 9, 9)))
    return prepare_images({"flair": image}, preparation, ["flair"]), lesion


def test_linear_values_survive_a_finer_grid() -> None:
    scan, _ = known_scan(Preparation(spacing_mm=(1.0, 1.0, 1.0)))
    i = np.indices(scan.grid.shape)
    ramp = (0.5 * i[0] - 0.2 * i[1] + i[2]).astype(np.float32)
    index = np.moveaxis(np.indices(scan.native.shape), 0, -1).astype(float)
    there = nib.affines.apply_affine(np.linalg.inv(scan.affine) @ scan.native.affine, index)
    expected = there @ [0.5, -0.2, 1.0]
    brain = mask_to_native(scan.brain, scan)
    np.testing.assert_allclose(volume_to_native(ramp, scan)[brain], expected[brain], atol=1e-3)


def test_labels_return_as_the_same_numbers() -> None:
    scan, lesion = known_scan(Preparation(spacing_mm=(1.5, 1.5, 1.5)))
    labels = np.where(scan.brain, 4, 0).astype(np.uint8)
    native = labels_to_native(labels, scan)
    assert set(np.unique(native)) == {0, 4}
    assert native.dtype == np.uint8
    assert (native[lesion] == 4).all()


@pytest.mark.parametrize("shape", [(20, 20, 20), (90, 90, 90)])
def test_a_fixed_shape_crops_or_pads_and_still_returns_to_native_space(
    shape: tuple[int, int, int],
) -> None:
    scan, _ = known_scan(Preparation(shape=shape))
    assert scan.image.shape[1:] == shape
    native = mask_to_native(scan.brain, scan)
    assert np.count_nonzero(native) == np.count_nonzero(scan.brain)
