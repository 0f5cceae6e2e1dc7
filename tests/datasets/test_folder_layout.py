from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.datasets import Found, find
from anomri.datasets.file_tree import NOT_AN_IMAGE
from anomri.errors import UsageError

Lay = Callable[..., Path]
Rows = dict[str, dict[str, str]]


def _rows(found: Found, root: Path) -> Rows:
    """Label to role to path, as a reader would draw the table."""
    rows: Rows = {}
    for scan in found.scans:
        files = {**scan.contrasts, "brain": scan.brain, "truth": scan.truth}
        rows[scan.label] = {
            role: path.relative_to(root).as_posix() for role, path in files.items() if path
        }
    return rows


def test_one_folder_per_subject(lay: Lay) -> None:
    root = lay("101/flair.nii.gz", "101/lesion.nii.gz", "102/flair.nii.gz", "102/T1.nii")
    found = find(root)
    assert found.layout == "folder"
    assert _rows(found, root) == {
        "sub-101": {"flair": "101/flair.nii.gz", "truth": "101/lesion.nii.gz"},
        "sub-102": {"flair": "102/flair.nii.gz", "t1": "102/T1.nii"},
    }


def test_one_file_per_subject(lay: Lay) -> None:
    root = lay("a_flair.nii", "a_t1.nii", "a_seg.nii", "b_flair.nii")
    assert _rows(find(root), root) == {
        "sub-a": {"flair": "a_flair.nii", "t1": "a_t1.nii", "truth": "a_seg.nii"},
        "sub-b": {"flair": "b_flair.nii"},
    }


def test_one_folder_per_contrast(lay: Lay) -> None:
    root = lay(
        "fl/S1_FL.nii.gz",
        "fl/S2_FL.nii.gz",
        "t1/S1_T1.nii.gz",
        "dlmuse_seg/S1_T1_DLMUSE.nii.gz",
        "wmh_auto/S1_FL_DLWMLS.nii.gz",
    )
    assert _rows(find(root), root) == {
        "sub-S1": {
            "flair": "fl/S1_FL.nii.gz",
            "t1": "t1/S1_T1.nii.gz",
            "brain": "dlmuse_seg/S1_T1_DLMUSE.nii.gz",
            "truth": "wmh_auto/S1_FL_DLWMLS.nii.gz",
        },
        "sub-S2": {"flair": "fl/S2_FL.nii.gz"},
    }


def test_the_folder_gives_the_role_if_the_file_does_not(lay: Lay) -> None:
    root = lay("t1/a.nii", "t2/a.nii", "masks/a_t1.nii")
    assert _rows(find(root), root) == {
        "sub-a": {"t1": "t1/a.nii", "t2": "t2/a.nii", "truth": "masks/a_t1.nii"}
    }


def test_contrast_folders_within_a_subject(lay: Lay) -> None:
    root = lay("p1/t1/t1.nii", "p1/flair/flair.nii", "p2/anat/flair.nii")
    assert _rows(find(root), root) == {
        "sub-p1": {"t1": "p1/t1/t1.nii", "flair": "p1/flair/flair.nii"},
        "sub-p2": {"flair": "p2/anat/flair.nii"},
    }


def test_images_and_labels(lay: Lay, caplog: pytest.LogCaptureFixture) -> None:
    root = lay("images/c1.nii", "images/c2.nii", "labels/c1.nii")
    assert _rows(find(root), root) == {
        "sub-c1": {"flair": "images/c1.nii", "truth": "labels/c1.nii"},
        "sub-c2": {"flair": "images/c2.nii"},
    }


def test_a_group_of_subjects_in_one_folder(lay: Lay) -> None:
    root = lay("old/a_flair.nii", "old/b_flair.nii", "young/c_flair.nii", "young/d_flair.nii")
    assert list(_rows(find(root), root)) == ["sub-a", "sub-b", "sub-c", "sub-d"]


def test_a_name_under_several_folders_is_a_session_of_each(lay: Lay) -> None:
    root = lay("p1/ses-1/flair.nii", "p1/ses-2/flair.nii", "p2/ses-1/flair.nii")
    found = find(root)
    assert [scan.label for scan in found.scans] == [
        "sub-p1_ses-1",
        "sub-ses2",
        "sub-p2_ses-1",
    ]


