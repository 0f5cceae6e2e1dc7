"""Brain extraction runs on the device that the user chose."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from anomri.detector import Detector
from anomri.preprocessing import PreparedFolder
from anomri.preprocessing.brain import deepbet, hdbet
from anomri.recipe import Preparation, Recipe
from anomri.scan import ScanFiles

VOLUME = np.random.default_rng(0).random((24, 24, 24), dtype=np.float32)
IMAGES = {"flair": (VOLUME, np.diag([8.0, 8.0, 8.0, 1.0]))}


class Asked(Exception):
    """Raised with the device in place of networks."""


@pytest.fixture(autouse=True)
def asked_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: torch.device) -> None:
        raise Asked(str(device))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(deepbet, "_networks", refuse)
    monkeypatch.setattr(hdbet, "_network", refuse)


@pytest.mark.parametrize("method", ["deepbet", "hdbet"])
@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_model_passes_its_device_on(method: str, device: str) -> None:
    recipe = Recipe.load("intensity")
    changed = recipe.preparation.model_copy(update={"brain": method})
    recipe = recipe.model_copy(update={"preparation": changed})
    model = Detector.of(recipe, [], device=torch.device(device))
    with pytest.raises(Asked, match=rf"^{device}$"):
        model.detect(IMAGES)


def test_prepared_folders_pass_the_device_on(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(*IMAGES["flair"]), tmp_path / "scan.nii.gz")
    files = ScanFiles(subject="scan", contrasts={"flair": tmp_path / "scan.nii.gz"}, layout="file")
    folder = PreparedFolder(tmp_path / "out", Preparation(brain="deepbet"), ["flair"])
    with pytest.raises(Asked, match=r"^cpu$"):
        folder.add(files, device=torch.device("cpu"))


def test_without_a_choice_cuda_is_used_and_mps_never() -> None:
    assert deepbet.network_device(None) == torch.device("cuda")
    assert deepbet.network_device(torch.device("mps")) == torch.device("cpu")
