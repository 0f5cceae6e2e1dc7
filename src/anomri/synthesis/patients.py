"""A patient drawn at random from a healthy brain, top to bottom, with the truth.

No real lesion is used: all that is known of tumours stands in :mod:`anomri.synthesis.tumours`, and
of white-matter lesions in :mod:`anomri.synthesis.white_matter`.
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
from anomri.synthesis.fields import waves
from anomri.synthesis.geometry import Placing
from anomri.synthesis.sequences import Images, Tissue, draw_healthy
from anomri.synthesis.tumours import (
    Seed,
    draw_tumour,
    indices,
    paint_tumour,
)
from anomri.synthesis.white_matter import draw_white_matter_lesions

WITH_TUMOUR = 0.62  # share of patients
WITH_WHITE_MATTER_LESIONS = 0.28  # of patients without a tumour, next on the same scale
ONE_MM = (5.0, 30.0)  # radius of the core of a single tumour
MANY_MM = (2.5, 14.0)  # of one of several
PLACING = Placing(rotation_deg=15, scale=0.07, shear=0.05)
BEND_MM = 3.6  # standard deviation of the elastic displacement, at most


@dataclass(frozen=True, slots=True)
class Patient:
    """What was drawn.

    Attributes:
        images: contrasts without a scanner's faults.
        tissue: the healthy brain below.
        regions: (3, I, J, K) bool, lesion, tumour core and enhancing tumour, nested.
    """

    images: Images
    tissue: Tissue
    regions: Mask


def draw_patient(anatomies: Sequence[Anatomy], draw: np.random.Generator) -> Patient:
    """Return a patient: with a tumour, with white-matter lesions, with both or healthy."""
    anatomy = anatomies[int(draw.integers(len(anatomies)))]
    positions = _positions(anatomy, draw)
    kind = draw.random()
    seeds = _seeds(anatomy, positions, draw) if kind < WITH_TUMOUR else []
    for seed in seeds:
        if draw.random() < 0.7:
            positions = _push(positions, seed, draw)
    tissue = _tissue(anatomy, positions, draw)
    images = draw_healthy(tissue, draw)
    regions = np.zeros((3, *tissue.brain.shape), dtype=bool)
    for seed in seeds:
        tumour = draw_tumour(tissue, seed, draw)
        if tumour is not None:
            paint_tumour(images, tissue, tumour, draw)
            regions |= [tumour.core | tumour.edema, tumour.core, tumour.enhancing]
    often = WITH_TUMOUR <= kind < WITH_TUMOUR + WITH_WHITE_MATTER_LESIONS
    if draw.random() < (0.95 if often else 0.3):
        regions[0] |= draw_white_matter_lesions(images, tissue, draw)
    return Patient(images, tissue, regions & tissue.brain)


def _positions(anatomy: Anatomy, draw: np.random.Generator) -> NDArray[np.float32]:
    """Return (I, J, K, 3), for each voxel where in the anatomy it comes from, from the middle."""
    shape = anatomy.brain.shape
    middle = (np.array(shape, np.float32) - np.float32(1)) / np.float32(2)
    turn = PLACING.matrix(draw).T.astype(np.float32)
    positions: NDArray[np.float32] = (indices(shape) - middle) @ turn
    bend = draw.uniform(0, BEND_MM) / anatomy.spacing
    for axis in range(3):
        width = draw.uniform(50, 90) / anatomy.spacing
        positions[..., axis] += np.float32(bend) * waves(shape, width, draw)
    return positions


def _seeds(
    anatomy: Anatomy, positions: NDArray[np.float32], draw: np.random.Generator
) -> list[Seed]:
    """Choose where tumours begin: one in most patients, two to four in the others."""
    count = 1 if draw.random() < 0.85 else int(draw.integers(2, 5))
    numbers = CEREBRUM if draw.random() < 0.93 else HINDBRAIN
    allowed = anatomy.where(numbers).astype(np.float32)[None]
    places = np.argwhere(_sample(allowed, positions, "nearest")[0] > 0.5).astype(np.float32)
    radii = ONE_MM if count == 1 else MANY_MM
    return [
        Seed(
            places[int(draw.integers(len(places)))],
            float(np.exp(draw.uniform(*np.log(radii)))) / anatomy.spacing,
        )
        for _ in range(count if len(places) else 0)
    ]


def _push(
    positions: NDArray[np.float32], seed: Seed, draw: np.random.Generator
) -> NDArray[np.float32]:
    """Let a tumour push the brain aside, as far as a radius-wide swelling would."""
    offset = indices(positions.shape[:3]) - seed.centre
    distance = np.sqrt(np.square(offset).sum(-1)) + 1e-3
    width = seed.radius * draw.uniform(1.6, 2.6)
    swelling = draw.uniform(0.1, 0.6) * seed.radius * np.exp(-np.square(distance / width))
    pull = swelling * (distance / seed.radius).clip(0, 1) / distance
    pushed: NDArray[np.float32] = positions - offset * pull[..., None].astype(np.float32)
    return pushed


def _tissue(anatomy: Anatomy, positions: NDArray[np.float32], draw: np.random.Generator) -> Tissue:
    """Return the healthy brain where it lies in the image, with more or less fluid than it had."""
    volumes = [anatomy.brain, anatomy.fluid, anatomy.white, anatomy.ventricle_mm]
    brain, fluid, white, ventricle_mm = _sample(np.stack(volumes), positions, "bilinear")
    labels = _sample(anatomy.labels.astype(np.float32)[None], positions, "nearest")[0]
    numbers = labels.round().astype(np.uint8)
    inside = brain > 0.5
    more = fluid.clip(0, 1) ** np.float32(np.exp(draw.uniform(-0.4, 0.4)))
    depth = ndimage.distance_transform_edt(inside, sampling=anatomy.spacing)
    return Tissue(
        brain=inside,
        fluid=more,
        white=np.minimum(white.clip(0, 1), 1 - more),
        ventricle_mm=ventricle_mm,
        edge_mm=depth.astype(np.float32),
        lateral=np.isin(numbers, LATERAL),
        lobar=np.isin(numbers, LOBAR_WHITE),
        labels=numbers,
        spacing=anatomy.spacing,
    )


def _sample(volumes: Image, positions: NDArray[np.float32], mode: str) -> Image:
    """Return (C, I, J, K) at positions relative to the middle, 0 beyond the edge."""
    ends = (np.array(volumes.shape[1:], np.float32) - 1) / 2
    normal = torch.from_numpy(np.ascontiguousarray((positions / ends)[..., ::-1]))[None]
    source = torch.from_numpy(np.ascontiguousarray(volumes))[None]
    result: Image = grid_sample(source, normal, mode=mode, align_corners=True)[0].numpy()
    return result
