from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.datasets import find
from anomri.datasets.bids import Name

Lay = Callable[..., Path]
MASKS = "derivatives/manual/sub-01/anat/sub-01_"


def test_raw_scans_and_their_masks(lay: Lay) -> None:
    root = lay(
        *(f"sub-01/anat/sub-01_{word}.nii.gz" for word in ("FLAIR", "T1w", "ce-gd_T1w", "T2w")),
        f"{MASKS}desc-brain_mask.nii.gz",
        f"{MASKS}label-lesion_mask.nii.gz",
        "dataset_description.json",
    )
    found = find(root)
    assert (found.layout, found.skipped) == ("bids", ())
    (scan,) = found.scans
    assert (scan.label, scan.subject) == ("sub-01", "01")
    assert {name: path.name[7:-7] for name, path in scan.contrasts.items()} == {
        "flair": "FLAIR",
        "t1": "T1w",
        "t1ce": "ce-gd_T1w",
        "t2": "T2w",
    }
    assert scan.brain == root / f"{MASKS}desc-brain_mask.nii.gz"
    assert scan.truth == root / f"{MASKS}label-lesion_mask.nii.gz"


def test_sessions_are_scans_of_their_own_with_their_own_masks(lay: Lay) -> None:
    root = lay(
        "sub-a/ses-1/anat/sub-a_ses-1_FLAIR.nii.gz",
        "sub-a/ses-2/anat/sub-a_ses-2_FLAIR.nii.gz",
        "derivatives/x/sub-a/ses-2/anat/sub-a_ses-2_label-lesion_mask.nii.gz",
        "derivatives/x/sub-a/anat/sub-a_desc-brain_mask.nii.gz",
    )
    found = find(root)
    assert [scan.label for scan in found.scans] == ["sub-a_ses-1", "sub-a_ses-2"]
    assert [scan.truth is not None for scan in found.scans] == [False, True]
    assert [scan.brain for scan in found.scans] == [None, None]
    assert found.skipped[0].name.endswith("sub-a_desc-brain_mask.nii.gz")


def test_two_runs_are_not_guessed_between(lay: Lay) -> None:
    root = lay(
        "sub-01/anat/sub-01_run-1_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-fast_T1w.nii.gz",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
    )
    found = find(root)
    assert list(found.scans[0].contrasts) == ["flair"]
    (skipped,) = found.skipped
    assert skipped.name == "sub-01 t1"
    assert "run-1_T1w" in skipped.reason
    assert "acq-fast_T1w" in skipped.reason


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/anat/odd.nii.gz",
        "sub-01/anat/sub-01_space-MNI152_T1w.nii.gz",
        "sourcedata/sub-01/sub-01_FLAIR.nii.gz",
        "derivatives/x/sub-01/sub-01_dseg.nii.gz",
        "derivatives/x/sub-01/sub-01_space-MNI152_desc-brain_mask.nii.gz",
        "derivatives/x/sub-02/sub-02_desc-brain_mask.nii.gz",
    ],
)
def test_what_is_not_used_is_named(lay: Lay, name: str) -> None:
    found = find(lay("sub-01/anat/sub-01_FLAIR.nii.gz", name))
    assert len(found.scans) == 1
    assert found.scans[0].brain is None
    assert [item.name for item in found.skipped] == [name]


def test_an_original_space_is_the_subjects_own(lay: Lay) -> None:
    mask = "derivatives/x/sub-01/sub-01_space-orig_desc-brain_mask.nii.gz"
    root = lay("sub-01/anat/sub-01_FLAIR.nii.gz", mask)
    assert find(root).scans[0].brain == root / mask


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("participant_id\thealthy\nsub-01\ttrue\nsub-02\tFALSE\n", [True, False]),
        ("participant_id\tage\tgroup\nsub-01\t50\tcontrol\nsub-02\t60\tPatient\n", [True, False]),
        ("participant_id\tgroup\nsub-01\tn/a\nsub-03\tcontrol\n", [None, None]),
        ("age\n50\n", [None, None]),
        ("", [None, None]),
    ],
)
def test_participants_say_who_is_healthy(lay: Lay, table: str, expected: list[bool | None]) -> None:
    root = lay("sub-01/anat/sub-01_FLAIR.nii.gz", "sub-02/anat/sub-02_FLAIR.nii.gz")
    (root / "participants.tsv").write_text(table, encoding="utf-8")
    assert [scan.healthy for scan in find(root).scans] == expected


@pytest.mark.parametrize("name", ["flair", "sub-01", "ses-1_T1w", "sub-01_extra_T1w", "sub-_T1w"])
def test_names_of_another_form_are_not_parsed(name: str) -> None:
    assert Name.parse(name) is None
