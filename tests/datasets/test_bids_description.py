"""The description of results as a BIDS derivative."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anomri.datasets import bids_description, write_dataset_description
from anomri.files import DATASET_DESCRIPTION


def description(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / DATASET_DESCRIPTION).read_text("utf-8"))
    return content


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "someone" / "study"
    folder.mkdir(parents=True)
    (folder / DATASET_DESCRIPTION).write_text('{"Name": "x", "DatasetDOI": "doi:10.1/x"}')
    return folder


def test_sources_are_named_relative_to_the_results(study: Path) -> None:
    out = study / "derivatives" / "anomri"
    write_dataset_description(out, {"raw": study})
    assert description(out)["SourceDatasets"] == [{"URL": "../..", "DOI": "doi:10.1/x"}]
    assert description(out)["DatasetLinks"] == {"raw": "../.."}


def test_folders_above_the_data_set_are_not_named(study: Path, tmp_path: Path) -> None:
    write_dataset_description(tmp_path / "results", {"raw": study})
    text = (tmp_path / "results" / DATASET_DESCRIPTION).read_text("utf-8")
    assert "someone" not in text
    assert description(tmp_path / "results")["DatasetLinks"] == {"raw": "study"}


def test_sources_of_earlier_runs_are_kept(study: Path, tmp_path: Path) -> None:
    write_dataset_description(tmp_path / "out", {"raw": study})
    write_dataset_description(tmp_path / "out", {"fmriprep": tmp_path / "fmriprep"})
    write_dataset_description(tmp_path / "out")
    assert description(tmp_path / "out")["DatasetLinks"] == {
        "raw": "study",
        "fmriprep": "../fmriprep",
    }
    assert len(description(tmp_path / "out")["SourceDatasets"]) == 2


def test_the_address_of_the_code_is_that_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Metadata:
        def get_all(self, name: str) -> list[str]:
            return ["Documentation, https://docs.example", f"Repository, https://{name}.example"]

    monkeypatch.setattr(bids_description, "metadata", lambda _: Metadata())
    write_dataset_description(tmp_path)
    (tool,) = description(tmp_path)["GeneratedBy"]
    assert tool["CodeURL"] == "https://Project-URL.example"
