from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.eulerangles import euler2mat

from anomri.preprocessing import image_on, write_image
from anomri.reporting import native_images
from anomri.scan import Detection, Grid

Detect = Callable[..., Detection]

angles = st.floats(-3, 3)
codes = st.sampled_from([0, 1, 2, 4])


@given(angles, angles, st.tuples(codes, codes).filter(any), st.booleans())
def test_geometry_survives_the_disk(
    turn: float, tilt: float, both: tuple[int, int], flip: bool
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = euler2mat(turn, tilt, 0.3) @ np.diag([-0.9 if flip else 0.9, 1.1, 6.5])
    affine[:3, 3] = (-80.5, 31, 12)
    grid = Grid(shape=(5, 6, 7), affine=affine, sform_code=both[0], qform_code=both[1])
    image = image_on(np.ones(grid.shape, np.uint8), grid)
    back = nib.Nifti1Image.from_bytes(image.to_bytes())
    # A qform is a quaternion in single precision, which near half turns is good to 1e-3 only.
    np.testing.assert_allclose(back.affine, affine, atol=1e-4 if both[0] else 5e-3)
    assert (int(back.header["sform_code"]), int(back.header["qform_code"])) == both
    np.testing.assert_allclose(back.header.get_zooms(), (0.9, 1.1, 6.5), rtol=1e-5)
    assert back.header.get_xyzt_units()[0] == "mm"


def test_a_qform_of_its_own_is_kept() -> None:
    sform, qform = np.diag([2.0, 2, 2, 1]), np.diag([2.0, 2, 2, 1])
    qform[:3, 3] = (5, 6, 7)
    grid = Grid(shape=(3, 3, 3), affine=sform, sform_code=4, qform_code=1, qform=qform)
    header = image_on(np.zeros(grid.shape, np.float32), grid).header
    np.testing.assert_allclose(header.get_qform(), qform)
    np.testing.assert_allclose(header.get_sform(), sform)


def test_a_sheared_sform_is_kept() -> None:
    affine = np.diag([1.0, 1, 3, 1])
    affine[0, 2] = 0.4
    grid = Grid(shape=(3, 3, 3), affine=affine, sform_code=1, qform_code=1)
    np.testing.assert_allclose(image_on(np.zeros(grid.shape, np.uint8), grid).affine, affine)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.uint8, np.uint8),
        (np.uint16, np.uint16),
        (np.float32, np.float32),
        (np.float64, np.float32),
    ],
)
def test_only_three_kinds_of_voxel_are_written(given: type, kept: type) -> None:
    grid = Grid(shape=(2, 2, 2), affine=np.eye(4))
    assert image_on(np.zeros(grid.shape, given), grid).get_data_dtype() == kept


def test_a_detection_comes_home_to_the_grid_of_its_file(detect: Detect) -> None:
    found = detect()
    flipped = found.anomaly.scan.grid.affine @ np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 2.0 * 47
    native = Grid(shape=(48, 52, 44), affine=flipped, sform_code=2)
    images = native_images(detect(native=native))
    assert sorted(images) == ["anomaly_flair", "brain", "lesions", "mask", "reconstruction_flair"]
    np.testing.assert_array_equal(np.asanyarray(images["mask"].dataobj)[::-1], found.mask)
    values = np.asanyarray(images["anomaly_flair"].dataobj)[::-1]
    np.testing.assert_allclose(values, found.anomaly.values[0], atol=1e-5)


def test_the_mask_is_resampled_by_its_margin(detect: Detect) -> None:
    found = detect()
    grid = found.anomaly.scan.grid
    native = replace(grid, affine=grid.affine @ np.diag([0.5, 1, 1, 1]), shape=(96, 52, 44))
    found = detect(native=native)
    margins = [np.where(found.mask, *level).astype(np.float32) for level in ((9, -1), (1, -9))]
    detections = [replace(found, margin=margin) for margin in margins]
    wide, narrow = (np.sum(native_images(one)["mask"].dataobj) for one in detections)
    assert wide > narrow


def test_no_reconstruction_is_written_for_a_model_that_draws_none(detect: Detect) -> None:
    found = detect()
    found.anomaly.reconstruction[:] = 0
    assert "reconstruction_flair" not in native_images(found)


def test_the_stream_tells_neither_time_nor_name(tmp_path: Path) -> None:
    image = image_on(np.zeros((2, 2, 2), np.uint8), Grid(shape=(2, 2, 2), affine=np.eye(4)))
    write_image(image, tmp_path / "a.nii.gz")
    write_image(image, tmp_path / "b.nii.gz")
    written = (tmp_path / "a.nii.gz").read_bytes()
    assert written == (tmp_path / "b.nii.gz").read_bytes()
    assert written[3:8] == bytes(5)  # no name flag, no time
    assert gzip.decompress(written) == image.to_bytes()
