"""The learning rate of a training, and the average of its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from anomri.errors import DamagedFile
from anomri.training import TrainingSchedule, TrainingState


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


def test_a_training_starts_from_weights(tmp_path: Path) -> None:
    schedule, missing = TrainingSchedule(steps=4), tmp_path / "none"
    weights = tmp_path / "weights.safetensors"
    trained = TrainingState.start(lambda: torch.nn.Linear(3, 2), missing, schedule)
    trained.average["bias"] = torch.tensor([1.0, 2.0])
    trained.write(weights)
    state = TrainingState.start(lambda: torch.nn.Linear(3, 2), missing, schedule, weights)
    assert state.network.bias.tolist() == state.average["bias"].tolist() == [1, 2]
    assert state.step == 0
    with pytest.raises(DamagedFile, match="start from other weights"):
        TrainingState.start(lambda: torch.nn.Linear(4, 2), missing, schedule, weights)
