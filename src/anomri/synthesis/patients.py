"""Synthetic patients: random lesions in randomly deformed healthy brains, with ground truth.

No real lesions are used: :mod:`anomri.synthesis.tumours` and
:mod:`anomri.synthesis.white_matter_lesions` describe what they look like. Patients are drawn in
batches of tensors, on any device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomri.synthesis.anatomy import CEREBRUM, HINDBRAIN
from anomri.synthesis.healthy_contrasts import Images, draw_healthy
from anomri.synthesis.random_streams import RandomStreams
from anomri.synthesis.tissue import (
    Anatomies,
    Tissue,
    draw_positions,
    flair_at,
    indices,
    is_one_of,
    tissue_at,
)
from anomri.synthesis.tumours import TumourSeed, draw_tumour, paint_tumour
from anomri.synthesis.white_matter_lesions import draw_white_matter_lesions

WITH_TUMOUR = 0.62  # fraction of patients
WITH_WHITE_MATTER_LESIONS = 0.28  # fraction of patients, without a tumour
SINGLE_RADIUS_MM = (5.0, 30.0)  # core of a single tumour
MULTIPLE_RADIUS_MM = (2.5, 14.0)  # core of each of several
MOST_TUMOURS = 4
TRIES = 1024  # of finding a place for a tumour; the hindbrain is a fiftieth of the image

Seeds = list[tuple[list[int], TumourSeed]]  # of one tumour in each of some patients


@dataclass(frozen=True, slots=True)
class Patients:
    """A batch of synthetic patients.

    Attributes:
        images: contrasts without acquisition effects.
        tissue: the underlying healthy brains.
        regions: (N, 3, I, J, K) bool: lesion, tumour core and enhancing tumour, nested.
        measured: numbers of the patients whose FLAIR is a measured one with drawn lesions; their
            other contrasts are drawn and do not match it.
    """

    images: Images
    tissue: Tissue
    regions: Tensor
    measured: list[int] = field(default_factory=list)


def draw_patients(anatomies: Anatomies, seeds: Sequence[Sequence[int]]) -> Patients:
    """Draw patients with tumours, white-matter lesions, both or neither.

    Args:
        anatomies: healthy brains, on the device on which patients are drawn.
        seeds: seed of each patient, whom it determines whatever else is in the batch.
    """
    return draw_from(anatomies, RandomStreams(seeds, anatomies.labels.device))


def draw_from(anatomies: Anatomies, random: RandomStreams) -> Patients:
    """Draw patients from streams of random numbers, from which more can be drawn afterwards."""
    heads = anatomies.of_patients(random.integers(0, len(anatomies.labels)))
    positions = draw_positions(heads, random)
    kinds = random.numbers()
    seeds = _seeds(heads, positions, [kind < WITH_TUMOUR for kind in kinds], random)
    for chosen, seed in seeds:
        _push(positions, chosen, seed, random)
    tissue = tissue_at(heads, positions, random)
    flair = flair_at(heads, positions)
    images = draw_healthy(tissue, random, {n: flair[n] for n in heads.measured})
    regions = torch.zeros(len(kinds), 3, *tissue.shape, dtype=torch.bool, device=random.device)
    for chosen, seed in seeds:
        part, theirs, streams = images.of(chosen), tissue.of(chosen), random.of(chosen)
        tumour = draw_tumour(theirs, seed, streams)
        paint_tumour(part, theirs, tumour, streams)
        images.replace(chosen, part)
        regions[chosen] |= tumour.regions
    _add_white_matter_lesions(images, tissue, regions, kinds, random)
    return Patients(images, tissue, regions & tissue.brain[:, None], heads.measured)


def _add_white_matter_lesions(
    images: Images, tissue: Tissue, regions: Tensor, kinds: list[float], random: RandomStreams
) -> None:
    """Paint the lesions of most patients of one kind and of some of the others, in place."""
    likely = [0 <= kind - WITH_TUMOUR < WITH_WHITE_MATTER_LESIONS for kind in kinds]
    numbers = zip(random.numbers(), likely, strict=True)
    chosen = [n for n, (u, often) in enumerate(numbers) if u < (0.95 if often else 0.3)]
    if chosen:
        part = images.of(chosen)
        lesions = draw_white_matter_lesions(part, tissue.of(chosen), random.of(chosen))
        images.replace(chosen, part)
        regions[chosen, 0] |= lesions


def _seeds(
    anatomies: Anatomies, positions: Tensor, have_tumour: list[bool], random: RandomStreams
) -> Seeds:
    """Draw the seeds of one tumour, or sometimes of two to four, in those that have any."""
    several, more = set(random.chosen(0.15)), random.integers(2, MOST_TUMOURS + 1)
    counts = [more[n] if n in several else 1 for n in range(len(have_tumour))]
    hindbrain = torch.ones(len(counts), dtype=torch.bool, device=positions.device)
    hindbrain[random.chosen(0.88)] = False
    result = []
    for number in range(MOST_TUMOURS):
        centres, found = _places(anatomies, positions, hindbrain, random)
        single, multiple = (
            random.log_numbers(*mm) for mm in (SINGLE_RADIUS_MM, MULTIPLE_RADIUS_MM)
        )
        radii = [s if c == 1 else m for s, m, c in zip(single, multiple, counts, strict=True)]
        enough = zip(have_tumour, counts, found, strict=True)
        chosen = [n for n, (any_, c, f) in enumerate(enough) if any_ and number < c and f]
        if chosen:
            voxels = torch.tensor(radii, device=positions.device) / anatomies.spacing
            seed = TumourSeed(centres, voxels[:, None, None, None])
            result.append((chosen, seed.of(chosen)))
    return result


def _places(
    anatomies: Anatomies, positions: Tensor, hindbrain: Tensor, random: RandomStreams
) -> tuple[Tensor, list[bool]]:
    """Return (N, 3) voxels in the cerebrum or hindbrain, and whether any was found."""
    shape = torch.tensor(anatomies.shape, device=positions.device)
    numbers = random.uniforms(0, 1, 3 * TRIES).reshape(-1, TRIES, 3)
    voxels = (numbers * shape).long().minimum(shape - 1)
    patient = torch.arange(len(voxels), device=voxels.device)[:, None]
    i, j, k = voxels.unbind(-1)
    labels = anatomies.labels_at(positions[patient, i, j, k])
    cerebrum, below = is_one_of(labels, CEREBRUM), is_one_of(labels, HINDBRAIN)
    allowed = torch.where(hindbrain[:, None], below, cerebrum)
    first = allowed.int().argmax(1)
    centres = voxels[patient[:, 0], first].float()
    return centres, allowed.any(1).tolist()


def _push(positions: Tensor, chosen: list[int], seed: TumourSeed, random: RandomStreams) -> None:
    """Displace the brain around 70 % of the tumours, most at about their radius, in place."""
    streams = random.of(chosen)
    pushing = streams.chosen(0.7)
    if not pushing:
        return
    streams, seed = streams.of(pushing), seed.of(pushing)
    offset = indices(positions.shape[1:4], positions.device) - seed.centres[:, None, None, None]
    distance = torch.linalg.vector_norm(offset, dim=-1) + 1e-3
    width = seed.radii * streams.uniform(1.6, 2.6)
    swelling = streams.uniform(0.1, 0.6) * seed.radii * torch.exp(-((distance / width) ** 2))
    pull = swelling * (distance / seed.radii).clamp(0, 1) / distance
    positions[[chosen[n] for n in pushing]] -= offset * pull[..., None]
