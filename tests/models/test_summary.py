"""Costs against sums worked by hand from Table 1 of Weninger et al. 2019."""

from __future__ import annotations

import torch

from anomri.models import build, cost, summary
from anomri.recipe import Step


def test_multiply_adds_of_the_dilated_vae_are_those_of_its_table() -> None:
    with torch.device("meta"):
        counted = cost(build(Step(name="dvae"), channels=1, size=(128, 128)))
    blocks = [(36 * 1 * 8, 123), (25 * 8 * 16, 58), (36 * 16 * 16, 48), (25 * 16 * 16, 14)]
    latent = 9 * 16 * 16 * 12 * 12
    one_way = sum(weights * side**2 for weights, side in blocks) + latent
    assert counted.multiply_adds == 2 * one_way + latent  # one way, a second head, and back


def test_activations_are_what_layers_leave_in_memory() -> None:
    with torch.device("meta"):
        counted = cost(build(Step(name="dvae"), channels=1, size=(128, 128)))
    inner = 8 * 123**2 + 16 * (58**2 + 48**2 + 14**2)
    # convolution and norm, on the way in and out; their activation is in place
    expected = 4 * inner + 2 * 16 * 12**2 + 128**2
    assert counted.activation_bytes == 4 * expected


def test_an_opponent_is_paid_for_but_takes_no_part() -> None:
    plain, adversarial = (
        build(Step(name=name), channels=1, size=(128, 128)) for name in ("vae", "aae")
    )
    assert cost(adversarial).parameters > cost(plain).parameters
    assert cost(adversarial).multiply_adds == cost(plain).multiply_adds
    assert not any("discriminator" in row.name for row in summary(adversarial))


def test_a_family_is_left_as_it_was() -> None:
    family = build(Step(name="vae"), channels=1, size=(32, 32)).train()
    before = {name: value.clone() for name, value in family.state_dict().items()}
    cost(family)
    assert family.training
    assert all(torch.equal(before[name], value) for name, value in family.state_dict().items())
