"""A family of volumes from prepared scans to a map, and a collapse-robust run that is resumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from safetensors.torch import load_file

from anomri.detector import load
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe
from anomri.training import train
from anomri.training.run_record import RunRecord

RECIPE = """
name: volumes
axes: 3
preparation: {shape: [32, 32, 19], intensity: percentile}
family: {dense_vae: {loss: collapse_robust, reconstruction: l1}}
training: {batch_size: 2, max_epochs: 4, noise_squares: {smallest: 4, largest: 10}}
"""


@pytest.fixture(scope="module")
def prepared(prepare: Callable[..., PreparedFolder]) -> PreparedFolder:
    return prepare(Recipe.parse(RECIPE, origin="volumes.yaml").preparation, 5)


def fit(prepared: PreparedFolder, run: Path) -> Path:
    recipe = Recipe.parse(RECIPE, origin="volumes.yaml")
    return train(recipe, prepared, run, device="cpu", progress=False)


@pytest.fixture(scope="module")
def run(prepared: PreparedFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(prepared, tmp_path_factory.mktemp("run") / "run")


def test_beta_and_sigma_are_logged(run: Path) -> None:
    table = pd.read_csv(run / "metrics.tsv", sep="\t")
    assert {"train_beta", "train_sigma", "train_kl", "val_reconstruction"} <= set(table)
    # Two steps make an epoch; beta is 2t/T.
    np.testing.assert_allclose(table["train_beta"], [0.02, 0.1, 0.18, 0.26], rtol=1e-5)
    assert (table["val_loss"] == table["val_reconstruction"]).all()


def test_a_scan_of_another_depth_is_scored(run: Path, prepared: PreparedFolder) -> None:
    detector, scan = load(run, device="cpu"), prepared.load("sub-s0")
    anomaly = detector.first.score(scan)
    deeper = replace(
        scan,
        image=np.pad(scan.image, ((0, 0),) * 3 + ((2, 3),)),
        brain=np.pad(scan.brain, ((0, 0),) * 2 + ((2, 3),)),
        grid=replace(scan.grid, shape=(32, 32, 24)),
    )
    np.testing.assert_allclose(
        detector.first.score(deeper).values[..., 2:-3], anomaly.values, atol=1e-6
    )
    assert anomaly.values.shape == (1, 32, 32, 19)
    assert np.abs(anomaly.reconstruction[:, scan.brain]).max() > 0


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_resumed_run_goes_on_in_the_middle_of_the_cycle(
    run: Path, prepared: PreparedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = RunRecord.on_train_epoch_end

    def killed(self: RunRecord, trainer: Trainer, pl_module: LightningModule) -> None:
        record(self, trainer, pl_module)
        if trainer.current_epoch == 1:
            raise Killed

    stopped = tmp_path / "run"
    monkeypatch.setattr(RunRecord, "on_train_epoch_end", killed)
    with pytest.raises(Killed):
        fit(prepared, stopped)
    monkeypatch.undo()
    fit(prepared, stopped)
    one, other = (load_file(folder / "weights.safetensors") for folder in (run, stopped))
    assert int(one["objective.step"]) > 0
    torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)
    assert (run / "metrics.tsv").read_text() == (stopped / "metrics.tsv").read_text()
