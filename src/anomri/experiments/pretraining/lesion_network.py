"""Training of the lesion network on synthetic patients, without real lesions.

Each patient is synthesised once, from its number, and used a few times with augmentation. Contrasts
are dropped at random, so that one network serves FLAIR alone and FLAIR with other contrasts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.utils.data import Dataset

from anomri.experiments.pretraining.labelled_heads import (
    LabelledHead,
    read_heads,
    split,
    write_card,
)
from anomri.files import (
    PRETRAINING_STATE,
    RECIPE,
    WEIGHTS,
    make_folder,
    private_temporary_files,
    remove_stale_drafts,
    write_text,
)
from anomri.models import TOTAL, FoldedSegmenter, weighted_losses
from anomri.recipe import Recipe
from anomri.scan import Mask
from anomri.scoring import network_input
from anomri.synthesis import SEQUENCES, Anatomy, Scanner, acquire, draw_patient
from anomri.training import Progress, TrainingSchedule, TrainingState

SCANNER = Scanner(thick=0.4, slice_mm=(2.5, 7.5), bias=0.18, noise=0.07, blur_mm=1.3, cut=0.0)
PRESENT = {"flair": 1.0, "t1ce": 0.7, "t1": 0.35, "t2": 0.35}  # share of patients with a contrast
MASK_ERRORS = 0.3  # share of patients whose brain mask is a voxel too tight or too wide
MAX_SHIFT = 8  # voxels
SCALES = (0.9, 1.1)  # of the intensities of each contrast
# Weights of lesion, core and enhancing tumour; the latter two are hardly visible without T1CE.
WITHOUT_T1CE, WITH_T1CE = (1.0, 0.2, 0.0), (1.0, 0.7, 0.8)
HELD_OUT = 1_000_000  # number of the first patient of the held-out heads

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTrainingSchedule(TrainingSchedule):
    """Training schedule of the lesion network.

    Attributes:
        batch: patients per step.
        shape: voxels of a patient, multiples of 16.
        spacing: side of the voxels in mm.
        filters: channels of the network's first level.
        validation_patients: synthetic patients of held-out heads for validation.
    """

    steps: int = 2750
    warmup: int = 100
    weight_decay: float = 1e-5
    max_gradient_norm: float = 5.0
    average: float = 0.995
    uses: int = 4
    validation_interval: int = 250
    batch: int = 2
    shape: tuple[int, int, int] = (80, 96, 80)
    spacing: float = 2.0
    filters: int = 16
    validation_patients: int = 8


class Patients(Dataset[tuple[Tensor, Tensor]]):
    """Synthetic patients: image (4, I, J, K) and nested regions (3, I, J, K), float32.

    Args:
        anatomies: healthy brains.
        seed: seed of all random numbers.
        first: number of the first patient.
        count: number of patients.
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
        """Synthesise a patient, reproducibly."""
        rng = np.random.default_rng([self._seed, self._numbers[index]])
        patient = draw_patient(self._anatomies, rng)
        brain = _with_mask_errors(patient.tissue.brain, rng)
        image = np.zeros((len(SEQUENCES), *brain.shape), np.float32)
        for channel, name in enumerate(SEQUENCES):
            if rng.random() < PRESENT[name]:
                clean = np.maximum(patient.images.values[name], 0)
                image[channel] = acquire(clean, patient.tissue.spacing, SCANNER, rng)[0] * brain
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
    """Train the network on patients synthesised from the heads of ``folder``.

    Args:
        folder: see :func:`.labelled_heads.read_heads`; at least ventricles, cortex and white matter
            of the MUSE atlas are needed.
        out: run folder to write; training resumes from a state in it.
        schedule: training schedule.
        workers: processes that synthesise patients during training.
        stop: end after this step, as if interrupted.
        progress: progress display.

    Returns:
        ``out``, which ``anomri detect --model`` takes.

    Raises:
        UsageError: the folder holds no labelled heads, or labels of another atlas.
        ScanError: heads that cannot be read; all of them are named.
        AnomriError: a worker was killed.
    """
    anatomies = {name: _anatomy(head, schedule) for name, head in read_heads(folder)}
    with private_temporary_files():
        # Imported here because Lightning takes seconds to load.
        from anomri.training import readable_process_errors

        with readable_process_errors():
            return _train(anatomies, out, schedule, workers, stop, progress)


