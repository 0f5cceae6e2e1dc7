"""What a GPU does with each network: training steps, memory, whole volumes, the largest batch.

    python benchmarks/gpu.py --out gpu.json [--device cuda] [--tiny] [--only lesions]

Of each network, in single precision and in bfloat16: images (volumes) per second of training steps
on batches that are already on the device, peak memory, and seconds from a volume of 160 x 192 x 128
in the computer's memory to its reconstruction or segmentation there. Of Myronenko's segmenter with
32 filters on that volume: seconds per epoch of 285 cases, and the largest batch that fits.
benchmarks/training.py compares the whole training loop with such bare steps. Of the network of
`lesions`: seconds per synthetic patient to draw it on the device and to take a training step on it.

``--tiny`` takes one step of small networks, to check the script on a machine without a GPU. The
file is written again after each line, so that an interrupted run leaves what it measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from anomri.experiments import LesionTrainingSchedule
from anomri.experiments.pretraining.lesion_network import loss
from anomri.experiments.pretraining.patient_batches import PatientBatches
from anomri.models import (
    RECONSTRUCTORS,
    TOTAL,
    Batch,
    FoldedSegmenter,
    Network,
    Segmenter,
    build,
    build_network,
)
from anomri.recipe import Step
from anomri.synthesis import SEQUENCES, Anatomies, Anatomy

CASES = 285  # of BraTS 2018
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCH, STEPS = 16, 8
SCHEDULE = LesionTrainingSchedule()


@dataclass(frozen=True)
class Sizes:
    """Networks of slices, sides of images in voxels, filters of the segmenter, batches.

    Attributes:
        patients: sizes of the batches in which synthetic patients are drawn.
    """

    families: tuple[str, ...] = tuple(name for name in RECONSTRUCTORS if name != "intensity")
    slice: tuple[int, int] = (128, 128)
    volume: tuple[int, int, int] = (160, 192, 128)
    filters: int = 32
    batch: int = BATCH
    steps: int = STEPS
    patient: tuple[int, int, int] = SCHEDULE.shape
    patients: tuple[int, ...] = (2, 8)


TINY = Sizes(
    families=("vae",),
    slice=(64, 64),
    volume=(16, 16, 16),
    filters=8,
    batch=2,
    steps=1,
    patient=(32, 32, 32),
    patients=(2,),
)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Return the median of several rounds, after one that warms up."""
    taken = []
    for _ in range(rounds + 1):
        synchronise(device)
        start = time.perf_counter()
        run()
        synchronise(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def peak_mib(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    peak = torch.cuda.max_memory_allocated(device) / 2**20
    torch.cuda.reset_peak_memory_stats(device)
    return round(peak)


def training_step(
    network: Network, batch: Batch, precision: torch.dtype, device: torch.device
) -> Callable[[], None]:
    """Return a function that takes one step of every phase."""
    optimisers = [torch.optim.Adam(phase.parameters()) for phase in network.phases()]
    short = precision is not torch.float32

    def step() -> None:
        for phase, optimiser in zip(network.phases(), optimisers, strict=True):
            optimiser.zero_grad()
            with torch.autocast(device.type, precision, enabled=short):
                loss = phase.losses(batch)[TOTAL]
            torch.autograd.backward(loss)
            optimiser.step()

    return step


def reconstructors(sizes: Sizes, device: torch.device) -> Iterator[dict[str, Any]]:
    """Yield a line for each reconstructor of slices and each precision."""
    for name in sizes.families:
        network = build(Step(name=name), channels=1, size=sizes.slice).to(device)
        batch = Batch.of(torch.rand(sizes.batch, 1, *sizes.slice, device=device))
        for precision, kind in PRECISIONS.items():
            step = training_step(network.train(), batch, kind, device)
            taken = seconds(step, device, sizes.steps)
            line = {"network": name, "precision": precision, "batch": sizes.batch}
            line |= {"images_per_second": round(sizes.batch / taken, 1), "mib": peak_mib(device)}
            volume = torch.zeros(sizes.volume[2], 1, *sizes.slice)
            run = partial(whole_volume, network.eval().reconstruct, volume, kind, device)
            whole = seconds(run, device, 2)
            yield {**line, "whole_volume_seconds": round(whole, 4)}


def whole_volume(
    function: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    kind: torch.dtype,
    device: torch.device,
) -> None:
    """Pass images (or one volume) through a network, from the computer's memory and back."""
    with torch.inference_mode(), torch.autocast(device.type, kind, enabled=kind is torch.bfloat16):
        for part in torch.split(images, 32):
            function(part.to(device)).float().cpu()


def segmenter(sizes: Sizes, device: torch.device) -> Iterator[dict[str, Any]]:
    """Yield Myronenko's network: an epoch of 285 cases, a whole volume, and the largest batch."""
    for precision, kind in PRECISIONS.items():
        options = {"filters": sizes.filters}
        step = Step(name="regularised_segmenter", options=options)
        network = build_network(step, channels=4, size=sizes.volume).to(device)
        line: dict[str, Any] = {"network": "regularised_segmenter", "precision": precision}
        volume = torch.rand(1, 4, *sizes.volume)
        largest = 0
        for count in (1, 2, 4, 8):
            with suppress(torch.OutOfMemoryError):
                taken = seconds(volumes_step(network, volume, count, kind, device), device, 1)
                largest, line[f"epoch_seconds_batch_{count}"] = count, round(taken * CASES / count)
                line[f"mib_batch_{count}"] = peak_mib(device)
            if largest < count or sizes is TINY:
                break

        segment = cast(Segmenter, network.eval()).segment
        whole = seconds(partial(whole_volume, segment, volume, kind, device), device, 2)
        yield {**line, "largest_batch": largest, "whole_volume_seconds": round(whole, 4)}


def volumes_step(
    network: Network, volume: torch.Tensor, count: int, kind: torch.dtype, device: torch.device
) -> Callable[[], None]:
    """Return a training step on so many whole volumes and three regions."""
    images = volume.repeat(count, 1, 1, 1, 1).to(device)
    batch = Batch(images, (images[:, :3] > 0.5).float(), torch.ones_like(images[:, :1]))
    return training_step(network.train(), batch, kind, device)


def lesions(sizes: Sizes, device: torch.device) -> Iterator[dict[str, Any]]:
    """Yield the drawing of synthetic patients and the training step on them, for each batch."""
    anatomies = Anatomies.of([round_head(sizes.patient)], device)
    for precision, kind in PRECISIONS.items():
        step = Step(name="folded_segmenter", options={"filters": SCHEDULE.filters})
        built = build_network(step, channels=len(SEQUENCES), size=sizes.patient)
        network = cast(FoldedSegmenter, built)
        optimiser = torch.optim.AdamW(network.to(device).train().parameters())
        for count in sizes.patients:
            batches = PatientBatches(anatomies, seed=0, count=1_000_000, size=count)
            numbers = iter(range(len(batches)))
            draw = seconds(lambda: batches[next(numbers)], device, sizes.steps)  # noqa: B023
            image, regions = batches[0]

            def train() -> None:
                optimiser.zero_grad()  # noqa: B023
                with torch.autocast(device.type, kind, enabled=kind is torch.bfloat16):  # noqa: B023
                    torch.autograd.backward(loss(network, image, regions))  # noqa: B023
                optimiser.step()  # noqa: B023

            taken = seconds(train, device, sizes.steps)
            line = {"network": "lesions", "precision": precision, "batch": count}
            line |= {"draw_seconds_per_patient": round(draw / count, 4)}
            line |= {"step_seconds_per_patient": round(taken / count, 4)}
            yield {**line, "mib": peak_mib(device)}


def round_head(shape: tuple[int, int, int]) -> Anatomy:
    """Return an anatomy of ventricles in white matter in cortex, as large as a brain."""
    middle = [(n - 1) / 2 for n in shape]
    axes = np.meshgrid(
        *[(np.arange(n) - m) / (0.85 * m) for n, m in zip(shape, middle, strict=True)]
    )
    radius = np.sqrt(sum(np.square(axis) for axis in axes)).transpose(1, 0, 2)
    parts = [radius < 0.25, radius < 0.8, radius < 1]
    labels = np.select(parts, [51, 81, 100], 0).astype(np.uint8)
    scan = np.select(parts, [10.0, 100.0, 60.0], 0.0).astype(np.float32)
    return Anatomy.of(scan, labels, SCHEDULE.spacing, shape)


def machine(device: torch.device) -> dict[str, Any]:
    """Return what the figures depend on; nothing that names a place or a person."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"device": card, "torch": torch.__version__, "cuda": torch.version.cuda}


# The segmenter first: it is what the time on a card is most needed for.
PARTS = {"segmenter": segmenter, "lesions": lesions, "reconstructors": reconstructors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--only", choices=list(PARTS), help="one part instead of all")
    options = parser.parse_args()
    device, sizes = torch.device(options.device), TINY if options.tiny else Sizes()
    found: dict[str, Any] = {"machine": machine(device), "sizes": asdict(sizes), "lines": []}
    for part in [options.only] if options.only else PARTS:
        for line in PARTS[part](sizes, device):
            print(json.dumps(line), flush=True)
            found["lines"].append(line)
            options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
