"""Results are written as other programs read them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from anomri.datasets import Found
from anomri.errors import UsageError
from anomri.pipeline import export, has_failure_table
from anomri.preprocessing import itk_transform
from anomri.reporting import write_detection, write_tables
from anomri.scan import AnomalyMap, Detection, Finding, Mask, Scan, ScanFiles, Threshold

Write = Callable[..., Path]
TO_TEMPLATE = np.array([[0.9, 0.1, 0, 5], [-0.1, 0.95, 0, -7], [0, 0, 1.05, 9], [0, 0, 0, 1.0]])


def written(ball_scan: Scan, mask: Mask, folder: Path) -> Path:
    """Write a mask as the result of the round brain."""
    scan = replace(ball_scan, label="sub-a", to_template=TO_TEMPLATE)
    detection = Detection(
        anomaly=AnomalyMap(
            scan=scan, values=scan.image, reconstruction=scan.image * 0, score="residual"
        ),
        mask=mask,
        threshold=Threshold(value=2.0, rule="fixed"),
        slice_scores=np.zeros(mask.shape[2]),
        scan_score=1.0,
        findings=(Finding(number=1, volume_ml=1.0, centre_mm=(-60, 52, 44), peak=3.5),),
    )
    write_detection(detection, folder)
    write_tables(folder, [])
    return folder


@pytest.fixture
def results(ball_scan: Scan, tmp_path: Path) -> Path:
    """A folder with the ball of the round brain as a result."""
    return written(ball_scan, ball_scan.image[0] > 2, tmp_path / "results")


@pytest.fixture
def found(ball_scan: Scan, tmp_path: Path) -> Found:
    """The FLAIR of the result, and a T1 on the same grid."""
    native = ball_scan.native
    values = np.random.default_rng(0).normal(100, 5, native.shape).astype(np.float32)
    flair, t1 = tmp_path / "flair.nii.gz", tmp_path / "t1.nii.gz"
    nib.save(nib.Nifti1Image(values, native.affine), flair)
    nib.save(nib.Nifti1Image(values, native.affine), t1)
    files = ScanFiles(subject="a", contrasts={"flair": flair, "t1": t1}, layout="folder")
    return Found(scans=(files,), skipped=(), layout="folder")


def lesion(results: Path) -> np.ndarray:
    path = results / "sub-a" / "anat" / "sub-a_label-lesion_mask.nii.gz"
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


def test_masks_lie_on_the_t1_for_fmriprep_and_fastsurfer(
    results: Path, found: Found, tmp_path: Path
) -> None:
    assert export(results, tmp_path / "f", "fmriprep", found=found).done == ["sub-a"]
    roi = tmp_path / "f" / "sub-a" / "anat" / "sub-a_label-lesion_roi.nii.gz"
    np.testing.assert_array_equal(nib.Nifti1Image.from_filename(roi).dataobj, lesion(results))
    assert "lesion_roi" in (tmp_path / "f" / ".bidsignore").read_text()
    export(results, tmp_path / "s", "fastsurfer", found=found)
    assert (tmp_path / "s" / "sub-a_lesion_mask.nii.gz").is_file()


def test_lesions_have_colours_in_itksnap_and_slicer(results: Path, tmp_path: Path) -> None:
    for program, name, line in (
        ("itksnap", "sub-a_lesions.txt", '1 230 159 0 1 1 1 "lesion 1"'),
        ("slicer", "sub-a_lesions.ctbl", "1 lesion_1 230 159 0 255"),
    ):
        export(results, tmp_path / program, program)
        assert line in (tmp_path / program / name).read_text().splitlines()


def test_more_lesions_than_a_byte_counts_are_exported(ball_scan: Scan, tmp_path: Path) -> None:
    apart = np.zeros_like(ball_scan.brain)
    apart[::3, ::3, ::3] = True
    mask = apart & ball_scan.brain
    mask.ravel()[np.flatnonzero(mask)[300:]] = False
    results = written(ball_scan, mask, tmp_path / "results")
    for program, image, table in (
        ("itksnap", "sub-a_lesions.nii.gz", "sub-a_lesions.txt"),
        ("slicer", "sub-a_lesions.seg.nii.gz", "sub-a_lesions.ctbl"),
    ):
        out = tmp_path / program
        assert export(results, out, program).done == ["sub-a"]
        numbers = np.asarray(nib.Nifti1Image.from_filename(out / image).dataobj)
        np.testing.assert_array_equal(np.unique(numbers), np.arange(301))
        assert (out / table).read_text().splitlines()[-1].startswith("300 ")


def test_corrected_masks_become_training_cases(results: Path, found: Found, tmp_path: Path) -> None:
    path = results / "sub-a" / "anat" / "sub-a_label-lesion_mask.nii.gz"
    corrected = lesion(results) * 0
    corrected[3:6, 4, 5] = 1
    nib.save(nib.Nifti1Image(corrected, nib.Nifti1Image.from_filename(path).affine), path)
    out = tmp_path / "nnunet"
    export(results, out, "nnunet", found=found)
    label = nib.Nifti1Image.from_filename(out / "labelsTr" / "sub-a.nii.gz")
    np.testing.assert_array_equal(label.dataobj, corrected)
    assert (out / "imagesTr" / "sub-a_0000.nii.gz").is_file()
    description = json.loads((out / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "FLAIR"}
    assert description["numTraining"] == 1


def test_the_transform_maps_template_points_to_the_scan_in_itk(
    results: Path, tmp_path: Path
) -> None:
    export(results, tmp_path / "out", "itksnap")
    (path,) = (tmp_path / "out").glob("*_xfm.txt")
    assert path.read_text() == itk_transform(TO_TEMPLATE)
    transform = SimpleITK.ReadTransform(str(path))
    point = np.array([10.0, -20.0, 30.0])  # RAS mm of the scan
    there = (TO_TEMPLATE @ [*point, 1])[:3]
    lps = np.array([-1, -1, 1])
    np.testing.assert_allclose(transform.TransformPoint((lps * there).tolist()), lps * point)


def test_what_is_missing_is_named(results: Path, found: Found, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--scans"):
        export(results, tmp_path / "a", "fmriprep")
    with pytest.raises(UsageError, match="another folder"):
        export(results, results, "itksnap")
    with pytest.raises(UsageError, match="fmriprep, fastsurfer"):
        export(results, tmp_path / "b", "word")
    with pytest.raises(UsageError, match="anomri detect"):
        export(tmp_path / "b2", tmp_path / "b", "slicer")
    assert not (tmp_path / "a").exists()
    files = found.scans[0]
    without = replace(files, contrasts={"flair": files.contrasts["flair"]})
    outcome = export(results, tmp_path / "c", "fmriprep", found=replace(found, scans=(without,)))
    assert outcome.exit_code == 3
    (row,) = outcome.failures
    assert "T1" in row.reason
    assert not (tmp_path / "c" / "failures.tsv").exists()  # it may be the data set itself


@pytest.mark.parametrize("program", ["fmriprep", "nnunet"])
def test_a_result_without_its_scan_does_not_stop_the_others(
    results: Path, found: Found, tmp_path: Path, program: str
) -> None:
    shutil.copytree(results / "sub-a", results / "sub-b")
    for path in [*(results / "sub-b").rglob("sub-a*")]:
        path.rename(path.with_name(path.name.replace("sub-a", "sub-b")))
    sidecar = results / "sub-b" / "anat" / "sub-b_label-lesion_mask.json"
    sidecar.write_text(sidecar.read_text().replace("sub-a", "sub-b"))
    outcome = export(results, tmp_path / "out", program, found=found)
    assert (outcome.done, outcome.exit_code) == (["sub-a"], 3)
    (row,) = outcome.failures
    assert "none in --scans" in row.reason
    assert (tmp_path / "out" / "failures.tsv").exists() == has_failure_table(program)


def test_damaged_results_are_named(results: Path, found: Found, tmp_path: Path) -> None:
    (results / "sub-a" / "anat" / "sub-a_label-lesion_mask.json").write_text("{")
    outcome = export(results, tmp_path / "out", "nnunet", found=found)
    assert [failure.label for failure in outcome.failures] == ["sub-a"]
    assert outcome.exit_code == 3


def test_the_data_sets_own_patterns_are_kept(results: Path, found: Found, tmp_path: Path) -> None:
    (tmp_path / "bids").mkdir()
    (tmp_path / "bids" / ".bidsignore").write_text("*_ct.nii.gz")
    for _ in range(2):
        export(results, tmp_path / "bids", "fmriprep", found=found)
    lines = (tmp_path / "bids" / ".bidsignore").read_text().splitlines()
    own = ["*_label-lesion_roi.nii.gz", "*_from-orig_to-MNI152NLin2009aSym_mode-image_xfm.txt"]
    assert lines == ["*_ct.nii.gz", *own]
