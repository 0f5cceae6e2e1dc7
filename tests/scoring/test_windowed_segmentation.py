"""Windows, mirrored copies and ensembles, against what they must add up to."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from anomri.detector import load
from anomri.errors import UsageError
from anomri.models import (
    Batch,
    Losses,
    Segmenter,
    build_recipe_network,
    build_segmenter,
    save_weights,
)
from anomri.recipe import Recipe
from anomri.scan import Image, Scan
from anomri.scoring import segment_scan

CPU = torch.device("cpu")


class Given(Segmenter):
    """Answers with a function of its input."""

    def __init__(self, factor: float, size: tuple[int, ...], *, ramp: bool = False) -> None:
        super().__init__(channels=1, size=size)
        self.factor = factor
        self.ramp = ramp

    def losses(self, batch: Batch) -> Losses:
        return {"loss": batch.image.sum()}

    def segment(self, images: Tensor) -> Tensor:
        answer = self.factor * images.expand(-1, 3, *images.shape[2:])
        return (
            answer * torch.linspace(0, 1, images.shape[2])[:, None, None] if self.ramp else answer
        )


@pytest.mark.parametrize("size", [(16, 16, 16), (48, 64, 48), (64, 16, 80)])
def test_windows_add_up_to_the_whole_scan(ball_scan: Scan, size: tuple[int, ...]) -> None:
    found = segment_scan([Given(1.0, size)], ball_scan, device=CPU)
    assert found.shape == (3, *ball_scan.brain.shape)
    np.testing.assert_allclose(found, np.repeat(ball_scan.image, 3, 0), atol=1e-5)


def test_mirrored_copies_are_averaged(ball_scan: Scan) -> None:
    """Something that grows along I is made even by its mirror images."""
    segmenter = Given(1.0, ball_scan.brain.shape, ramp=True)
    alone = segment_scan([segmenter], ball_scan, device=CPU, mirrored=False)
    ramp = np.linspace(0, 1, 48, dtype=np.float32)[:, None, None]
    np.testing.assert_allclose(alone[0], ball_scan.image[0] * ramp, atol=1e-5)
    averaged = segment_scan([segmenter], ball_scan, device=CPU)
    np.testing.assert_allclose(averaged[0], ball_scan.image[0] / 2, atol=1e-5)


def test_eight_copies_by_hand(ball_scan: Scan) -> None:
    torch.manual_seed(0)
    network = build_segmenter(RECIPE.family, channels=1, size=RECIPE.size).eval()
    images = torch.from_numpy(ball_scan.image[:, :32, :32, :16])[None]
    small = ball_scan.image[:, :32, :32, :16]
    scan = cut(ball_scan, small)
    with torch.inference_mode():
        copies = [
            network.segment(images.flip(axes)).flip(axes)
            for signs in product([False, True], repeat=3)
            for axes in [[axis + 2 for axis, on in enumerate(signs) if on]]
        ]
    expected = torch.stack(copies).mean(0)[0].numpy()
    found = segment_scan([network], scan, device=CPU)
    np.testing.assert_allclose(found, expected * scan.brain, atol=1e-5)


def cut(scan: Scan, image: Image) -> Scan:
    shape = image.shape[1:]
    brain = scan.brain[tuple(slice(n) for n in shape)]
    grid = replace(scan.grid, shape=shape)
    return replace(scan, image=image, brain=brain, grid=grid, native=grid, truth=None)


def test_networks_are_averaged(ball_scan: Scan) -> None:
    size = ball_scan.brain.shape
    found = segment_scan([Given(1.0, size), Given(3.0, size)], ball_scan, device=CPU)
    np.testing.assert_allclose(found[0], 2 * ball_scan.image[0], atol=1e-5)


RECIPE = Recipe.parse(
    """
name: regions
axes: 3
preparation: {shape: [32, 32, 16]}
family: {regularised_segmenter: {filters: 8, code: 6}}
detection: {score: {segment: {mirrored: false}}, threshold: {fixed: {value: 0.5}}}
""",
    origin="regions.yaml",
)


def save_run(folder: Path, recipe: Recipe) -> None:
    network = build_segmenter(recipe.family, channels=1, size=recipe.size)
    save_weights(network, folder / "weights.safetensors")
    (folder / "recipe.yaml").write_text(recipe.to_yaml())


def test_a_folder_of_runs_is_an_ensemble(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_run(tmp_path / name, RECIPE)
    model = load(tmp_path, device="cpu")
    one, two = model.first.networks
    assert not torch.equal(*(n.get_parameter("last.weight") for n in (one, two)))
    assert len(model.weights_hash.split("+")) == 2
    coarse = RECIPE.preparation.model_copy(update={"spacing_mm": (2.0, 2.0, 2.0)})
    save_run(tmp_path / "two", RECIPE.model_copy(update={"preparation": coarse}))
    with pytest.raises(UsageError, match="two: cannot be averaged"):
        load(tmp_path, device="cpu")
    save_run(tmp_path / "two", RECIPE.model_copy(update={"contrasts": ("t2",)}))
    with pytest.raises(UsageError, match="of t2 shows 'whole'"):
        load(tmp_path, device="cpu")


def test_networks_that_learn_healthy_anatomy_are_never_averaged(tmp_path: Path) -> None:
    recipe = Recipe.parse(
        "{name: healthy, preparation: {shape: [32, 32, null]}, family: {vae: {}}}", origin="x"
    )
    for name in ("one", "two"):  # of the same recipe, on other scans perhaps
        network = build_recipe_network(recipe)
        save_weights(network, tmp_path / name / "weights.safetensors")
        (tmp_path / name / "recipe.yaml").write_text(recipe.to_yaml())
    with pytest.raises(UsageError, match="cannot be averaged"):
        load(tmp_path, device="cpu")
    assert len(load(tmp_path / "one", device="cpu").first.networks) == 1


def test_a_segmenter_detects_and_names_regions(tmp_path: Path, ball_scan: Scan) -> None:
    save_run(tmp_path, RECIPE)
    model = load(tmp_path, device="cpu")
    detection = model.detect_scan(ball_scan)
    probabilities = segment_scan([*model.first.networks], ball_scan, CPU, mirrored=False)  # type: ignore[list-item]
    assert np.array_equal(detection.mask, probabilities[0] > 0.5)
    assert detection.regions is not None
    assert np.array_equal(detection.regions > 0, detection.mask)
    assert np.array_equal(detection.regions == 4, detection.mask & (probabilities[2] > 0.5))
