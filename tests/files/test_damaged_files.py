"""A thousand damaged files of each group: read, or refused with their name; nothing escapes.

`benchmarks/fuzzing.py` does the same with ten thousand.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzzing.py"
COUNT = 1000


@pytest.fixture(scope="module")
def fuzzing() -> dict[str, Any]:
    pytest.importorskip("pydicom", reason="the extra anomri[dicom] is not here")
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize(("seed", "group"), [(0, "images"), (1, "documents"), (2, "slices")])
def test_no_error_of_a_library_escapes(fuzzing: dict[str, Any], seed: int, group: str) -> None:
    counts = fuzzing["run"](fuzzing["GROUPS"][group](), COUNT, seed=seed)
    for name, found in counts.items():
        assert set(found) <= {"read", "refused"}, name
    outcomes = {outcome for found in counts.values() for outcome in found}
    assert outcomes == {"read", "refused"}  # some of each, or nothing was tested
