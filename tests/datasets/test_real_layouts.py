"""The layouts on the published data sets themselves."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from anomri.datasets import find

pytestmark = pytest.mark.real

# Folder: layout, scans, with truth, with brain mask, contrast to its count.
EXPECTED = {
    "brats2018": ("brats", 24, 24, 0, {"flair": 24, "t1ce": 24, "t1": 4, "t2": 4}),
    "lgg": ("lgg", 4, 4, 0, {"flair": 4, "t1": 4, "t1ce": 3}),
    "open_ms_data": ("open_ms", 2, 1, 0, {"flair": 2, "t1ce": 1, "t1": 1}),
    "ms3seg_bids": ("bids", 4, 4, 4, {"flair": 4, "t1": 4}),
    "nichart": ("folder", 16, 16, 16, {"flair": 16, "t1": 6}),
    "wmh": ("folder", 2, 2, 0, {"flair": 2}),
    "ixi_t1": ("folder", 24, 0, 24, {"t1": 24}),
}


@pytest.mark.parametrize("folder", sorted(EXPECTED))
def test_auto_finds_what_was_published(real_data: Path, folder: str) -> None:
    layout, scans, truth, brain, contrasts = EXPECTED[folder]
    found = find(real_data / folder)
    assert (found.layout, len(found.scans)) == (layout, scans)
    assert sum(scan.truth is not None for scan in found.scans) == truth
    assert sum(scan.brain is not None for scan in found.scans) == brain
    counts = {name: sum(name in scan.contrasts for scan in found.scans) for name in contrasts}
    assert counts == contrasts
    assert {name for scan in found.scans for name in scan.contrasts} == set(contrasts)


@pytest.mark.parametrize("folder", sorted(EXPECTED))
def test_subjects_are_those_of_the_split(real_data: Path, folder: str) -> None:
    with (real_data / "splits.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    listed = {row["subject"].removeprefix("sub-") for row in rows if row["dataset"] == folder}
    assert {scan.subject for scan in find(real_data / folder).scans} == listed


def test_the_patient_without_contrast_agent_is_recognised(real_data: Path) -> None:
    skipped = find(real_data / "lgg").skipped
    assert [item.name for item in skipped] == ["TCGA_DU_6407_19860514 t1ce"]
