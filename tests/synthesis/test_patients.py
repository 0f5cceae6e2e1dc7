"""Synthetic patients from an artificial anatomy: position and intensity of lesions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from anomri.errors import UsageError
from anomri.synthesis import SEQUENCES, Anatomy, draw_patient
from anomri.synthesis.healthy_contrasts import Images, Tissue, draw_healthy
from anomri.synthesis.random_fields import smooth_noise
from anomri.synthesis.tumours import TumourSeed, draw_tumour, paint_tumour
from anomri.synthesis.white_matter_lesions import draw_white_matter_lesions

SHAPE = (48, 56, 48)


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    """Ventricles in white matter in cortex, 3 mm."""
    index = np.indices((60, 60, 60)).astype(float) - 30
    radius = np.sqrt((index[0] / 21) ** 2 + (index[1] / 25) ** 2 + (index[2] / 21) ** 2)
    labels = np.select([radius < 0.25, radius < 0.8, radius < 1], [51, 81, 100], 0)
    scan = np.select([radius < 0.25, radius < 0.8, radius < 1], [10.0, 100.0, 60.0], 0.0)
    noisy = scan + np.random.default_rng(0).normal(0, 2, scan.shape)
    return Anatomy.of(noisy.astype(np.float32), labels.astype(np.uint8), 3.0, SHAPE)


@pytest.fixture(scope="module")
def tissue(anatomy: Anatomy) -> Tissue:
    brain = anatomy.brain > 0.5
    return Tissue(
        brain=brain,
        fluid=anatomy.fluid,
        white=anatomy.white,
        ventricle_mm=anatomy.ventricle_mm,
        edge_mm=ndimage.distance_transform_edt(brain, sampling=3.0).astype(np.float32),
        lateral=anatomy.mask_of((51,)),
        lobar=anatomy.mask_of((81,)),
        labels=anatomy.labels,
        spacing=3.0,
    )


def test_tissue_fractions_agree_with_labels_and_scan(anatomy: Anatomy) -> None:
    for number, expected in ((51, (1.0, 0.0)), (81, (0.0, 1.0)), (100, (0.0, 0.0))):
        where = anatomy.labels == number
        found = np.median(anatomy.fluid[where]), np.median(anatomy.white[where])
        np.testing.assert_allclose(found, expected, atol=0.12)
    outside = anatomy.brain == 0
    assert not anatomy.fluid[outside].any()
    assert anatomy.ventricle_mm[anatomy.labels == 51].max() == 0


def test_a_label_map_without_ventricles_is_refused() -> None:
    labels = np.full((8, 8, 8), 81, np.uint8)
    with pytest.raises(UsageError, match="labels"):
        Anatomy.of(np.ones((8, 8, 8), np.float32), labels, 2.0, (8, 8, 8))


@pytest.mark.parametrize("seed", range(12))
def test_regions_are_nested_and_in_the_brain(anatomy: Anatomy, seed: int) -> None:
    patient = draw_patient([anatomy], np.random.default_rng(seed))
    lesion, core, enhancing = patient.regions
    assert not (enhancing & ~core).any()
    assert not (core & ~lesion).any()
    assert not (lesion & ~patient.tissue.brain).any()
    for name in SEQUENCES:
        assert np.isfinite(patient.images.values[name]).all()


def test_the_same_seed_draws_the_same_patient(anatomy: Anatomy) -> None:
    first, second = (draw_patient([anatomy], np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.regions, second.regions)
    np.testing.assert_array_equal(first.images.values["flair"], second.images.values["flair"])


def test_healthy_contrasts_have_the_order_of_their_sequence(tissue: Tissue) -> None:
    white, fluid = tissue.lobar, tissue.lateral
    for seed in range(5):
        values = draw_healthy(tissue, np.random.default_rng(seed)).values
        assert np.median(values["flair"][fluid]) < np.median(values["flair"][white])
        assert np.median(values["t1"][fluid]) < np.median(values["t1"][white])
        assert np.median(values["t2"][fluid]) > np.median(values["t2"][white])


def test_a_tumour_is_bright_in_flair_and_its_rim_in_t1ce(tissue: Tissue) -> None:
    seen = 0
    for seed in range(8):
        draw = np.random.default_rng(seed)
        images: Images = draw_healthy(tissue, draw)
        before = {name: value.copy() for name, value in images.values.items()}
        tumour = draw_tumour(tissue, TumourSeed(np.array([32, 28, 24], np.float32), 5.0), draw)
        assert tumour is not None
        paint_tumour(images, tissue, tumour, draw)
        inner = ndimage.binary_erosion(tumour.edema)
        if inner.sum() > 30:
            assert images.values["flair"][inner].mean() > before["flair"][inner].mean()
        if tumour.enhancing.sum() > 60:
            seen += 1
            rest = tissue.lobar & ~tumour.core & ~tumour.edema
            bright = np.median(images.values["t1ce"][tumour.enhancing])
            assert bright > np.median(images.values["t1ce"][rest])
    assert seen >= 2


def test_no_tumour_where_there_is_no_brain(tissue: Tissue) -> None:
    seed = TumourSeed(np.zeros(3, np.float32), 3.0)
    assert draw_tumour(tissue, seed, np.random.default_rng(0)) is None


def test_white_matter_lesions_lie_in_white_matter(tissue: Tissue) -> None:
    for seed in range(4):
        draw = np.random.default_rng(seed)
        images = draw_healthy(tissue, draw)
        where = draw_white_matter_lesions(images, tissue, draw)
        assert not where[tissue.white < 0.1].any()


def test_noise_is_smooth_and_have_unit_spread() -> None:
    field = smooth_noise((40, 40, 40), 8.0, np.random.default_rng(0))
    assert field.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(field, axis=0)).max() < 1
