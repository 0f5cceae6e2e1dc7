"""From residuals to regions beside the networks' own time, on a whole 240 x 240 x 155 volume.

Paper A's path for two contrasts: the mixture, an opening and a closing of each map at 1 mm, both
maps at the same time as in detection, then the region step. It should take no longer than the
forward passes of the two networks that made the residuals. As in detection these see slices of
128 x 128 pixels, 32 at a time, and only those that hold brain. Detection itself is kinder: there
the maps have 128 x 128 x 155 voxels too.

How long the mixture takes depends on how many steps it needs, so there are two pairs of maps: a
clear tumour, and a faint one that takes about as many steps as residuals of real scans do.

Both sides are timed in turn, in one run, on as many threads as ``OMP_NUM_THREADS`` says; the least
of several rounds counts, in seconds by the clock and in seconds of all cores together. On a
machine with other work the second is the steadier one, but only with one thread: PyTorch's
threads wait for each other at full speed. Run ``OMP_NUM_THREADS=2 python benchmarks/regions.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from scipy import ndimage

from anomri.models import build
from anomri.postprocessing import (
    MASK_STEPS,
    SEGMENTATION_METHODS,
    Regions,
    SegmentationState,
    fit_mixture,
    run_in_parallel,
)
from anomri.postprocessing.regions import hull
from anomri.recipe import Step, call

SHAPE = (240, 240, 155)
RECONSTRUCTORS = ("vae", "dvae")
REPEATS = 7
MIXTURE = Step(name="mixture")
# How much brighter the tumour is, in standard deviations of the tissue around it.
BRIGHTNESS = {"clear": 5.0, "faint": 3.0}
MORPHOLOGY = (Step(name="open", options={"mm": 1.5}), Step(name="close", options={"mm": 1.5}))


def maps(brightness: float) -> list[SegmentationState]:
    """Return smooth noise with a tumour: a ball in one map, the shell around its core in one."""
    grid = np.indices(SHAPE, dtype=np.float32)
    centre = np.array([120, 120, 77], np.float32)[:, None, None, None]
    half = np.array([68, 82, 66], np.float32)[:, None, None, None]
    brain = (((grid - centre) / half) ** 2).sum(axis=0) < 1
    distance = np.sqrt(((grid - centre - 20) ** 2).sum(axis=0))
    empty = np.zeros(SHAPE, np.float32)
    found = []
    for seed, shape in enumerate((distance < 30, (distance < 20) & (distance > 14))):
        noise = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
        values = ndimage.gaussian_filter(noise, 1) * 6 + brightness * shape
        found.append(SegmentationState(empty, brain, (1.0, 1.0, 1.0), 1e-3).with_values(values))
    return found


def mixed(state: SegmentationState) -> SegmentationState:
    return call(SEGMENTATION_METHODS, MIXTURE, state, 0.0)


def masked(state: SegmentationState) -> SegmentationState:
    decided = mixed(state)
    for step in MORPHOLOGY:
        decided = call(MASK_STEPS, step, decided)
    return decided


def named(whole: SegmentationState, enhancing: SegmentationState) -> Regions:
    return hull(whole, enhancing)


def reconstruct(name: str, slices: int) -> Callable[[], object]:
    """Return the work of taking some slices through an untrained network."""
    family = build(Step(name=name), channels=1, size=(128, 128)).eval()
    family.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(slices, 1, 128, 128)

    def work() -> None:
        with torch.inference_mode():
            for batch in torch.split(images, 32):
                family.reconstruct(batch)

    return work


def twice(work: Callable[[], object]) -> Callable[[], object]:
    return lambda: (work(), work())


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds by the clock and of all cores together."""
    clock, cores = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cores


def postprocessing(
    name: str, whole: SegmentationState, enhancing: SegmentationState
) -> dict[str, Callable[[], object]]:
    """Return the work on one pair of maps."""
    decided = [masked(whole), replace(masked(enhancing), values=enhancing.values)]
    steps = [fit_mixture(one.values, one.brain).iterations for one in (whole, enhancing)]
    print(f"{name} tumour: {steps[0]} and {steps[1]} steps of the mixture")
    return {
        f"{name}: mixture": lambda: run_in_parallel(lambda: mixed(whole), lambda: mixed(enhancing)),
        f"{name}: with morphology": lambda: run_in_parallel(
            lambda: masked(whole), lambda: masked(enhancing)
        ),
        f"{name}: regions": lambda: named(*decided),
    }


def main() -> None:
    pairs = {name: maps(brightness) for name, brightness in BRIGHTNESS.items()}
    slices = int(pairs["clear"][0].brain.any(axis=(0, 1)).sum())
    work: dict[str, Callable[[], object]] = {}
    for name, pair in pairs.items():
        work |= postprocessing(name, *pair)
    work |= {f"forward, {name}": twice(reconstruct(name, slices)) for name in RECONSTRUCTORS}
    rounds = [{name: seconds(one) for name, one in work.items()} for _ in range(REPEATS)]
    best = {name: np.min([one[name] for one in rounds], axis=0) for name in work}
    print(f"{torch.get_num_threads()} threads, {slices} slices; seconds by the clock, of all cores")
    for tumour in BRIGHTNESS:
        best[f"{tumour}: residual to regions"] = (
            best[f"{tumour}: with morphology"] + best[f"{tumour}: regions"]
        )
    for name, (clock, cores) in best.items():
        print(f"{name:28}{clock:8.2f}{cores:8.2f}")
    for tumour, name in product(BRIGHTNESS, RECONSTRUCTORS):
        clock, cores = best[f"{tumour}: residual to regions"] / best[f"forward, {name}"]
        print(f"{f'{tumour}: over forward, {name}':28}{clock:8.2f}{cores:8.2f}")


if __name__ == "__main__":
    main()
