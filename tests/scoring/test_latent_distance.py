"""Distances of codes, against scipy; thresholds of slices, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from anomri.errors import UsageError
from anomri.models import build
from anomri.recipe import Step
from anomri.scan import Scan
from anomri.scoring import (
    MAHALANOBIS,
    MEAN_RESIDUAL,
    LatentStatistics,
    SliceFits,
    encode_slices,
    latent_distances,
)

CPU = torch.device("cpu")


def codes(seed: int = 0, n: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).normal(2, [1, 3, 0.5], (n, 3)).astype(np.float32)


def test_distance_is_scipys_with_a_diagonal_covariance() -> None:
    statistics = LatentStatistics.of(codes(), ("a",))
    inverse = np.diag(1 / codes().astype(np.float64).var(axis=0))
    expected = [mahalanobis(code, statistics.mean, inverse) for code in codes(1)]
    np.testing.assert_allclose(statistics.distances(codes(1)), expected, rtol=1e-6)


def test_a_number_that_never_changes_does_not_drown_the_others() -> None:
    still = codes()
    still[:, 1] = 5
    statistics = LatentStatistics.of(still, ())
    assert np.isfinite(statistics.distances(still)).all()
    assert np.isfinite(LatentStatistics.of(still * 0, ()).distances(still * 0)).all()


def test_statistics_are_data_on_disk(tmp_path: Path) -> None:
    statistics = LatentStatistics.of(codes(), ("sub a", "b"))
    statistics.save(tmp_path / "codes.safetensors")
    again = LatentStatistics.load(tmp_path / "codes.safetensors")
    np.testing.assert_array_equal(again.mean, statistics.mean)
    np.testing.assert_array_equal(again.variance, statistics.variance)
    assert (again.slices, again.subjects) == (30, ("sub a", "b"))
    assert [path.name for path in tmp_path.iterdir()] == ["codes.safetensors"]


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "codes.safetensors").write_bytes(b"no")
    with pytest.raises(UsageError, match="anomri calibrate"):
        LatentStatistics.load(tmp_path / "codes.safetensors")


def test_every_slice_with_brain_has_a_code(ball_scan: Scan) -> None:
    torch.manual_seed(0)
    family = build(Step(name="vae"), channels=1, size=(64, 64)).eval()
    encoded = encode_slices(family, ball_scan, device=CPU, batch_size=7)
    assert encoded is not None
    held, found = encoded
    np.testing.assert_array_equal(held, np.flatnonzero(ball_scan.brain.any(axis=(0, 1))))
    image = np.zeros((64, 64), np.float32)
    image[8:56, 6:58] = ball_scan.image[0, :, :, held[3]]
    with torch.inference_mode():
        alone = family.encode(torch.from_numpy(image)[None, None]).mean  # type: ignore[operator]
    np.testing.assert_allclose(found[3], alone.flatten().numpy(), atol=1e-4)
    statistics = LatentStatistics.of(found, ("ball",))
    distances = latent_distances(family, ball_scan, statistics, device=CPU)
    assert distances is not None
    np.testing.assert_array_equal(~np.isnan(distances), ball_scan.brain.any(axis=(0, 1)))
    np.testing.assert_allclose(distances[held], statistics.distances(found), rtol=1e-4)


def test_statistics_of_another_network_are_refused(ball_scan: Scan) -> None:
    family = build(Step(name="vae1px"), channels=1, size=(128, 128)).eval()
    with pytest.raises(UsageError, match="calibrate"):
        latent_distances(family, ball_scan, LatentStatistics.of(codes(), ()), device=CPU)


def test_what_has_no_code_per_slice_has_no_distance(ball_scan: Scan) -> None:
    empty = replace(ball_scan, brain=np.zeros_like(ball_scan.brain))
    assert (
        encode_slices(build(Step(name="intensity"), channels=1, size=()), ball_scan, device=CPU)
        is None
    )
    family = build(Step(name="vae"), channels=1, size=(64, 64))
    assert encode_slices(family, empty, device=CPU) is None


@pytest.mark.parametrize(("asked", "residual", "codes_"), [(None, 0, 2), (2, 2, 2), (-1, -1, -1)])
def test_thresholds_lie_some_deviations_above_healthy_slices(
    asked: float | None, residual: float, codes_: float
) -> None:
    fits = SliceFits(asked)
    fits.add("a", np.array([1.0, 3.0]), codes()[:2])
    fits.add("nobody", np.zeros(0))
    fits.add("b", np.array([5.0]), codes()[2:3])
    thresholds = fits.thresholds()
    assert thresholds[MEAN_RESIDUAL].value == pytest.approx(3 + residual * np.sqrt(8 / 3))
    assert thresholds[MEAN_RESIDUAL].fitted_on == ("a", "b")
    statistics = LatentStatistics.of(codes()[:3], ())
    distances = statistics.distances(codes()[:3])
    expected = distances.mean() + codes_ * distances.std()
    assert thresholds[MAHALANOBIS].value == pytest.approx(expected)


def test_without_codes_there_is_one_threshold_and_without_slices_none() -> None:
    fits = SliceFits()
    assert fits.thresholds() == {}
    fits.add("a", np.array([1.0, 3.0]))
    assert set(fits.thresholds()) == {MEAN_RESIDUAL}
    assert fits.statistics() is None
