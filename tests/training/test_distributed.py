"""Processes that train together end with the same weights, those of one with the doubled batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from anomri.errors import UsageError
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Preparation
from anomri.training.trainer import check_nodes

RECIPE = """
name: together
preparation: {shape: [128, 128, null]}
family: {aae: {reconstruction: mse}}
training: {batch_size: 2, max_epochs: 1, min_brain_fraction: 0}
"""
# Without batch norm and random numbers, which each process has of its own.
DETERMINISTIC = """
name: equal
preparation: {shape: [32, 32, null]}
family: {ae: {reconstruction: mse}}
training: {batch_size: 2, max_epochs: 1, min_brain_fraction: 0, augmentation: null,
           noise_squares: null}
"""

# Each process imports this anew; at the end it writes down the weights that it has.
SCRIPT = """
import sys
from pathlib import Path
from anomri.models import save_weights
from anomri.preprocessing import PreparedFolder
from anomri.recipe import (Recipe)
from anomri.training import train
from anomri.training.run_record import RunRecord

prepared, processes, nodes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def note(self, trainer, pl_module):
    save_weights(pl_module.family, self.run / f"process{trainer.global_rank}.safetensors")

RunRecord.on_train_end = note

if __name__ == "__main__":
    opened = PreparedFolder.open(prepared)
    recipe = Recipe.load(Path("recipe.yaml"))
    machine = {"device": "cpu", "processes": processes, "nodes": nodes}
    train(recipe, opened, Path("run"), **machine, max_steps=3, progress=False)
    if nodes == 1:
        doubled = recipe.training.model_copy(update={"batch_size": 4})
        alone = recipe.model_copy(update={"training": doubled})
        train(alone, opened, Path("alone"), device="cpu", max_steps=3, progress=False)
"""


Prepare = Callable[[Preparation, int], PreparedFolder]


def start(folder: Path, recipe: str, *words: object, **more: str) -> subprocess.Popen[str]:
    """Start the script in a folder."""
    (folder / "recipe.yaml").write_text(recipe)
    (folder / "together.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, "together.py", *map(str, words)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def weights_of_both(run: Path) -> Mapping[str, torch.Tensor]:
    """Return the weights that were kept, which are those of both processes."""
    first, second = (load_file(run / f"process{n}.safetensors") for n in (0, 1))
    learnt = [name for name in first if "running" not in name]
    assert [name for name in learnt if not torch.equal(first[name], second[name])] == []
    kept = load_file(run / "weights.safetensors")
    assert all(torch.equal(kept[name], first[name]) for name in learnt)
    assert len(pd.read_csv(run / "metrics.tsv", sep="\t")) == 1
    assert json.loads((run / "environment.json").read_text())["processes"] == 2
    return kept


def test_two_processes_equal_one_with_the_doubled_batch(prepare: Prepare, tmp_path: Path) -> None:
    prepared = prepare(Preparation(shape=(32, 32, None)), 3)
    started = start(tmp_path, DETERMINISTIC, prepared.folder, 2, 1)
    assert started.communicate(timeout=300) == ("", "")  # neither process talks about itself
    together, alone = weights_of_both(tmp_path / "run"), tmp_path / "alone"
    for name, value in load_file(alone / "weights.safetensors").items():
        torch.testing.assert_close(together[name], value, rtol=1e-4, atol=2e-6)
    losses = [
        pd.read_csv(run / "metrics.tsv", sep="\t").to_numpy() for run in (tmp_path / "run", alone)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_two_machines_train_together(prepare: Prepare, tmp_path: Path) -> None:
    prepared = prepare(Preparation(shape=(128, 128, None)), 3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    words = (RECIPE, prepared.folder, 1, 2)
    both = [start(tmp_path, *words, **place, NODE_RANK=rank) for rank in ("0", "1")]
    assert [node.communicate(timeout=300) for node in both] == [("", "")] * 2
    assert [node.returncode for node in both] == [0, 0]
    weights_of_both(tmp_path / "run")


@pytest.mark.parametrize("rank", ["", "2", "first"])
def test_a_machine_that_does_not_know_its_place_is_told_so(
    rank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"MASTER_ADDR": "node1", "MASTER_PORT": "29500", "NODE_RANK": rank}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"NODE_RANK; got .*{rank}"):
        check_nodes(2)
