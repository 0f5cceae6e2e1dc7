"""Complaints about other tools that no other test answers; see docs/complaints.md."""

from __future__ import annotations

import multiprocessing
import re
import socket
from pathlib import Path
from typing import Any, NoReturn

import nibabel as nib
import numpy as np
import pytest

from anomri import pipeline
from anomri.datasets import find
from anomri.detector import load
from anomri.models import load_weights
from anomri.scan import Scan

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "complaints.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE)))


def test_a_cohort_loads_its_network_once_and_needs_no_internet(
    ball_scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []

    def counted(network: Any, path: Path) -> None:
        loaded.append(path)
        load_weights(network, path)

    def refused(*_: object) -> NoReturn:
        raise AssertionError("a network was asked for")

    monkeypatch.setattr("anomri.models.trained.load_weights", counted)
    monkeypatch.setattr(socket.socket, "connect", refused)
    for name in ("a", "b", "c"):
        values = np.where(ball_scan.brain, 100 + 10 * ball_scan.image[0], 0).astype(np.float32)
        (tmp_path / "scans").mkdir(exist_ok=True)
        path = tmp_path / "scans" / f"{name}_flair.nii"
        nib.save(nib.Nifti1Image(values, ball_scan.grid.affine), path)
    out = tmp_path / "out"
    outcome = pipeline.detect(find(tmp_path / "scans"), load("default", device="cpu"), out)
    assert len(outcome.done) == 3
    assert [path.name for path in loaded] == ["lesions.safetensors"]


def test_a_detection_starts_no_process(ball_scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    # Daemons, such as workers of a web server, are not allowed to start processes.
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    monkeypatch.setitem(config, "daemon", True)
    values = np.where(ball_scan.brain, 100 + 10 * ball_scan.image[0], 0).astype(np.float32)
    image = nib.Nifti1Image(values, ball_scan.grid.affine)
    assert load("default", device="cpu").detect({"flair": image}).findings


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_the_table_names_tests_that_are_there(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / file).read_text("utf-8")


def test_every_complaint_has_a_test_or_a_reason() -> None:
    rows = [line.split("|")[1:-1] for line in TABLE.splitlines() if re.match(r"\| \d", line)]
    assert [int(row[0]) for row in rows] == list(range(1, 28))
    for number, _, complaint, answer in rows:
        says_why = answer.strip().startswith(("Not ", "Partly"))
        assert re.search(r"`tests/[\w/]+\.py::\w+`", answer) or says_why, (number, complaint)
