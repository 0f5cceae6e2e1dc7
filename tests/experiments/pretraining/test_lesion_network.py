"""Training of the lesion network on patients drawn from made-up heads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from anomri import load
from anomri.experiments import LesionTrainingSchedule
from anomri.experiments.pretraining import train_lesions
from anomri.experiments.pretraining.lesion_network import augmented, loss
from anomri.experiments.pretraining.patient_batches import PatientBatches, standardised
from anomri.models import FoldedSegmenter
from anomri.scoring import network_input
from anomri.synthesis import Anatomies, Anatomy

SCHEDULE = LesionTrainingSchedule(
    steps=4,
    validation_interval=4,
    uses=2,
    batch=1,
    shape=(32, 32, 32),
    spacing=5.0,
    filters=8,
    validation_patients=2,
)


def head(size: float) -> tuple[np.ndarray, np.ndarray]:
    """Ventricles in white matter in cortex, 5 mm."""
    index = np.indices((34, 38, 34)).astype(float) - np.array([17, 19, 17])[:, None, None, None]
    radius = np.sqrt((index**2).sum(axis=0)) / size
    labels = np.select([radius < 0.3, radius < 0.8, radius < 1], [51, 81, 100], 0)
    scan = np.select([radius < 0.3, radius < 0.8, radius < 1], [10.0, 100.0, 60.0], 0.0)
    noise = np.random.default_rng(0).normal(0, 2, scan.shape)
    return (scan + noise).astype(np.float32), labels.astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("heads")
    for number, size in enumerate((13.0, 14.0)):
        scan, labels = head(size)
        for name, values in (
            (f"t1/h{number}_T1", scan),
            (f"dlmuse_seg/h{number}_T1_DLMUSE", labels),
        ):
            path = root / f"{name}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(values, np.diag([5.0, 5, 5, 1])), path)
    return root


@pytest.fixture(scope="module")
def anatomies() -> Anatomies:
    anatomy = Anatomy.of(*head(14.0), 5.0, SCHEDULE.shape)
    return Anatomies.of([anatomy], torch.device("cpu"))


def test_a_stopped_training_ends_as_an_uninterrupted_one(folder: Path, tmp_path: Path) -> None:
    whole = train_lesions(folder, tmp_path / "whole", SCHEDULE)
    train_lesions(folder, tmp_path / "parts", replace(SCHEDULE, validation_interval=3), stop=3)
    parts = train_lesions(folder, tmp_path / "parts", SCHEDULE)
    one, two = (load_file(run / "weights.safetensors") for run in (whole, parts))
    for name, weight in one.items():
        torch.testing.assert_close(weight, two[name])
    detector = load(whole)
    assert detector.recipe.contrasts == ("flair", "t1ce")
    assert detector.recipe.family.options["filters"] == 8


def test_a_patient_is_the_same_each_time_and_others_differ(anatomies: Anatomies) -> None:
    patients = PatientBatches(anatomies, seed=3, first=5, count=2, size=2)
    again = PatientBatches(anatomies, seed=3, first=6, count=1, size=2)
    assert torch.equal(patients[1][0], again[0][0])
    image, regions = patients[0]
    assert not torch.equal(image[0], image[1])
    assert image[:, 0].flatten(1).any(1).all()
    assert (regions[:, 1] <= regions[:, 0]).all()
    assert (regions[:, 2] <= regions[:, 1]).all()


def test_images_are_standardised_as_for_detection() -> None:
    image, brain = torch.rand(2, 3, 12, 12, 12), torch.rand(2, 12, 12, 12) > 0.4
    image[1, 2] = 0
    for found, contrasts, inside in zip(standardised(image, brain), image, brain, strict=True):
        expected = network_input(contrasts.numpy(), inside.numpy())
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_what_is_moved_stays_together() -> None:
    image = torch.rand(2, 4, 16, 16, 16)
    regions = (image[:, :3] > 0.5).float()
    new, theirs = augmented(image, regions, np.random.default_rng(1))
    assert new.shape == image.shape
    assert not torch.equal(theirs, regions)
    scale = new.flatten(2).amax(2) / image.flatten(2).amax(2)
    assert ((scale >= 0.9) & (scale <= 1.1)).all()
    torch.testing.assert_close(theirs, (new[:, :3] / scale[:, :3, None, None, None] > 0.5).float())


def test_enhancement_is_not_learnt_where_nothing_shows_it() -> None:
    """The loss of a patient without T1CE does not know its enhancing tumour."""
    network = FoldedSegmenter(channels=2, size=(16, 16, 16), filters=8).eval()
    image = torch.rand(1, 2, 16, 16, 16)
    masks = torch.zeros(1, 3, 16, 16, 16)
    masks[:, 0, 4:9] = 1
    other = masks.clone()
    other[:, 2, 5:7] = 1
    with torch.no_grad():
        assert loss(network, image, masks) != loss(network, image, other)
        image[:, 1] = 0
        assert loss(network, image, masks) == loss(network, image, other)
