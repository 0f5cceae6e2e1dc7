"""Synthetic patients from an artificial anatomy: position and intensity of lesions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from anomri.errors import UsageError
from anomri.synthesis import SEQUENCES, Anatomies, Anatomy, RandomStreams, draw_patients, erode
from anomri.synthesis.healthy_contrasts import draw_healthy
from anomri.synthesis.tissue import Tissue, tissue_at
from anomri.synthesis.tumours import TumourSeed, draw_tumour, paint_tumour
from anomri.synthesis.white_matter_lesions import draw_white_matter_lesions

CPU = torch.device("cpu")


def streams(*seeds: int) -> RandomStreams:
    return RandomStreams([[seed] for seed in seeds], CPU)


@pytest.fixture(scope="module")
def tissue(anatomies: Anatomies) -> Tissue:
    """The undeformed brain, eight times."""
    heads = anatomies.of_patients([0] * 8)
    middle = (torch.tensor(anatomies.shape) - 1) / 2
    axes = [torch.arange(n) - m for n, m in zip(anatomies.shape, middle, strict=True)]
    positions = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).expand(8, -1, -1, -1, -1)
    return tissue_at(heads, positions, streams(*range(8)))


def test_tissue_fractions_agree_with_labels_and_scan(anatomy: Anatomy) -> None:
    for number, expected in ((51, (1.0, 0.0)), (81, (0.0, 1.0)), (100, (0.0, 0.0))):
        where = anatomy.labels == number
        found = np.median(anatomy.fluid[where]), np.median(anatomy.white[where])
        np.testing.assert_allclose(found, expected, atol=0.12)
    outside = anatomy.brain == 0
    assert not anatomy.fluid[outside].any()
    assert anatomy.ventricle_mm[anatomy.labels == 51].max() == 0


def test_an_anatomy_keeps_no_larger_volumes_in_memory(anatomy: Anatomy) -> None:
    for volume in (anatomy.brain, anatomy.fluid, anatomy.white, anatomy.labels):
        assert volume.base is None


def test_a_label_map_without_ventricles_is_refused() -> None:
    labels = np.full((8, 8, 8), 81, np.uint8)
    with pytest.raises(UsageError, match="labels"):
        Anatomy.of(np.ones((8, 8, 8), np.float32), labels, 2.0, (8, 8, 8))


def test_the_undeformed_tissue_is_the_anatomy(anatomy: Anatomy, tissue: Tissue) -> None:
    np.testing.assert_array_equal(tissue.brain[0], anatomy.brain > 0.5)
    np.testing.assert_array_equal(tissue.labels[3], anatomy.labels)
    np.testing.assert_allclose(tissue.ventricle_mm[5], anatomy.ventricle_mm, atol=1e-3)


def test_regions_are_nested_and_in_the_brain(anatomies: Anatomies) -> None:
    patients = draw_patients(anatomies, [[seed] for seed in range(12)])
    lesion, core, enhancing = patients.regions.unbind(1)
    assert not (enhancing & ~core).any()
    assert not (core & ~lesion).any()
    assert not (lesion & ~patients.tissue.brain).any()
    assert core.flatten(1).any(1).sum() in range(4, 11)
    for name in SEQUENCES:
        assert torch.isfinite(patients.images.values[name]).all()


def test_a_patient_does_not_depend_on_the_others_in_its_batch(anatomies: Anatomies) -> None:
    together = draw_patients(anatomies, [[seed] for seed in range(4)])
    for number in range(4):
        alone = draw_patients(anatomies, [[number]])
        assert (alone.regions[0] ^ together.regions[number]).sum() < 5
        for name in SEQUENCES:
            difference = alone.images.values[name][0] - together.images.values[name][number]
            assert (difference.abs() < 1e-3).float().mean() > 0.999, name
    assert not torch.equal(together.regions[0], together.regions[1])


def test_healthy_contrasts_have_the_order_of_their_sequence(tissue: Tissue) -> None:
    images, dark = draw_healthy(tissue, streams(*range(8))), {"flair": 0, "t1ce": 0}
    for name, volumes in images.values.items():
        for volume, white, fluid in zip(volumes, tissue.lobar, tissue.lateral, strict=True):
            dark[name] += int(volume[fluid].median() < volume[white].median())
    assert dark["flair"] >= 6  # fluid that flows is bright
    assert dark["t1ce"] == 8


def test_a_tumour_is_bright_in_flair_and_its_rim_in_t1ce(tissue: Tissue) -> None:
    random = streams(*range(8))
    images = draw_healthy(tissue, random)
    before = images.values["flair"].clone()
    centres = torch.tensor([32.0, 28, 24]).repeat(8, 1)
    tumour = draw_tumour(tissue, TumourSeed(centres, torch.full((8, 1, 1, 1), 5.0)), random)
    paint_tumour(images, tissue, tumour, random)
    assert tumour.core.flatten(1).any(1).all()
    inner, seen = erode(tumour.edema), 0
    for n in range(8):
        if inner[n].sum() > 30:
            assert images.values["flair"][n][inner[n]].mean() > before[n][inner[n]].mean()
        if tumour.enhancing[n].sum() > 60:
            seen += 1
            rest = tissue.lobar[n] & ~tumour.core[n] & ~tumour.edema[n]
            enhanced = images.values["t1ce"][n]
            assert enhanced[tumour.enhancing[n]].median() > enhanced[rest].median()
    assert seen >= 2


def test_no_tumour_where_there_is_no_brain(tissue: Tissue) -> None:
    seed = TumourSeed(torch.zeros(8, 3), torch.full((8, 1, 1, 1), 3.0))
    assert not draw_tumour(tissue, seed, streams(*range(8))).regions.any()


def test_white_matter_lesions_lie_in_white_matter(tissue: Tissue) -> None:
    random = streams(*range(8))
    lesions = draw_white_matter_lesions(draw_healthy(tissue, random), tissue, random)
    assert lesions.flatten(1).any(1).sum() >= 6
    assert not lesions[tissue.white < 0.1].any()
