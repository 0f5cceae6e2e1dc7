"""The loss of Lambert et al. 2021, eq. (2): by hand, on disk, and what it is for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from anomri.errors import RecipeError
from anomri.models import RECONSTRUCTORS, Batch, Reconstructor, build, load_weights, save_weights
from anomri.models.collapse_robust import CollapseRobust
from anomri.models.latents import Gaussian
from anomri.models.losses import VariationalLoss
from anomri.recipe import Step

L1 = VariationalLoss(reconstruction="l1", kl_weight=1)


def latent() -> Gaussian:
    return Gaussian(torch.full((1, 2), 2.0), torch.ones(1, 2))  # a divergence of 2


def step(loss: CollapseRobust, error: float) -> dict[str, float]:
    """Minimise once where every voxel is wrong by ``error``."""
    batch = Batch.of(torch.zeros(1, 1, 4, 4))
    named = loss.losses(batch, torch.full((1, 1, 4, 4), error), latent())
    return {name: float(value) for name, value in named.items()}


def test_sigma_is_the_mean_of_the_last_values() -> None:
    loss, errors = CollapseRobust(L1, window=3), [4.0, 2.0, 3.0, 7.0, 5.0]
    sigmas = [step(loss, error)["sigma"] for error in errors]
    assert sigmas == pytest.approx([4, 3, 3, 4, 5])


def test_beta_climbs_in_the_first_half_of_each_cycle() -> None:
    loss = CollapseRobust(L1, cycle=8)
    betas = [step(loss, 1.0)["beta"] for _ in range(16)]
    assert betas == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1, 1, 1] * 2)


def test_the_terms_are_put_together_as_in_equation_2() -> None:
    loss = CollapseRobust(L1, cycle=4, window=2)
    step(loss, 4.0)
    second = step(loss, 2.0)  # Sigma 3, beta 0.5
    assert second["reconstruction"] == pytest.approx(2)
    assert second["kl"] == pytest.approx(2, rel=1e-4)
    assert second["loss"] == pytest.approx(2 / 3 + 0.5 * 2, rel=1e-4)


def test_sigma_has_no_gradient() -> None:
    output = torch.full((1, 1, 4, 4), 3.0, requires_grad=True)
    loss = CollapseRobust(L1)
    named = loss.losses(Batch.of(torch.zeros(1, 1, 4, 4)), output, latent())
    torch.autograd.backward(named["loss"])
    assert output.grad is not None
    assert float(output.grad.sum()) == pytest.approx(1 / 3)  # 0 if Sigma were differentiated


def test_evaluation_changes_nothing_and_compares_reconstructions() -> None:
    loss = CollapseRobust(L1)
    step(loss, 4.0)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    named = step(loss.eval(), 2.0)
    assert (named["loss"], set(named)) == (2, {"loss", "reconstruction", "kl"})
    torch.testing.assert_close(loss.state_dict(), before, equal_nan=True)


def test_context_encoding_is_divided_by_sigma_too() -> None:
    loss = CollapseRobust(VariationalLoss(reconstruction="l1", kl_weight=1, context_weight=0.5))
    batch = Batch.of(torch.zeros(1, 1, 4, 4))
    first = loss.losses(batch, torch.full((1, 1, 4, 4), 4.0), latent())
    added = loss.with_context(first, batch, torch.full((1, 1, 4, 4), 6.0))
    assert float(added["context"]) == 6
    assert float(added["loss"] - first["loss"]) == pytest.approx(0.5 * 6 / 4)


@pytest.mark.parametrize("option", [{"cycle": 0}, {"window": 0}, {"window": 2.5}])
def test_counts_must_be_counts(option: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match=f"{next(iter(option))}: expected a number of steps"):
        build(family(**option), channels=1, size=(32, 32))
    with pytest.raises(RecipeError, match="loss: expected one of plain, collapse_robust"):
        build(family("robust"), channels=1, size=(32, 32))


def family(loss: str = "collapse_robust", /, **options: float) -> Step:
    return Step(name="dense_vae", options={"loss": loss, "reconstruction": "l1", **options})


def test_the_place_in_the_cycle_is_saved_with_the_weights(tmp_path: Path) -> None:
    network = build(family(), channels=1, size=(32, 32))
    batch = Batch.of(torch.rand(2, 1, 32, 32))
    for _ in range(3):
        network.losses(batch)
    save_weights(network, tmp_path / "weights.safetensors")
    other = build(family(), channels=1, size=(32, 32))
    load_weights(other, tmp_path / "weights.safetensors")
    torch.manual_seed(0)
    expected = network.losses(batch)
    torch.manual_seed(0)
    got = other.losses(batch)
    assert float(expected["beta"]) == pytest.approx(6 / 50)
    torch.testing.assert_close(dict(got), dict(expected))


@pytest.mark.parametrize("name", [name for name in RECONSTRUCTORS if name != "intensity"])
def test_it_composes_with_every_family(name: str) -> None:
    step = Step(name=name, options={"loss": "collapse_robust", "reconstruction": "mse"})
    network = build(step, channels=1, size=(128, 128))
    for phase in network.phases():
        phase.losses(Batch.of(torch.rand(2, 1, 128, 128)))
    states = [
        value for key, value in network.state_dict().items() if key.endswith("objective.step")
    ]
    assert [int(value) for value in states] == [1]
    assert network.losses(Batch.of(torch.rand(2, 1, 128, 128)))["sigma"] > 0


def blobs() -> Tensor:
    """Sixty-four images of one faint blob each, whose place and size differ.

    Faint as differences between brains are, in intensities from 0 to 1.
    """
    rng = np.random.default_rng(0)
    grid = np.indices((32, 32))
    centres, widths = rng.uniform(8, 24, (64, 2)), rng.uniform(2, 6, 64)
    distance = np.square(grid[None] - centres[:, :, None, None]).sum(1)
    images = 0.1 * np.exp(-distance / (2 * np.square(widths)[:, None, None]))
    return torch.from_numpy(images[:, None].astype(np.float32))


def active_units(network: Reconstructor, images: Tensor) -> int:
    """Count latent dimensions whose mean varies over the data by more than 0.01 (Burda et al.)."""
    with torch.inference_mode():
        means = network.eval().encode(images).mean.flatten(1)  # type: ignore[operator]
    return int((means.var(0) > 0.01).sum())


def trained(loss: str, images: Tensor) -> Reconstructor:
    torch.manual_seed(0)
    network = build(family(loss, kl_weight=1), channels=1, size=(32, 32))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        batch = Batch.of(images[torch.randint(0, 64, (16,))])
        torch.autograd.backward(network.losses(batch)["loss"])
        optimizer.step()
    return network


STEPS = 200


def test_equation_1_collapses_where_equation_2_does_not() -> None:
    """Both with the same reductions; of 128 latent dimensions 0 and more than 64 are in use."""
    images = blobs()
    collapsed, robust = (trained(loss, images) for loss in ("plain", "collapse_robust"))
    assert active_units(collapsed, images) == 0
    assert active_units(robust, images) > 64
    with torch.inference_mode():
        errors = [(n.reconstruct(images) - images).abs().mean() for n in (collapsed, robust)]
    assert errors[1] < 0.9 * errors[0]
