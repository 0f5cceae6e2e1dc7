"""Commands that compute nothing answer without the libraries that compute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri import pipeline
from anomri.cli import data_commands, options
from anomri.datasets import LAYOUTS
from anomri.postprocessing import SCAN_RULES, SEGMENTATION_METHODS

SLOW = {
    "PIL",
    "SimpleITK",
    "joblib",
    "lightning",
    "matplotlib",
    "monai",
    "nibabel",
    "nilearn",
    "pandas",
    "scipy",
    "skimage",
    "sklearn",
    "tifffile",
    "torch",
}
COMMANDS = {
    "--version": 0,
    "--help": 0,
    "detect --help": 0,
    "detect SCANS --dry-run": 0,
    "prepare SCANS --dry-run": 0,
    "detect SCANS": 2,
    "detect SCANS --nonsense": 2,
    "detect no_such_folder -o out": 2,
    "detect SCANS --dry-run --model no_such_model": 2,
}
# Prints the exit code of each command, and the modules that are imported when it ends.
MODULES = """
import sys
from anomri.cli import main
for command in sys.argv[1:]:
    sys.argv = ["anomri", *command.split()]
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    print("modules", code, *sorted(name for name in sys.modules if "." not in name))
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), np.eye(4)), folder / "a_flair.nii")
    return folder


@pytest.fixture(scope="module")
def answers(scans: Path) -> dict[str, list[str]]:
    """Exit code and imported modules after each command, all in one process."""
    words = [command.replace("SCANS", str(scans)) for command in COMMANDS]
    called = [sys.executable, "-c", MODULES, *words]
    done = subprocess.run(called, capture_output=True, text=True, check=True)
    lines = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("modules ")]
    return dict(zip(COMMANDS, lines, strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_only_what_a_command_needs_is_imported(answers: dict[str, list[str]], command: str) -> None:
    code, *modules = answers[command]
    assert int(code) == COMMANDS[command]
    assert SLOW & set(modules) == set()


def test_signals_are_handled_before_anything_slow_is_imported() -> None:
    listed = "import sys; old = {*sys.modules}; import anomri.cli; print(*{*sys.modules} - old)"
    command = [sys.executable, "-c", listed]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "anomri.cli.signals" in imported
    assert {"importlib.metadata", "email", "socket", "typer", "click"} & imported == set()


def test_the_help_names_every_rule_and_method() -> None:
    assert options.LAYOUTS.split(", ") == list(LAYOUTS)
    assert options.SCAN_RULES.split(", ") == list(SCAN_RULES)
    assert data_commands.PROGRAMS.split(", ") == list(pipeline.EXPORTS)
    assert options.SEGMENTATION_METHODS.split(", ") == list(SEGMENTATION_METHODS)
