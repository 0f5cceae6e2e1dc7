"""Training of the lesion network on synthetic patients, without real lesions.

Each patient is drawn once, from its number, on the device that trains, and used a few times with
augmentation. Contrasts are dropped at random, so that one network serves FLAIR alone and FLAIR with
other contrasts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anomri.experiments.pretraining.labelled_heads import (
    LabelledHead,
    read_heads,
    split,
    write_card,
)
from anomri.experiments.pretraining.measured_heads import read_measured_heads
from anomri.experiments.pretraining.patient_batches import PatientBatches
from anomri.files import (
    PRETRAINING_STATE,
    RECIPE,
    WEIGHTS,
    make_folder,
    private_temporary_files,
    remove_stale_drafts,
    write_text,
)
from anomri.models import TOTAL, FoldedSegmenter, choose_device, weighted_losses
from anomri.recipe import Recipe
from anomri.synthesis import SEQUENCES, Anatomies, Anatomy
from anomri.training import Progress, TrainingSchedule, TrainingState

MAX_SHIFT = 8  # voxels
SCALES = (0.9, 1.1)  # of the intensities of each contrast
# Weights of lesion, core and enhancing tumour; the latter two are hardly visible without T1CE.
WITHOUT_T1CE, WITH_T1CE = (1.0, 0.2, 0.0), (1.0, 0.7, 0.8)
MEASURED_SHARE = 0.3  # of the patients, where there are heads with a measured FLAIR
HELD_OUT = 1_000_000  # number of the first patient of the held-out heads
CANNOT_DRAW = ("mps",)  # devices on which PyTorch does not sample volumes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTrainingSchedule(TrainingSchedule):
    """Training schedule of the lesion network.

    Attributes:
        batch: patients per step.
        shape: voxels of a patient, multiples of 16.
        spacing: side of the voxels in mm.
        filters: channels of the network's first level.
        validation_patients: synthetic patients of held-out heads for validation, whose intensities
            follow from relaxation times, a model that training does not use.
        start: weights from which a new training starts, in place of random ones.
        flair_heads: scans whose measured FLAIR, without its lesions, is that of three in ten
            patients, see :func:`.measured_heads.read_measured_heads`.
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
    start: Path | None = None
    flair_heads: Path | None = None


