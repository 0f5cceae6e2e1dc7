"""Benchmarks that are to be run elsewhere work: those for a GPU, with tiny sizes on the CPU."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_networks_are_measured_on_a_cpu_with_tiny_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "gpu.json"
    options = ["--device", "cpu", "--tiny", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options])
    runpy.run_path(str(BENCHMARKS / "gpu.py"), run_name="__main__")
    lines = json.loads(out.read_text("utf-8"))["lines"]
    measured = {(line["network"], line["precision"]) for line in lines}
    networks = ("regularised_segmenter", "lesions", "vae")
    precisions = ("fp32", "bf16")
    assert measured == {(network, kind) for network in networks for kind in precisions}
    assert all(line.get("whole_volume_seconds", 1) > 0 for line in lines)
    drawn = [line for line in lines if line["network"] == "lesions"]
    assert all(line["draw_seconds_per_patient"] > 0 for line in drawn)
    assert all(line["step_seconds_per_patient"] > 0 for line in drawn)
    assert all(line["largest_batch"] == 1 for line in lines if "largest_batch" in line)


@pytest.mark.skipif(not shutil.which("timeout"), reason="no program `timeout` here")
@pytest.mark.parametrize("tiny", [True, False])
def test_the_script_for_a_gpu_runs_the_benchmarks(tmp_path: Path, tiny: bool) -> None:
    options = ["--device", "cpu", "--tiny"] if tiny else []
    command = ["sh", str(BENCHMARKS / "gpu.sh"), str(tmp_path), "echo", *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split()[1:] == ["--out", str(tmp_path / "gpu.json"), *options]
    assert (tmp_path / "training.txt").exists() != tiny


def test_the_table_of_performance_is_printed_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--only", "start", "--quick", "--markdown", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["performance", *options])
    monkeypatch.syspath_prepend(BENCHMARKS.parent)
    runpy.run_module("benchmarks.performance", run_name="__main__")
    (kept,) = tmp_path.glob("*.json")
    rows = json.loads(kept.read_text("utf-8"))["rows"]
    printed = capsys.readouterr().out
    assert all(row["seconds"] > 0 and f"| {row['name']} |" in printed for row in rows)
