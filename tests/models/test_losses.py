"""Each term against an outside reference or a case worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from anomri.errors import RecipeError
from anomri.models import Batch
from anomri.models.latents import Gaussian, Point, Quantised
from anomri.models.losses import (
    KL,
    RECONSTRUCTION,
    CodebookLoss,
    ReconstructionLoss,
    VariationalLoss,
    erase,
    kl_mean,
    kl_sum,
    l1,
    mse,
    ssim,
    ssim_map,
)

Pair = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(params=[(40, 33), (18, 21, 16)], ids=["2d", "3d"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """A noisy output, its target and a weight of ones."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 2, *request.param, generator=generator)
    noise = torch.randn(target.shape, generator=generator)
    return target + 0.3 * noise, target, torch.ones_like(target[:, :1])


def test_means_of_hand_worked_differences() -> None:
    output, target = torch.tensor([[[[0.0, 2.0]]]]), torch.tensor([[[[1.0, 5.0]]]])
    both, first = torch.ones(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    assert mse(output, target, both) == pytest.approx((1 + 9) / 2)
    assert l1(output, target, both) == pytest.approx((1 + 3) / 2)
    assert mse(output, target, first) == pytest.approx(1)
    assert l1(output, target, first) == pytest.approx(1)


def test_ssim_map_is_that_of_skimage(pair: Pair) -> None:
    output, target, _ = pair
    ours = ssim_map(output, target, data_range=6.0)
    for image, channel in np.ndindex(2, 2):
        value, theirs = structural_similarity(
            output[image, channel].double().numpy(),
            target[image, channel].double().numpy(),
            gaussian_weights=True,
            use_sample_covariance=False,
            data_range=6.0,
            full=True,
        )
        here = ours[image, channel].numpy()
        np.testing.assert_allclose(here, theirs, atol=1e-5)
        interior = here[(slice(5, -5),) * here.ndim]
        assert interior.mean() == pytest.approx(value, abs=1e-5)


def test_ssim_takes_each_images_own_span(pair: Pair) -> None:
    output, target, weight = pair
    spans = [float(image.max() - image.min()) for image in target]
    maps = [
        ssim_map(output[n : n + 1], target[n : n + 1], data_range=span)
        for n, span in enumerate(spans)
    ]
    assert ssim(output, target, weight) == pytest.approx(1 - float(torch.cat(maps).mean()))


@pytest.mark.parametrize("name", RECONSTRUCTION)
def test_a_perfect_output_costs_nothing(name: str, pair: Pair) -> None:
    _, target, weight = pair
    assert RECONSTRUCTION[name](target, target, weight) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", RECONSTRUCTION)
def test_nothing_is_learnt_where_the_weight_is_zero(name: str, pair: Pair) -> None:
    output, target, weight = (tensor.clone() for tensor in pair)
    weight[:, :, 4:9] = 0
    output.requires_grad_()
    loss = RECONSTRUCTION[name](output, target, weight)
    torch.autograd.backward(loss)
    assert output.grad is not None
    assert output.grad[:, :, 4:9].abs().max() == 0
    assert output.grad[:, :, 12:].abs().max() > 0


@pytest.mark.parametrize("name", RECONSTRUCTION)
def test_empty_images_and_weights_stay_finite(name: str) -> None:
    nothing = torch.zeros(1, 1, 16, 16, requires_grad=True)
    for weight in (torch.zeros(1, 1, 16, 16), torch.ones(1, 1, 16, 16)):
        loss = RECONSTRUCTION[name](nothing, torch.zeros_like(nothing), weight)
        torch.autograd.backward(loss)
        assert loss.detach() == 0
        assert nothing.grad is not None
        assert nothing.grad.isfinite().all()


def test_ssim_keeps_its_digits_under_autocast(pair: Pair) -> None:
    plain = ssim(*pair)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ssim(*pair) == pytest.approx(float(plain), abs=1e-7)


def test_kl_is_that_of_torch_distributions() -> None:
    generator = torch.Generator().manual_seed(1)
    mean, deviation = torch.randn(2, 3, 4, 5, 6, generator=generator)
    deviation = deviation.abs() + 0.1  # the smallest variance added for safety is then nothing
    latent = Gaussian(mean, -deviation)
    theirs = kl_divergence(Normal(mean, deviation), Normal(0, 1))
    assert kl_mean(mean, latent.log_variance) == pytest.approx(float(theirs.mean()), rel=1e-4)
    assert kl_sum(mean, latent.log_variance) == pytest.approx(
        float(theirs.sum((1, 2, 3)).mean()), rel=1e-4
    )


@pytest.mark.parametrize("reduction", KL)
def test_kl_of_a_vanishing_deviation_is_finite(reduction: str) -> None:
    deviation = torch.zeros(2, 3, requires_grad=True)
    latent = Gaussian(torch.zeros(2, 3), deviation)
    divergence = KL[reduction](latent.mean, latent.log_variance)
    torch.autograd.backward(divergence)
    expected = 0.5 * (1e-6 - math.log(1e-6) - 1) * (3 if reduction == "sum" else 1)
    assert float(divergence.detach()) == pytest.approx(expected)
    assert deviation.grad is not None
    assert deviation.grad.isfinite().all()


def test_codes_are_drawn_around_the_mean() -> None:
    torch.manual_seed(0)
    latent = Gaussian(torch.full((1, 20_000), 3.0), torch.full((1, 20_000), -0.5))
    code = latent.sample()
    assert float(code.mean()) == pytest.approx(3.0, abs=0.02)
    assert float(code.std()) == pytest.approx(0.5, abs=0.02)


def test_variational_loss_adds_the_weighted_divergence(pair: Pair) -> None:
    output, target, weight = pair
    latent = Gaussian(torch.ones(2, 4), torch.ones(2, 4))  # KL of 1/2 per dimension
    loss = VariationalLoss(reconstruction="l1", kl_weight=0.1, kl_reduction="sum")
    losses = loss.losses(Batch(target, target, weight), output, latent)
    assert losses["kl"] == pytest.approx(2.0, rel=1e-5)
    assert losses["reconstruction"] == pytest.approx(float(l1(output, target, weight)))
    assert losses["loss"] == pytest.approx(float(losses["reconstruction"]) + 0.2, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reconstruction": "psnr"}, "mse, l1, ssim"),
        ({"kl_reduction": ["mean"]}, "mean, sum"),
        ({"kl_weight": -1}, "at least 0"),
        ({"kl_weight": "much"}, "number"),
        ({"context_weight": -0.1}, "context_weight.*at least 0"),
        ({"context_smallest": 9, "context_largest": 8}, "smaller one first; got 9 and 8"),
        ({"context_smallest": 0}, "at least 1"),
        ({"context_largest": 20.5}, "whole numbers"),
    ],
)
def test_unknown_names_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        VariationalLoss(**options)  # type: ignore[arg-type]


