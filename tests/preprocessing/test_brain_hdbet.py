"""HD-BET's own names and files, as in its release 2.0.1, played by a stand-in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from anomri.errors import MissingPiece
from anomri.preprocessing import brain_hdbet
from anomri.scan import Grid

GRID = Grid(shape=(4, 5, 6), affine=np.diag([2.0, 2, 2, 1]))
VOLUME = np.arange(120, dtype=np.float32).reshape(GRID.shape)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    brain_hdbet._predictor.cache_clear()
    yield
    brain_hdbet._predictor.cache_clear()


def predict(source: str, target: str, predictor: str, **options: bool) -> None:
    assert options == {"keep_brain_mask": True, "compute_brain_extracted_image": False}
    image: Any = nib.load(source)
    found = (image.get_fdata() > 60).astype(np.uint8)
    nib.save(nib.Nifti1Image(found, image.affine), target.replace(".nii.gz", "_bet.nii.gz"))


def install(monkeypatch: pytest.MonkeyPatch, download: Callable[[], None]) -> None:
    """Put a stand-in for the package where an import finds it."""
    parts: dict[str, dict[str, object]] = {
        "HD_BET": {"__path__": []},
        "HD_BET.paths": {"folder_with_parameter_files": str(Path.home() / "hd-bet_params")},
        "HD_BET.checkpoint_download": {"maybe_download_parameters": download},
        "HD_BET.hd_bet_prediction": {
            "get_hdbet_predictor": lambda **_: "predictor",
            "hdbet_predict": predict,
        },
    }
    for name, contents in parts.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)


def test_its_mask_is_the_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda: None)
    np.testing.assert_array_equal(brain_hdbet.hdbet_brain(VOLUME, GRID), VOLUME > 60)


def test_without_its_weights_the_message_names_their_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def download() -> None:
        raise ConnectionError("no route")

    install(monkeypatch, download)
    with pytest.raises(MissingPiece, match=r"~.hd-bet_params") as caught:
        brain_hdbet.hdbet_brain(VOLUME, GRID)
    assert caught.value.exit_code == 4
    assert str(Path.home()) not in str(caught.value)


def test_without_the_package_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain_hdbet, "find_spec", lambda _: None)
    with pytest.raises(MissingPiece, match=r"anomri\[hdbet\]"):
        brain_hdbet.hdbet_brain(VOLUME, GRID)
