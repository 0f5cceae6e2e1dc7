"""Images per second of our training against the bare PyTorch loop of the same network.

Ours reads slices from disk, augments, logs and goes through Lightning; the bare loop takes whole
batches from memory and does nothing else. Both run in turn, several rounds, on the same machine;
the median of the rounds' ratios is what counts (at least 0.9 is wanted).

    python benchmarks/training.py [--device cpu] [--steps 20] [--rounds 3] [--cpu-time]

On a machine that others use too, `--cpu-time` counts the process's own seconds instead.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from scipy.ndimage import gaussian_filter

from anomri.family import TOTAL, Batch
from anomri.models import FAMILIES, build
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Preparation, Recipe, Step, Training
from anomri.scan import ScanFiles
from anomri.training.loading import make_loaders
from anomri.training.module import FamilyTraining
from anomri.training.parts import split_parts
from anomri.training.trainer import Machine, make_trainer, quiet

SIDE, DEPTH, SUBJECTS = 128, 64, 6
PREPARATION = Preparation(shape=(SIDE, SIDE, None))


Now = Callable[[torch.device], float]


def wall_time(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def cpu_time(_: torch.device) -> float:
    return time.process_time()


class Clock(Callback):
    """Measures the steps of each epoch, from the first one's start to the last one's end."""

    def __init__(self, now: Now) -> None:
        self.now = now
        self.seconds: list[float] = []
        self._began = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start."""
        del trainer
        self._began = self.now(pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after the last step."""
        del outputs, batch
        if batch_idx == trainer.num_training_batches - 1:
            self.seconds.append(self.now(pl_module.device) - self._began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--cpu-time", dest="now", action="store_const", const=cpu_time)
    parser.set_defaults(now=wall_time)
    options = parser.parse_args()
    print(f"{'family':12}{'ours /s':>10}{'bare /s':>10}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder, quiet():
        prepared = random_cohort(Path(folder))
        for name in FAMILIES:
            if name != "intensity":
                compare(name, prepared, Path(folder), options)


def compare(name: str, prepared: PreparedFolder, folder: Path, options: argparse.Namespace) -> None:
    """Print one line: the best rates of both and the median ratio."""
    training = Training(max_epochs=2, batch_size=options.batch_size, slab_mm=None)
    recipe = Recipe(name=name, preparation=PREPARATION, family=Step(name=name), training=training)
    rates = [
        (ours(recipe, prepared, folder, options), bare(recipe, options))
        for _ in range(options.rounds)
    ]
    ratio = statistics.median(one / other for one, other in rates)
    best = [max(side) for side in zip(*rates, strict=True)]
    print(f"{name:12}{best[0]:10.1f}{best[1]:10.1f}{ratio:8.2f}", flush=True)


def ours(
    recipe: Recipe, prepared: PreparedFolder, folder: Path, options: argparse.Namespace
) -> float:
    """Images per second in the second epoch of a training as `anomri train` runs it."""
    family = build(recipe.family, channels=1, size=(SIDE, SIDE))
    split = split_parts(prepared, recipe.training)
    loaders = make_loaders(split, prepared, recipe, workers=0)
    steps = min(options.steps, len(loaders[0]))
    with tempfile.TemporaryDirectory(dir=folder) as run:
        trainer: Any = make_trainer(
            recipe.training,
            Path(run),
            Machine(options.device),
            progress=False,
            limit_train_batches=steps,
            limit_val_batches=1,
        )
        clock = Clock(options.now)
        trainer.callbacks.append(clock)
        trainer.fit(FamilyTraining(family, recipe.training), *loaders)
    return float(steps * recipe.training.batch_size / clock.seconds[-1])


def bare(recipe: Recipe, options: argparse.Namespace) -> float:
    """Images per second of the plain loop over batches that are already where they are needed."""
    device = torch.device(options.device)
    family = build(recipe.family, channels=1, size=(SIDE, SIDE)).to(device)
    optimizer = torch.optim.Adam(family.parameters(), lr=recipe.training.learning_rate)
    shape = (recipe.training.batch_size, 1, SIDE, SIDE)
    batches = [Batch.of(torch.randn(shape, device=device)) for _ in range(4)]
    short = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    began = 0.0
    for step in range(2 + options.steps):  # two to warm up
        if step == 2:
            began = options.now(device)
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=short):
            loss = family.losses(batches[step % 4])[TOTAL]
        torch.autograd.backward(loss)
        optimizer.step()
    return float(options.steps * recipe.training.batch_size / (options.now(device) - began))


def random_cohort(folder: Path) -> PreparedFolder:
    """Prepare subjects of smooth noise in a round brain."""
    prepared = PreparedFolder(folder / "prepared", PREPARATION, ("flair",))
    index = np.indices((SIDE, SIDE, DEPTH)) - np.array([64, 64, 32])[:, None, None, None]
    brain = np.square(index / np.array([45, 55, 31])[:, None, None, None]).sum(0) < 1
    for number in range(SUBJECTS):
        noise = gaussian_filter(np.random.default_rng(number).normal(size=brain.shape), 2)
        path = folder / f"s{number}.nii.gz"
        values = (brain * (5 + 10 * noise)).astype(np.float32)
        nib.save(nib.Nifti1Image(values, np.diag([1.4, 1.4, 2.0, 1.0])), path)
        prepared.add(
            ScanFiles(
                subject=f"s{number}", contrasts={"flair": path}, layout="folder", healthy=True
            )
        )
    return prepared


if __name__ == "__main__":
    main()
