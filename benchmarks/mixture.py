"""The neighbourhood-weighted mixture against scikit-learn's plain one, on the same voxels.

Both do the same number of steps on a whole 240 x 240 x 155 volume; the ratio is what the
neighbours cost (below 1: nothing). Run ``python benchmarks/mixture.py``.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from anomri.postprocessing import MixtureFit, fit_mixture
from anomri.scan import Mask, Volume

SHAPE = (240, 240, 155)
STEPS = 10


def residual() -> tuple[Volume, Mask]:
    """Return smooth noise with a bright ball, in an ellipsoid of 1.5 million voxels."""
    grid = np.indices(SHAPE, dtype=np.float32)
    centre = np.array([120, 120, 77], np.float32)[:, None, None, None]
    half = np.array([68, 82, 66], np.float32)[:, None, None, None]
    brain: Mask = (((grid - centre) / half) ** 2).sum(axis=0) < 1
    ball = ((grid - centre - 20) ** 2).sum(axis=0) < 22**2
    noise = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    values = ndimage.gaussian_filter(noise, 1) * 6 + 3 * ball
    return np.where(brain, values, 0).astype(np.float32), brain


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def weighted(values: Volume, brain: Mask) -> MixtureFit:
    return fit_mixture(values, brain, max_iterations=STEPS, tolerance=0)


def plain(values: Volume, brain: Mask) -> GaussianMixture:
    model = GaussianMixture(2, max_iter=STEPS, tol=0, init_params="random_from_data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(values[brain].reshape(-1, 1))


def main() -> None:
    values, brain = residual()
    ours = seconds(lambda: weighted(values, brain))
    theirs = seconds(lambda: plain(values, brain))
    converged = fit_mixture(values, brain)
    whole = seconds(lambda: fit_mixture(values, brain))
    print(f"{brain.sum():,} brain voxels of {' x '.join(map(str, SHAPE))}")
    print(f"{'':44}{'steps':>6}{'seconds':>9}{'ratio':>7}")
    print(f"{'scikit-learn, plain':44}{STEPS:6}{theirs:9.2f}{1:7.2f}")
    print(f"{'anomri, neighbourhood-weighted':44}{STEPS:6}{ours:9.2f}{ours / theirs:7.2f}")
    print(f"{'anomri, until it stands still':44}{converged.iterations:6}{whole:9.2f}")


if __name__ == "__main__":
    main()
