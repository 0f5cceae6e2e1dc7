"""Contrasts that follow from relaxation times look like those of scanners."""

from __future__ import annotations

import torch

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
    for n in range(6):
        level = {
            (name, place): float(volume[n][where[n]].median())
            for name, volume in values.items()
            for place, where in places.items()
        }
        assert level["flair", "white"] < level["flair", "grey"] < level["flair", "edema"]
        assert level["t2", "white"] < level["t2", "grey"] < level["t2", "edema"]
        assert level["t1", "grey"] < level["t1", "white"]
        assert level["t1", "enhancing"] < level["t1", "white"] < level["t1ce", "enhancing"]
