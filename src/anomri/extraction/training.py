"""Teaching the brain network on images drawn at random; resumes where it was stopped.

Adam, batches of one image, loss = cross entropy + (1 - soft Dice), a rate that falls as
(1 - step/steps)^0.9, and the weights' exponential moving average as the result.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anomri.errors import UsageError
from anomri.preprocessing.brain_network import SHAPE, SPACING, BrainNetwork, normalise
from anomri.preprocessing.grids import orient, to_ras
from anomri.preprocessing.reading import read_labels, read_native
from anomri.synthesis import Drawing, LabelledHead, draw_image
from anomri.tsv import write_text

STATE, WEIGHTS, CARD = "state.safetensors", "brain.safetensors", "brain.json"
HEAD_MM = 3.0
HELD_OUT = slice(5, None, 6)  # of the heads in the order of their names

Heads = Mapping[str, LabelledHead]
Track = Callable[[Sequence[Any], str], Iterable[Any]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """How the network learns.

    Attributes:
        steps: images seen.
        rate: of Adam, at the start.
        average: share of the moving average that each step keeps.
        uses: how often each drawn image is seen, mirrored every other time.
        every: steps between two looks at the held-out heads; also when the state is saved.
        seed: of every random number.
    """

    steps: int = 4000
    rate: float = 2e-3
    average: float = 0.99
    uses: int = 2
    every: int = 100
    seed: int = 0
    drawing: Drawing = field(default_factory=lambda: Drawing(shape=SHAPE, spacing=SPACING))


def read_heads(folder: Path) -> dict[str, LabelledHead]:
    """Read ``t1/<name>_T1.nii.gz`` and ``dlmuse_seg/<name>_T1_DLMUSE.nii.gz``.

    Raises:
        UsageError: there is no such pair.
    """
    heads = {}
    for path in sorted((folder / "t1").glob("*_T1.nii.gz")):
        name = path.name.removesuffix("_T1.nii.gz")
        labels = folder / "dlmuse_seg" / f"{name}_T1_DLMUSE.nii.gz"
        if labels.exists():
            scan, grid = read_native(path)
            anatomy = to_ras(read_labels(labels)[0], grid)
            spacing = orient(grid).spacing
            heads[name] = LabelledHead.coarser(to_ras(scan, grid), anatomy, spacing, to=HEAD_MM)
    if len(heads) < 2:
        raise UsageError(f"{folder.name}: expected t1/ and dlmuse_seg/ with at least two heads")
    return heads


def split(heads: Heads) -> tuple[Heads, Heads]:
    """Return the heads to learn from and every sixth, held out; all of them if under six."""
    held = set(sorted(heads)[HELD_OUT])
    taught = {name: head for name, head in heads.items() if name not in held}
    return taught, {name: heads[name] for name in sorted(held)} or dict(heads)


def train_brain(
    folder: Path,
    out: Path,
    lesson: Lesson,
    *,
    stop: int | None = None,
    track: Track | None = None,
) -> Path:
    """Teach the network on the heads of ``folder``; write its weights and their card to ``out``.

    Args:
        folder: see :func:`read_heads`.
        out: folder to write to; a state in it is gone on from.
        lesson: how the network learns.
        stop: end after this step, as if interrupted.
        track: shows progress.

    Raises:
        UsageError: the folder holds no labelled heads.
    """
    out.mkdir(parents=True, exist_ok=True)
    taught, held = split(read_heads(folder))
    pupil = Pupil.start(out / STATE, lesson)
    remaining = range(pupil.step, min(stop or lesson.steps, lesson.steps))
    for _ in track(remaining, "learning brains") if track else remaining:
        pupil.learn(*_image(list(taught.values()), lesson, pupil))
        if pupil.step % lesson.every == 0 or pupil.step == lesson.steps:
            dice = validate(pupil.averaged(), held, lesson)
            log.info("step %d: loss %.4f, held-out Dice %.4f", pupil.step, pupil.loss, dice)
            pupil.save(out / STATE)
    _write(out / WEIGHTS, {name: weight.half() for name, weight in pupil.average.items()})
    write_card(out, pupil.step, taught)
    return out / WEIGHTS


def write_card(out: Path, steps: int, taught: Iterable[str]) -> None:
    """Write what the weights below ``out`` are: their hash, their origin, their licence."""
    card = {
        "sha256": hashlib.sha256((out / WEIGHTS).read_bytes()).hexdigest(),
        "steps": steps,
        "heads": sorted(taught),
        "data": "IXI data set (brain-development.org), T1 and automatic anatomy labels",
        "licence": "CC BY-SA 3.0",
    }
    write_text(out / CARD, json.dumps(card, indent=2) + "\n")


@dataclass(slots=True)
class Pupil:
    """The network in training: its weights, their average, Adam's memory and the step."""

    network: BrainNetwork
    average: dict[str, Tensor]
    optimiser: torch.optim.Adam
    lesson: Lesson
    step: int = 0
    loss: float = 1.0
    drawn: tuple[Tensor, Tensor] | None = None

    @classmethod
    def start(cls, state: Path, lesson: Lesson) -> Pupil:
        """Begin, or go on from a saved state."""
        torch.manual_seed(lesson.seed)
        network = BrainNetwork()
        optimiser = torch.optim.Adam(network.parameters(), lesson.rate)
        average = {k: v.clone() for k, v in network.state_dict().items()}
        pupil = cls(network, average, optimiser, lesson)
        if state.exists():
            pupil._resume(state)
        return pupil

    def learn(self, image: Tensor, brain: Tensor) -> None:
        """Take one step on (1, 1, I, J, K)."""
        progress = min(self.step / self.lesson.steps, 1.0)
        warm = min((self.step + 1) / 50, 1.0)
        self.optimiser.param_groups[0]["lr"] = self.lesson.rate * warm * (1 - progress) ** 0.9
        value = loss(self.network(image), brain)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        keep = min(self.lesson.average, self.step / (self.step + 10))
        for name, weight in self.network.state_dict().items():
            self.average[name].lerp_(weight, 1 - keep)
        self.loss = 0.98 * self.loss + 0.02 * float(value.detach())
        self.step += 1

    def averaged(self) -> BrainNetwork:
        """Return a network with the averaged weights."""
        network = BrainNetwork()
        network.load_state_dict(self.average)
        return network.eval()

    def save(self, path: Path) -> None:
        """Write everything that going on needs."""
        tensors = {f"average/{k}": v for k, v in self.average.items()}
        for name, weight in self.network.named_parameters():
            memory = self.optimiser.state[weight]
            tensors |= {f"weight/{name}": weight.detach()}
            tensors |= {f"{key}/{name}": memory[key] for key in ("exp_avg", "exp_avg_sq")}
        tensors["step"] = torch.tensor([self.step])
        tensors["loss"] = torch.tensor([self.loss])
        _write(path, tensors)

    def _resume(self, path: Path) -> None:
        with safe_open(path, framework="pt") as held:
            self.step = int(held.get_tensor("step"))
            self.loss = float(held.get_tensor("loss"))
            self.average = {k: held.get_tensor(f"average/{k}") for k in self.average}
            for name, weight in self.network.named_parameters():
                weight.data.copy_(held.get_tensor(f"weight/{name}"))
                self.optimiser.state[weight] = {
                    "step": torch.tensor(float(self.step)),
                    "exp_avg": held.get_tensor(f"exp_avg/{name}"),
                    "exp_avg_sq": held.get_tensor(f"exp_avg_sq/{name}"),
                }


