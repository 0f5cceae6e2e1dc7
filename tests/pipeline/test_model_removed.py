"""A model that vanishes while workers use it ends the batch with one clear error."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from anomri.cli import app
from anomri.detector import Detector, load
from anomri.errors import UsageError
from anomri.pipeline.detection import DetectTask
from anomri.pipeline.model_copies import copy_model


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with weights."""
    copy_model("lesions", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for name in "abcd":
        (tmp_path / "scans" / name).mkdir(parents=True)
        (tmp_path / "scans" / name / "flair.nii").touch()
    return tmp_path / "scans"


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "harm",
    [
        shutil.rmtree,
        lambda run: (run / "weights.safetensors").unlink(),
        lambda run: (run / "recipe.yaml").unlink(),
        lambda run: cut(run / "weights.safetensors"),
        lambda run: cut(run / "recipe.yaml"),
    ],
)
def test_whatever_is_left_of_the_model_is_named(
    harm: Callable[[Path], object], run: Path, tmp_path: Path
) -> None:
    task = pickle.dumps(DetectTask(load(run, device="cpu"), tmp_path / "out"))
    harm(run)
    with pytest.raises(UsageError, match=r"run: the model was changed or removed.*Next: ") as ended:
        pickle.loads(task)
    assert type(ended.value) is UsageError  # a damaged file would count as this scan's fault


def test_two_workers_without_their_model_say_so_once(
    run: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_and_remove(*words: Any, **more: Any) -> Detector:
        detector = load(*words, **more)
        shutil.rmtree(run)
        return detector

    monkeypatch.setattr("anomri.detector.load", load_and_remove)
    words = ["detect", str(scans), "-m", str(run), "-o", str(tmp_path / "out"), "--device", "cpu"]
    logging.getLogger("anomri").setLevel(logging.DEBUG)
    done = CliRunner().invoke(app, [*words, "--workers", "2"])
    assert isinstance(done.exception, UsageError)  # `main` turns it into one line
    assert done.exception.exit_code == 2
    assert "was changed or removed" in str(done.exception)
    assert "Traceback" not in done.output
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(".writing")]
