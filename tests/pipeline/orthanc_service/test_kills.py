"""A service that is killed at any step neither loses a study nor does anything twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes that fork there")
def test_a_kill_at_any_step_is_made_up_for(fake: Any, tmp_path: Path) -> None:
    words = [str(HERE / "killed_service.py"), fake.url, str(tmp_path), str(HERE / "conftest.py")]
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report) > 40  # steps that it was killed at
    for killed, state in enumerate(report[:-1], start=1):
        assert state["codes"] in ([9, 0], [9, 0, 0]), killed
    for killed, state in enumerate(report, start=1):
        assert state["stored"] == [1, 1], killed
        assert state["rest"] == [], killed