def loss(logits: Tensor, brain: Tensor) -> Tensor:
    r"""Return cross entropy + 1 - :math:`2\sum pb / (\sum p + \sum b)`, with p = sigmoid(logit)."""
    p = torch.sigmoid(logits)
    dice = 2 * (p * brain).sum() / (p.sum() + brain.sum()).clamp_min(1.0)
    return binary_cross_entropy_with_logits(logits, brain) + 1 - dice


def validate(network: BrainNetwork, heads: Heads, lesson: Lesson) -> float:
    """Return the mean Dice over three images of each head, always the same ones."""
    scores = []
    for number, head in enumerate(heads.values()):
        draw = np.random.default_rng([lesson.seed, 1_000_000, number])
        for _ in range(3):
            image, brain = draw_image(head, lesson.drawing, draw)
            with torch.no_grad():
                found = network(torch.from_numpy(normalise(image))[None, None])[0, 0].numpy() > 0
            scores.append(2 * np.sum(found & brain) / max(np.sum(found) + np.sum(brain), 1))
    return float(np.mean(scores))


def _image(heads: list[LabelledHead], lesson: Lesson, pupil: Pupil) -> tuple[Tensor, Tensor]:
    """Return image and brain, (1, 1, I, J, K); a new one every ``uses`` steps, else mirrored."""
    if pupil.drawn is None or pupil.step % lesson.uses == 0:
        draw = np.random.default_rng([lesson.seed, pupil.step])
        image, brain = draw_image(heads[draw.integers(len(heads))], lesson.drawing, draw)
        pair = torch.from_numpy(normalise(image)), torch.from_numpy(brain.astype(np.float32))
        pupil.drawn = pair[0][None, None], pair[1][None, None]
    else:
        pupil.drawn = pupil.drawn[0].flip(2), pupil.drawn[1].flip(2)
    return pupil.drawn


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    part = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in tensors.items()}, part)
    part.replace(path)
