from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anomri.datasets import find

Lay = Callable[..., Path]
OLD = "HGG/Brats18_A_1/Brats18_A_1_{}.nii.gz"
NEW = "BraTS-GLI-00000-000/BraTS-GLI-00000-000-{}.nii.gz"


def test_names_until_2021_in_any_folder(lay: Lay) -> None:
    words = ("flair", "t1", "t1ce", "t2", "seg")
    root = lay(*(OLD.format(word) for word in words), "LGG/BraTS_b/BraTS_b_t1.nii")
    found = find(root)
    assert found.layout == "brats"
    first, second = found.scans
    assert first.subject == "Brats18_A_1"
    assert {name: path.name for name, path in first.contrasts.items()} == {
        word: f"Brats18_A_1_{word}.nii.gz" for word in words[:4]
    }
    assert first.truth == root / OLD.format("seg")
    assert first.healthy is False
    assert dict(second.contrasts) == {"t1": root / "LGG/BraTS_b/BraTS_b_t1.nii"}
    assert second.truth is None


def test_names_from_2023(lay: Lay) -> None:
    root = lay(*(NEW.format(word) for word in ("t2f", "t1n", "t1c", "t2w", "seg")))
    (scan,) = find(root).scans
    assert scan.subject == "BraTS-GLI-00000-000"
    assert {name: path.name[20:-7] for name, path in scan.contrasts.items()} == {
        "flair": "t2f",
        "t1": "t1n",
        "t1ce": "t1c",
        "t2": "t2w",
    }
    assert scan.truth == root / NEW.format("seg")


def test_the_oddly_named_segmentation_of_2020_is_found(lay: Lay) -> None:
    case = "BraTS20_Training_355"
    root = lay(f"{case}/{case}_flair.nii", f"{case}/W39_1998.09.19_Segm.nii")
    (scan,) = find(root).scans
    assert scan.truth == root / case / "W39_1998.09.19_Segm.nii"


def test_other_images_are_skipped_with_the_reason(lay: Lay) -> None:
    root = lay(OLD.format("flair"), "HGG/Brats18_A_1/notes.nii.gz", "survival.csv")
    found = find(root)
    assert [item.name for item in found.skipped] == ["HGG/Brats18_A_1/notes.nii.gz"]
    assert "_flair" in found.skipped[0].reason


def test_a_second_copy_of_a_case_is_skipped(lay: Lay) -> None:
    root = lay(OLD.format("flair"), OLD.format("flair").replace("HGG", "copy"))
    found = find(root)
    assert len(found.scans) == 1
    assert found.skipped[0].name == "copy/Brats18_A_1"


def test_any_case_name_when_the_layout_is_asked_for(lay: Lay) -> None:
    root = lay("mine/mine_flair.nii.gz")
    assert find(root).layout == "folder"
    assert find(root, "brats").scans[0].subject == "mine"
