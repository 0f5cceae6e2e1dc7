"""Plain folders: subjects without a usable scan, and nnU-Net's channels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.datasets import find
from anomri.errors import UsageError

Lay = Callable[..., Path]
CHANNELS = [f"imagesTr/{case}_{n:04d}.nii.gz" for case in ("a_1", "b_2") for n in range(2)]
LABELS = ["labelsTr/a_1.nii.gz", "labelsTr/b_2.nii.gz"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["p2/dwi.nii"], "other than flair"),
        (["p2/flair.mha"], "convert it first"),
        (["p2/flair.nii.bz2"], "unpack it first"),
        (["p2/flair.hdr.gz", "p2/flair.img.gz"], "unpack it first, and both files of a pair"),
        (["p2/FLAIR.MNC"], "convert it first"),
        (["p2/dicom/1.dcm", "p2/dicom/2.dcm"], "convert it first"),
        ([], "no scan"),
    ],
)
def test_subjects_without_a_usable_scan_are_left_out_by_name(
    lay: Lay, names: list[str], reason: str
) -> None:
    root = lay("p1/flair.nii", *names)
    (root / "p2").mkdir(exist_ok=True)
    found = find(root)
    assert [scan.subject for scan in found.scans] == ["p1"]
    (left_out,) = found.left_out
    assert left_out.subject == "p2"
    assert reason in left_out.reason


def test_a_subject_whose_only_link_leads_nowhere_is_left_out_by_name(lay: Lay) -> None:
    root = lay("p1/flair.nii", "p2/notes.txt")
    (root / "p2" / "flair.nii").symlink_to("nowhere")
    found = find(root)
    assert [scan.subject for scan in found.scans] == ["p1"]
    (left_out,) = found.left_out
    assert left_out.subject == "p2"
    assert "broken link" in left_out.reason
    (root / "p1" / "t1ce.nii").symlink_to("nowhere")
    assert "broken link" in find(root).scans[0].unclear["t1ce"]


@pytest.mark.parametrize(
    ("images", "dicom", "subject"),
    [
        ("a_flair.nii", "1.dcm", "root DICOM"),
        ("a_flair.nii", "IM0001", "root DICOM"),
        ("flair.nii", "series/1.dcm", "series DICOM"),
        ("p1/flair.nii", "p1/1.ima", "p1 DICOM"),
        ("p1/flair.nii", "p1/t1/1.2.840.1", "p1/t1 DICOM"),
        ("p1/flair.nii", "p2/IM0001", "p2"),
        ("p1/flair.nii", "p2/series/1.dcm", "p2"),
    ],
)
def test_dicom_files_beside_images_are_left_out_by_name(
    lay: Lay, images: str, dicom: str, subject: str
) -> None:
    root = lay(images, dicom)
    (root / dicom).write_bytes(bytes(128) + b"DICM")
    found = find(root)
    assert len(found.scans) == 1
    (left_out,) = found.left_out
    assert left_out.subject == subject.replace("root", root.name)
    assert "possibly of another scan" in left_out.reason


@pytest.mark.parametrize("folder", ["DICOM", "dicom/p1", "p1/Dicom/series", "sourcedata/p1"])
def test_dicom_files_that_images_were_made_of_are_no_subject(lay: Lay, folder: str) -> None:
    assert find(lay("p1/flair.nii", f"{folder}/1.dcm")).left_out == ()


def test_other_sequences_and_folders_beside_scans_are_no_subjects(lay: Lay) -> None:
    root = lay("p1_flair.nii", "p1_ep2d_dwi.nii", "figures/a.png", "t1/p1.nii", "t2/.keep")
    assert find(root).left_out == ()


@pytest.mark.parametrize("key", ["channel_names", "modality"])
def test_channels_of_nnunet_are_contrasts_of_one_subject(lay: Lay, key: str) -> None:
    root = lay(*CHANNELS, *LABELS)
    (root / "dataset.json").write_text(json.dumps({key: {"0": "T1w", "1": "FLAIR"}}))
    found = find(root)
    assert [scan.subject for scan in found.scans] == ["a_1", "b_2"]
    for scan in found.scans:
        names = {name: path.name[-11:-7] for name, path in scan.contrasts.items()}
        assert names == {"t1": "0000", "flair": "0001"}
        assert scan.truth == root / "labelsTr" / f"{scan.subject}.nii.gz"


def test_channels_without_names_are_not_used(lay: Lay) -> None:
    root = lay(*CHANNELS, *LABELS, "c_flair.nii")
    found = find(root)
    assert [scan.subject for scan in found.scans] == ["c"]
    assert [item.subject for item in found.left_out] == ["a_1", "b_2"]
    assert all("channel_names" in item.reason for item in found.left_out)


def test_channels_without_names_and_no_other_scan_say_what_to_do(lay: Lay) -> None:
    with pytest.raises(UsageError, match=r"left out 2 .*dataset\.json with channel_names"):
        find(lay(*CHANNELS, *LABELS))


def test_numbers_of_subjects_are_not_channels(lay: Lay) -> None:
    root = lay(*(f"p_{n:04d}.nii" for n in range(1, 5)))
    assert len(find(root).scans) == 4
