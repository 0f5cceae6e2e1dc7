"""A small spherical brain with known outline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anomri.scan import Affine, Mask, Volume

SHAPE = (60, 64, 56)
AFFINE = np.array([[-2.0, 0, 0, 60], [0, -2, 0, 66], [0, 0, 2, -50], [0, 0, 0, 1]])

Write = Callable[..., Path]


def ball(shape: tuple[int, int, int], centre: tuple[float, ...], radius: float) -> Mask:
    index = np.indices(shape).astype(float)
    distance = np.linalg.norm(index - np.array(centre)[:, None, None, None], axis=0)
    inside: Mask = distance <= radius
    return inside


@pytest.fixture(scope="session")
def brain_ball() -> Mask:
    return ball(SHAPE, (29, 31, 27), 24)  # 463 ml at 2 mm


@pytest.fixture(scope="session")
def stripped(brain_ball: Mask) -> Volume:
    values = np.random.default_rng(0).normal(300, 40, SHAPE).clip(100)
    return np.where(brain_ball, values, 0).astype(np.float32)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes an array as NIfTI."""

    def _write(values: np.ndarray, name: str = "flair.nii.gz", affine: Affine = AFFINE) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(values, affine), path)
        return path

    return _write
