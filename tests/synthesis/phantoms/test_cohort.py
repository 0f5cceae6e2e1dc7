from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from anomri.datasets import find
from anomri.errors import UsageError
from anomri.synthesis import make_phantoms

Progress = Callable[[int, int], None]


def _make(
    folder: Path, *, healthy: int = 2, seed: int = 0, progress: Progress | None = None
) -> Path:
    return make_phantoms(
        folder,
        healthy=healthy,
        gliomas=1,
        lesions=1,
        seed=seed,
        spacing_mm=4.0,
        progress=progress,
    )


def _load(path: Path) -> nib.Nifti1Image:
    return nib.Nifti1Image.from_filename(path)


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two healthy people, a glioma, white-matter lesions."""
    return _make(tmp_path_factory.mktemp("phantoms") / "new" / "cohort")


def test_the_cohort_is_found(cohort: Path) -> None:
    found = find(cohort)
    assert (found.layout, found.skipped) == ("phantom", ())
    assert [scan.label for scan in found.scans] == ["sub-01", "sub-02", "sub-03", "sub-04"]
    assert [scan.healthy for scan in found.scans] == [True, True, False, False]
    assert [scan.truth is not None for scan in found.scans] == [False, False, True, True]
    assert all(set(scan.contrasts) == {"flair", "t1", "t1ce", "t2"} for scan in found.scans)


def test_participants_and_parameters_are_written(cohort: Path) -> None:
    with (cohort / "participants.tsv").open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    assert [row["kind"] for row in rows] == ["healthy", "healthy", "glioma", "lesions"]
    marker = json.loads((cohort / "phantoms.json").read_text())
    asked = {"healthy": 2, "gliomas": 1, "lesions": 1, "seed": 0, "spacing_mm": 4.0}
    assert asked.items() <= marker.items()


def test_all_files_of_a_subject_share_a_grid_that_is_its_own(cohort: Path) -> None:
    affines = []
    for scan in find(cohort).scans:
        images = [_load(path) for path in scan.contrasts.values()]
        images += [_load(scan.truth)] if scan.truth else []
        for image in images:
            np.testing.assert_allclose(image.affine, images[0].affine)
            assert image.shape == images[0].shape
            np.testing.assert_allclose(image.header.get_qform(), image.affine, atol=1e-4)
            assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
            assert image.header.get_xyzt_units()[0] == "mm"
        affines.append(images[0].affine)
        np.testing.assert_allclose(nib.affines.voxel_sizes(affines[-1]), 4.0, rtol=1e-5)
    # Rotated, so no affine is a mere scaling, and no two are alike.
    assert all(np.abs(affine[:3, :3]).min() > 0 for affine in affines)
    assert len({affine.tobytes() for affine in affines}) == len(affines)
    assert {nib.aff2axcodes(affine) for affine in affines} >= {("R", "A", "S"), ("L", "P", "S")}


def test_scans_are_stripped_and_truth_lies_inside(cohort: Path) -> None:
    for scan in find(cohort).scans:
        flair = np.asanyarray(_load(scan.contrasts["flair"]).dataobj)
        assert 700 < (flair > 0).sum() * 4.0**3 / 1000 < 2000
        if scan.truth:
            truth = np.asanyarray(_load(scan.truth).dataobj)
            assert truth.dtype == np.uint8
            assert truth.any()
            assert (flair[truth > 0] > 0).all()


def test_left_and_right_survive_the_orientation_on_disk(cohort: Path) -> None:
    """The brain's centre in world mm does not depend on how the file's axes run."""
    for scan in find(cohort).scans:
        image = _load(scan.contrasts["t1"])
        index = np.argwhere(np.asanyarray(image.dataobj) > 0).mean(axis=0)
        centre = nib.affines.apply_affine(image.affine, index)
        np.testing.assert_allclose(centre, [0, -20, 10], atol=25)


def test_the_same_parameters_give_the_same_files(cohort: Path, tmp_path: Path) -> None:
    assert _digests(_make(tmp_path)) == _digests(cohort)


def test_another_seed_gives_other_images(cohort: Path, tmp_path: Path) -> None:
    make_phantoms(tmp_path, healthy=1, gliomas=0, lesions=0, spacing_mm=4.0, seed=1)
    name = "sub-01/sub-01_t1.nii.gz"
    assert (tmp_path / name).read_bytes() != (cohort / name).read_bytes()


def test_patients_do_not_depend_on_how_many_are_healthy(cohort: Path, tmp_path: Path) -> None:
    make_phantoms(tmp_path, healthy=0, gliomas=1, lesions=0, spacing_mm=4.0)
    alone, among = tmp_path / "sub-01", cohort / "sub-03"
    for word in ("flair", "seg"):
        first = (alone / f"sub-01_{word}.nii.gz").read_bytes()
        assert first == (among / f"sub-03_{word}.nii.gz").read_bytes()


def test_a_second_call_writes_nothing(cohort: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in cohort.rglob("*")}
    _make(cohort)
    assert {path: path.stat().st_mtime_ns for path in cohort.rglob("*")} == times


def test_an_interrupted_run_goes_on_where_it_stopped(cohort: Path, tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _make(tmp_path, progress=stop)
    assert not (tmp_path / "sub-03").exists()
    _make(tmp_path)
    assert _digests(tmp_path) == _digests(cohort)


def test_the_table_of_participants_is_written_after_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anomri.synthesis.phantoms.cohort.write_tsv", stop)
        with pytest.raises(KeyboardInterrupt):
            make_phantoms(tmp_path, healthy=1, gliomas=0, lesions=0, spacing_mm=6.0)
    make_phantoms(tmp_path, healthy=1, gliomas=0, lesions=0, spacing_mm=6.0)
    assert [scan.healthy for scan in find(tmp_path).scans] == [True]


def test_progress_counts_to_the_end(cohort: Path) -> None:
    steps: list[tuple[int, int]] = []
    _make(cohort, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_foreign_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="found other files"):
        _make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="new or empty folder"):
        _make(tmp_path / "file")


def test_another_cohort_is_not_overwritten(cohort: Path) -> None:
    with pytest.raises(UsageError, match="found others"):
        _make(cohort, healthy=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"healthy": -1},
        {"healthy": 0, "gliomas": 0, "lesions": 0},
        {"seed": -1},
        {"spacing_mm": 0.5},
        {"spacing_mm": 10.0},
        {"spacing_mm": float("nan")},
    ],
)
def test_impossible_numbers_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="phantoms: expected"):
        make_phantoms(tmp_path / "x", **wrong)
    assert not (tmp_path / "x").exists()
