"""Preparation of real scans: their backgrounds, whole heads, slices without spacing."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_from_to

from anomri.preprocessing import mask_to_native, prepare_scan, read_volume
from anomri.preprocessing.brain.find import WHOLE_HEAD
from anomri.recipe import Preparation, Step
from anomri.scan import Scan, ScanFiles

pytestmark = pytest.mark.real

PREPARATION = Preparation(
    spacing_mm=(1.5, 1.5, None), intensity=Step(name="percentile", options={"low": 1, "high": 99})
)


def prepare(
    path: Path, contrast: str = "flair", *, brain: Path | None = None, truth: Path | None = None
) -> Scan:
    case = ScanFiles(
        subject="s", contrasts={contrast: path}, layout="folder", brain=brain, truth=truth
    )
    return prepare_scan(case, PREPARATION, [contrast])


def some(real_data: Path, pattern: str, count: int) -> list[Path]:
    found = sorted(real_data.glob(pattern))
    return found[:: max(len(found) // count, 1)][:count]


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def test_the_brain_of_a_stripped_glioma_is_what_is_not_zero(real_data: Path) -> None:
    for path in some(real_data, "brats2018/*/*/*_flair.nii.gz", 2):
        scan = prepare(path)
        assert WHOLE_HEAD not in scan.notes
        assert dice(mask_to_native(scan.brain, scan), read_volume(path)[0] != 0) > 0.985


@pytest.mark.parametrize("pattern", ["wmh/*/flair.nii.gz", "open_ms_data/cross*/MNI/*/FLAIR*"])
def test_other_stripped_scans_are_recognised(real_data: Path, pattern: str) -> None:
    for path in real_data.glob(pattern):
        scan = prepare(path)
        assert WHOLE_HEAD not in scan.notes
        assert 1000 < scan.brain.sum() * scan.grid.voxel_ml < 1700


@pytest.mark.parametrize(
    ("images", "contrast", "masks", "least"),
    [
        ("ixi_t1/t1/IXI160-HH-1637_T1*", "t1", "ixi_t1/dlmuse_seg/IXI160*", 0.96),
        ("nichart/fl/Subj1_FL*", "flair", "nichart/dlmuse_seg/Subj1_*", 0.94),
    ],
)
def test_deepbet_finds_the_brain_of_a_whole_head(
    real_data: Path, images: str, contrast: str, masks: str, least: float
) -> None:
    (path,), (mask,) = real_data.glob(images), real_data.glob(masks)
    scan = prepare(path, contrast)
    assert WHOLE_HEAD in scan.notes
    native = (scan.native.shape, scan.native.affine)
    expert = resample_from_to(nib.Nifti1Image.from_filename(mask), native, order=0)
    assert dice(mask_to_native(scan.brain, scan), expert.get_fdata() > 0) > least


def test_a_given_mask_makes_a_whole_head_usable(real_data: Path) -> None:
    flair = next(real_data.glob("ms3seg_bids/sub-*/anat/*_FLAIR.nii.gz"))
    subject = flair.name.split("_")[0]
    manual = real_data / "ms3seg_bids" / "derivatives" / "manual" / subject / "anat"
    scan = prepare(
        flair,
        brain=manual / f"{subject}_desc-brain_mask.nii.gz",
        truth=manual / f"{subject}_label-lesion_mask.nii.gz",
    )
    assert scan.truth is not None
    inside = scan.truth > 0
    assert scan.image[0][inside].mean() > 1.2 * scan.image[0][scan.brain].mean()


def test_lesions_of_slices_lie_in_the_found_brain_upright(real_data: Path) -> None:
    for folder in some(real_data, "lgg/kaggle_3m/*", 2):
        scan = prepare(folder, truth=folder)
        assert scan.truth is not None
        assert WHOLE_HEAD in scan.notes
        assert any("voxel size estimated" in note.text for note in scan.notes)
        assert scan.image[0][(scan.truth > 0) & scan.brain].mean() > 0.6
        # The lesion's mask on the whole field: nearly all of it is brain.
        assert np.mean(scan.brain[scan.truth > 0]) > 0.97


def test_two_contrasts_on_two_grids_become_one_scan(real_data: Path) -> None:
    t1 = next(real_data.glob("nichart/t1/*"))
    flair = Path(str(t1).replace("/t1/", "/fl/").replace("_T1", "_FL"))
    assert read_volume(t1)[1].shape != read_volume(flair)[1].shape
    case = ScanFiles(subject="s", contrasts={"t1": t1, "flair": flair}, layout="folder")
    scan = prepare_scan(case, PREPARATION, ["flair", "t1"])
    assert scan.native.shape == read_volume(flair)[1].shape
    assert (scan.image[1] > 0)[scan.brain].mean() > 0.8


def test_a_mask_that_holds_orbits_and_sinuses_is_replaced(real_data: Path) -> None:
    (flair,) = real_data.glob("ms3seg_bids/sub-101627/anat/*_FLAIR.nii.gz")
    (mask,) = real_data.glob("ms3seg_bids/derivatives/manual/sub-101627/anat/*brain_mask.nii.gz")
    scan = prepare(flair, brain=mask)
    assert any("outside the brain" in note.text for note in scan.notes)
    given = read_volume(mask)[0] > 0
    assert 0.85 < dice(mask_to_native(scan.brain, scan), given) < 0.99
