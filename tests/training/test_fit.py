"""Whole trainings on tiny data: what is written, what is resumed, what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch._dynamo.exc import TorchDynamoException

from anomri.errors import AnomriError, RecipeError, UsageError
from anomri.models import RECONSTRUCTORS, Batch, Losses, Phase, Reconstructor, build, load_weights
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Recipe, Step
from anomri.training import train
from anomri.training.fit import _check_prepared

MakeRecipe = Callable[..., Recipe]


def fit(recipe: Recipe, prepared: PreparedFolder, run: Path, **options: object) -> Path:
    return train(recipe, prepared, run, device="cpu", progress=False, **options)  # type: ignore[arg-type]


def assert_same_weights(left: Path, right: Path) -> None:
    one, other = (load_file(run / "weights.safetensors") for run in (left, right))
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.fixture(scope="module")
def whole_run(prepared: PreparedFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training of four epochs."""
    from_tests = Recipe.parse(RECIPE_TEXT, origin="whole.yaml")
    return fit(from_tests, prepared, tmp_path_factory.mktemp("whole") / "run")


RECIPE_TEXT = """
name: whole
preparation: {spacing_mm: [null, null, null], shape: [32, 32, null], intensity: zscore}
family: {vae: {reconstruction: mse}}
training: {batch_size: 8, max_epochs: 4, noise_squares: {smallest: 4, largest: 10}}
"""


def test_a_run_folder_is_enough_to_detect_elsewhere(whole_run: Path) -> None:
    names = {path.name for path in whole_run.iterdir()}
    assert names == {
        "recipe.yaml",
        "environment.json",
        "metrics.tsv",
        "weights.safetensors",
        "logs",
    }
    recipe = Recipe.load(whole_run / "recipe.yaml")
    family = build(recipe.family, channels=1, size=(32, 32))
    load_weights(family, whole_run / "weights.safetensors")


def test_metrics_hold_every_named_loss_of_every_epoch(whole_run: Path) -> None:
    table = pd.read_csv(whole_run / "metrics.tsv", sep="\t")
    parts = ("loss", "reconstruction", "kl")
    assert set(table) == {
        "epoch",
        *(f"{side}_{name}" for side in ("train", "val") for name in parts),
    }
    assert table["epoch"].tolist() == [0, 1, 2, 3]
    assert table["train_loss"].iloc[-1] < table["train_loss"].iloc[0]
    assert table.notna().all(axis=None)
    assert list((whole_run / "logs").glob("events.out.tfevents*"))


def test_the_environment_says_what_was_trained_on_what(whole_run: Path) -> None:
    environment = json.loads((whole_run / "environment.json").read_text())
    assert environment["torch"] == torch.__version__
    assert (environment["seed"], environment["device"]) == (0, "cpu")
    assert {len(names) for names in environment["subjects"].values()} == {1, 3}
    assert str(whole_run.parent) not in (whole_run / "environment.json").read_text()


def test_training_moved_every_weight(whole_run: Path) -> None:
    torch.manual_seed(0)
    before = build(Step(name="vae"), channels=1, size=(32, 32)).state_dict()
    after = load_file(whole_run / "weights.safetensors")
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_a_finished_run_is_left_alone(whole_run: Path, prepared: PreparedFolder) -> None:
    weights = whole_run / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    assert fit(Recipe.load(whole_run / "recipe.yaml"), prepared, whole_run) == whole_run
    assert weights.stat().st_mtime_ns == before


def test_another_recipe_is_refused(
    whole_run: Path, prepared: PreparedFolder, recipe: MakeRecipe
) -> None:
    with pytest.raises(UsageError, match="trained by another recipe, 'whole'"):
        fit(recipe(), prepared, whole_run)


def test_workers_and_the_callers_generator_change_nothing(
    whole_run: Path, prepared: PreparedFolder, tmp_path: Path
) -> None:
    torch.manual_seed(99)
    expected = torch.get_rng_state()
    fit(Recipe.load(whole_run / "recipe.yaml"), prepared, tmp_path / "run", workers=1)
    assert torch.equal(torch.get_rng_state(), expected)
    assert_same_weights(whole_run, tmp_path / "run")


