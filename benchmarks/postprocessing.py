"""From map to mask on a whole 240 x 240 x 155 volume at 1 mm, step by step.

Run ``python benchmarks/postprocessing.py``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from anomri.postprocessing import MAP_STEPS, MASK_STEPS, SEGMENTATION_METHODS, SegmentationState
from anomri.recipe import Recipe, Step, call

SHAPE = (240, 240, 155)
EXTRA = (Step(name="open", options={"mm": 1}), Step(name="largest"))


def state() -> SegmentationState:
    """Return smooth noise with a bright ball, in an ellipsoid of 1.5 million voxels."""
    grid = np.indices(SHAPE, dtype=np.float32)
    centre = np.array([120, 120, 77], np.float32)[:, None, None, None]
    half = np.array([68, 82, 66], np.float32)[:, None, None, None]
    brain = (((grid - centre) / half) ** 2).sum(axis=0) < 1
    ball = ((grid - centre - 20) ** 2).sum(axis=0) < 22**2
    noise = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    values = ndimage.gaussian_filter(noise, 1) + ball
    empty = np.zeros(SHAPE, np.float32)
    return SegmentationState(empty, brain, (1.0, 1.0, 1.0), 1e-3).with_values(values)


def timed(state: SegmentationState) -> Iterator[tuple[str, float]]:
    """Yield the steps of the ``intensity`` recipe, the mixture and a few more, with seconds."""
    section = Recipe.load("intensity").detection
    for step in section.clean:
        start = time.perf_counter()
        state = call(MAP_STEPS, step, state)
        yield step.name, time.perf_counter() - start
    for decision in (Step(name="above"), Step(name="mixture"), section.decide):
        start = time.perf_counter()
        decided = call(SEGMENTATION_METHODS, decision, state, 4.0)
        yield decision.name, time.perf_counter() - start
    for step in (*section.refine, *EXTRA):
        start = time.perf_counter()
        decided = call(MASK_STEPS, step, decided)
        yield step.name, time.perf_counter() - start


def main() -> None:
    rows = list(timed(state()))
    for name, seconds in rows:
        print(f"{name:16}{seconds:8.3f} s")
    print(f"{'all':16}{sum(seconds for _, seconds in rows):8.3f} s")


if __name__ == "__main__":
    main()
