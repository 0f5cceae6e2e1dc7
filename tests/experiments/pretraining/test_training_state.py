"""The learning rate of a training, and heads on coarser voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anomri.experiments.pretraining.labelled_heads import LabelledHead
from anomri.experiments.pretraining.training_state import TrainingSchedule, TrainingState


def test_the_rate_rises_and_falls_as_written() -> None:
    schedule = TrainingSchedule(steps=200, learning_rate=2e-3, warmup=100)
    assert schedule.rate_at(0) == pytest.approx(2e-3 / 100)
    assert schedule.rate_at(99) == pytest.approx(2e-3 * (101 / 200) ** 0.9)
    assert schedule.rate_at(200) == 0


def test_the_average_follows_the_weights(tmp_path: Path) -> None:
    """After the first step it is the weights; after the second 1/11 of old and 10/11 of new."""
    schedule = TrainingSchedule(steps=10, warmup=1, average=0.99)
    state = TrainingState.start(
        lambda: torch.nn.Linear(1, 1, bias=False), tmp_path / "none", schedule
    )
    seen = []
    for _ in range(2):
        state.learn(lambda network: network.weight.square().sum())
        seen.append(float(state.network.weight.detach()))
    expected = seen[0] / 11 + seen[1] * 10 / 11
    assert float(state.average["weight"]) == pytest.approx(expected)


def test_a_head_on_coarser_voxels_stays_where_it_is() -> None:
    """Voxel n of 4 mm lies where voxel 4n of 1 mm lay."""
    index = np.indices((33, 41, 37)).astype(np.float32)
    scan = index[0] + 10 * index[1] + 100 * index[2]
    labels = (index[0] >= 16).astype(np.uint8)
    coarse = LabelledHead(scan, labels, (1.0, 1.0, 1.0)).at(4.0)
    assert coarse.scan.shape == (9, 11, 10)
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(coarse.scan[inner], scan[::4, ::4, ::4][inner], rtol=1e-3)
    np.testing.assert_array_equal(coarse.anatomy, labels[::4, ::4, ::4])
