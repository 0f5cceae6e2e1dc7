"""Images of synthetic patients by the signal equations of spin echo and inversion recovery.

A second model of intensities, for validation: intensities follow from relaxation times and sequence
parameters, not from the ranges that :mod:`anomri.synthesis.healthy_contrasts` and
:mod:`anomri.synthesis.tumours` draw from. Times of grey and white matter at 3 T: Wansapura et al.
1999; those of lesions are rough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anomri.synthesis.healthy_contrasts import SEQUENCES, Values
from anomri.synthesis.patients import Patients
from anomri.synthesis.random_fields import blur
from anomri.synthesis.random_streams import RandomStreams

# Proton density, T1 and T2 in ms
MATERIALS: Mapping[str, tuple[float, float, float]] = {
    "white": (0.70, 830, 80),
    "grey": (0.82, 1330, 110),
    "fluid": (1.00, 4200, 1800),
    "edema": (0.85, 1500, 160),
    "enhancing": (0.85, 1500, 130),
    "rest of the core": (0.90, 1900, 250),
}
ENHANCED_T1 = 450.0  # of enhancing tumour, ms
VARIATION = 0.12  # of each density and time between patients
PARTIAL_VOLUME = 0.55  # Gaussian sigma in voxels at the border of lesions


@dataclass(frozen=True, slots=True)
class Timing:
    """Lowest and highest times of a sequence in ms; no inversion where the last is None."""

    repetition: tuple[float, float]
    echo: tuple[float, float]
    inversion: tuple[float, float] | None = None


TIMINGS: Mapping[str, Timing] = {
    "flair": Timing((8000, 10000), (90, 140), (2350, 2600)),
    "t1ce": Timing((450, 700), (8, 16)),
}


def paint_by_relaxation(patients: Patients, random: RandomStreams) -> Values:
    """Return (N, I, J, K) by contrast for the tissue and the lesions of patients.

    Args:
        patients: whose own images are not used.
        random: streams of random numbers, one per patient.
    """
    materials = {
        name: tuple(value * (random.uniform(-1, 1) * VARIATION).exp() for value in values)
        for name, values in MATERIALS.items()
    }
    fractions, values = _fractions(patients), {}
    for name in SEQUENCES:
        timing = TIMINGS[name]
        echo, repetition = random.uniform(*timing.echo), random.uniform(*timing.repetition)
        inversion = random.uniform(*timing.inversion) if timing.inversion else None
        image = torch.zeros_like(fractions["fluid"])
        for material, (density, t1, t2) in materials.items():
            enhanced = name == "t1ce" and material == "enhancing"
            time = t1 * (ENHANCED_T1 / MATERIALS[material][1]) if enhanced else t1
            signal = density * _recovered(time, repetition, inversion) * torch.exp(-echo / t2)
            image += fractions[material] * signal
        values[name] = image
    return values


def _recovered(t1: Tensor, repetition: Tensor, inversion: Tensor | None) -> Tensor:
    """Return the longitudinal magnetisation that is there to be excited, relative to full."""
    if inversion is None:
        return 1 - torch.exp(-repetition / t1)
    return (1 - 2 * torch.exp(-inversion / t1) + torch.exp(-repetition / t1)).abs()


def _fractions(patients: Patients) -> Values:
    """Return the fraction of each material, with sum 1 in the brain."""
    lesion, core, enhancing = patients.regions.unbind(1)
    parts = {"edema": lesion & ~core, "enhancing": enhancing, "rest of the core": core & ~enhancing}
    found = {name: blur(part, PARTIAL_VOLUME) for name, part in parts.items()}
    healthy = (1 - torch.stack(list(found.values())).sum(0)).clamp(min=0) * patients.tissue.brain
    tissue = patients.tissue
    for name, share in (("white", tissue.white), ("grey", tissue.grey), ("fluid", tissue.fluid)):
        found[name] = share * healthy
    return found
