from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from anomri.errors import GridMismatch, MissingContrast, QualityRefused, RecipeError
from anomri.preprocessing import prepare_images, prepare_scan
from anomri.recipe import Preparation, Step
from anomri.scan import Mask, ScanFiles, Volume

Write = Callable[..., Path]

AFFINE = np.array([[-2.0, 0, 0, 60], [0, -2, 0, 66], [0, 0, 2, -50], [0, 0, 0, 1]])


def files(
    contrasts: dict[str, Path], *, brain: Path | None = None, truth: Path | None = None
) -> ScanFiles:
    return ScanFiles(
        subject="case_1", contrasts=contrasts, layout="folder", brain=brain, truth=truth
    )


@pytest.fixture
def two(write: Write, stripped: Volume) -> dict[str, Path]:
    return {"flair": write(stripped), "t1": write(1000 - stripped, "t1.nii.gz")}


def test_a_scan_has_what_was_asked_for(two: dict[str, Path], brain_ball: Mask) -> None:
    scan = prepare_scan(files(two), Preparation(), ["t1", "flair"])
    assert (scan.subject, scan.label, scan.contrasts) == ("case_1", "sub-case1", ("t1", "flair"))
    assert scan.image.dtype == np.float32
    assert scan.image.shape == (2, *scan.brain.shape)
    assert scan.grid.shape == scan.brain.shape
    assert not scan.image[:, ~scan.brain].any()
    np.testing.assert_allclose(scan.native.affine, AFFINE)


def test_the_zscore_is_taken_within_the_brain(two: dict[str, Path]) -> None:
    scan = prepare_scan(files(two), Preparation(spacing_mm=(3.0, 3.0, None)), ["flair"])
    inside = scan.image[0][scan.brain]
    assert inside.mean() == pytest.approx(0, abs=1e-3)
    assert inside.std() == pytest.approx(1, abs=1e-3)


def test_images_in_memory_and_files_give_the_same(two: dict[str, Path]) -> None:
    loaded = {name: nib.Nifti1Image.from_filename(path) for name, path in two.items()}
    there = prepare_scan(files(two), Preparation(), ["flair", "t1"])
    here = prepare_images(loaded, Preparation(), ["flair", "t1"], name="case_1")
    by_path = prepare_images(two, Preparation(), ["flair", "t1"], name="case_1")
    for scan in (here, by_path):
        np.testing.assert_array_equal(scan.image, there.image)
        assert scan.label == there.label


def test_a_missing_contrast_is_named(two: dict[str, Path]) -> None:
    with pytest.raises(MissingContrast, match="t2 missing"):
        prepare_scan(files(two), Preparation(), ["flair", "t2"])


def test_an_unknown_intensity_is_a_recipe_error(two: dict[str, Path]) -> None:
    with pytest.raises(RecipeError, match="zscore"):
        prepare_scan(files(two), Preparation(intensity=Step(name="none")), ["flair"])


def test_a_given_mask_decides(write: Write, two: dict[str, Path], brain_ball: Mask) -> None:
    smaller = ndimage.binary_erosion(brain_ball)
    mask = write(smaller.astype(np.uint8), "brain.nii.gz")
    scan = prepare_scan(files(two, brain=mask), Preparation(), ["flair"])
    assert np.count_nonzero(scan.brain) == np.count_nonzero(smaller)


def test_a_mask_of_half_the_brain_is_used_only_where_it_is_forced(
    write: Write, two: dict[str, Path], brain_ball: Mask
) -> None:
    half = brain_ball.copy()
    half[30:] = False
    case = files(two, brain=write(half.astype(np.uint8), "brain.nii.gz"))
    for method, brain in (("auto", brain_ball), ("given", half)):
        scan = prepare_scan(case, Preparation(brain=method), ["flair"])
        assert np.count_nonzero(scan.brain) == np.count_nonzero(brain)
        assert any("given brain mask does not fit the scan" in note.text for note in scan.notes)


def test_a_mask_on_another_grid_is_carried_over(
    write: Write, two: dict[str, Path], brain_ball: Mask
) -> None:
    moved = AFFINE @ nib.affines.from_matvec(np.diag([-1, 1, 1]), [59, 0, 0])
    mask = write(brain_ball[::-1].astype(np.uint8), "brain.nii.gz", moved)
    scan = prepare_scan(files(two, brain=mask), Preparation(), ["flair"])
    assert np.count_nonzero(scan.brain) == np.count_nonzero(brain_ball)


