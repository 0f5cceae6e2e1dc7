"""Myronenko 2018, Figure 1 and Table 1: every layer, every term of the loss."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
import torch
from monai.losses.dice import DiceLoss
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from anomri.errors import RecipeError, UsageError
from anomri.models import Batch, build_segmenter, load_weights, save_weights
from anomri.models.segresnet_vae import RegularisedSegmenter, divergence, soft_dice_loss
from anomri.recipe import Recipe, Step

CROP = (160, 192, 128)
SMALL = (32, 16, 48)


def small(**options: float) -> RegularisedSegmenter:
    torch.manual_seed(0)
    return RegularisedSegmenter(channels=2, size=SMALL, filters=8, code=6, **options)


def batch() -> Batch:
    torch.manual_seed(1)
    regions = torch.zeros(2, 3, *SMALL)
    for n in range(3):
        regions[:, n, 4 * n : 24 - 4 * n, 2 * n : 14 - 2 * n, 8:40] = 1
    return Batch(torch.randn(2, 2, *SMALL), regions, torch.ones(2, 1, *SMALL))


def shapes_of(network: nn.Module, names: dict[str, str]) -> dict[str, tuple[int, ...]]:
    """Shape of one image after each named part."""
    found: dict[str, tuple[int, ...]] = {}

    def note(label: str) -> None:
        def hook(_: nn.Module, __: object, out: Tensor) -> None:
            found[label] = tuple(out.shape[1:])

        network.get_submodule(names[label]).register_forward_hook(hook)

    for label in names:
        note(label)
    network.losses(Batch(*(torch.empty(1, n, *CROP, device="meta") for n in (4, 3, 1))))  # type: ignore[operator]
    return found


def test_every_layer_has_the_shape_of_figure_1_and_table_1() -> None:
    with torch.device("meta"):
        network = RegularisedSegmenter(channels=4, size=CROP)
    space = [tuple(length // 2**level for length in CROP) for level in range(4)]
    expected = {
        "first": ("first", (32, *space[0])),
        "level 0": ("levels.0", (32, *space[0])),
        "level 1": ("levels.1", (64, *space[1])),
        "level 2": ("levels.2", (128, *space[2])),
        "endpoint": ("levels.3", (256, 20, 24, 16)),
        "decoder 2": ("blocks.0", (128, *space[2])),
        "decoder 1": ("blocks.1", (64, *space[1])),
        "decoder 0": ("blocks.2", (32, *space[0])),
        "regions": ("last", (3, *space[0])),
        "VD": ("branch.dense", (256,)),
        "VU": ("branch.grow", (256, 20, 24, 16)),
        "VUp2": ("branch.levels.0.0", (128, 40, 48, 32)),
        "VBlock2": ("branch.levels.0", (128, 40, 48, 32)),
        "VUp1": ("branch.levels.1.0", (64, 80, 96, 64)),
        "VBlock1": ("branch.levels.1", (64, 80, 96, 64)),
        "VUp0": ("branch.levels.2.0", (32, 160, 192, 128)),
        "VBlock0": ("branch.levels.2", (32, 160, 192, 128)),
        "Vend": ("branch.last", (4, 160, 192, 128)),
    }
    names = {label: name for label, (name, _) in expected.items()}
    assert shapes_of(network, names) == {label: shape for label, (_, shape) in expected.items()}
    assert [len(level) for level in network.levels] == [1, 2, 2, 4]  # type: ignore[arg-type]


def test_dice_is_that_of_monai_summed_over_the_regions() -> None:
    torch.manual_seed(0)
    probabilities, masks = torch.rand(2, 3, 8, 7, 6), (torch.rand(2, 3, 8, 7, 6) > 0.7).float()
    theirs = DiceLoss(squared_pred=True, smooth_nr=0, smooth_dr=1e-5, reduction="none")
    expected = theirs(probabilities, masks).flatten(1).sum(1).mean()
    torch.testing.assert_close(soft_dice_loss(probabilities, masks), expected)
    assert float(soft_dice_loss(masks, masks)) == pytest.approx(0, abs=1e-5)
    assert float(soft_dice_loss(1 - masks, masks)) == pytest.approx(3)


def test_the_divergence_is_twice_that_of_the_normal_distributions() -> None:
    torch.manual_seed(0)
    mean, deviation = torch.randn(3, 5), torch.rand(3, 5) + 0.2
    expected = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(divergence(mean, deviation), 2 * expected, rtol=1e-4, atol=1e-4)


def test_the_loss_is_equation_1() -> None:
    network, given = small().eval(), batch()
    torch.manual_seed(2)
    losses = network.losses(given)
    torch.manual_seed(2)
    output, mean, deviation = network.branch(network.encode(given.image)[-1])
    dice = soft_dice_loss(network.segment(given.image), given.target)
    kl = divergence(mean, deviation) / prod(SMALL)
    expected = dice + 0.1 * nn.functional.mse_loss(output, given.image) + 0.1 * kl
    torch.testing.assert_close(losses["loss"], expected)


def test_every_parameter_learns_and_a_few_steps_lower_the_loss() -> None:
    network, given, values = small(), batch(), []
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(8):
        optimizer.zero_grad()
        loss = network.losses(given)["loss"]
        torch.autograd.backward(loss)
        optimizer.step()
        values.append(float(loss.detach()))
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())
    assert values[-1] < values[0]


def test_segmenting_has_no_randomness_and_takes_any_multiple_of_eight() -> None:
    network, images = small().eval(), torch.randn(1, 2, 24, 16, 8)
    with torch.inference_mode():
        first, second = network.segment(images), network.segment(images)
    assert first.shape == (1, 3, 24, 16, 8)
    assert torch.equal(first, second)
    assert 0 <= float(first.min()) <= float(first.max()) <= 1


def test_the_branch_has_a_decoder_of_its_own() -> None:
    """Segmenting uses nothing of it: another draw, another decoder, the same regions."""
    network, images = small().eval(), torch.randn(1, 2, *SMALL)
    with torch.inference_mode():
        before = network.segment(images)
        for parameter in network.branch.parameters():
            parameter.zero_()
        assert torch.equal(network.segment(images), before)


def test_a_recipe_builds_it_and_its_weights_survive(tmp_path: Path) -> None:
    step = Step(name="regularised_segmenter", options={"filters": 8, "code": 6})
    network = build_segmenter(step, channels=2, size=SMALL)
    save_weights(network, tmp_path / "weights.safetensors")
    other = build_segmenter(step, channels=2, size=SMALL)
    load_weights(other, tmp_path / "weights.safetensors")
    torch.testing.assert_close(other.state_dict(), network.state_dict(), rtol=0, atol=0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of 16"):
        RegularisedSegmenter(channels=1, size=(32, 32, 24))
    with pytest.raises(RecipeError, match="multiple of 8"):
        RegularisedSegmenter(channels=1, size=SMALL, filters=12)
    with pytest.raises(RecipeError, match="no option 'depth'"):
        build_segmenter(
            Step(name="regularised_segmenter", options={"depth": 5}), channels=1, size=SMALL
        )


def test_the_recipe_is_the_papers() -> None:
    path = Path(__file__).parents[2] / "recipes" / "myronenko2018" / "rows" / "single.yaml"
    if not path.is_file():
        pytest.skip("only in a checkout")
    recipe = Recipe.load(path)
    with torch.device("meta"):
        network = build_segmenter(recipe.family, channels=4, size=recipe.size)
        paper = RegularisedSegmenter(channels=4, size=CROP)
    assert network.size == CROP
    assert [p.shape for p in network.parameters()] == [p.shape for p in paper.parameters()]
    training = recipe.training
    assert (training.learning_rate, training.weight_decay, training.decay_exponent) == (
        1e-4,
        1e-5,
        0.9,
    )
