"""Properties of every layout, and the choice by `auto`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from anomri.datasets import LAYOUTS, find
from anomri.datasets.cases import CONTRASTS
from anomri.errors import UsageError

Lay = Callable[..., Path]
CASE = "TCGA_AA_1_2"
EXAMPLES = {
    "phantom": ("phantoms.json", "sub-01/sub-01_flair.nii.gz", "sub-01/sub-01_seg.nii.gz"),
    "brats": ("BraTS_1/BraTS_1_flair.nii.gz", "BraTS_1/BraTS_1_seg.nii.gz"),
    "lgg": (f"{CASE}/{CASE}_1.tif", f"{CASE}/{CASE}_1_mask.tif"),
    "brainmetshare": ("Mets_005/3/000.png", "Mets_005/seg/000.png"),
    "open_ms": ("patient01/FLAIR.nii.gz", "patient01/consensus_gt.nii.gz"),
    "bids": (
        "sub-1/anat/sub-1_FLAIR.nii.gz",
        "derivatives/m/sub-1/anat/sub-1_label-lesion_mask.nii.gz",
    ),
    "folder": ("one/flair.nii.gz", "one/lesion.nii.gz"),
}


# DICOM series cannot be laid out by their names alone: tests/dicom writes them.
@pytest.fixture(params=sorted(set(LAYOUTS) - {"dicom"}))
def example(request: pytest.FixtureRequest, lay: Lay) -> tuple[str, Path]:
    """Name of a layout and a small source in it, with hidden files and a broken link."""
    name = str(request.param)
    root = lay(*EXAMPLES[name], "._macos.nii.gz", ".cache/x_flair.nii.gz")
    for path in root.rglob("*.tif"):
        tifffile.imwrite(path, np.random.default_rng(0).integers(0, 9, (4, 4, 3), np.uint8))
    (root / "zzz.nii.gz").symlink_to(root / "gone.nii.gz")
    return name, root


def test_every_layout_finds_its_example_by_itself(example: tuple[str, Path]) -> None:
    name, root = example
    found = find(root)
    assert found.layout == name
    assert found == find(root, name) == LAYOUTS[name](root)
    (scan,) = found.scans
    assert scan.layout == name
    assert set(scan.contrasts) <= set(CONTRASTS)
    assert all(path.exists() for path in scan.contrasts.values())
    assert scan.truth is not None


def test_every_layout_reports_the_broken_link_and_nothing_hidden(
    example: tuple[str, Path],
) -> None:
    _, root = example
    assert [item.name for item in find(root).skipped] == ["zzz.nii.gz"]


def test_every_layout_describes_itself(example: tuple[str, Path]) -> None:
    name, root = example
    assert find(root).describe().startswith(f"{name}: 1 scan (flair 1")


def test_the_table_and_the_layouts_agree_on_names() -> None:
    assert [layout.name for layout in LAYOUTS.values()] == list(LAYOUTS)


def test_the_error_without_a_layout_lists_what_was_looked_for(lay: Lay) -> None:
    with pytest.raises(UsageError, match=r"BraTS.*TCGA.*patientXX.*sub-"):
        find(lay("notes.txt"))


def test_the_error_without_scans_lists_what_was_skipped(lay: Lay) -> None:
    with pytest.raises(
        UsageError, match=r"p\.nii: its name ends in no BraTS suffix.*BraTS\*_flair"
    ):
        find(lay("p.nii"), "brats")


def test_an_unknown_layout_is_refused(lay: Lay) -> None:
    with pytest.raises(UsageError, match="expected auto or one of phantom, brats"):
        find(lay("a.nii"), "minc")


@pytest.mark.parametrize("layout", ["auto", *LAYOUTS])
def test_a_missing_source_is_refused_by_all(tmp_path: Path, layout: str) -> None:
    with pytest.raises(UsageError, match="found neither"):
        find(tmp_path / "nothing", layout)


def test_a_single_file_that_is_no_scan_is_refused(lay: Lay) -> None:
    with pytest.raises(UsageError, match="no layout fits"):
        find(lay("photo.png") / "photo.png")


def test_a_layout_beside_a_choice_of_series_is_refused(lay: Lay) -> None:
    with pytest.raises(UsageError, match="leave out --series or --layout"):
        find(lay("flair.nii"), "folder", series={"flair": "5"})
