"""Synthetic patients as the lesion network sees them, in batches on the device that trains."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from anomri.synthesis import (
    SEQUENCES,
    Anatomies,
    RandomStreams,
    Scanner,
    acquire,
    dilate,
    draw_from,
    erode,
    paint_by_relaxation,
)

SCANNER = Scanner(thick=0.4, slice_mm=(2.5, 7.5), bias=0.18, noise=0.07, blur_mm=1.3)
PRESENT = {"flair": 1.0, "t1ce": 0.8}  # share of patients with a contrast
MASK_ERRORS = 0.3  # share of patients whose brain mask is a voxel too tight or too wide
NORMAL_DECILES, LIMITS = 2.563, (-4.0, 8.0)  # of the standardised intensities


class PatientBatches(Dataset[tuple[Tensor, Tensor]]):
    """Batches of synthetic patients: images (N, 2, I, J, K) and nested regions (N, 3, I, J, K).

    Both are float32, on the device of the anatomies, where they are drawn.

    Args:
        anatomies: healthy brains.
        seed: seed of all random numbers.
        first: number of the first batch.
        count: number of batches.
        size: patients of a batch.
        relaxation: paint by relaxation times, as for validation, instead of the random levels
            of training.
    """

    def __init__(
        self,
        anatomies: Anatomies,
        *,
        seed: int,
        first: int = 0,
        count: int = 1,
        size: int = 1,
        relaxation: bool = False,
    ) -> None:
        self._anatomies, self._relaxation = anatomies, relaxation
        self._seed, self._size = seed, size
        self._numbers = range(first, first + count)

    def __len__(self) -> int:
        """Count the batches."""
        return len(self._numbers)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Draw a batch, each patient by its number, whatever the size of the batches."""
        first = self._numbers[index] * self._size
        seeds = [[self._seed, first + n] for n in range(self._size)]
        random = RandomStreams(seeds, self._anatomies.labels.device)
        patients = draw_from(self._anatomies, random)
        relaxed = self._relaxation
        values = paint_by_relaxation(patients, random) if relaxed else patients.images.values
        brain = _with_mask_errors(patients.tissue.brain, random)
        image = torch.zeros(len(brain), len(SEQUENCES), *brain.shape[1:], device=random.device)
        for channel, name in enumerate(SEQUENCES):
            chosen = random.chosen(PRESENT[name])
            if name != "flair":
                chosen = [n for n in chosen if n not in patients.measured]
            if chosen:
                clean = values[name][chosen].clamp(min=0)
                acquired = acquire(clean, patients.tissue.spacing, SCANNER, random.of(chosen))
                image[chosen, channel] = acquired * brain[chosen]
        regions = (patients.regions & brain[:, None]).float()
        return standardised(image, brain), regions


def standardised(image: Tensor, brain: Tensor) -> Tensor:
    """Standardise each contrast as :func:`~anomri.scoring.network_input` does.

    Args:
        image: (N, C, I, J, K); a missing contrast is 0 and stays 0.
        brain: (N, I, J, K) bool.
    """
    result = torch.zeros_like(image)
    for contrasts, inside, scaled in zip(image, brain, result, strict=True):
        for source, target in zip(contrasts, scaled, strict=True):
            values = source[inside]
            if values.any():
                target[inside] = _robust_zscore(values)
    return result


def _robust_zscore(values: Tensor) -> Tensor:
    p10, median, p90 = (
        values.kthvalue(1 + round(share * (len(values) - 1))).values for share in (0.1, 0.5, 0.9)
    )
    return ((values - median) * (NORMAL_DECILES / (p90 - p10))).clamp(*LIMITS)


def _with_mask_errors(brain: Tensor, random: RandomStreams) -> Tensor:
    """Erode or dilate some of the masks by a voxel, as errors of brain extraction."""
    result = brain.clone()
    for n, number in enumerate(random.numbers()):
        if number < MASK_ERRORS:
            change = erode if number < 0.6 * MASK_ERRORS else dilate
            result[n] = change(brain[n : n + 1])[0]
    return result