def test_the_prefix_of_bids_is_not_doubled(lay: Lay) -> None:
    root = lay("sub-7/flair.nii")
    assert [scan.label for scan in find(root).scans] == ["sub-7"]


def test_a_subjects_folder_as_the_source(lay: Lay) -> None:
    root = lay("flair.nii", "lesion.nii")
    assert _rows(find(root), root) == {"sub-source": {"flair": "flair.nii", "truth": "lesion.nii"}}


@pytest.mark.parametrize(
    ("name", "label"), [("FLAIR.nii.gz", "sub-FLAIR"), ("p7_flair.nii.gz", "sub-p7")]
)
def test_a_single_file(lay: Lay, name: str, label: str) -> None:
    root = lay(name, "other_t1.nii")
    (scan,) = find(root / name).scans
    assert scan.label == label
    assert dict(scan.contrasts) == {"flair": root / name}


def test_a_single_unnamed_image_counts_as_flair_with_a_warning(
    lay: Lay, caplog: pytest.LogCaptureFixture
) -> None:
    root = lay("p1/scan.nii", "p1/mask.nii", "p2/flair.nii")
    with caplog.at_level(logging.WARNING):
        found = find(root)
    assert dict(found.scans[0].contrasts) == {"flair": root / "p1/scan.nii"}
    assert "p1" in caplog.text
    assert "FLAIR" in caplog.text
    assert "p2" not in caplog.text


def test_an_unnamed_image_beside_a_named_one_is_skipped(lay: Lay) -> None:
    root = lay("p1/flair.nii", "p1/localizer.nii", "p1/scout.nii", "p1/p1_dwi.nii")
    found = find(root)
    assert _rows(found, root) == {"sub-p1": {"flair": "p1/flair.nii"}}
    assert {item.name for item in found.skipped} == {
        "p1/localizer.nii",
        "p1/scout.nii",
        "p1/p1_dwi.nii",
    }


def test_two_files_of_a_contrast_are_ambiguous(lay: Lay) -> None:
    root = lay("p1/flair.nii", "p1/flair_old.nii", "p1/t1.nii", "p2/t1.nii")
    found = find(root)
    assert list(_rows(found, root)["sub-p1"]) == ["t1"]
    assert "p1/flair.nii and p1/flair_old.nii" in found.skipped[0].reason


def test_other_formats_are_counted_not_listed(lay: Lay) -> None:
    root = lay("a_flair.nii", *(f"dicom/{number}.dcm" for number in range(30)), "notes.txt")
    found = find(root)
    assert [(item.name, item.reason) for item in found.skipped] == [
        ("dicom: 30 .dcm", NOT_AN_IMAGE)
    ]


def test_participants_are_read_here_too(lay: Lay) -> None:
    root = lay("p1/flair.nii", "p2/flair.nii")
    (root / "participants.tsv").write_text("participant_id\tgroup\np1\tcontrol\n", "utf-8")
    assert [scan.healthy for scan in find(root).scans] == [True, None]


def test_a_subject_with_dicom_alone_beside_others_is_left_out_by_name(tmp_path: Path) -> None:
    for name in ("p1/flair.nii.gz", "p2/series/1.dcm", "p2/series/2.dcm", "DICOM/p1/1.dcm"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find(tmp_path, "folder")
    assert [scan.subject for scan in found.scans] == ["p1"]
    ((left),) = found.left_out
    assert left.subject == "p2"
    assert "2 .dcm: expected .nii" in left.reason


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("sub-1_FLAIR.hdr.gz", "unpack it first, and both files of a pair"),
        ("flair.nhdr", "convert it first"),
        ("case_0000.MHA", "convert it first"),
    ],
)
@pytest.mark.parametrize("single", [True, False])
def test_a_format_that_is_not_read_is_named(
    tmp_path: Path, name: str, advice: str, single: bool
) -> None:
    """Alone, too, whatever the layout its name fits."""
    (tmp_path / "study").mkdir()
    path = tmp_path / "study" / name
    path.write_bytes(b"x")
    ending = name.partition(".")[2].lower()
    with pytest.raises(UsageError, match=rf"1 \.{ending}: expected .*{advice}.*Next: "):
        find(path if single else path.parent)
