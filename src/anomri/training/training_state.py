"""Resumable training of a network, step by step.

AdamW with a learning rate that rises linearly during warm-up and decays as (1 - step/steps)^0.9;
the result is the exponential moving average of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from anomri.files import undamaged, write_bytes

START_AGAIN = "delete it and start again"
OTHER_WEIGHTS = "start from other weights, or from none"
MOMENTS = ("exp_avg", "exp_avg_sq")

Network = TypeVar("Network", bound=nn.Module)
Progress = Callable[[Sequence[Any], str], Iterable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSchedule:
    """Training schedule of a network.

    Attributes:
        steps: number of training steps.
        learning_rate: highest learning rate.
        warmup: steps until the highest learning rate.
        weight_decay: decoupled weight decay (AdamW).
        max_gradient_norm: norm to which gradients are clipped.
        average: decay of the moving average of the weights per step.
        uses: number of times each synthetic image is used, where images are synthesised.
        validation_interval: steps between validations, after which the state is saved.
        seed: seed of all random numbers.
    """

    steps: int
    learning_rate: float = 2e-3
    warmup: int = 50
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    average: float = 0.99
    uses: int = 2
    validation_interval: int = 100
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step.

        >>> schedule = TrainingSchedule(steps=100, learning_rate=1.0, warmup=10)
        >>> schedule.rate_at(0), round(schedule.rate_at(50), 3)
        (0.1, 0.536)
        """
        remaining = 1 - min(step / self.steps, 1.0)
        return float(self.learning_rate * min((step + 1) / self.warmup, 1.0) * remaining**0.9)


@dataclass(slots=True)
class TrainingState(Generic[Network]):
    """Weights, their moving average, optimiser state, step and running mean of the loss."""

    build: Callable[[], Network]
    network: Network
    average: dict[str, Tensor]
    optimiser: torch.optim.AdamW
    schedule: TrainingSchedule
    step: int = 0
    loss: float = 1.0

    @classmethod
    def start(
        cls,
        build: Callable[[], Network],
        saved: Path,
        schedule: TrainingSchedule,
        weights: Path | None = None,
    ) -> TrainingState[Network]:
        """Start a training, or resume it from a saved state.

        Args:
            build: makes the network.
            saved: state of an interrupted training, if there is one.
            schedule: training schedule.
            weights: from which a new training starts, in place of random ones.

        Raises:
            DamagedFile: the state or the weights cannot be read, or are those of another network.
        """
        torch.manual_seed(schedule.seed)
        network = build()
        optimiser = torch.optim.AdamW(
            network.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        average = {name: weight.clone() for name, weight in network.state_dict().items()}
        state = cls(build, network, average, optimiser, schedule)
        if saved.exists():
            state._resume(saved)
        elif weights is not None:
            state._begin_with(weights)
        return state

    def learn(self, loss_of: Callable[[Network], Tensor]) -> None:
        """Take one step on the loss that ``loss_of`` computes."""
        schedule = self.schedule
        self.optimiser.param_groups[0]["lr"] = schedule.rate_at(self.step)
        loss = loss_of(self.network)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), schedule.max_gradient_norm)
        self.optimiser.step()
        decay = min(schedule.average, self.step / (self.step + 10))
        for name, weight in self.network.state_dict().items():
            self.average[name].lerp_(weight, 1 - decay)
        self.loss = 0.98 * self.loss + 0.02 * float(loss.detach())
        self.step += 1

    def remaining(self, stop: int | None) -> range:
        """Return the remaining steps, up to ``stop`` if given."""
        return range(self.step, min(stop or self.schedule.steps, self.schedule.steps))

    def is_validation_step(self) -> bool:
        """Tell whether the network is validated after this step."""
        is_last = self.step == self.schedule.steps
        return is_last or self.step % self.schedule.validation_interval == 0

    def averaged(self) -> Network:
        """Return a network with the averaged weights."""
        network = self.build()
        network.load_state_dict(self.average)
        return network.eval()

    def save(self, path: Path) -> None:
        """Write the state from which training can be resumed."""
        tensors = {f"average/{name}": weight for name, weight in self.average.items()}
        for name, weight in self.network.named_parameters():
            moments = self.optimiser.state[weight]
            tensors |= {f"weight/{name}": weight.detach()}
            tensors |= {f"{key}/{name}": moments[key] for key in MOMENTS}
        tensors["step"] = torch.tensor([self.step])
        tensors["loss"] = torch.tensor([self.loss])
        write_tensors(path, tensors)

    def write(self, path: Path) -> None:
        """Write the averaged weights in half precision."""
        write_tensors(path, {name: weight.half() for name, weight in self.average.items()})

    def _begin_with(self, path: Path) -> None:
        guard = undamaged(path, what="the weights of this network", next_step=OTHER_WEIGHTS)
        with guard, safe_open(path, framework="pt") as file:
            for name, weight in self.average.items():
                self.average[name] = _matching(file.get_tensor(name).to(weight.dtype), weight)
        self.network.load_state_dict(self.average)

    def _resume(self, path: Path) -> None:
        guard = undamaged(path, what="the state of an unfinished training", next_step=START_AGAIN)
        with guard, safe_open(path, framework="pt") as file:
            self.step = int(file.get_tensor("step"))
            self.loss = float(file.get_tensor("loss"))
            for name, weight in self.average.items():
                self.average[name] = _matching(file.get_tensor(f"average/{name}"), weight)
            for name, weight in self.network.named_parameters():
                weight.data.copy_(_matching(file.get_tensor(f"weight/{name}"), weight))
                moments = {
                    key: _matching(file.get_tensor(f"{key}/{name}"), weight) for key in MOMENTS
                }
                self.optimiser.state[weight] = {"step": torch.tensor(float(self.step)), **moments}


def _matching(tensor: Tensor, weight: Tensor) -> Tensor:
    """Return ``tensor``, on the device of ``weight``, if both have one shape and type.

    Raises:
        ValueError: it does not.
    """
    if tensor.shape != weight.shape or tensor.dtype != weight.dtype:
        raise ValueError(f"expected {tuple(weight.shape)}, got {tuple(tensor.shape)}")
    return tensor.to(weight.device)


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as safetensors, atomically."""
    on_cpu = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(on_cpu))
