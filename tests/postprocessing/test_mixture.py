"""The neighbourhood-weighted mixture against a plain loop over eqs. (1) and (2)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from anomri.postprocessing import fit_mixture
from anomri.postprocessing.gaussians import Gaussians, fit_plain
from anomri.postprocessing.neighbourhood import exponentials

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]


def density(x: float, mean: float, variance: float) -> float:
    return math.exp(-((x - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def neighbours(brain: Bool, i: int, j: int, k: int) -> list[tuple[int, int, int]]:
    found = []
    for a in (i - 1, i, i + 1):
        for b in (j - 1, j, j + 1):
            inside = 0 <= a < brain.shape[0] and 0 <= b < brain.shape[1]
            if (a, b) != (i, j) and inside and brain[a, b, k]:
                found.append((a, b, k))
    return found


def looped(values: Array, brain: Bool, start: Gaussians, steps: int) -> tuple[Array, list[Array]]:
    """Do what the paper writes, voxel by voxel, and return p(1 | x) and the parameters."""
    alpha, mean, variance = start.weights, start.means, start.variances
    voxels = [tuple(map(int, v)) for v in np.argwhere(brain)]
    posterior = np.zeros((*values.shape, 2))
    for v in voxels:
        joint = [alpha[k] * density(values[v], mean[k], variance[k]) for k in (0, 1)]
        posterior[v] = np.array(joint) / sum(joint)
    for _ in range(steps):
        following = np.zeros_like(posterior)
        for v in voxels:
            around = neighbours(brain, *v)
            weight = [
                sum(posterior[n][k] for n in around) / len(around) if around else 0.5
                for k in (0, 1)
            ]
            joint = [
                alpha[k] * weight[k] * density(values[v], mean[k], variance[k]) for k in (0, 1)
            ]
            following[v] = np.array(joint) / sum(joint)
        posterior = following
        x, p = values[brain], posterior[brain]
        alpha = p.mean(axis=0)
        mean = (p * x[:, None]).sum(axis=0) / p.sum(axis=0)
        variance = (p * (x[:, None] - mean) ** 2).sum(axis=0) / p.sum(axis=0)
    return posterior[..., 1], [alpha, mean, variance]


def field(seed: int, shape: tuple[int, int, int] = (9, 8, 3)) -> tuple[Array, Bool]:
    """Overlapping components, a brain with holes and a voxel on its own."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, shape)
    values[2:6, 2:5] += 2.5
    brain = rng.random(shape) > 0.2
    brain[-3:, -3:, 0] = False
    brain[-2, -2, 0] = True
    return values, brain


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), steps=st.integers(1, 6))
def test_equals_a_plain_loop_over_the_papers_equations(seed: int, steps: int) -> None:
    values, brain = field(seed)
    stored = values.astype(np.float32)
    x = stored[brain].astype(np.float64)
    shift, scale = x.mean(), x.std()
    standard = np.where(brain, (stored - shift) / scale, 0)
    start = fit_plain(np.sort(standard[brain]), steps, 0)
    expected, (alpha, mean, variance) = looped(standard, brain, start, steps)
    assume(min(alpha) * brain.sum() >= 1)  # else the last step is not taken: a component vanished
    fit = fit_mixture(stored, brain, max_iterations=steps, tolerance=0)
    if mean[0] > mean[1]:
        expected, alpha, mean, variance = brain - expected, alpha[::-1], mean[::-1], variance[::-1]
    np.testing.assert_allclose(fit.posterior, expected, atol=1e-6)
    np.testing.assert_allclose(fit.weights, alpha, atol=1e-6)
    np.testing.assert_allclose(fit.means, mean * scale + shift, atol=1e-6)
    np.testing.assert_allclose(fit.deviations, np.sqrt(variance) * scale, atol=1e-6)
    assert fit.iterations == steps


@pytest.fixture(scope="module")
def planted() -> Bool:
    truth = np.zeros((60, 60, 6), bool)
    truth[10:25, 30:50] = True
    return truth


@pytest.fixture(scope="module")
def planted_values(planted: Bool) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    values = np.where(planted, rng.normal(3, 0.7, planted.shape), rng.normal(0, 1, planted.shape))
    return values.astype(np.float32)


def test_recovers_a_planted_field(planted: Bool, planted_values: NDArray[np.float32]) -> None:
    fit = fit_mixture(planted_values, np.ones_like(planted))
    wrong = (fit.posterior > 0.5) != planted
    alone = (planted_values > 1.7) != planted
    assert wrong.mean() < 0.01
    assert wrong.sum() < alone.sum() / 3  # the neighbours are worth something
    np.testing.assert_allclose(fit.means, [0, 3], atol=0.15)
    np.testing.assert_allclose(fit.deviations, [1, 0.7], atol=0.1)
    np.testing.assert_allclose(fit.weights, [1 - planted.mean(), planted.mean()], atol=0.01)


