"""Teaching the lesion network on patients that are drawn at random; none of their lesions is real.

Each patient is drawn once, by its number, and seen a few times, moved and mirrored. Contrasts are
left out at random, so that one network serves FLAIR alone and FLAIR with others.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from anomri.experiments.pretraining.labelled_heads import Labelled, read_heads, split, write_card
from anomri.experiments.pretraining.training_state import (
    Progress,
    TrainingSchedule,
    TrainingState,
)
from anomri.files import PRETRAINING_STATE, RECIPE, WEIGHTS, remove_stale_drafts, write_text
from anomri.models import TOTAL, FoldedSegmenter, weighted_losses
from anomri.recipe import Recipe
from anomri.scan import Mask
from anomri.scoring import network_input
from anomri.synthesis import SEQUENCES, Anatomy, Scanner, acquire, draw_patient

SCANNER = Scanner(thick=0.4, slice_mm=(2.5, 7.5), bias=0.18, noise=0.07, blur_mm=1.3, cut=0.0)
PRESENT = {"flair": 1.0, "t1ce": 0.7, "t1": 0.35, "t2": 0.35}  # share of patients that have it
RAGGED = 0.3  # share of patients whose brain mask is a voxel too tight or too wide
MOVED = 8  # voxels, at most
LOUDNESS = (0.9, 1.1)  # of each contrast
# lesion, core, enhancing tumour: without T1CE little can be told of a core, nothing of enhancement
WITHOUT_T1CE, WITH_T1CE = (1.0, 0.2, 0.0), (1.0, 0.7, 0.8)
HELD_OUT = 1_000_000  # numbers from which patients are drawn of held-out heads

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTrainingSchedule(TrainingSchedule):
    """How the network learns to find lesions.

    Attributes:
        batch: patients per step.
        shape: voxels of a patient, multiples of 16.
        spacing: mm, their side.
        filters: of the network.
        looks: patients of held-out heads that progress is measured on.
    """

    steps: int = 2750
    rising: int = 100
    decay: float = 1e-5
    longest: float = 5.0
    average: float = 0.995
    uses: int = 4
    every: int = 250
    batch: int = 2
    shape: tuple[int, int, int] = (80, 96, 80)
    spacing: float = 2.0
    filters: int = 16
    looks: int = 8


class Patients(Dataset[tuple[Tensor, Tensor]]):
    """Patients by their number: image (4, I, J, K) and nested regions (3, I, J, K), float32.

    Args:
        anatomies: healthy brains.
        seed: of every random number.
        first: number of the first patient.
        count: how many there are.
    """

    def __init__(
        self, anatomies: Sequence[Anatomy], *, seed: int, first: int = 0, count: int = 1
    ) -> None:
        self._anatomies = anatomies
        self._seed, self._numbers = seed, range(first, first + count)

    def __len__(self) -> int:
        """Count the patients."""
        return len(self._numbers)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Draw one; the same each time."""
        draw = np.random.default_rng([self._seed, self._numbers[index]])
        patient = draw_patient(self._anatomies, draw)
        brain = _ragged(patient.tissue.brain, draw)
        image = np.zeros((len(SEQUENCES), *brain.shape), np.float32)
        for channel, name in enumerate(SEQUENCES):
            if draw.random() < PRESENT[name]:
                clean = np.maximum(patient.images.values[name], 0)
                image[channel] = acquire(clean, patient.tissue.spacing, SCANNER, draw)[0] * brain
        regions = (patient.regions & brain).astype(np.float32)
        return torch.from_numpy(network_input(image, brain)), torch.from_numpy(regions)