def test_a_plain_code_costs_nothing(pair: Pair) -> None:
    output, target, weight = pair
    losses = ReconstructionLoss(reconstruction="mse").losses(
        Batch(target, target, weight), output, Point(torch.ones(2, 4))
    )
    assert losses.keys() == {"loss", "reconstruction"}
    assert losses["loss"] == mse(output, target, weight)


def test_a_loss_refuses_latents_of_another_kind(pair: Pair) -> None:
    with pytest.raises(TypeError, match="Gaussian, got Point"):
        VariationalLoss().losses(Batch.of(pair[1]), pair[0], Point(torch.ones(2, 4)))


def quantised(encoded: Tensor, book: Tensor, numbers: list[int]) -> Quantised:
    """A code of N vectors without space."""
    chosen = torch.tensor(numbers)
    return Quantised(encoded, book[chosen], chosen, len(book))


def test_codebook_terms_of_a_hand_worked_code(pair: Pair) -> None:
    encoded = torch.tensor([[1.0, 1.0], [0.0, 3.0]], requires_grad=True)
    book = torch.tensor([[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]], requires_grad=True)
    loss = CodebookLoss(reconstruction="mse", commitment_weight=0.25)
    losses = loss.losses(Batch.of(pair[1]), pair[0], quantised(encoded, book, [0, 1]))
    assert float(losses["codebook"].detach()) == pytest.approx((0 + 1 + 0 + 1) / 4)
    assert float(losses["commitment"].detach()) == pytest.approx((0 + 1 + 0 + 1) / 4)
    assert losses["perplexity"] == pytest.approx(2)
    expected = losses["reconstruction"] + 0.5 + 0.25 * 0.5
    torch.testing.assert_close(losses["loss"], expected)
    torch.autograd.backward(losses["loss"])
    assert encoded.grad is not None
    assert book.grad is not None
    # d/dz of 0.25 mean (z - e)^2 and d/de of mean (z - e)^2, over four numbers
    torch.testing.assert_close(encoded.grad, 0.25 * torch.tensor([[0.0, 0.5], [0.0, 0.5]]))
    torch.testing.assert_close(book.grad, -torch.tensor([[0.0, 0.5], [0.0, 0.5], [0.0, 0.0]]))


