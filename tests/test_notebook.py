"""The notebook of the documentation runs, cell by cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tour.ipynb"


def code_cells() -> list[str]:
    """Return the code of the notebook's cells, in order."""
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_cells_run_in_order(tmp_path: Path) -> None:
    program = tmp_path / "tour.py"
    program.write_text("\n\n".join(code_cells()), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Dice 0." in done.stdout
    assert "expected a path, a nibabel image" in done.stdout
    assert any((tmp_path / "results").rglob("*_label-lesion_mask.nii.gz"))


def test_no_output_is_stored() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)
