"""A mask that lost its header is refused or used as the user says; it is no Dice of 0."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri.datasets import Found
from anomri.detector import load
from anomri.errors import GridMismatch, UsageError
from anomri.pipeline import evaluate, read_case
from anomri.preprocessing import prepare_scan, read_truth
from anomri.recipe import Overrides, Preparation
from anomri.reporting import write_detection
from anomri.scan import Affine, Grid, Labels, Scan, ScanFiles

AFFINE = np.array([[-2.0, 0, 0, 60], [0, -2, 0, 66], [0, 0, 2, -50], [0, 0, 0, 1]])
GRID = Grid(shape=(30, 32, 28), affine=AFFINE)


def saved(labels: Labels, path: Path, affine: Affine | None, code: int = 1) -> Path:
    image = nib.Nifti1Image(labels, affine)
    image.set_sform(affine, code)
    nib.save(image, path)
    return path


@pytest.fixture
def labels() -> Labels:
    found = np.zeros(GRID.shape, np.uint8)
    found[10:14, 8:12, 20:24] = 2
    return found


@pytest.mark.parametrize(
    "affine", [np.eye(4), np.diag([2.0, 2, 2, 1]), AFFINE @ np.diag([1, 1, 2, 1])]
)
def test_the_scans_shape_with_another_affine_is_refused_or_used_as_said(
    tmp_path: Path, labels: Labels, affine: Affine
) -> None:
    path = saved(labels, tmp_path / "seg.nii.gz", affine)
    with pytest.raises(GridMismatch, match="header had been lost") as caught:
        read_truth(path, GRID)
    assert "--mask-grid scan" in caught.value.next_step
    np.testing.assert_array_equal(read_truth(path, GRID, mask_grid="scan"), labels)
    assert not np.array_equal(read_truth(path, GRID, mask_grid="header"), labels)


def test_a_mask_with_its_axes_the_other_way_round_is_no_lost_header(
    tmp_path: Path, labels: Labels
) -> None:
    flipped = AFFINE @ np.array([[-1.0, 0, 0, 29], [0, 1, 0, 0], [0, 0, -1, 27], [0, 0, 0, 1]])
    path = saved(labels[::-1, :, ::-1].copy(), tmp_path / "seg.nii.gz", flipped)
    np.testing.assert_array_equal(read_truth(path, GRID), labels)


def test_codes_of_0_are_a_lost_header_too(tmp_path: Path, labels: Labels) -> None:
    path = saved(labels, tmp_path / "seg.nii.gz", None, 0)
    with pytest.raises(GridMismatch):
        read_truth(path, GRID)
    np.testing.assert_array_equal(read_truth(path, GRID, mask_grid="scan"), labels)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(UsageError, match="auto, header, scan"):
        load("intensity", device="cpu", overrides=Overrides(mask_grid="voxels"))


def test_evaluation_keeps_it_out_of_the_mean(ball_scan: Scan, tmp_path: Path) -> None:
    assert ball_scan.truth is not None
    detection = load("intensity", device="cpu").detect_scan(ball_scan)
    assert detection.mask.any()
    write_detection(detection, tmp_path)
    lost = saved(ball_scan.truth, tmp_path / "seg.nii.gz", np.eye(4))
    files = ScanFiles(
        subject=ball_scan.subject, contrasts={"flair": lost}, layout="folder", truth=lost
    )
    found = Found((files,), (), "folder")
    summary, outcome = evaluate(tmp_path, found, tmp_path)
    assert outcome.exit_code == 3
    assert "header had been lost" in outcome.failures[0].reason
    assert not any(row["n"] for row in summary)
    summary, outcome = evaluate(tmp_path, found, tmp_path, mask_grid="scan")
    assert outcome.exit_code == 0
    assert next(row["mean"] for row in summary if row["metric"] == "dice") > 0.8
    beside = np.zeros_like(ball_scan.truth)
    beside[:3, :3, :3] = 1
    far = replace(files, truth=saved(beside, tmp_path / "far.nii.gz", ball_scan.grid.affine))
    with pytest.raises(GridMismatch, match="outside it"):
        read_case(tmp_path, far)


def test_preparation_does_as_is_said(ball_scan: Scan, tmp_path: Path) -> None:
    image = ball_scan.image[0] * 50 + np.where(ball_scan.brain, 200, 0)
    flair = tmp_path / "flair.nii.gz"
    nib.save(nib.Nifti1Image(image.astype(np.float32), ball_scan.grid.affine), flair)
    assert ball_scan.truth is not None
    lost = saved(ball_scan.truth, tmp_path / "seg.nii.gz", np.eye(4))
    files = ScanFiles(subject="a", contrasts={"flair": flair}, layout="folder", truth=lost)
    with pytest.raises(GridMismatch):
        prepare_scan(files, Preparation(), ("flair",))
    scan = prepare_scan(files, Preparation(mask_grid="scan"), ("flair",))
    assert scan.truth is not None
    assert np.count_nonzero(scan.truth) == np.count_nonzero(ball_scan.truth)
