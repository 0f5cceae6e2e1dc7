"""The image that carries the numbers of `findings.tsv`, and names that keep BIDS entities."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri.files import LESION_LABELS, LESION_MASK, derivative
from anomri.postprocessing import findings
from anomri.preprocessing import read_labels
from anomri.reporting import native_images, read_record, read_sound_records, write_detection
from anomri.scan import Detection, Grid

Detect = Callable[..., Detection]
CORNERS = ((10, 10, 10, 2), (20, 30, 20, 4), (30, 12, 25, 3))  # of three cubes, and their sides


def _with_cubes(found: Detection) -> Detection:
    mask = np.zeros_like(found.mask)
    for i, j, k, side in CORNERS:
        mask[i : i + side, j : j + side, k : k + side] = True
    return replace(found, mask=mask, findings=findings(mask, found.anomaly))


def test_each_number_is_that_of_its_finding(detect: Detect, tmp_path: Path) -> None:
    found = _with_cubes(detect())
    home = write_detection(found, tmp_path)
    image = nib.Nifti1Image.from_filename(home / f"sub-ball01_{LESION_LABELS}")
    numbers = np.asanyarray(image.dataobj)
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(numbers > 0, found.mask)
    for finding in found.findings:
        inside = numbers == finding.number
        assert inside.sum() * image.header.get_zooms()[0] ** 3 / 1000 == pytest.approx(
            finding.volume_ml
        )
        centre = np.argwhere(inside).mean(axis=0)
        np.testing.assert_allclose(
            nib.affines.apply_affine(image.affine, centre), finding.centre_mm
        )
    table = (home / "sub-ball01_desc-lesions_dseg.tsv").read_text().splitlines()
    assert table == ["index\tname", "1\tlesion 1", "2\tlesion 2", "3\tlesion 3"]
    about = json.loads((home / "sub-ball01_desc-lesions_dseg.json").read_text())
    assert "findings.tsv" in about["Description"]


@pytest.mark.parametrize("spacing", [0.7, 1.3, 3.1])
def test_every_voxel_of_the_mask_has_a_number_on_any_grid(detect: Detect, spacing: float) -> None:
    affine = np.diag([spacing, -spacing, spacing, 1.0])
    affine[1, 3] = 104
    shape = tuple(int(mm / spacing) for mm in (96, 104, 88))
    found = _with_cubes(detect(native=Grid(shape=shape, affine=affine)))  # type: ignore[arg-type]
    images = native_images(found)
    mask, numbers = (np.asanyarray(images[name].dataobj) for name in ("mask", "lesions"))
    assert mask.any()
    np.testing.assert_array_equal(numbers > 0, mask > 0)


def test_more_than_255_lesions_have_numbers_of_their_own(detect: Detect) -> None:
    found = detect()
    mask = np.zeros_like(found.mask)
    mask[::4, ::4, ::4] = True
    image = native_images(replace(found, mask=mask))["lesions"]
    assert image.get_data_dtype() == np.uint16
    assert np.unique(np.asanyarray(image.dataobj)).size == mask.sum() + 1


def test_no_lesion_is_an_image_of_zeros(detect: Detect, tmp_path: Path) -> None:
    found = replace(detect(), mask=np.zeros_like(detect().mask), findings=())
    home = write_detection(found, tmp_path)
    assert not read_labels(home / f"sub-ball01_{LESION_LABELS}")[0].any()
    assert (home / "sub-ball01_desc-lesions_dseg.tsv").read_text() == "index\tname\n"


def test_entities_of_the_scan_are_kept(detect: Detect, tmp_path: Path) -> None:
    found = detect(label="sub-03_ses-a", entities="acq-3D_run-1")
    home = write_detection(found, tmp_path)
    assert all(path.name.startswith("sub-03_ses-a_acq-3D_run-1_") for path in home.iterdir())
    path = derivative(tmp_path, "sub-03_ses-a", LESION_MASK)
    assert path == home / "sub-03_ses-a_acq-3D_run-1_label-lesion_mask.nii.gz"
    record = read_record(tmp_path, "sub-03_ses-a")
    assert record is not None
    assert record.label == "sub-03_ses-a"
    assert read_sound_records(tmp_path)[0] == [record]
    # What is there counts as anomri's own, and a result without them replaces it.
    write_detection(detect(label="sub-03_ses-a"), tmp_path)
    assert not path.exists()
    assert derivative(tmp_path, "sub-03_ses-a", LESION_MASK).is_file()
