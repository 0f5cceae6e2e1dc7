"""Heads with a measured FLAIR, whose lesions are filled in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from anomri.experiments.pretraining.labelled_heads import write_card
from anomri.experiments.pretraining.measured_heads import TemplateTissue, fill, measured_anatomy
from anomri.experiments.pretraining.patient_batches import PatientBatches
from anomri.scan import Grid, Mask, Scan, Volume
from anomri.synthesis import Anatomies

SHAPE = (48, 48, 48)
CENTRE = (34, 30, 28)  # of a lesion in white matter


def distance(centre: tuple[int, int, int]) -> Volume:
    index = np.indices(SHAPE) - np.array(centre)[:, None, None, None]
    return np.asarray(np.sqrt((index**2).sum(axis=0)), dtype=np.float32)


@pytest.fixture(scope="module")
def lesion() -> Mask:
    return distance(CENTRE) < 4


@pytest.fixture(scope="module")
def tissue() -> TemplateTissue:
    radius = distance((24, 24, 24))
    white = ((radius > 4) & (radius < 17)).astype(np.float32)
    grey = ((radius >= 17) & (radius < 21)).astype(np.float32)
    return TemplateTissue(white, grey, np.clip(radius - 4, 0, 20) * 2, np.zeros(SHAPE, bool))


@pytest.fixture(scope="module")
def scan(lesion: Mask, tissue: TemplateTissue) -> Scan:
    """White matter of 200 with noise of 6, grey matter of 240, ventricle of 40, lesion of 320."""
    noise = np.random.default_rng(0).normal(0, 6, SHAPE)
    brain = distance((24, 24, 24)) < 21
    flair = np.where(tissue.white > 0, 200.0, np.where(tissue.grey > 0, 240.0, 40.0))
    flair = (np.where(lesion, 320.0, flair) + noise) * brain
    grid = Grid(shape=SHAPE, affine=np.diag([2.0, 2, 2, 1]))
    return Scan(
        subject="s",
        label="sub-s",
        image=flair[None].astype(np.float32),
        contrasts=("flair",),
        brain=brain,
        grid=grid,
        native=grid,
    )


def test_a_lesion_is_filled_with_the_tissue_around_it(
    scan: Scan, lesion: Mask, tissue: TemplateTissue
) -> None:
    anatomy = measured_anatomy(scan, lesion, tissue, SHAPE)
    assert anatomy.flair is not None
    filled = anatomy.flair[ndimage.binary_erosion(lesion)]
    far = (tissue.white > 0) & (distance(CENTRE) > 8) & (distance((24, 24, 24)) < 14)
    assert filled.mean() == pytest.approx(1.0, abs=0.05)
    assert filled.std() == pytest.approx(anatomy.flair[far].std(), rel=0.4)
    untouched = far & (tissue.ventricle_mm > 12)
    np.testing.assert_allclose(anatomy.flair[untouched], scan.image[0][untouched] / 200, rtol=0.02)


def test_a_bright_lesion_that_was_not_found_is_filled_too(
    scan: Scan, lesion: Mask, tissue: TemplateTissue
) -> None:
    anatomy = measured_anatomy(scan, np.zeros_like(lesion), tissue, SHAPE)
    assert anatomy.flair is not None
    assert anatomy.flair[lesion].max() < 1.2


def test_fluid_is_dark_and_white_matter_is_not(
    scan: Scan, lesion: Mask, tissue: TemplateTissue
) -> None:
    anatomy = measured_anatomy(scan, lesion, tissue, SHAPE)
    ventricle = distance((24, 24, 24)) < 2
    assert anatomy.fluid[ventricle].min() > 0.9
    assert anatomy.fluid[lesion].max() < 0.1
    assert set(np.unique(anatomy.labels)) == {0, 51, 81, 100}


def test_a_hole_without_tissue_around_it_stays() -> None:
    flair, nowhere = np.full(SHAPE, 3.0, np.float32), np.zeros(SHAPE, bool)
    np.testing.assert_array_equal(fill(flair, distance(CENTRE) < 4, nowhere), flair)


def test_a_patient_with_a_measured_flair_has_no_other_contrast(
    scan: Scan, lesion: Mask, tissue: TemplateTissue
) -> None:
    anatomy = measured_anatomy(scan, lesion, tissue, SHAPE)
    drawn = replace(anatomy, flair=None)
    cpu = torch.device("cpu")
    images = [
        torch.cat(
            [PatientBatches(Anatomies.of([head], cpu), seed=1, first=n)[0][0] for n in range(6)]
        )
        for head in (anatomy, drawn)
    ]
    measured, others = (image.flatten(2).any(2).any(0).tolist() for image in images)
    assert measured == [True, False]
    assert others == [True, True]


def test_the_card_names_scans_whose_flair_was_used(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"w")
    write_card(weights, 5, ["head"], measured=["b", "a"])
    card = json.loads((tmp_path / "weights.json").read_text("utf-8"))
    assert (card["heads"], card["measured_flair"]) == (["head"], ["a", "b"])
