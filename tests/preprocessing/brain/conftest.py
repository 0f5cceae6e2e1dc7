"""A synthetic head whose brain is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template
from scipy import ndimage

from anomri.scan import Grid, Mask, Volume

Head = tuple[Volume, Mask, Grid]


@cache
def synthetic_head() -> Head:
    """Return the template's brain in fluid, bone and fat, on a neck, at 3 mm."""
    image = load_mni152_template(resolution=3)
    padding = ((8, 8), (12, 16), (24, 12))
    brain = np.pad(load_mni152_brain_mask(resolution=3).get_fdata() > 0, padding)
    tissue = np.pad(image.get_fdata(), padding).astype(np.float32)
    outside = ndimage.distance_transform_edt(~brain, sampling=3.0)
    index = np.indices(brain.shape)
    neck = np.hypot(index[0] - brain.shape[0] / 2, index[1] - brain.shape[1] * 0.42) < 20
    neck &= index[2] < 34
    around = np.select([outside < 2, outside < 8, outside < 14, neck], [0.15, 0.05, 0.9, 0.5], 0.0)
    values = np.where(brain, tissue, around)
    values += np.abs(np.random.default_rng(0).normal(0, 0.015, values.shape))
    affine = image.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ [before for before, _ in padding]
    return values.astype(np.float32), brain, Grid(shape=brain.shape, affine=affine)


@pytest.fixture(scope="session")
def head() -> Head:
    """See :func:`synthetic_head`."""
    return synthetic_head()
