"""Optional extras: each imports when it is installed, and the tests' own extra brings them."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
# The messages without an extra are tested next to the code: in tests/datasets/dicom (pydicom,
# dcm2niix), tests/batch/test_executor.py (distributed) and tests/preprocessing/brain (HD_BET).
MODULES = {"dicom": ("pydicom", "highdicom", "dcm2niix"), "dask": ("dask", "distributed")}
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
    assert set(MODULES | LARGE) | {"test"} == set(extras())
    assert f"anomri[{','.join(sorted(MODULES))}]" in extras()["test"]


def test_no_command_waits_for_lightning_but_training() -> None:
    code = "import sys, anomri.cli.commands; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