def _train(
    anatomies: Mapping[str, Anatomy],
    out: Path,
    schedule: LesionTrainingSchedule,
    workers: int,
    stop: int | None,
    progress: Progress | None,
) -> Path:
    training, held_out = split(anatomies)
    make_folder(out)
    remove_stale_drafts(out)
    state = TrainingState.start(lambda: _network(schedule), out / PRETRAINING_STATE, schedule)
    batches = _batches(list(training.values()), schedule, state.step, workers)
    validation = Patients(
        list(held_out.values()),
        seed=schedule.seed,
        first=HELD_OUT,
        count=schedule.validation_patients,
    )
    remaining = state.remaining(stop)
    for _ in progress(remaining, "learning lesions") if progress else remaining:
        image, regions = next(batches)
        state.learn(lambda network: loss(network, image, regions))  # noqa: B023 - used at once
        if state.is_validation_step():
            dice = validate(state.averaged(), validation)
            log.info("step %d: loss %.3f, held-out Dice %.3f", state.step, state.loss, dice)
            state.save(out / PRETRAINING_STATE)
    state.write(out / WEIGHTS)
    write_card(out / WEIGHTS, state.step, training)
    write_text(out / RECIPE, _recipe(schedule).to_yaml())
    return out


def loss(network: FoldedSegmenter, image: Tensor, regions: Tensor) -> Tensor:
    """Return the network's loss, with weights of the regions that depend on the contrasts.

    Args:
        network: the network.
        image: (N, C, I, J, K) contrasts in the order of ``SEQUENCES``; a missing one is 0.
        regions: (N, R, I, J, K) float32.
    """
    has_t1ce = image[:, SEQUENCES.index("t1ce")].flatten(1).any(1)
    weights = torch.where(has_t1ce[:, None], torch.tensor(WITH_T1CE), torch.tensor(WITHOUT_T1CE))
    return weighted_losses(network.logits(image), regions, weights)[TOTAL]


def validate(network: FoldedSegmenter, patients: Patients) -> float:
    """Return the mean Dice of the lesions over the patients with lesions; 0 without any."""
    scores = []
    for number in range(len(patients)):
        image, regions = patients[number]
        lesion = regions[0] > 0
        if lesion.any():
            with torch.inference_mode():
                mask = network.segment(image[None])[0, 0] > 0.5
            scores.append(float(2 * (mask & lesion).sum() / (mask.sum() + lesion.sum())))
    return float(np.mean(scores)) if scores else 0.0


def _batches(
    anatomies: Sequence[Anatomy], schedule: LesionTrainingSchedule, step: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the augmented batches of the remaining steps, each patient ``uses`` times."""
    from anomri.training import QuietLoader, initialise_worker

    group = step // schedule.uses
    groups = -(-schedule.steps // schedule.uses) - group
    patients = Patients(
        anatomies,
        seed=schedule.seed,
        first=group * schedule.batch,
        count=groups * schedule.batch,
    )
    for image, regions in QuietLoader(
        patients,
        batch_size=schedule.batch,
        num_workers=workers,
        worker_init_fn=initialise_worker,
    ):
        for use in range(step - group * schedule.uses, schedule.uses):
            rng = np.random.default_rng([schedule.seed, HELD_OUT, group, use])
            yield augmented(image, regions, rng)
            step += 1
        group += 1


def augmented(image: Tensor, regions: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mirror and shift image (N, C, I, J, K) and regions (N, R, I, J, K); scale intensities."""
    both = torch.cat([image, regions], dim=1)
    if rng.random() < 0.5:
        both = both.flip(2)
    shifts = [int(n) for n in rng.integers(-MAX_SHIFT, MAX_SHIFT + 1, 3)]
    both = torch.roll(both, shifts, (2, 3, 4))
    channels = image.shape[1]
    scale = rng.uniform(*SCALES, (len(image), channels, 1, 1, 1)).astype(np.float32)
    return both[:, :channels] * torch.from_numpy(scale), both[:, channels:]


def _anatomy(head: LabelledHead, schedule: LesionTrainingSchedule) -> Anatomy:
    resampled = head.at(schedule.spacing)
    return Anatomy.of(resampled.scan, resampled.anatomy, schedule.spacing, schedule.shape)


def _network(schedule: LesionTrainingSchedule) -> FoldedSegmenter:
    return FoldedSegmenter(channels=len(SEQUENCES), size=schedule.shape, filters=schedule.filters)


def _recipe(schedule: LesionTrainingSchedule) -> Recipe:
    """Return the recipe of the built-in model with the trained network's options."""
    recipe = Recipe.load("lesions")
    options = {**recipe.family.options, "filters": schedule.filters}
    family = recipe.family.model_copy(update={"options": options})
    return recipe.model_copy(update={"family": family})


def _with_mask_errors(brain: Mask, rng: np.random.Generator) -> Mask:
    """Erode or dilate some of the masks by a voxel, as errors of brain extraction."""
    if rng.random() >= MASK_ERRORS:
        return brain
    operation = ndimage.binary_erosion if rng.random() < 0.6 else ndimage.binary_dilation
    changed: Mask = operation(brain)
    return changed
