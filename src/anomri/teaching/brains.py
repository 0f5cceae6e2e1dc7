"""Teaching the brain network: batches of one image, cross entropy + (1 - soft Dice)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from anomri.files import remove_stale_drafts
from anomri.preprocessing.brain_network import SHAPE, SPACING, BrainNetwork, normalise
from anomri.synthesis import Drawing, LabelledHead, draw_image
from anomri.teaching.heads import Labelled, read_heads, split, write_card
from anomri.teaching.pupil import STATE, Lesson, Pupil, Track

WEIGHTS = "brain.safetensors"
HEAD_MM = 3.0

Heads = Mapping[str, LabelledHead]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainLesson(Lesson):
    """How the network learns to find brains.

    Attributes:
        drawing: what the images are like.
    """

    steps: int = 4000
    drawing: Drawing = field(default_factory=lambda: Drawing(shape=SHAPE, spacing=SPACING))


def train_brain(
    folder: Path,
    out: Path,
    lesson: BrainLesson,
    *,
    stop: int | None = None,
    track: Track | None = None,
) -> Path:
    """Teach the network on the heads of ``folder``; write its weights and their card to ``out``.

    Args:
        folder: see :func:`.heads.read_heads`.
        out: folder to write to; a state in it is gone on from.
        lesson: how the network learns.
        stop: end after this step, as if interrupted.
        track: shows progress.

    Raises:
        UsageError: the folder holds no labelled heads.
    """
    heads = {name: _head(head.at(HEAD_MM)) for name, head in read_heads(folder)}
    taught, held = split(heads)
    out.mkdir(parents=True, exist_ok=True)
    remove_stale_drafts(out)
    pupil = Pupil.start(BrainNetwork, out / STATE, lesson)
    images = _images(list(taught.values()), lesson, pupil.step)
    remaining = pupil.remaining(stop)
    for _ in track(remaining, "learning brains") if track else remaining:
        image, brain = next(images)
        pupil.learn(lambda network: loss(network(image), brain))  # noqa: B023 - used at once
        if pupil.is_looked_at():
            dice = validate(pupil.averaged(), held, lesson)
            log.info("step %d: loss %.4f, held-out Dice %.4f", pupil.step, pupil.loss, dice)
            pupil.save(out / STATE)
    pupil.write(out / WEIGHTS)
    write_card(out / WEIGHTS, pupil.step, taught)
    return out / WEIGHTS


def loss(logits: Tensor, brain: Tensor) -> Tensor:
    r"""Return cross entropy + 1 - :math:`2\sum pb / (\sum p + \sum b)`, with p = sigmoid(logit)."""
    p = torch.sigmoid(logits)
    dice = 2 * (p * brain).sum() / (p.sum() + brain.sum()).clamp_min(1.0)
    return binary_cross_entropy_with_logits(logits, brain) + 1 - dice


def validate(network: BrainNetwork, heads: Heads, lesson: BrainLesson) -> float:
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


def _head(coarse: Labelled) -> LabelledHead:
    return LabelledHead.of(coarse.scan, coarse.anatomy, coarse.spacing)


def _images(
    heads: Sequence[LabelledHead], lesson: BrainLesson, step: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield image and brain, (1, 1, I, J, K); a new one every ``uses`` steps, else mirrored."""
    while True:
        first = step - step % lesson.uses
        draw = np.random.default_rng([lesson.seed, first])
        drawn, brain = draw_image(heads[int(draw.integers(len(heads)))], lesson.drawing, draw)
        image = torch.from_numpy(normalise(drawn))[None, None]
        inside = torch.from_numpy(brain.astype(np.float32))[None, None]
        for use in range(step - first, lesson.uses):
            yield (image.flip(2), inside.flip(2)) if use % 2 else (image, inside)
            step += 1
