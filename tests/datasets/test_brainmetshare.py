from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.datasets import find

Lay = Callable[..., Path]
PNG = "mets_stanford_releaseMask_train/Mets_005"


def test_slices_are_read_by_folder(lay: Lay) -> None:
    names = [f"{PNG}/{part}/{k:03d}.png" for part in ("0", "1", "2", "3", "seg") for k in (0, 1)]
    root = lay(*names)
    found = find(root)
    assert found.layout == "brainmetshare"
    (scan,) = found.scans
    assert (scan.subject, scan.healthy) == ("Mets_005", False)
    assert scan.truth == root / PNG / "seg"
    assert dict(scan.contrasts) == {
        "flair": root / PNG / "3",
        "t1": root / PNG / "1",
        "t1ce": root / PNG / "0",
    }
    assert [item.name for item in found.skipped] == [f"{PNG}/2"]
    assert "gradient echo" in found.skipped[0].reason


def test_nifti_files_are_read_by_name(lay: Lay) -> None:
    words = ("bravo", "t1_gd", "t1_pre", "flair", "seg")
    root = lay(*(f"train/Mets_010/{word}.nii.gz" for word in words))
    (scan,) = find(root).scans
    assert {name: path.name for name, path in scan.contrasts.items()} == {
        "flair": "flair.nii.gz",
        "t1": "t1_pre.nii.gz",
        "t1ce": "bravo.nii.gz",
    }
    assert scan.truth == root / "train/Mets_010/seg.nii.gz"


def test_the_spin_echo_stands_in_and_the_test_set_has_no_truth(lay: Lay) -> None:
    root = lay(*(f"test/Mets_001/{word}.nii.gz" for word in ("t1_gd", "flair")))
    (scan,) = find(root).scans
    assert scan.contrasts["t1ce"].name == "t1_gd.nii.gz"
    assert scan.truth is None


def test_one_patient_alone_is_enough(lay: Lay) -> None:
    root = lay("Mets_010/flair.nii.gz", "Mets_010/seg.nii.gz")
    assert find(root / "Mets_010").scans[0].subject == "Mets_010"


@pytest.mark.parametrize("name", ["Mets_010/flair_old.nii.gz", "other/flair.nii.gz"])
def test_what_is_not_named_as_published_is_skipped(lay: Lay, name: str) -> None:
    found = find(lay("Mets_010/flair.nii.gz", name), "brainmetshare")
    assert [item.name for item in found.skipped] == [name]


def test_pictures_elsewhere_are_not_taken_for_it(lay: Lay) -> None:
    root = lay("plots/3/001.png", "one/flair.nii.gz")
    assert find(root).layout == "folder"
