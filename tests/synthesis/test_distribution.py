"""Patients drawn in PyTorch against those that were drawn in NumPy and SciPy until version 0.2.

``drawn_in_numpy.tsv`` holds, for each statistic below, a hundred quantiles of 600 patients of the
artificial anatomy in ``conftest.py``, each with its FLAIR and T1CE as acquired.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import ks_2samp

from anomri.experiments.pretraining.patient_batches import SCANNER
from anomri.scan import Mask, Volume
from anomri.synthesis import Anatomies, RandomStreams, acquire, draw_from

REFERENCE = Path(__file__).parent / "drawn_in_numpy.tsv"
PATIENTS, BATCH = 40, 10
SIGNIFICANCE = 0.05  # of all statistics together (Bonferroni)

Values = dict[str, float]


@pytest.fixture(scope="module")
def drawn(anatomies: Anatomies) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for first in range(0, PATIENTS, BATCH):
        for values in statistics_of_batch(anatomies, range(first, first + BATCH)):
            for name, value in values.items():
                found.setdefault(name, []).append(value)
    return found


def statistics_of_batch(anatomies: Anatomies, numbers: range) -> list[Values]:
    random = RandomStreams([[2026, n] for n in numbers], torch.device("cpu"))
    patients = draw_from(anatomies, random)
    brain, mm = patients.tissue.brain, anatomies.spacing
    images = {name: volumes.numpy() for name, volumes in patients.images.values.items()}
    acquired = {}
    for name in ("flair", "t1ce"):
        clean = patients.images.values[name].clamp(min=0)
        acquired[name] = (acquire(clean, mm, SCANNER, random) * brain).numpy()
    tissue = {
        name: getattr(patients.tissue, name).numpy()
        for name in ("brain", "fluid", "white", "edge_mm")
    }
    return [
        statistics(
            {name: volumes[n] for name, volumes in images.items()},
            {name: volumes[n] for name, volumes in acquired.items()},
            {name: volumes[n] for name, volumes in tissue.items()},
            patients.regions[n].numpy(),
            mm,
        )
        for n in range(len(numbers))
    ]


def test_every_statistic_is_distributed_as_before(drawn: dict[str, list[float]]) -> None:
    """Two-sample Kolmogorov-Smirnov tests, at 5 % for all of them together."""
    header, *rows = REFERENCE.read_text().splitlines()
    names = header.split("\t")
    table = np.array([[float(cell) for cell in row.split("\t")] for row in rows])
    assert set(names) == set(drawn)
    chance = {
        name: ks_2samp(drawn[name], column, method="asymp").pvalue
        for name, column in zip(names, table.T, strict=True)
    }
    different = {name: p for name, p in chance.items() if p < SIGNIFICANCE / len(names)}
    assert not different


def statistics(
    images: Mapping[str, Volume],
    acquired: Mapping[str, Volume],
    tissue: Mapping[str, Volume],
    regions: Mask,
    mm: float,
) -> Values:
    """Return the statistics of a patient.

    Args:
        images: (I, J, K) by contrast, without acquisition effects.
        acquired: (I, J, K) by contrast, with them, 0 outside the brain.
        tissue: (I, J, K) ``brain``, ``fluid``, ``white`` and ``edge_mm``.
        regions: (3, I, J, K) lesion, core and enhancing tumour.
        mm: voxel size.
    """
    brain = tissue["brain"] > 0
    found = _of_tissue(tissue, brain, mm) | _of_regions(regions, mm)
    healthy = brain & ~ndimage.binary_dilation(regions[0], iterations=2)
    white = healthy & (tissue["white"] > 0.8)
    for name, image in images.items():
        found |= _of_intensities(name, image, tissue, healthy, white)
        found[f"{name} lesion"] = _median(image, regions[0] & ~regions[1])
    found["flair core"] = _median(images["flair"], regions[1])
    found["t1ce enhancing"] = _median(images["t1ce"], regions[2])
    for name, image in acquired.items():
        found |= _of_acquisition(name, image, brain)
    return found


def _of_tissue(tissue: Mapping[str, Volume], brain: Mask, mm: float) -> Values:
    middle = np.argwhere(brain).mean(axis=0) * mm
    edge = tissue["edge_mm"][brain]
    return {
        "brain ml": float(brain.sum()) * mm**3 / 1000,
        "fluid ml": float(tissue["fluid"][brain].sum()) * mm**3 / 1000,
        "white ml": float(tissue["white"][brain].sum()) * mm**3 / 1000,
        "middle i": float(middle[0]),
        "middle j": float(middle[1]),
        "middle k": float(middle[2]),
        "edge mm": float(edge.clip(max=20).mean()),
        "surface": float((edge < 1.5 * mm).mean()),
    }


def _of_regions(regions: Mask, mm: float) -> Values:
    labels, count = ndimage.label(regions[0])
    sizes = np.bincount(labels.ravel())[1:] if count else np.zeros(1)
    ml = regions.reshape(3, -1).sum(axis=1) * mm**3 / 1000
    surface = regions[0] & ~ndimage.binary_erosion(regions[0])
    return {
        "lesion ml": float(ml[0]),
        "core ml": float(ml[1]),
        "enhancing ml": float(ml[2]),
        "lesions": float(count),
        "largest ml": float(sizes.max()) * mm**3 / 1000,
        "roughness": float(surface.sum() / max(regions[0].sum(), 1) ** (2 / 3)),
    }


def _of_intensities(
    name: str, image: Volume, tissue: Mapping[str, Volume], healthy: Mask, white: Mask
) -> Values:
    grey = healthy & (1 - tissue["fluid"] - tissue["white"] > 0.8)
    steps = np.abs(np.diff(image, axis=0))[white[1:] & white[:-1]]
    return {
        f"{name} white": _median(image, white),
        f"{name} grey": _median(image, grey),
        f"{name} fluid": _median(image, healthy & (tissue["fluid"] > 0.8)),
        f"{name} spread": float(np.std(image[white])) if white.any() else 0.0,
        f"{name} top": float(np.percentile(image[healthy], 99)) if healthy.any() else 0.0,
        f"{name} step": float(steps.mean()) if steps.size else 0.0,
    }


def _of_acquisition(name: str, image: Volume, brain: Mask) -> Values:
    """Return the range of intensities, and the mean step along each axis."""
    inside = image[brain]
    spread = float(inside.std()) + 1e-6
    coarse = ndimage.zoom(np.where(brain, image, inside.mean()), 0.25, order=1)
    found = {
        f"{name} skewness": float(((inside - inside.mean()) ** 3).mean()) / spread**3,
        f"{name} unevenness": float(coarse.std()) / spread,
    }
    for axis, letter in enumerate("ijk"):
        both = _both(brain, axis)
        found[f"{name} step {letter}"] = float(np.abs(np.diff(image, axis=axis))[both].mean())
        found[f"{name} step {letter}"] /= spread
    return found


def _both(brain: Mask, axis: int) -> Mask:
    moved = np.moveaxis(brain, axis, 0)
    return np.moveaxis(moved[1:] & moved[:-1], 0, axis)


def _median(image: NDArray[np.float32], where: Mask) -> float:
    return float(np.median(image[where])) if where.any() else 0.0
