"""A network in training on images drawn at random; resumes where it was stopped.

Adam with a rate that rises at first and then falls as (1 - step/steps)^0.9; the result is the
exponential moving average of the weights.
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

ANEW = "delete it and begin anew"
MEMORY = ("exp_avg", "exp_avg_sq")

Network = TypeVar("Network", bound=nn.Module)
Progress = Callable[[Sequence[Any], str], Iterable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSchedule:
    """How a network learns.

    Attributes:
        steps: batches seen.
        rate: of Adam, at its highest.
        rising: steps until the rate is at its highest.
        decay: of the weights, apart from the gradient (AdamW).
        longest: the gradient is cut to this norm.
        average: share of the moving average that each step keeps.
        uses: how often each drawn image is seen.
        every: steps between two looks at the held-out heads; also when the state is saved.
        seed: of every random number.
    """

    steps: int
    rate: float = 2e-3
    rising: int = 50
    decay: float = 0.0
    longest: float = 1.0
    average: float = 0.99
    uses: int = 2
    every: int = 100
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Return the rate of a step.

        >>> lesson = Lesson(steps=100, rate=1.0, rising=10)
        >>> lesson.rate_at(0), round(lesson.rate_at(50), 3)
        (0.1, 0.536)
        """
        left = 1 - min(step / self.steps, 1.0)
        return float(self.rate * min((step + 1) / self.rising, 1.0) * left**0.9)


@dataclass(slots=True)
class TrainingState(Generic[Network]):
    """The weights, their average, Adam's memory, the step and the running mean of the loss."""

    build: Callable[[], Network]
    network: Network
    average: dict[str, Tensor]
    optimiser: torch.optim.AdamW
    schedule: TrainingSchedule
    step: int = 0
    loss: float = 1.0

    @classmethod
    def start(
        cls, build: Callable[[], Network], saved: Path, schedule: TrainingSchedule
    ) -> TrainingState[Network]:
        """Begin, or go on from a saved state.

        Raises:
            DamagedFile: the state cannot be read back.
        """
        torch.manual_seed(schedule.seed)
        network = build()
        optimiser = torch.optim.AdamW(
            network.parameters(), schedule.rate, weight_decay=schedule.decay
        )
        average = {name: weight.clone() for name, weight in network.state_dict().items()}
        state = cls(build, network, average, optimiser, schedule)
        if saved.exists():
            state._resume(saved)
        return state

    def learn(self, value_of: Callable[[Network], Tensor]) -> None:
        """Take one step down the loss that ``value_of`` computes."""
        schedule = self.schedule
        self.optimiser.param_groups[0]["lr"] = schedule.rate_at(self.step)
        value = value_of(self.network)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(self.network.parameters(), schedule.longest)
        self.optimiser.step()
        keep = min(schedule.average, self.step / (self.step + 10))
        for name, weight in self.network.state_dict().items():
            self.average[name].lerp_(weight, 1 - keep)
        self.loss = 0.98 * self.loss + 0.02 * float(value.detach())
        self.step += 1

    def remaining(self, stop: int | None) -> range:
        """Return the steps that are left, up to ``stop`` where one is given."""
        return range(self.step, min(stop or self.schedule.steps, self.schedule.steps))

    def is_looked_at(self) -> bool:
        """Tell whether it is time for a look at the held-out heads."""
        return self.step % self.schedule.every == 0 or self.step == self.schedule.steps

    def averaged(self) -> Network:
        """Return a network with the averaged weights."""
        network = self.build()
        network.load_state_dict(self.average)
        return network.eval()

    def save(self, path: Path) -> None:
        """Write everything that going on needs."""
        tensors = {f"average/{name}": weight for name, weight in self.average.items()}
        for name, weight in self.network.named_parameters():
            memory = self.optimiser.state[weight]
            tensors |= {f"weight/{name}": weight.detach()}
            tensors |= {f"{key}/{name}": memory[key] for key in MEMORY}
        tensors["step"] = torch.tensor([self.step])
        tensors["loss"] = torch.tensor([self.loss])
        write_tensors(path, tensors)

    def write(self, path: Path) -> None:
        """Write the averaged weights in half precision."""
        write_tensors(path, {name: weight.half() for name, weight in self.average.items()})

    def _resume(self, path: Path) -> None:
        guard = undamaged(path, what="the state of an unfinished training", next_step=ANEW)
        with guard, safe_open(path, framework="pt") as held:
            self.step = int(held.get_tensor("step"))
            self.loss = float(held.get_tensor("loss"))
            for name, weight in self.average.items():
                self.average[name] = _like(weight, held.get_tensor(f"average/{name}"))
            for name, weight in self.network.named_parameters():
                weight.data.copy_(_like(weight, held.get_tensor(f"weight/{name}")))
                memory = {key: _like(weight, held.get_tensor(f"{key}/{name}")) for key in MEMORY}
                self.optimiser.state[weight] = {"step": torch.tensor(float(self.step)), **memory}


def _like(weight: Tensor, found: Tensor) -> Tensor:
    """Return what was found in a state where it has the shape and the kind of a weight.

    Raises:
        ValueError: it does not.
    """
    if found.shape != weight.shape or found.dtype != weight.dtype:
        raise ValueError(f"expected {tuple(weight.shape)}, got {tuple(found.shape)}")
    return found


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors; the file appears complete or not at all."""
    write_bytes(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}))