def train_lesions(
    folder: Path,
    out: Path,
    schedule: LesionTrainingSchedule,
    *,
    workers: int = 0,
    stop: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Teach the network on patients drawn from the heads of ``folder``; write a run folder.

    Args:
        folder: see :func:`.heads.read_heads`; at least ventricles, cortex and white matter of the
            MUSE atlas are needed.
        out: folder to write to; a state in it is gone on from.
        schedule: how the network learns.
        workers: processes that draw patients while the network learns.
        stop: end after this step, as if interrupted.
        progress: shows progress.

    Returns:
        ``out``, which ``anomri detect --model`` takes.

    Raises:
        UsageError: the folder holds no labelled heads, or labels of another atlas.
    """
    anatomies = {name: _anatomy(head, schedule) for name, head in read_heads(folder)}
    taught, held = split(anatomies)
    out.mkdir(parents=True, exist_ok=True)
    remove_stale_drafts(out)
    state = TrainingState.start(lambda: _network(schedule), out / PRETRAINING_STATE, schedule)
    batches = _batches(list(taught.values()), schedule, state.step, workers)
    looks = Patients(list(held.values()), seed=schedule.seed, first=HELD_OUT, count=schedule.looks)
    remaining = state.remaining(stop)
    for _ in progress(remaining, "learning lesions") if progress else remaining:
        image, regions = next(batches)
        state.learn(lambda network: loss(network, image, regions))  # noqa: B023 - used at once
        if state.is_looked_at():
            dice = validate(state.averaged(), looks)
            log.info("step %d: loss %.3f, held-out Dice %.3f", state.step, state.loss, dice)
            state.save(out / PRETRAINING_STATE)
    state.write(out / WEIGHTS)
    write_card(out / WEIGHTS, state.step, taught)
    write_text(out / RECIPE, _recipe(schedule).to_yaml())
    return out


def loss(network: FoldedSegmenter, image: Tensor, regions: Tensor) -> Tensor:
    """Return the network's loss on (N, C, I, J, K), regions weighted by what can be seen of them.

    Args:
        network: the pupil.
        image: contrasts in the order of ``SEQUENCES``; a missing one is 0 everywhere.
        regions: (N, R, I, J, K) float32.
    """
    enhanced = image[:, SEQUENCES.index("t1ce")].flatten(1).any(1)
    weights = torch.where(enhanced[:, None], torch.tensor(WITH_T1CE), torch.tensor(WITHOUT_T1CE))
    return weighted_losses(network.logits(image), regions, weights)[TOTAL]


def validate(network: FoldedSegmenter, patients: Patients) -> float:
    """Return the mean Dice of the lesions over the patients that have some; 0 where none has."""
    scores = []
    for number in range(len(patients)):
        image, regions = patients[number]
        lesion = regions[0] > 0
        if lesion.any():
            with torch.inference_mode():
                found = network.segment(image[None])[0, 0] > 0.5
            scores.append(float(2 * (found & lesion).sum() / (found.sum() + lesion.sum())))
    return float(np.mean(scores)) if scores else 0.0


def _batches(
    anatomies: Sequence[Anatomy], schedule: LesionTrainingSchedule, step: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a batch for each step that is left; each patient ``uses`` times, moved and mirrored."""
    turn = step // schedule.uses
    turns = -(-schedule.steps // schedule.uses) - turn
    patients = Patients(
        anatomies,
        seed=schedule.seed,
        first=turn * schedule.batch,
        count=turns * schedule.batch,
    )
    for image, regions in DataLoader(patients, batch_size=schedule.batch, num_workers=workers):
        for use in range(step - turn * schedule.uses, schedule.uses):
            draw = np.random.default_rng([schedule.seed, HELD_OUT, turn, use])
            yield moved(image, regions, draw)
            step += 1
        turn += 1


def moved(image: Tensor, regions: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mirror, shift and scale (N, C, I, J, K); the regions (N, R, I, J, K) follow."""
    both = torch.cat([image, regions], dim=1)
    if draw.random() < 0.5:
        both = both.flip(2)
    shifts = [int(n) for n in draw.integers(-MOVED, MOVED + 1, 3)]
    both = torch.roll(both, shifts, (2, 3, 4))
    channels = image.shape[1]
    scale = draw.uniform(*LOUDNESS, (len(image), channels, 1, 1, 1)).astype(np.float32)
    return both[:, :channels] * torch.from_numpy(scale), both[:, channels:]


def _anatomy(head: Labelled, schedule: LesionTrainingSchedule) -> Anatomy:
    coarse = head.at(schedule.spacing)
    return Anatomy.of(coarse.scan, coarse.anatomy, schedule.spacing, schedule.shape)


def _network(schedule: LesionTrainingSchedule) -> FoldedSegmenter:
    return FoldedSegmenter(channels=len(SEQUENCES), size=schedule.shape, filters=schedule.filters)


def _recipe(schedule: LesionTrainingSchedule) -> Recipe:
    """Return the recipe of the built-in model with this lesson's network."""
    recipe = Recipe.load("lesions")
    options = {**recipe.family.options, "filters": schedule.filters}
    family = recipe.family.model_copy(update={"options": options})
    return recipe.model_copy(update={"family": family})


def _ragged(brain: Mask, draw: np.random.Generator) -> Mask:
    """Return the brain, at times a voxel tighter or wider, as brain masks are."""
    if draw.random() >= RAGGED:
        return brain
    change = ndimage.binary_erosion if draw.random() < 0.6 else ndimage.binary_dilation
    ragged: Mask = change(brain)
    return ragged
