"""Two processes that train together end with the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from anomri.preprocessing import PreparedFolder
from anomri.recipe import Preparation

RECIPE = """
name: together
preparation: {shape: [128, 128, null]}
family: {FAMILY: {reconstruction: mse}}
training: {batch_size: 2, max_epochs: 1, min_brain_fraction: 0}
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

recipe, prepared, run = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])

def note(self, trainer, pl_module):
    save_weights(pl_module.family, run / f"process{trainer.global_rank}.safetensors")

RunRecord.on_train_end = note

if __name__ == "__main__":
    opened = PreparedFolder.open(prepared)
    train(Recipe.load(recipe), opened, run, device="cpu", processes=2, max_steps=3, progress=False)
"""


@pytest.fixture(scope="module")
def prepared(prepare: Callable[..., PreparedFolder]) -> PreparedFolder:
    return prepare(Preparation(shape=(128, 128, None)), 3)


@pytest.mark.parametrize("family", ["vae", "aae"])
def test_two_processes_end_with_equal_weights(
    family: str, prepared: PreparedFolder, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("FAMILY", family))
    (tmp_path / "together.py").write_text(SCRIPT)
    words = ["together.py", "recipe.yaml", prepared.folder, "run"]
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("", "")  # neither process talks about itself
    run = tmp_path / "run"
    first, second = (load_file(run / f"process{n}.safetensors") for n in (0, 1))
    learnt = [name for name in first if "running" not in name]
    assert [name for name in learnt if not torch.equal(first[name], second[name])] == []
    kept = load_file(run / "weights.safetensors")
    assert all(torch.equal(kept[name], first[name]) for name in learnt)
    assert len(pd.read_csv(run / "metrics.tsv", sep="\t")) == 1
    assert json.loads((run / "environment.json").read_text())["processes"] == 2
