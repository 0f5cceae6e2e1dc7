"""What `anomri follow` says of its own command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from anomri.cli.follow_up_command import _without_dates
from anomri.datasets import Found


@pytest.mark.parametrize("dates", [["--dates", "2031-03-01,2031-08-31"], ["--dates=2031-03-01"]])
def test_dates_and_names_of_dicom_folders_are_hidden(
    dates: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["follow", "Doe^Jane/", "./Doe^Jane2", "bids", *dates]
    monkeypatch.setattr(sys, "argv", ["anomri", *words])
    dicom, other = Found((), (), "dicom"), Found((), (), "bids")
    sources = [Path(word) for word in words[1:4]]
    shown = _without_dates(sources, [dicom, dicom, other])
    assert shown[:5] == ["anomri", "follow", "DICOM", "DICOM", "bids"]
    assert "2031" not in " ".join(shown)
