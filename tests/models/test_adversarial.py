"""The discriminators of Weninger et al. 2019, Table 1 and section 4.1, and who moves when."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from anomri.errors import RecipeError, UsageError
from anomri.models import Batch, build
from anomri.models.adversarial import Adversarial, Discriminator
from anomri.recipe import Step

CODE = (64, 4, 4)


def family_of(name: str, size: tuple[int, ...] = (128, 128), **options: float) -> Adversarial:
    torch.manual_seed(0)
    family = build(Step(name=name, options=dict(options)), channels=1, size=size)
    assert isinstance(family, Adversarial)
    return family


def shapes_of(network: Discriminator, *inputs: Tensor) -> list[tuple[int, ...]]:
    """Channels and sides that each convolution gives out."""
    shapes: list[tuple[int, ...]] = []

    def note(_: nn.Module, __: object, output: Tensor) -> None:
        shapes.append(tuple(output.shape[1:]))

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    network(*inputs)
    return shapes


def test_the_discriminator_of_images_is_that_of_table_1() -> None:
    network = Discriminator((1, 128, 128))
    shapes = shapes_of(network, torch.randn(2, 1, 128, 128), torch.randn(2, *CODE))
    assert shapes == [
        (16, 64, 64),
        (32, 32, 32),
        (64, 16, 16),
        (64, 8, 8),
        (64, 4, 4),
        (64, 1, 1),
        (1, 1, 1),
    ]
    weights = 16 * (16 + 16 * 32 + 32 * 64 + 3 * 64 * 64)
    norms, biases = 2 * (16 + 32 + 64 + 64 + 64), 64 + 64 + 1
    assert sum(p.numel() for p in network.parameters()) == weights + norms + biases


def test_the_discriminator_of_pairs_fuses_two_branches() -> None:
    network = Discriminator((1, 128, 128), CODE)
    shapes = shapes_of(network, torch.randn(2, 1, 128, 128), torch.randn(2, *CODE))
    assert shapes[5:] == [
        (128, 1, 1),  # the image's last
        (128, 2, 2),
        (128, 1, 1),  # the code's last
        (128, 1, 1),
        (128, 1, 1),
        (128, 1, 1),
        (1, 1, 1),
    ]


def test_both_members_of_a_pair_decide() -> None:
    network = Discriminator((1, 128, 128), CODE).eval()
    image, code = torch.randn(1, 1, 128, 128), torch.randn(1, *CODE)
    verdict = network(image, code)
    assert network(image + 1, code) != verdict
    assert network(image, code + 1) != verdict


@pytest.mark.parametrize("name", ["aae", "biaae"])
def test_larger_images_give_one_verdict_each(name: str) -> None:
    family = family_of(name, (160, 192))
    assert family.phases()[1].losses(Batch.of(torch.randn(2, 1, 160, 192)))["loss"].ndim == 0


@pytest.mark.parametrize("name", ["aae", "biaae"])
def test_images_that_are_too_small_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"\(64, 64\).*at least \[128, 128\]"):
        family_of(name, (64, 64))


@pytest.mark.parametrize("name", ["aae", "biaae"])
def test_the_two_take_turns(name: str) -> None:
    family, batch = family_of(name), Batch.of(torch.randn(2, 1, 128, 128))
    for phase in family.phases():
        family.zero_grad()
        torch.autograd.backward(phase.losses(batch)["loss"])
        moved = {id(p) for p in phase.parameters()}
        for parameter in family.parameters():
            assert (parameter.grad is not None) == (id(parameter) in moved)
    assert all(parameter.requires_grad for parameter in family.parameters())


@pytest.mark.parametrize("name", ["aae", "biaae"])
def test_the_discriminator_learns_to_tell_apart(name: str) -> None:
    family, batch = family_of(name), Batch.of(torch.randn(4, 1, 128, 128))
    _, discriminator = family.phases()
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    for _ in range(12):
        optimizer.zero_grad()
        losses = discriminator.losses(batch)
        torch.autograd.backward(losses["loss"])
        optimizer.step()
    assert losses["loss"] < 0.5  # 0.69 is a coin


def test_the_adversary_is_weighted_and_left_out_of_validation() -> None:
    family, batch = family_of("aae", adversarial_weight=0.5), Batch.of(torch.randn(2, 1, 128, 128))
    torch.manual_seed(1)
    plain = family.losses(batch)
    torch.manual_seed(1)
    generator = family.phases()[0].losses(batch)
    assert "adversarial" not in plain
    expected = plain["loss"] + 0.5 * generator["adversarial"]
    torch.testing.assert_close(generator["loss"], expected)


def test_voxels_that_do_not_count_are_shown_to_nobody() -> None:
    family, image = family_of("aae").eval(), torch.randn(2, 1, 128, 128)
    weight = torch.ones_like(image)
    weight[..., 40:60, 40:60] = 0
    changed = torch.where(weight > 0, image, torch.full_like(image, 9))
    first, second = (
        family.discriminator_losses(Batch(image, target, weight)) for target in (image, changed)
    )
    assert torch.equal(first["real"], second["real"])


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"adversarial_weight.*at least 0; got -1"):
        family_of("aae", adversarial_weight=-1)
