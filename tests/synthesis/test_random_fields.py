"""Smooth noise and the streams that it is drawn from."""

from __future__ import annotations

import pytest
import torch

from anomri.synthesis import RandomStreams
from anomri.synthesis.random_fields import smooth_field, smooth_noise

CPU = torch.device("cpu")


def test_noise_is_smooth_and_has_unit_spread() -> None:
    fields = smooth_noise((40, 40, 40), [8.0, 3.0], RandomStreams([[0], [1]], CPU))
    assert fields.flatten(1).std(1, correction=0).tolist() == pytest.approx([1, 1], abs=1e-3)
    steps = fields.diff(dim=1).flatten(1).std(1)
    assert steps[0] < 0.3 < steps[1]


def test_noise_is_linear_between_its_nodes() -> None:
    """Second differences are 0 except at the nodes."""
    field = smooth_noise((48, 48, 48), [8.0], RandomStreams([[3]], CPU))[0]
    bends = field.diff(n=2, dim=0).abs().flatten(1).amax(1) > 1e-4
    assert bends.sum() in (10, 12, 14)  # each node lies between two voxels


def test_a_field_of_two_nodes_is_linear() -> None:
    field = smooth_field((9, 9, 9), [2, 5], RandomStreams([[0], [1]], CPU))
    assert field[0].diff(n=2, dim=0).abs().max() < 1e-5
    assert field[1].diff(n=2, dim=0).abs().max() > 1e-2


def test_streams_do_not_depend_on_each_other() -> None:
    both = RandomStreams([[4, 1], [4, 2]], CPU)
    both.of([0]).numbers()  # advances the first
    alone = RandomStreams([[4, 2]], CPU)
    assert both.numbers()[1] == alone.numbers()[0]
    assert torch.equal(both.noise([[3], [4]])[1], alone.noise([[4]])[0])
    assert 0 <= min(both.integers(0, 3)) <= max(both.integers(0, 3)) < 3
