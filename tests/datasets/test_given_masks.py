"""Masks of other pipelines, by the names that these give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.datasets import find, parse_sources, with_masks
from anomri.errors import UsageError

Lay = Callable[..., Path]
SCANS = ("raw/sub-01/anat/sub-01_FLAIR.nii.gz", "raw/sub-01/anat/sub-01_T1w.nii.gz")


@pytest.mark.parametrize(
    ("names", "role"),
    [
        (["sub-01/anat/sub-01_desc-brain_mask.nii.gz"], "brain"),
        (["sub-01/anat/sub-01_label-lesion_mask.nii.gz"], "truth"),
        (["sub-01/anat/sub-01_space-FLAIR_label-WMH_mask.nii.gz"], "truth"),
        (["sub-01_FLAIR_bet.nii.gz", "sub-01_FLAIR.nii.gz", "sub-01_T1w_bet.nii.gz"], "brain"),
        (["x/sub-01_FLAIR_bet_mask.nii.gz", "x/sub-01_FLAIR_bet.nii.gz"], "brain"),
        (["sub-01/mri/brainmask.mgz", "sub-01/mri/aseg.mgz", "sub-01/mri/T1.mgz"], "brain"),
        (["sub-01/mri/mask.mgz", "sub-01/mri/brainmask.mgz"], "brain"),
    ],
)
def test_masks_are_found_by_participant(lay: Lay, names: list[str], role: str) -> None:
    root = lay(*SCANS, *(f"masks/{name}" for name in names))
    found = with_masks(find(root / "raw"), {"other": root / "masks"})
    (scan,) = found.scans
    assert {"brain": scan.brain, "truth": scan.truth}[role] == root / "masks" / names[0]
    assert scan.uris[role] == f"bids:other:{names[0]}"
    assert found.datasets == {"raw": root / "raw", "other": root / "masks"}


def test_a_mask_given_so_replaces_that_of_the_data_set(lay: Lay) -> None:
    own = "raw/derivatives/x/sub-01/sub-01_desc-brain_mask.nii.gz"
    root = lay(*SCANS, own, "new/sub-01/anat/sub-01_desc-brain_mask.nii.gz")
    assert find(root / "raw").scans[0].brain == root / own
    (scan,) = with_masks(find(root / "raw"), {"new": root / "new"}).scans
    assert scan.brain == root / "new/sub-01/anat/sub-01_desc-brain_mask.nii.gz"


def test_sessions_have_masks_of_their_own(lay: Lay) -> None:
    scans = [f"raw/sub-01/ses-{s}/anat/sub-01_ses-{s}_FLAIR.nii.gz" for s in "ab"]
    root = lay(*scans, "fs/sub-01_ses-b/mri/brainmask.mgz", "fs/sub-01/mri/brainmask.mgz")
    found = with_masks(find(root / "raw"), {"fs": root / "fs"})
    assert [scan.brain for scan in found.scans] == [
        None,
        root / "fs/sub-01_ses-b/mri/brainmask.mgz",
    ]
    assert found.skipped[-1].name == "sub-01_ses-a"


def test_a_mask_without_session_fits_the_only_session(lay: Lay) -> None:
    mask = "fmriprep/sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    root = lay("raw/sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz", mask)
    (scan,) = with_masks(find(root / "raw"), {"fmriprep": root / "fmriprep"}).scans
    assert scan.brain == root / mask


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/func/sub-01_task-rest_desc-brain_mask.nii.gz",
        "sub-01/anat/sub-01_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz",
        "sub-02/anat/sub-02_desc-brain_mask.nii.gz",
        "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
    ],
)
def test_a_folder_without_a_usable_mask_is_refused(lay: Lay, name: str) -> None:
    root = lay(*SCANS, f"masks/{name}")
    with pytest.raises(UsageError, match="masks: expected brain or lesion masks"):
        with_masks(find(root / "raw"), {"other": root / "masks"})


def test_a_folder_alone_is_named_after_itself() -> None:
    assert parse_sources(["a/hd-bet", "x=b"]) == {"hdbet": Path("a/hd-bet"), "x": Path("b")}


@pytest.mark.parametrize("text", ["a_b=x", "x=", "raw=x"])
def test_a_name_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a name of letters and digits"):
        parse_sources([text])
