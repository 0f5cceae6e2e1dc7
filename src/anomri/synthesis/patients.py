"""Synthetic patients: random lesions in a randomly deformed healthy brain, with ground truth.

No real lesions are used: :mod:`anomri.synthesis.tumours` and
:mod:`anomri.synthesis.white_matter_lesions` describe what they look like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn.functional import grid_sample

from anomri.scan import Image, Mask
from anomri.synthesis.anatomy import CEREBRUM, HINDBRAIN, LATERAL, LOBAR_WHITE, Anatomy
from anomri.synthesis.healthy_contrasts import Images, Tissue, draw_healthy
from anomri.synthesis.random_affine import RandomAffine
from anomri.synthesis.random_fields import smooth_noise
from anomri.synthesis.tumours import (
    TumourSeed,
    draw_tumour,
    indices,
    paint_tumour,
)
from anomri.synthesis.white_matter_lesions import draw_white_matter_lesions

WITH_TUMOUR = 0.62  # fraction of patients
WITH_WHITE_MATTER_LESIONS = 0.28  # fraction of patients, without a tumour
SINGLE_RADIUS_MM = (5.0, 30.0)  # core of a single tumour
MULTIPLE_RADIUS_MM = (2.5, 14.0)  # core of each of several
POSITION = RandomAffine(rotation_deg=15, scale=0.07, shear=0.05)
MAX_DISPLACEMENT_MM = 3.6  # standard deviation of the elastic displacement


@dataclass(frozen=True, slots=True)
class Patient:
    """A synthetic patient.

    Attributes:
        images: contrasts without acquisition effects.
        tissue: the underlying healthy brain.
        regions: (3, I, J, K) bool: lesion, tumour core and enhancing tumour, nested.
    """

    images: Images
    tissue: Tissue
    regions: Mask


def draw_patient(anatomies: Sequence[Anatomy], rng: np.random.Generator) -> Patient:
    """Draw a patient with tumours, white-matter lesions, both or neither."""
    anatomy = anatomies[int(rng.integers(len(anatomies)))]
    positions = _positions(anatomy, rng)
    kind = rng.random()
    seeds = _seeds(anatomy, positions, rng) if kind < WITH_TUMOUR else []
    for seed in seeds:
        if rng.random() < 0.7:
            positions = _push(positions, seed, rng)
    tissue = _tissue(anatomy, positions, rng)
    images = draw_healthy(tissue, rng)
    regions = np.zeros((3, *tissue.brain.shape), dtype=bool)
    for seed in seeds:
        tumour = draw_tumour(tissue, seed, rng)
        if tumour is not None:
            paint_tumour(images, tissue, tumour, rng)
            regions |= [tumour.core | tumour.edema, tumour.core, tumour.enhancing]
    likely = WITH_TUMOUR <= kind < WITH_TUMOUR + WITH_WHITE_MATTER_LESIONS
    if rng.random() < (0.95 if likely else 0.3):
        regions[0] |= draw_white_matter_lesions(images, tissue, rng)
    return Patient(images, tissue, regions & tissue.brain)


def _positions(anatomy: Anatomy, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (I, J, K, 3), the position of each voxel in the anatomy, relative to its centre."""
    shape = anatomy.brain.shape
    middle = (np.array(shape, np.float32) - np.float32(1)) / np.float32(2)
    rotation = POSITION.draw(rng).T.astype(np.float32)
    positions: NDArray[np.float32] = (indices(shape) - middle) @ rotation
    amplitude = rng.uniform(0, MAX_DISPLACEMENT_MM) / anatomy.spacing
    for axis in range(3):
        width = rng.uniform(50, 90) / anatomy.spacing
        positions[..., axis] += np.float32(amplitude) * smooth_noise(shape, width, rng)
    return positions


def _seeds(
    anatomy: Anatomy, positions: NDArray[np.float32], rng: np.random.Generator
) -> list[TumourSeed]:
    """Draw the seeds of one tumour, or sometimes of two to four."""
    count = 1 if rng.random() < 0.85 else int(rng.integers(2, 5))
    numbers = CEREBRUM if rng.random() < 0.93 else HINDBRAIN
    allowed = anatomy.mask_of(numbers).astype(np.float32)[None]
    places = np.argwhere(_sample(allowed, positions, "nearest")[0] > 0.5).astype(np.float32)
    radii = SINGLE_RADIUS_MM if count == 1 else MULTIPLE_RADIUS_MM
    return [
        TumourSeed(
            places[int(rng.integers(len(places)))],
            float(np.exp(rng.uniform(*np.log(radii)))) / anatomy.spacing,
        )
        for _ in range(count if len(places) else 0)
    ]


def _push(
    positions: NDArray[np.float32], seed: TumourSeed, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Displace the brain around a tumour, most at about its radius."""
    offset = indices(positions.shape[:3]) - seed.centre
    distance = np.sqrt(np.square(offset).sum(-1)) + 1e-3
    width = seed.radius * rng.uniform(1.6, 2.6)
    swelling = rng.uniform(0.1, 0.6) * seed.radius * np.exp(-np.square(distance / width))
    pull = swelling * (distance / seed.radius).clip(0, 1) / distance
    pushed: NDArray[np.float32] = positions - offset * pull[..., None].astype(np.float32)
    return pushed


def _tissue(anatomy: Anatomy, positions: NDArray[np.float32], rng: np.random.Generator) -> Tissue:
    """Resample the healthy brain into the image, and vary its amount of fluid."""
    volumes = [anatomy.brain, anatomy.fluid, anatomy.white, anatomy.ventricle_mm]
    brain, fluid, white, ventricle_mm = _sample(np.stack(volumes), positions, "bilinear")
    labels = _sample(anatomy.labels.astype(np.float32)[None], positions, "nearest")[0]
    numbers = labels.round().astype(np.uint8)
    inside = brain > 0.5
    varied = fluid.clip(0, 1) ** np.float32(np.exp(rng.uniform(-0.4, 0.4)))
    depth = ndimage.distance_transform_edt(inside, sampling=anatomy.spacing)
    return Tissue(
        brain=inside,
        fluid=varied,
        white=np.minimum(white.clip(0, 1), 1 - varied),
        ventricle_mm=ventricle_mm,
        edge_mm=depth.astype(np.float32),
        lateral=np.isin(numbers, LATERAL),
        lobar=np.isin(numbers, LOBAR_WHITE),
        labels=numbers,
        spacing=anatomy.spacing,
    )


def _sample(volumes: Image, positions: NDArray[np.float32], mode: str) -> Image:
    """Return (C, I, J, K) sampled at positions relative to the centre, 0 outside."""
    ends = (np.array(volumes.shape[1:], np.float32) - 1) / 2
    normalised = torch.from_numpy(np.ascontiguousarray((positions / ends)[..., ::-1]))[None]
    source = torch.from_numpy(np.ascontiguousarray(volumes))[None]
    result: Image = grid_sample(source, normalised, mode=mode, align_corners=True)[0].numpy()
    return result