def test_a_mask_of_another_shape_is_refused(write: Write, two: dict[str, Path]) -> None:
    mask = write(np.ones((20, 20, 20), np.uint8), "brain.nii.gz")
    with pytest.raises(GridMismatch, match=r"brain\.nii\.gz: expected the shape"):
        prepare_scan(files(two, brain=mask), Preparation(), ["flair"])


def test_a_contrast_elsewhere_is_refused(write: Write, two: dict[str, Path]) -> None:
    far = AFFINE.copy()
    far[0, 3] += 1000
    two["t1"] = write(
        nib.Nifti1Image.from_filename(two["t1"]).get_fdata().astype(np.float32), "t1.nii.gz", far
    )
    with pytest.raises(GridMismatch, match="elsewhere"):
        prepare_scan(files(two), Preparation(), ["flair", "t1"])


def test_a_contrast_on_a_finer_grid_joins_the_first(
    write: Write, two: dict[str, Path], stripped: Volume
) -> None:
    fine = AFFINE @ nib.affines.from_matvec(np.diag([0.5, 0.5, 0.5]), [-0.25] * 3)
    finer = stripped.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    two["t1"] = write(finer, "t1.nii.gz", fine)
    scan = prepare_scan(files(two), Preparation(), ["flair", "t1"])
    assert np.corrcoef(scan.image[0][scan.brain], scan.image[1][scan.brain])[0, 1] > 0.99


def test_truth_lies_on_the_lesion(write: Write, stripped: Volume) -> None:
    values = stripped.copy()
    values[20:26, 30:36, 25:30] = 900
    labels = np.where(values == 900, 4, 0).astype(np.uint8)
    turned = AFFINE @ nib.affines.from_matvec(np.diag([1, -1, 1]), [0, 63, 0])
    truth = write(labels[:, ::-1], "seg.nii.gz", turned)
    case = files({"flair": write(values)}, truth=truth)
    scan = prepare_scan(case, Preparation(intensity=Step(name="percentile")), ["flair"])
    assert scan.truth is not None
    np.testing.assert_array_equal(scan.truth == 4, scan.image[0] > 1.5)
    assert scan.truth.sum() == labels.sum()


def test_a_crop_that_loses_brain_is_noted(two: dict[str, Path]) -> None:
    small = prepare_scan(files(two), Preparation(shape=(30, None, None)), ["flair"])
    assert any("outside the model's field" in note.text for note in small.notes)
    large = prepare_scan(files(two), Preparation(shape=(64, None, None)), ["flair"])
    assert not any("outside the model's field" in note.text for note in large.notes)


def test_a_brain_the_size_of_a_walnut_is_refused(write: Write, stripped: Volume) -> None:
    with pytest.raises(QualityRefused, match="case_1"):
        prepare_scan(
            files({"flair": write(stripped, affine=np.diag([1.0, 1, 1, 1]))}),
            Preparation(),
            ["flair"],
        )


def test_slices_without_spacing_are_prepared_and_noted(tmp_path: Path) -> None:
    index = np.indices((120, 120, 24)).astype(float) - np.array([60, 60, 12])[:, None, None, None]
    radius = np.sqrt((index[0] / 45) ** 2 + (index[1] / 40) ** 2 + (index[2] / 11) ** 2)
    noise = np.random.default_rng(0).normal(120, 15, radius.shape)
    values = np.where(radius < 1, noise, 0).clip(0, 255).astype(np.uint8)
    for k in range(24):
        page = np.stack([values[..., k]] * 3, axis=-1)
        tifffile.imwrite(tmp_path / f"P_{k}.tif", page)
        tifffile.imwrite(tmp_path / f"P_{k}_mask.tif", (page[..., 0] > 150).astype(np.uint8) * 255)
    case = files({"flair": tmp_path}, truth=tmp_path)
    scan = prepare_scan(case, Preparation(), ["flair"])
    assert any("voxel size estimated" in note.text for note in scan.notes)
    assert np.count_nonzero(scan.brain) == pytest.approx(np.count_nonzero(radius < 1), rel=0.01)
    assert scan.truth is not None
    assert set(np.unique(scan.truth)) == {0, 2}
