"""The layouts on the published data sets themselves."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from anomri.datasets import find

pytestmark = pytest.mark.real

# Folder: layout, whether every scan has expert labels and a brain mask, contrasts of every scan,
# contrasts of some. The data sets grow, so nothing is counted.
EXPECTED = {
    "brats2018": ("brats", True, False, {"flair", "t1ce"}, {"t1", "t2"}),
    "lgg": ("lgg", True, False, {"flair", "t1"}, {"t1ce"}),
    "open_ms_data": ("open_ms", None, False, {"flair"}, {"t1", "t1ce"}),
    "ms3seg_bids": ("bids", True, True, {"flair", "t1"}, set()),
    "nichart": ("folder", True, True, {"flair"}, {"t1"}),
    "wmh": ("folder", True, False, {"flair"}, set()),
    "ixi_t1": ("folder", False, True, {"t1"}, set()),
}


@pytest.mark.parametrize("folder", sorted(EXPECTED))
def test_auto_finds_what_was_published(real_data: Path, folder: str) -> None:
    layout, truth, brain, always, sometimes = EXPECTED[folder]
    found = find(real_data / folder)
    assert found.layout == layout
    assert found.scans
    if truth is not None:
        assert {scan.truth is not None for scan in found.scans} == {truth}
    assert {scan.brain is not None for scan in found.scans} == {brain}
    assert all(always <= set(scan.contrasts) for scan in found.scans)
    assert {name for scan in found.scans for name in scan.contrasts} == always | sometimes


@pytest.mark.parametrize("folder", sorted(EXPECTED))
def test_subjects_are_those_of_the_split(real_data: Path, folder: str) -> None:
    with (real_data / "splits.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    listed = {row["subject"].removeprefix("sub-") for row in rows if row["dataset"] == folder}
    assert {scan.subject for scan in find(real_data / folder).scans} == listed


def test_the_patient_without_contrast_agent_is_recognised(real_data: Path) -> None:
    skipped = find(real_data / "lgg").skipped
    assert [item.name for item in skipped] == ["TCGA_DU_6407_19860514 t1ce"]
