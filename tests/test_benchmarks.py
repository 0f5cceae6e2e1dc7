"""Benchmarks work with tiny sizes: those for a GPU on the CPU, others on small scans."""

from __future__ import annotations

import importlib
import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import ndimage

from anomri.scan import Scan, ScanFiles

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


@pytest.fixture(scope="module")
def ablation() -> Iterator[ModuleType]:
    """The benchmark of the default model, as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS.parent)
        yield importlib.import_module("benchmarks.default")


def test_each_number_of_the_default_model_is_varied(ablation: ModuleType) -> None:
    model = ablation.DEFAULT
    sections = [one.recipe.detection.model_dump() for one in model.map_models.values()]
    steps = [step.step.model_dump() for step in model.steps]
    numbers = [name for name in _numbers([*sections, *steps]) if name not in ablation.CHOICES]
    lines = [line.name for line in ablation.constants()]
    assert len(lines) == len(set(lines)) == 2 * len(numbers)
    detectors = {line.detector().fingerprint for line in ablation.constants()}
    assert len(detectors) == len(lines)


def _numbers(value: object, name: str = "") -> Iterator[str]:
    """Yield the names of all numbers, however deep they are nested."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _numbers(entry, str(key))
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _numbers(entry, name)
    elif isinstance(value, float | int) and not isinstance(value, bool):
        yield name


def test_what_is_kept_of_a_scan_does_not_change_its_segmentation(
    ablation: ModuleType, small_ball_scan: Scan
) -> None:
    flair = ndimage.gaussian_filter(small_ball_scan.image[0], 1) * small_ball_scan.brain
    image = np.stack([flair, np.roll(flair, 1, axis=0)])
    case = ablation.Case(replace(small_ball_scan, image=image, contrasts=("flair", "t1ce")))
    lines = [*ablation.parts(), *ablation.without_one()]
    found = set()
    for line in [ablation.UNCHANGED, *lines[::5], ablation.UNCHANGED]:
        detector = line.detector()
        expected = detector.segment(detector.maps(case.scan))
        labels = case.segment(detector)
        assert np.array_equal(labels > 0, expected.mask)
        assert expected.regions is None or np.array_equal(labels, expected.regions)
        found.add(labels.tobytes())
    assert len(found) > 2


def test_lines_of_the_default_model_are_measured_once(
    ablation: ModuleType,
    small_ball_scan: Scan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = ScanFiles(subject="ball_01", contrasts={}, layout="folder", truth=None)
    prepared = Mock(return_value=small_ball_scan)
    monkeypatch.setattr(ablation.DEFAULT, "prepare", prepared)
    monkeypatch.setattr(
        ablation, "scans", lambda folder, _: [files] if folder.name[0] == "n" else []
    )
    (tmp_path / "splits.tsv").write_text("subject\tsplit\nball_01\ttrain\n", "utf-8")
    options = ["--only", "grown|penalty_above", "--cache", str(tmp_path / "cache")]
    monkeypatch.setattr(sys, "argv", ["default.py", str(tmp_path), *options])
    ablation.main()
    first = capsys.readouterr().out
    ablation.main()
    assert capsys.readouterr().out == first
    assert prepared.call_count == 1
    assert first.count("confirmed_brightness: penalty_above") == 2
    (default,) = [line for line in first.splitlines() if line.startswith("`default`  ")][:1]
    dice = float(default.split()[5])
    assert 0.5 < dice <= 1
