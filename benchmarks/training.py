"""Images per second of our training against the bare PyTorch loop of the same network.

Ours reads slices from disk, augments, logs and goes through Lightning; the bare loop takes whole
batches from memory and does nothing else but the same phases with the same optimisers. The two
take turns in short blocks of steps, in one process and on the same network, so that whatever else
the machine does falls on both; the median of the blocks' ratios is what counts (at least 0.95 is
wanted).

    python benchmarks/training.py [--device cpu] [--blocks 15] [--families vae,dvae] [--cpu-time]

`--cpu-time` counts the process's own seconds, for a machine that others use too. `--compile`
compares our compiled loop with the bare one that is not.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from scipy.ndimage import gaussian_filter

from anomri.models import RECONSTRUCTORS, TOTAL, Batch, Network, build
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Preparation, Recipe, Step, Training
from anomri.scan import ScanFiles
from anomri.training.loading import make_loaders
from anomri.training.module import NetworkTraining
from anomri.training.samples import split_images
from anomri.training.trainer import Machine, make_trainer, quiet

SIDE, DEPTH, SUBJECTS = 128, 64, 6
PREPARATION = Preparation(shape=(SIDE, SIDE, None))
NETWORKS = [name for name in RECONSTRUCTORS if name != "intensity"]

# A step of these takes seconds on a CPU; what we add to a step weighs more in a small batch.
LARGE = {"ae": 4, "vae1": 4, "vae2": 4, "vqvae": 4}

Now = Callable[[torch.device], float]


def wall_time(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def cpu_time(_: torch.device) -> float:
    return time.process_time()


class BareLoop:
    """The plain loop over batches that are already where they are needed."""

    def __init__(self, network: Network, training: Training, batches: list[Batch]) -> None:
        self.network = network
        self.batches = cycle(batches)
        self.device = batches[0].image.device
        self.optimizers = [
            torch.optim.Adam(phase.parameters(), lr=training.learning_rate)
            for phase in network.phases()
        ]
        on_cuda = self.device.type == "cuda"
        self.short = on_cuda and torch.cuda.is_bf16_supported(including_emulation=False)

    def run(self, steps: int) -> None:
        """Take so many steps, each with all of the network's phases."""
        for _ in range(steps):
            batch = next(self.batches)
            for phase, optimizer in zip(self.network.phases(), self.optimizers, strict=True):
                optimizer.zero_grad()
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.short):
                    loss = phase.losses(batch)[TOTAL]
                torch.autograd.backward(loss)
                optimizer.step()


class Turns(Callback):
    """Lets the bare loop run a block of steps after each block of the trainer's, and times both.

    The trainer's block lasts from the end of the bare one to the end of its own last step, so that
    reading the batches is part of it.
    """

    def __init__(self, bare: BareLoop, *, block: int, now: Now) -> None:
        self.bare, self.block, self.now = bare, block, now
        self.pairs: list[tuple[float, float]] = []  # seconds: ours, bare
        self._began: float | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After the last step of a block, give the bare loop its turn."""
        del trainer, pl_module, outputs, batch
        if (batch_idx + 1) % self.block:
            return
        device = self.bare.device
        ended = self.now(device)
        self.bare.run(self.block)
        bare_ended = self.now(device)
        if self._began is not None:  # the first block warms up
            self.pairs.append((ended - self._began, bare_ended - ended))
        self._began = self.now(device)


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    device: str
    blocks: int
    block: int
    batch_size: int
    now: Now
    compiled: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--block", type=int, default=4, help="steps")
    parser.add_argument("--batch-size", type=int, default=32, help="of the small networks")
    parser.add_argument("--families", default=",".join(NETWORKS))
    parser.add_argument("--cpu-time", dest="now", action="store_const", const=cpu_time)
    parser.add_argument("--compile", dest="compiled", action="store_true", help="compile ours")
    parser.set_defaults(now=wall_time)
    words = vars(parser.parse_args())
    names = words.pop("families").split(",")
    print(f"{'family':14}{'batch':>6}{'ours /s':>10}{'bare /s':>10}{'ratio':>8}{'quartiles':>14}")
    with tempfile.TemporaryDirectory() as folder, quiet():
        prepared = random_cohort(Path(folder))
        for name in names:
            compare(name, prepared, Path(folder), Options(**words))


def compare(name: str, prepared: PreparedFolder, folder: Path, options: Options) -> None:
    """Print one line: the median rates of both, and the ratio's median and quartiles."""
    batch_size = LARGE.get(name, options.batch_size)
    training = Training(max_epochs=1, batch_size=batch_size, slab_mm=None)
    recipe = Recipe(name=name, preparation=PREPARATION, family=Step(name=name), training=training)
    pairs = timed(recipe, prepared, folder, options)
    images = options.block * batch_size
    rates = [images / statistics.median(side) for side in zip(*pairs, strict=True)]
    ratios = [bare / ours for ours, bare in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    quartiles = f"{low:.2f}-{high:.2f}"
    print(
        f"{name:14}{batch_size:6}{rates[0]:10.1f}{rates[1]:10.1f}{middle:8.2f}{quartiles:>14}",
        flush=True,
    )


def timed(
    recipe: Recipe, prepared: PreparedFolder, folder: Path, options: Options
) -> list[tuple[float, float]]:
    """Return the seconds of each pair of blocks in a training as `anomri train` runs it."""
    family = build(recipe.family, channels=1, size=(SIDE, SIDE))
    split = split_images(prepared, recipe.training)
    steps = options.block * (options.blocks + 1)
    often = -(-(steps + 1) * recipe.training.batch_size // len(split.train))
    split = replace(split, train=split.train * often)  # one epoch, long enough for all blocks
    loaders = make_loaders(split, prepared, recipe, workers=0)
    with tempfile.TemporaryDirectory(dir=folder) as run:
        limits = {"limit_train_batches": steps, "limit_val_batches": 1}
        trainer: Any = make_trainer(
            recipe.training, Path(run), Machine(options.device), progress=False, **limits
        )
        device = trainer.strategy.root_device
        batches = [
            Batch(images.to(device), images.to(device), 1 - marks.to(device))
            for (images, marks), _ in zip(loaders[0], range(4), strict=False)
        ]
        bare = BareLoop(family.to(device), recipe.training, batches)
        turns = Turns(bare, block=options.block, now=options.now)
        trainer.callbacks.append(turns)
        module = NetworkTraining(family, recipe.training, compiled=options.compiled)
        trainer.fit(module, *loaders)
    return turns.pairs


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