CHILD = """
import os, signal, sys
from pathlib import Path
from anomri.models.convolutional import VariationalAutoencoder
from anomri.preprocessing import PreparedFolder
from anomri.recipe import (Recipe)
from anomri.training import train

# A job that a shell started in the background inherits a deaf ear for Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
learn, steps = VariationalAutoencoder.losses, 0

def losses(self, batch):
    global steps
    steps += self.training
    if steps == int(sys.argv[4]):
        os.kill(os.getpid(), int(sys.argv[5]))
    return learn(self, batch)

VariationalAutoencoder.losses = losses
recipe, prepared = Recipe.load(sys.argv[1]), PreparedFolder.open(Path(sys.argv[2]))
train(recipe, prepared, Path(sys.argv[3]), device="cpu", progress=False)
"""


def stopped(whole: Path, data: PreparedFolder, run: Path, *, step: int, by: int) -> int:
    """Run the same training in another process and stop it in a step; return its exit code."""
    words = [whole / "recipe.yaml", data.folder, run, step, by]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-c", CHILD, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    whole_run: Path, prepared: PreparedFolder, tmp_path: Path, by: signal.Signals
) -> None:
    run = tmp_path / "run"
    assert stopped(whole_run, prepared, run, step=15, by=by) == -by  # six steps are an epoch
    assert not (run / "weights.safetensors").exists()
    assert {path.name for path in (run / "resume").iterdir()} == {
        "state.safetensors",
        "best.safetensors",
    }
    fit(Recipe.load(run / "recipe.yaml"), prepared, run)
    assert_same_weights(whole_run, run)
    assert (run / "metrics.tsv").read_text() == (whole_run / "metrics.tsv").read_text()
    assert not (run / "resume").exists()


def test_resume_can_be_declined(whole_run: Path, prepared: PreparedFolder, tmp_path: Path) -> None:
    run, chosen = tmp_path / "run", Recipe.load(whole_run / "recipe.yaml")
    (run / "resume").mkdir(parents=True)
    (run / "resume" / "state.safetensors").write_bytes(b"broken")
    with pytest.raises(UsageError, match="delete the run's `resume` folder"):
        fit(chosen, prepared, run)
    fit(chosen, prepared, run, resume=False)
    assert_same_weights(whole_run, run)


@pytest.mark.parametrize(("steps", "epochs"), [(2, 1), (6, 1), (14, 2)])
def test_max_steps_ends_early_with_weights(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path, steps: int, epochs: int
) -> None:
    run = fit(recipe(), prepared, tmp_path / "run", max_steps=steps)
    assert (run / "weights.safetensors").is_file()
    assert len(pd.read_csv(run / "metrics.tsv", sep="\t")) == epochs


def test_patience_ends_a_run_that_does_not_improve(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path
) -> None:
    chosen = recipe(learning_rate=1e-12, max_epochs=30, patience=2)
    run = fit(chosen, prepared, tmp_path / "run")
    assert len(pd.read_csv(run / "metrics.tsv", sep="\t")) < 30


def test_a_loss_that_is_no_number_stops_the_run(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path
) -> None:
    with pytest.raises(AnomriError, match=r"loss of epoch 0 is .*learning_rate"):
        fit(recipe(learning_rate=1e30), prepared, tmp_path / "run")
    assert not (tmp_path / "run" / "weights.safetensors").exists()


class TwoPhases(Reconstructor):
    """A made-up adversary: two networks, each with an optimiser of its own."""

    def __init__(self, *, channels: int, size: tuple[int, ...]) -> None:
        super().__init__(channels=channels, size=size)
        self.first = torch.nn.Conv2d(channels, channels, 3, padding=1)
        self.second = torch.nn.Conv2d(channels, channels, 3, padding=1)

    def losses(self, batch: Batch) -> Losses:
        return {"loss": (self.first(batch.image) - batch.target).square().mean()}

    def opposing(self, batch: Batch) -> Losses:
        return {"loss": (self.second(self.first(batch.image)) - 1).square().mean()}

    def reconstruct(self, images: torch.Tensor) -> torch.Tensor:
        reconstructed: torch.Tensor = self.first(images)
        return reconstructed

    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("", self.first.parameters, self.losses),
            Phase("opponent", self.second.parameters, self.opposing),
        )


