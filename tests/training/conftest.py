"""Tiny prepared folders: smooth blobs for brains, a few slices each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from anomri.preprocessing import PreparedFolder
from anomri.recipe import Preparation, Recipe
from anomri.scan import ScanFiles

SIDE, DEPTH, SPACING = 32, 24, 4.0  # voxels, voxels, mm

RECIPE = """
name: tiny
contrasts: [flair]
preparation: {spacing_mm: [null, null, null], shape: [32, 32, null], intensity: zscore}
family: {vae: {reconstruction: mse}}
training:
  batch_size: 8
  max_epochs: 3
  noise_squares: {smallest: 4, largest: 10}
"""


def tiny_recipe(**training: object) -> Recipe:
    recipe = Recipe.parse(RECIPE, origin="tiny.yaml")
    section = recipe.training.model_validate({**recipe.training.model_dump(), **training})
    return recipe.model_copy(update={"training": section})


def write_subject(
    folder: Path, number: int, *, truth: NDArray[np.uint8] | None = None, **about: object
) -> ScanFiles:
    """Write a round brain of smooth noise and return its files."""
    rng = np.random.default_rng(number)
    index = np.indices((SIDE, SIDE, DEPTH)) - np.array([16, 16, 12])[:, None, None, None]
    brain = (np.square(index).sum(0) < 11**2).astype(np.float32)
    texture = gaussian_filter(rng.normal(size=brain.shape), 2) * 10
    paths = {"flair": folder / f"s{number}_flair.nii.gz", "truth": folder / f"s{number}_seg.nii.gz"}
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    nib.save(nib.Nifti1Image((brain * (5 + texture)).astype(np.float32), affine), paths["flair"])
    if truth is not None:
        nib.save(nib.Nifti1Image(truth, affine), paths["truth"])
    return ScanFiles(
        subject=f"s{number}",
        contrasts={"flair": paths["flair"]},
        layout="folder",
        truth=None if truth is None else paths["truth"],
        **about,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PreparedFolder]:
    """Return a function that prepares so many subjects, healthy or with one truth, in one way."""

    def prepared(
        preparation: Preparation, count: int, truth: NDArray[np.uint8] | None = None
    ) -> PreparedFolder:
        folder = tmp_path_factory.mktemp("tiny")
        found = PreparedFolder(folder / "prepared", preparation, ("flair",))
        for number in range(count):
            found.add(write_subject(folder, number, truth=truth, healthy=truth is None))
        return found

    return prepared


@pytest.fixture(scope="session")
def prepared(prepare: Callable[..., PreparedFolder]) -> PreparedFolder:
    """Four healthy subjects, prepared as the tiny recipe says."""
    return prepare(tiny_recipe().preparation, 4)


@pytest.fixture
def recipe() -> Callable[..., Recipe]:
    """Return a function that makes a tiny recipe with training options."""
    return tiny_recipe