def train_lesions(
    folder: Path,
    out: Path,
    schedule: LesionTrainingSchedule,
    *,
    device: str = "auto",
    workers: int = 0,
    stop: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train the network on patients drawn from the heads of ``folder``.

    Args:
        folder: see :func:`.labelled_heads.read_heads`; at least ventricles, cortex and white matter
            of the MUSE atlas are needed.
        out: run folder to write; training resumes from a state in it.
        schedule: training schedule.
        device: device that trains and draws, see :func:`~anomri.models.choose_device`.
        workers: processes that draw patients on the CPU during training, instead of the device.
        stop: end after this step, as if interrupted.
        progress: progress display.

    Returns:
        ``out``, which ``anomri detect --model`` takes.

    Raises:
        UsageError: the folder holds no labelled heads, or labels of another atlas; or there is no
            such device.
        ScanError: heads that cannot be read; all of them are named.
        AnomriError: a worker was killed.
    """
    chosen = choose_device(device)
    anatomies = {name: _anatomy(head, schedule) for name, head in read_heads(folder)}
    with private_temporary_files():
        # Imported here because Lightning takes seconds to load.
        from anomri.training import readable_process_errors

        with readable_process_errors():
            return _train(anatomies, out, schedule, chosen, workers, stop, progress)


def _train(
    anatomies: Mapping[str, Anatomy],
    out: Path,
    schedule: LesionTrainingSchedule,
    device: torch.device,
    workers: int,
    stop: int | None,
    progress: Progress | None,
) -> Path:
    training, held_out = split(anatomies)
    measured = _measured(schedule, device)
    make_folder(out)
    remove_stale_drafts(out)
    state = TrainingState.start(
        lambda: _network(schedule).to(device), out / PRETRAINING_STATE, schedule, schedule.start
    )
    drawing = torch.device("cpu") if workers or device.type in CANNOT_DRAW else device
    heads = [*training.values(), *_repeated(list(measured.values()), len(training))]
    drawn_from = Anatomies.of(heads, drawing)
    batches = _batches(drawn_from, schedule, state.step, workers)
    validation = _validation_patients(held_out, schedule, drawing)
    remaining = state.remaining(stop)
    for _ in progress(remaining, "training") if progress else remaining:
        image, regions = (part.to(device) for part in next(batches))
        state.learn(lambda network: loss(network, image, regions))  # noqa: B023 - used at once
        if state.is_validation_step():
            dice = validate(state.averaged(), validation, device)
            log.info("step %d: loss %.3f, held-out Dice %.3f", state.step, state.loss, dice)
            state.save(out / PRETRAINING_STATE)
    state.write(out / WEIGHTS)
    write_card(out / WEIGHTS, state.step, training, schedule.start, measured)
    write_text(out / RECIPE, _recipe(schedule).to_yaml())
    return out


def _validation_patients(
    held_out: Mapping[str, Anatomy], schedule: LesionTrainingSchedule, device: torch.device
) -> PatientBatches:
    return PatientBatches(
        Anatomies.of(list(held_out.values()), device),
        seed=schedule.seed,
        first=HELD_OUT,
        count=schedule.validation_patients,
        relaxation=True,
    )


def loss(network: FoldedSegmenter, image: Tensor, regions: Tensor) -> Tensor:
    """Return the network's loss, with weights of the regions that depend on the contrasts.

    Args:
        network: the network.
        image: (N, C, I, J, K) contrasts in the order of ``SEQUENCES``; a missing one is 0.
        regions: (N, R, I, J, K) float32.
    """
    has_t1ce = image[:, SEQUENCES.index("t1ce")].flatten(1).any(1)
    without, with_t1ce = torch.tensor([WITHOUT_T1CE, WITH_T1CE], device=image.device)
    weights = torch.where(has_t1ce[:, None], with_t1ce, without)
    return weighted_losses(network.logits(image), regions, weights)[TOTAL]


def validate(network: FoldedSegmenter, patients: PatientBatches, device: torch.device) -> float:
    """Return the mean Dice of the lesions over the patients with lesions; 0 without any."""
    scores = []
    for number in range(len(patients)):
        image, regions = (part.to(device) for part in patients[number])
        lesion = regions[:, 0] > 0
        if lesion.any():
            with torch.inference_mode():
                mask = network.segment(image)[:, 0] > 0.5
            scores.append(float(2 * (mask & lesion).sum() / (mask.sum() + lesion.sum())))
    return float(np.mean(scores)) if scores else 0.0


def _batches(
    anatomies: Anatomies, schedule: LesionTrainingSchedule, step: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the augmented batches of the remaining steps, each patient ``uses`` times."""
    from anomri.training import QuietLoader, initialise_worker

    group = step // schedule.uses
    groups = -(-schedule.steps // schedule.uses) - group
    patients = PatientBatches(
        anatomies, seed=schedule.seed, first=group, count=groups, size=schedule.batch
    )
    for image, regions in QuietLoader(
        patients,
        batch_size=None,
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
    scales = torch.from_numpy(scale).to(image.device)
    return both[:, :channels] * scales, both[:, channels:]


def _measured(schedule: LesionTrainingSchedule, device: torch.device) -> dict[str, Anatomy]:
    if schedule.flair_heads is None:
        return {}
    shape = schedule.shape
    return dict(read_measured_heads(schedule.flair_heads, schedule.spacing, shape, str(device)))


def _repeated(measured: Sequence[Anatomy], drawn: int) -> list[Anatomy]:
    """Repeat heads until they are their share, since all heads are equally likely."""
    wanted = drawn * MEASURED_SHARE / (1 - MEASURED_SHARE)
    return list(measured) * max(round(wanted / max(len(measured), 1)), 1)


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
