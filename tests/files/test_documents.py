"""Damaged files of anomri's own: an error that names the file, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from anomri.errors import DamagedFile
from anomri.files import PHANTOMS
from anomri.models import build, load_weights, save_weights
from anomri.preprocessing import PreparedFolder
from anomri.preprocessing.prepared_folder.storage import write_scan
from anomri.recipe import Preparation, Step
from anomri.scan import Scan, ScanFiles
from anomri.scoring import LatentStatistics
from anomri.synthesis import make_phantoms
from anomri.training import TrainingSchedule, TrainingState
from anomri.training.resume import SafetensorsIO

NUMBERS = torch.arange(4.0)
ANYTHING: dict[str, bytes] = {
    "empty": b"",
    "words": b"no tensors but words",
    "header of 2^63": b"\xff" * 8 + b"{}",
    "no tensors": save({}),
    "deep": save({}, metadata={"tree": "[" * 100_000, "subjects": "[" * 100_000, "slices": "1"}),
    "other words": save({"mean": NUMBERS, "variance": NUMBERS + 1}, metadata={"subjects": "5"}),
    "other shapes": save({"step": NUMBERS, "loss": NUMBERS + 1}),
}


def _pupil(state: Path) -> TrainingState[torch.nn.Linear]:
    return TrainingState.start(
        lambda: torch.nn.Linear(2, 1), state, TrainingSchedule(steps=10, warmup=1)
    )


def _weights(path: Path) -> None:
    load_weights(build(Step(name="vae"), channels=1, size=(32, 32)), path)


READERS: dict[str, Callable[[Path], Any]] = {
    "codes": LatentStatistics.load,
    "state": SafetensorsIO().load_checkpoint,
    "pupil": _pupil,
}


@pytest.mark.parametrize("content", ANYTHING.values(), ids=ANYTHING.keys())
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
def test_damaged_tensors_are_reported(
    tmp_path: Path, reader: Callable[[Path], Any], content: bytes
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"^x\.safetensors: expected .*Next: "):
        reader(path)


@pytest.mark.parametrize("content", [b"", b"words", b"\xff" * 8 + b"{}"])
def test_damaged_weights_are_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(DamagedFile, match=r"^x\.safetensors: expected weights"):
        _weights(tmp_path / "x.safetensors")


def test_weights_that_are_not_finite_are_reported(tmp_path: Path) -> None:
    family = build(Step(name="vae"), channels=1, size=(32, 32))
    with torch.no_grad():
        next(family.parameters()).fill_(float("nan"))
    save_weights(family, tmp_path / "x.safetensors")
    with pytest.raises(DamagedFile, match="NaN"):
        _weights(tmp_path / "x.safetensors")


@pytest.mark.parametrize("place", [-1, 200])
def test_a_flipped_bit_in_a_state_is_reported(tmp_path: Path, place: int) -> None:
    path = tmp_path / "state.safetensors"
    tree = {"epoch": 3, "state_dict": {"weight": NUMBERS}, "loops": {"a": [1] * 50}}
    SafetensorsIO().save_checkpoint(tree, path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"state\.safetensors"):
        SafetensorsIO().load_checkpoint(path)


def test_a_pretraining_state_of_another_shape_is_reported(tmp_path: Path) -> None:
    pupil = _pupil(tmp_path / "none")
    pupil.learn(lambda network: network.weight.square().sum() + network.bias.sum())
    pupil.average["weight"] = torch.zeros(1)  # would be spread over the weight without a word
    pupil.save(tmp_path / "state.safetensors")
    with pytest.raises(DamagedFile, match=r"state\.safetensors"):
        _pupil(tmp_path / "state.safetensors")


def test_a_damaged_marker_of_phantoms_is_reported(tmp_path: Path) -> None:
    (tmp_path / PHANTOMS).write_bytes(b"\xff\xfe")
    with pytest.raises(DamagedFile, match=PHANTOMS):
        make_phantoms(tmp_path, healthy=1, gliomas=0, lesions=0)


@pytest.fixture
def prepared(ball_scan: Scan, tmp_path: Path) -> PreparedFolder:
    """A folder with one prepared scan."""
    folder = PreparedFolder(tmp_path / "prepared", Preparation(), ball_scan.contrasts)
    target = folder.folder / ball_scan.label
    target.mkdir()
    write_scan(target, ball_scan, ball_scan.truth)
    files = ScanFiles(subject=ball_scan.subject, contrasts={}, layout="folder")
    (target / "scan.json").write_text(json.dumps(folder._entry(files, ball_scan)))
    return folder


def test_an_undamaged_prepared_scan_is_read(prepared: PreparedFolder, ball_scan: Scan) -> None:
    scan = PreparedFolder.open(prepared.folder).load(ball_scan.label)
    np.testing.assert_array_equal(scan.image, ball_scan.image)
    assert prepared.native_truth(ball_scan.label) is not None


@pytest.mark.parametrize("key", ["subject", "contrasts", "grid", "native", "notes"])
@pytest.mark.parametrize("value", [None, 5, [[]], {"shape": [1, 2]}, "gone"])
def test_a_damaged_entry_of_a_prepared_scan_is_reported(
    prepared: PreparedFolder, ball_scan: Scan, key: str, value: Any
) -> None:
    path = prepared.folder / ball_scan.label / "scan.json"
    entry = json.loads(path.read_text()) | {key: value}
    path.write_text(json.dumps({k: v for k, v in entry.items() if v != "gone"}))
    with pytest.raises(DamagedFile, match=r"^scan\.json: expected"):
        prepared.load(ball_scan.label)


@pytest.mark.parametrize("key", ["format", "preparation", "contrasts"])
@pytest.mark.parametrize("value", [None, [], {"colour": 1}, "gone"])
def test_a_damaged_header_of_prepared_scans_is_reported(
    prepared: PreparedFolder, key: str, value: Any
) -> None:
    path = prepared.folder / "prepared.json"
    header = json.loads(path.read_text()) | {key: value}
    path.write_text(json.dumps({k: v for k, v in header.items() if v != "gone"}))
    with pytest.raises(DamagedFile, match=r"^prepared\.json: expected"):
        PreparedFolder.open(prepared.folder)


@pytest.mark.parametrize("name", ["flair", "brain", "truth"])
@pytest.mark.parametrize("damage", ["empty", "words", "half", "other"])
def test_a_damaged_volume_of_a_prepared_scan_is_reported(
    prepared: PreparedFolder, ball_scan: Scan, name: str, damage: str
) -> None:
    path = prepared.folder / ball_scan.label / f"{name}.nii"
    whole = path.read_bytes()
    other = (path.parent / ("brain.nii" if name == "flair" else "flair.nii")).read_bytes()
    contents = {"empty": b"", "words": b"words" * 99, "half": whole[: len(whole) // 2]}
    path.write_bytes({**contents, "other": other}[damage])
    with pytest.raises(DamagedFile, match=rf"^{name}\.nii: expected a prepared volume"):
        prepared.load(ball_scan.label)
