"""BIDS folders: several data sets, sessions by folder, and subjects without a scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.datasets import find
from anomri.datasets.bids_names import Name
from anomri.preprocessing import note_ambiguous_files

Lay = Callable[..., Path]
FLAIR = "sub-01/anat/sub-01_FLAIR.nii.gz"
MASK = "sub-01/anat/sub-01_label-lesion_mask.nii.gz"


def test_two_data_sets_are_not_merged(lay: Lay) -> None:
    root = lay(
        f"siteA/{FLAIR}",
        "siteA/sub-01/anat/sub-01_T1w.nii.gz",
        f"siteB/{FLAIR}",
        "siteB/sub-02/anat/sub-02_FLAIR.nii.gz",
        f"siteB/derivatives/manual/{MASK}",
        f"derivatives/manual/{MASK}",
    )
    found = find(root)
    scans = {scan.subject: scan for scan in found.scans}
    assert list(scans) == ["siteA/01", "siteB/01", "02"]
    assert len({scan.label for scan in found.scans}) == 3
    assert list(scans["siteA/01"].contrasts) == ["flair", "t1"]
    assert scans["siteA/01"].truth is None
    assert scans["siteB/01"].truth == root / f"siteB/derivatives/manual/{MASK}"
    (skipped,) = found.skipped
    assert skipped.name == f"derivatives/manual/{MASK}"
    assert "several data sets" in skipped.reason


def test_each_data_set_has_its_own_participants(lay: Lay) -> None:
    root = lay(f"siteA/{FLAIR}", f"siteB/{FLAIR}")
    for site, group in (("siteA", "control"), ("siteB", "patient")):
        (root / site / "participants.tsv").write_text(f"participant_id\tgroup\nsub-01\t{group}\n")
    assert [scan.healthy for scan in find(root).scans] == [True, False]


def test_masks_above_the_only_data_set_are_its_own(lay: Lay) -> None:
    root = lay(f"rawdata/{FLAIR}", f"derivatives/manual/{MASK}")
    (scan,) = find(root).scans
    assert (scan.label, scan.subject) == ("sub-01", "01")
    assert scan.truth == root / f"derivatives/manual/{MASK}"


def test_contrasts_in_folders_of_their_own_are_of_one_subject(lay: Lay) -> None:
    root = lay("FLAIR/sub-01_FLAIR.nii.gz", "T1w/sub-01_T1w.nii.gz")
    (scan,) = find(root).scans
    assert list(scan.contrasts) == ["flair", "t1"]


def test_a_session_may_be_named_by_its_folder_only(lay: Lay) -> None:
    names = [f"sub-01/ses-{session}/anat/sub-01_FLAIR.nii.gz" for session in "ab"]
    mask = "derivatives/x/sub-01/ses-b/anat/sub-01_label-lesion_mask.nii.gz"
    found = find(lay(*names, mask))
    assert [scan.label for scan in found.scans] == ["sub-01_ses-a", "sub-01_ses-b"]
    assert [scan.truth is not None for scan in found.scans] == [False, True]


def _broken(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("make", "subject", "reason"),
    [
        (lambda lay: lay("sub-x/func/sub-x_task-rest_bold.nii.gz"), "x", "suffix bold"),
        (lambda lay: lay("sub-s_02/anat/sub-s_02_FLAIR.nii.gz"), "s_02", "letters and digits"),
        (lambda lay: lay("sub-x/anat/sub-x_FLAIR.mha"), "x", "no scan"),
        (lambda lay: (lay() / "sub-x/anat").mkdir(parents=True), "x", "no scan"),
        (lambda lay: _broken(lay() / "sub-x/anat/sub-x_FLAIR.nii.gz"), "x", "broken link"),
        (lambda lay: _broken(lay() / "sub-x"), "x", "broken link"),
        (lambda lay: (lay() / "sub-01/ses-2").mkdir(), "sub-01_ses-2", "no scan"),
    ],
)
def test_subjects_without_a_usable_scan_are_left_out_by_name(
    lay: Lay, make: Callable[[Lay], object], subject: str, reason: str
) -> None:
    root = lay(FLAIR)
    make(lay)
    found = find(root)
    assert [scan.label for scan in found.scans] == ["sub-01"]
    (left_out,) = found.left_out
    assert left_out.subject == subject
    assert reason in left_out.reason


@pytest.mark.parametrize("ignored", ["sub-x/", "sub-x/**", "sub-x"])
def test_an_ignored_subject_is_not_left_out(lay: Lay, ignored: str) -> None:
    root = lay(FLAIR, "sub-x/anat/sub-x_FLAIR.nii.gz")
    (root / ".bidsignore").write_text(ignored)
    (root / "derivatives/x/sub-y").mkdir(parents=True)
    assert find(root).left_out == ()


def test_a_single_subject_folder_is_a_source_too(lay: Lay) -> None:
    root = lay("sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz") / "sub-01"
    (root / "ses-b").mkdir()
    found = find(root)
    assert [scan.label for scan in found.scans] == ["sub-01_ses-a"]
    assert [item.label for item in found.left_out] == ["sub-01_ses-b"]


def test_entities_are_kept_in_the_order_of_bids(lay: Lay) -> None:
    root = lay("sub-03/anat/sub-03_run-1_acq-3D_FLAIR.nii.gz", "sub-03/anat/sub-03_T1w.nii.gz")
    (scan,) = find(root).scans
    assert dict(scan.entities) == {"flair": "acq-3D_run-1"}
    long = Name.parse(f"sub-01_acq-{'x' * 60}_FLAIR")
    assert long is not None
    assert long.kept == ""


def test_a_link_that_leads_nowhere_is_noted_on_the_scan_that_lacks_it(lay: Lay) -> None:
    root = lay("sub-1/anat/sub-1_FLAIR.nii.gz", "sub-2/anat/sub-2_FLAIR.nii.gz")
    manual = "derivatives/manual/sub-1/anat/sub-1"
    for name in ("sub-1/anat/sub-1_T1w.nii.gz", f"{manual}_label-lesion_mask.nii.gz"):
        _broken(root / name)
    first, second = find(root).scans
    assert list(first.contrasts) == ["flair"]
    assert set(first.unclear) == {"t1", "truth"}
    assert all("broken link" in reason for reason in first.unclear.values())
    notes = note_ambiguous_files(first, ["flair", "t1"]).notes
    assert notes[0].text.startswith("without t1: sub-1_T1w.nii.gz: a broken link")
    assert second.unclear == {}


def test_a_link_that_leads_nowhere_takes_no_other_file_s_place(lay: Lay) -> None:
    root = lay("sub-1/anat/sub-1_T1w.nii.gz", ".bidsignore", "sub-2/anat/sub-2_FLAIR.nii.gz")
    (root / ".bidsignore").write_text("sub-2_T1w.nii.gz\n")
    for name in ("sub-1/anat/sub-1_run-2_T1w.nii.gz", "sub-2/anat/sub-2_T1w.nii.gz"):
        _broken(root / name)
    first, second = find(root).scans
    assert first.contrasts == {"t1": root / "sub-1/anat/sub-1_T1w.nii.gz"}
    assert first.unclear == second.unclear == {}
