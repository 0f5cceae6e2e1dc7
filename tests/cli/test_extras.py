"""Optional extras: each imports when it is installed, and the tests' own extra brings them."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from anomri import pipeline
from anomri.errors import MissingPiece
from anomri.recipe import Recipe

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
# The messages without an extra are tested next to the code: in tests/datasets/dicom (pydicom,
# dcm2niix), tests/batch/test_executor.py (distributed) and tests/preprocessing/brain (HD_BET).
MODULES = {
    "dicom": ("pydicom", "highdicom", "dcm2niix"),
    "dask": ("dask", "distributed"),
    "train": ("lightning", "tensorboard"),
}
LARGE = {"hdbet": ("HD_BET",)}  # nnU-Net and all it needs: not brought by the tests' extra


def extras() -> dict[str, list[str]]:
    held: dict[str, list[str]] = tomllib.loads(PROJECT.read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    return held


@pytest.mark.parametrize("extra", sorted(MODULES | LARGE))
@pytest.mark.filterwarnings("ignore")
def test_an_extra_imports(extra: str) -> None:
    for module in (MODULES | LARGE)[extra]:
        pytest.importorskip(module, reason=f"the extra anomri[{extra}] is not here")
        importlib.import_module(module)


def test_the_tests_bring_the_extras_that_they_need() -> None:
    assert set(MODULES | LARGE) | {"docs", "test"} == set(extras())
    assert f"anomri[{','.join(sorted(MODULES))}]" in extras()["test"]


# Every package and the whole command line, where Lightning and TensorBoard are not installed.
WITHOUT_TRAINING = """
import sys
sys.modules.update(lightning=None, tensorboard=None)
from anomri import pipeline
from anomri.cli import main
from anomri.cli.signals import load_exports
from anomri.training import healthy_slices
load_exports(pipeline)
main()
"""


def test_all_but_training_does_without_lightning(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TRAINING, "demo", "-o", "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == MissingPiece.exit_code, done.stderr
    assert "lightning and tensorboard" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_training_names_the_extra_that_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingPiece, match=r'tensorboard\. Next: `pip install "anomri\[train\]"`'):
        pipeline.train(Recipe.load("demo"), tmp_path / "prepared", tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