def test_the_decoders_gradient_goes_straight_through_to_the_encoder() -> None:
    encoded, book = torch.ones(2, 2, requires_grad=True), torch.zeros(3, 2, requires_grad=True)
    code = quantised(encoded, book, [0, 1])
    assert torch.equal(code.mean.detach(), torch.zeros(2, 2))
    torch.autograd.backward((3 * code.sample()).sum())
    assert encoded.grad is not None
    assert torch.equal(encoded.grad, torch.full((2, 2), 3.0))
    assert book.grad is None


def test_perplexity_is_that_of_scipy() -> None:
    numbers = torch.randint(5, (200,), generator=torch.Generator().manual_seed(0)).square() % 7
    code = Quantised(torch.zeros(200, 1), torch.zeros(200, 1), numbers, 7)
    shares = np.bincount(numbers.numpy(), minlength=7)
    assert float(code.perplexity()) == pytest.approx(float(np.exp(entropy(shares))), rel=1e-4)


@pytest.mark.parametrize("space", [(40, 30), (20, 24, 22)])
def test_every_image_loses_one_square_of_its_own(space: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    images = torch.zeros(200, 2, *space)
    middle = (slice(None), slice(None), *(slice(n // 4, -(n // 4)) for n in space))
    images[middle] = torch.rand_like(images[middle]) + 1
    given = images.clone()
    erased = erase(images, smallest=3, largest=6)
    assert torch.equal(images, given)
    holes = (erased != given).any(1)
    assert torch.equal(erased, torch.where(holes[:, None], torch.zeros(()), given))
    sides = []
    for hole in holes:
        where = hole.nonzero()
        extent = where.amax(0) - where.amin(0) + 1
        assert int(extent.prod()) == int(hole.sum())  # a full box: one square, in all channels
        assert int(extent.min()) >= 1
        sides.append(int(extent.max()))
    assert set(sides) >= {3, 4, 5, 6}
    assert max(sides) == 6
    assert len({tuple(hole.nonzero()[0].tolist()) for hole in holes}) > 50


def test_an_empty_image_stays_empty() -> None:
    assert not erase(torch.zeros(2, 1, 8, 8), smallest=3, largest=6).any()


def test_the_hole_counts_in_the_context_term(pair: Pair) -> None:
    output, target, weight = pair
    loss = ReconstructionLoss(reconstruction="l1", context_weight=2)
    batch = Batch(loss.erase(target - 5), target, weight)  # disturbed before, and with a hole
    before = loss.losses(batch, output, Point(output))
    after = loss.with_context(before, batch, target + 1)
    assert after["context"] == pytest.approx(1)
    assert after["loss"] == pytest.approx(float(before["loss"]) + 2)
