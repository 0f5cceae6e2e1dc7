"""A segmenter is trained by the same module, on volumes with their regions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from anomri.errors import UsageError
from anomri.models import build_segmenter
from anomri.preprocessing import PreparedFolder
from anomri.recipe import Perturbation, Recipe, Training
from anomri.training import train
from anomri.training.loading import ImageIndex, RegionDataset
from anomri.training.module import NetworkTraining
from anomri.training.perturbation import PerturbationDraw, Perturber, mirror
from anomri.training.samples import TrainingImage

RECIPE = """
name: regions
axes: 3
preparation: {shape: [32, 32, 16]}
family: {regularised_segmenter: {filters: 8, code: 6}}
training: {batch_size: 1, max_epochs: 2, weight_decay: 1.0e-5, decay_exponent: 0.9}
"""


def recipe() -> Recipe:
    return Recipe.parse(RECIPE, origin="regions.yaml")


@pytest.fixture(scope="module")
def labelled(prepare: Callable[..., PreparedFolder]) -> PreparedFolder:
    truth = np.zeros((32, 32, 24), np.uint8)
    truth[10:20, 12:20, 8:16] = 2
    truth[12:18, 12:18, 10:14] = 1
    truth[14:16, 14:16, 11:13] = 4
    return prepare(recipe().preparation, 3, truth)


def test_regions_are_nested_masks_of_the_truth(labelled: PreparedFolder) -> None:
    reader = RegionDataset(
        labelled, [TrainingImage("sub-s0", None)], contrasts=["flair"], size=(32, 32, 16)
    )
    image, regions = reader[0]
    truth = labelled.truth("sub-s0")
    assert truth is not None
    np.testing.assert_array_equal(image[0, 0], labelled.volume("sub-s0", "flair"))
    for region, numbers in enumerate([(1, 2, 4), (1, 4), (4,)]):
        np.testing.assert_array_equal(regions[0, region], np.isin(truth, numbers))
    assert regions.sum((0, 2, 3, 4)).tolist() == [640, 144, 8]


def test_a_segmenter_is_trained_into_a_run_folder(labelled: PreparedFolder, tmp_path: Path) -> None:
    run = train(recipe(), labelled, tmp_path / "run", device="cpu", progress=False)
    table = pd.read_csv(run / "metrics.tsv", sep="\t")
    parts = ("loss", "dice", "reconstruction", "kl")
    assert set(table) == {"epoch", *(f"{side}_{n}" for side in ("train", "val") for n in parts)}
    assert (run / "weights.safetensors").is_file()


def test_regions_are_cropped_where_their_image_is(labelled: PreparedFolder) -> None:
    part = TrainingImage("sub-s0", None)
    reader = RegionDataset(labelled, [part], contrasts=["flair"], size=(16, 16, 8), seed=4)
    truth = labelled.truth("sub-s0")
    assert truth is not None
    for epoch in range(3):
        visit = ImageIndex(0, epoch)
        image, regions = reader.__getitems__([visit])
        box = tuple(
            slice(n, n + side)
            for n, side in zip(reader.crop_start(visit), (16, 16, 8), strict=True)
        )
        np.testing.assert_array_equal(image[0, 0], labelled.volume("sub-s0", "flair")[box])
        np.testing.assert_array_equal(regions[0, 0], truth[box] > 0)


def test_scans_without_truth_are_not_enough(
    prepare: Callable[..., PreparedFolder], tmp_path: Path
) -> None:
    healthy = prepare(recipe().preparation, 2)
    with pytest.raises(UsageError, match="found them in 0"):
        train(recipe(), healthy, tmp_path / "run", device="cpu", progress=False)


def test_only_the_kernels_of_convolutions_decay() -> None:
    network = build_segmenter(recipe().family, channels=1, size=(32, 32, 16))
    (optimizer,) = NetworkTraining(network, recipe().training).configure_optimizers()
    kernels, others = optimizer.param_groups
    assert (kernels["weight_decay"], others["weight_decay"]) == (1e-5, 0)
    assert {p.ndim for p in kernels["params"]} == {5}
    assert {p.ndim for p in others["params"]} == {1, 2}
    assert len(kernels["params"]) + len(others["params"]) == len(list(network.parameters()))


def test_the_rate_falls_as_in_equation_5(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_segmenter(recipe().family, channels=1, size=(32, 32, 16))
    options = Training(learning_rate=1e-4, max_epochs=300, decay_exponent=0.9)
    module = NetworkTraining(network, options)
    (optimizer,) = module.configure_optimizers()
    monkeypatch.setattr(module, "_optimizers", lambda: [optimizer])
    for epoch, rate in [(0, 1e-4), (150, 1e-4 * 0.5**0.9), (299, 1e-4 * (1 / 300) ** 0.9)]:
        monkeypatch.setattr(NetworkTraining, "current_epoch", epoch)
        module.on_train_epoch_start()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)


def test_mirroring_flips_image_and_regions_alike() -> None:
    images = torch.arange(24.0).reshape(1, 1, 2, 3, 4)
    assert torch.equal(
        mirror(images, torch.tensor([[True, False, True]]))[0, 0], images[0, 0].flip(0, 2)
    )
    both = Perturber(None).apply(
        images,
        images,
        PerturbationDraw(torch.zeros(1, 1), torch.ones(1, 1), torch.tensor([[False, True, False]])),
    )
    assert torch.equal(both.image, both.target)


def test_shift_and_scale_change_the_brain_by_hand() -> None:
    images = torch.tensor([0.0, 1.0, 3.0]).reshape(1, 1, 1, 1, 3)  # mean 2, deviation 1
    change = PerturbationDraw(
        torch.tensor([[0.5]]), torch.tensor([[2.0]]), torch.zeros(1, 3, dtype=torch.bool)
    )
    changed = Perturber(None).apply(images, images, change)
    assert changed.image.flatten().tolist() == [0, 2.5, 6.5]
    assert torch.equal(changed.target, images)


def test_changes_stay_within_their_limits() -> None:
    drawn = Perturber(Perturbation()).draw(torch.zeros(3000, 2, 2, 2, 2), seed=0)
    assert 0.099 < float(drawn.shift.abs().max()) <= 0.1
    assert 0.9 <= float(drawn.scale.min()) < 0.901
    assert 1.099 < float(drawn.scale.max()) <= 1.1
    assert drawn.mirrored.float().mean(0).tolist() == pytest.approx([0.5] * 3, abs=0.03)