def test_each_phase_has_its_own_optimiser(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECONSTRUCTORS, "two", TwoPhases)
    chosen = recipe(max_epochs=2).model_copy(update={"family": Step(name="two")})
    run = fit(chosen, prepared, tmp_path / "run", max_steps=4)
    table = pd.read_csv(run / "metrics.tsv", sep="\t")
    assert set(table) == {"epoch", "train_loss", "train_opponent_loss", "val_loss"}
    torch.manual_seed(0)
    before = TwoPhases(channels=1, size=(32, 32)).state_dict()
    after = load_file(run / "weights.safetensors")
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_intensity_has_nothing_to_train(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path
) -> None:
    chosen = recipe().model_copy(update={"family": Step(name="intensity")})
    with pytest.raises(UsageError, match="nothing to train"):
        fit(chosen, prepared, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["cuda:9", "abacus", "cpu:first"])
def test_a_device_that_is_not_there_is_refused(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path, device: str
) -> None:
    with pytest.raises(UsageError, match=f"device '{device}'"):
        train(recipe(), prepared, tmp_path / "run", device=device, progress=False)


def test_scans_prepared_otherwise_are_refused(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path
) -> None:
    wanted = recipe().preparation.model_copy(update={"shape": (64, 64, None)})
    with pytest.raises(UsageError, match="prepared in another way"):
        fit(recipe().model_copy(update={"preparation": wanted}), prepared, tmp_path / "run")
    with pytest.raises(UsageError, match="has no 't2'"):
        fit(recipe().model_copy(update={"contrasts": ("t2",)}), prepared, tmp_path / "run")


def test_whoever_found_the_brain_the_scans_can_be_learnt_from(
    prepared: PreparedFolder, recipe: MakeRecipe
) -> None:
    for method in ("given", "hdbet", "network"):
        _check_prepared(recipe().with_changes(preparation={"brain": method}), prepared)


def test_unknown_families_are_refused(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="vae"):
        fit(recipe().model_copy(update={"family": Step(name="gan")}), prepared, tmp_path / "run")


def test_the_bar_shows_the_time_that_is_left(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(recipe(), prepared, tmp_path / "run", device="cpu", progress=True)
    shown = capsys.readouterr().out
    assert "val/loss" in shown
    assert "left" in shown


def test_nothing_is_printed_without_a_bar(
    prepared: PreparedFolder, recipe: MakeRecipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fit(recipe(max_epochs=1), prepared, tmp_path / "run")
    assert capfd.readouterr() == ("", "")


def test_a_run_that_was_killed_at_its_end_learns_no_more(
    prepared: PreparedFolder,
    recipe: MakeRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    hasty = recipe(max_epochs=30, patience=2, learning_rate=1e-12)
    with monkeypatch.context() as patch:
        patch.setattr("anomri.training.fit.finish", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(hasty, prepared, tmp_path / "run")
    ended = (tmp_path / "run" / "metrics.tsv").read_text()
    assert len(ended.splitlines()) < 20
    fit(hasty, prepared, tmp_path / "run")
    assert (tmp_path / "run" / "metrics.tsv").read_text() == ended
    assert (tmp_path / "run" / "weights.safetensors").is_file()


def test_a_compiled_network_trains_as_it_does_otherwise(
    whole_run: Path, prepared: PreparedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def compile_in_python(losses: Callable[[Batch], Losses], **_: object) -> object:
        compiled.append(losses)
        return losses

    monkeypatch.setattr(torch, "compile", compile_in_python)  # Inductor takes 13 s
    recipe = Recipe.parse(RECIPE_TEXT, origin="whole.yaml")
    assert_same_weights(whole_run, fit(recipe, prepared, tmp_path / "run", compiled=True))
    assert compiled


def test_a_network_that_cannot_be_compiled_says_what_to_do(
    recipe: MakeRecipe, prepared: PreparedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Batch) -> Losses:
        raise TorchDynamoException("No working C++ compiler found\nin this place")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    with pytest.raises(UsageError, match=r"cannot compile .*: No working C.* found\. Next"):
        fit(recipe(max_epochs=1), prepared, tmp_path / "run", compiled=True)