def test_plain_fit_is_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(-0.4, 0.5, 30_000), rng.normal(2, 0.8, 6_000)])
    ours = fit_plain(np.sort(values), 1000, 1e-10)
    theirs = GaussianMixture(2, tol=1e-10, max_iter=1000, random_state=0).fit(values[:, None])
    order = np.argsort(theirs.means_[:, 0])
    np.testing.assert_allclose(ours.means, theirs.means_[order, 0], atol=2e-3)
    np.testing.assert_allclose(ours.variances, theirs.covariances_[order, 0, 0], atol=2e-3)
    np.testing.assert_allclose(ours.weights, theirs.weights_[order], atol=2e-3)


def test_slices_do_not_see_each_other() -> None:
    values, brain = field(4, (12, 12, 5))
    stored = values.astype(np.float32)
    order = np.array([3, 0, 4, 1, 2])
    fit = fit_mixture(stored, brain)
    shuffled = fit_mixture(stored[:, :, order], brain[:, :, order])
    np.testing.assert_allclose(shuffled.posterior, fit.posterior[:, :, order], atol=1e-9)


def test_units_do_not_matter() -> None:
    values, brain = field(5, (12, 12, 5))
    fit = fit_mixture(values.astype(np.float32), brain)
    scaled = fit_mixture((values * 400 - 30).astype(np.float32), brain)
    np.testing.assert_allclose(scaled.posterior, fit.posterior, atol=1e-4)
    np.testing.assert_allclose(scaled.means, fit.means * 400 - 30, rtol=1e-4)


def test_a_voxel_without_neighbours_counts_both_components_alike() -> None:
    brain = np.zeros((7, 7, 2), bool)
    brain[::2, ::2] = True
    values = np.where(np.arange(7)[:, None, None] < 3, 0.0, 4.0) + 0.1 * field(2, (7, 7, 2))[0]
    fit = fit_mixture(values.astype(np.float32), brain)
    np.testing.assert_array_equal(fit.posterior > 0.5, brain & (values > 2))


@pytest.mark.parametrize("voxels", [0, 1, 2, 3])
def test_survives_hardly_any_brain(voxels: int) -> None:
    brain = np.zeros((4, 4, 2), bool)
    brain.flat[:voxels] = True
    values = np.arange(32, dtype=np.float32).reshape(4, 4, 2)
    fit = fit_mixture(values, brain)
    assert np.isfinite(fit.posterior).all()
    assert not fit.posterior[~brain].any()


def test_a_component_may_vanish() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(0, 1, (40, 40, 3)).astype(np.float32)
    values[20, 20, 1] = 300.0  # one voxel against all its neighbours
    fit = fit_mixture(values, np.ones(values.shape, bool))
    assert np.isfinite(fit.posterior).all()
    assert np.isfinite([fit.means, fit.deviations, fit.weights]).all()


def test_half_of_the_values_may_be_equal() -> None:
    values = np.maximum(field(8, (20, 20, 3))[0], 0).astype(np.float32)
    fit = fit_mixture(values, np.ones(values.shape, bool))
    assert np.isfinite(fit.posterior).all()
    assert 0 < (fit.posterior > 0.5).mean() < 1


def test_stops_when_the_likelihood_stands_still(planted_values: NDArray[np.float32]) -> None:
    brain = np.ones(planted_values.shape, bool)
    loose = fit_mixture(planted_values, brain, tolerance=1e-2)
    tight = fit_mixture(planted_values, brain, tolerance=1e-7)
    assert 1 < loose.iterations < tight.iterations < 100
    assert fit_mixture(planted_values, brain, tolerance=0, max_iterations=3).iterations == 3


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values, brain = field(7, (40, 30, 5))
    stored = values.astype(np.float32)
    fits = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        fits.append(fit_mixture(stored, brain, tolerance=0, max_iterations=5))
    np.testing.assert_array_equal(fits[0].posterior, fits[1].posterior)
    np.testing.assert_array_equal(fits[0].means, fits[1].means)


def test_components_may_lie_far_apart(planted: Bool) -> None:
    """Where the odds are beyond all numbers the posterior is 0 or 1, and the steps still end."""
    values = np.random.default_rng(3).normal(0, 1, planted.shape).astype(np.float32)
    values[planted] = values[planted] * 0.2 + 60
    fit = fit_mixture(values, np.ones_like(planted))
    np.testing.assert_allclose(fit.posterior, planted, atol=1e-30)
    np.testing.assert_allclose(fit.means, [values[~planted].mean(), values[planted].mean()], 1e-3)
    assert fit.iterations < 5


def test_exponentials_are_right_to_single_precision_of_their_value() -> None:
    exponents = np.linspace(-84, 84, 9001)
    found, beyond = exponentials(exponents.copy())
    np.testing.assert_allclose(found, np.exp(exponents), rtol=3e-7)
    assert beyond == 0
    found, beyond = exponentials(np.array([-500.0, 0.0, 90.0, 185.0]))
    np.testing.assert_allclose(np.log(found), [-85, 0, 85, 85], rtol=1e-6)
    assert beyond == 105
