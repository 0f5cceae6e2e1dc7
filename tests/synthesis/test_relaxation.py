"""Contrasts that follow from relaxation times look like those of scanners."""

from __future__ import annotations

import torch
from torch import Tensor

from anomri.synthesis import Anatomies, Patients, RandomStreams, draw_from, paint_by_relaxation


def test_tissues_and_lesions_have_the_order_of_each_sequence(anatomies: Anatomies) -> None:
    random = RandomStreams([[seed] for seed in range(6)], torch.device("cpu"))
    patients = draw_from(anatomies, random)
    tissue = patients.tissue
    middle = tuple(n // 2 for n in tissue.shape)
    regions = torch.zeros_like(patients.regions)
    for number, side in enumerate((9, 6, 3)):
        box = (slice(None), *(slice(m - side, m + side + 1) for m in middle))
        regions[:, number][box] = True
    values = paint_by_relaxation(Patients(patients.images, tissue, regions), random)
    healthy = ~regions[:, 0] & tissue.brain
    places = {
        "white": healthy & (tissue.white > 0.9),
        "grey": healthy & (1 - tissue.white - tissue.fluid > 0.9),
        "edema": regions[:, 0] & ~regions[:, 1],
        "enhancing": regions[:, 2],
    }
    flair, t1ce = (
        {
            place: _median_level(values[name], where, places["white"])
            for place, where in places.items()
        }
        for name in ("flair", "t1ce")
    )
    assert flair["white"] < flair["grey"] < flair["edema"]
    assert t1ce["grey"] < t1ce["white"] < t1ce["enhancing"]
    assert t1ce["edema"] < t1ce["white"]


def _median_level(images: Tensor, where: Tensor, white: Tensor) -> float:
    """Return the median over the heads, each relative to its own white matter."""
    heads = zip(images, where, white, strict=True)
    levels = [image[there].median() / image[matter].median() for image, there, matter in heads]
    return float(torch.stack(levels).median())
