"""Labels follow the head when the other contrast lies elsewhere."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from anomri.preprocessing import labels_on_contrast
from anomri.preprocessing.template.mni152 import load_template


def test_labels_lie_on_the_same_tissue_of_a_moved_contrast(tmp_path: Path) -> None:
    values, grid = load_template()
    head = values[::3, ::3, ::3] / np.float32(values.max())
    affine = grid.affine @ np.diag([3, 3, 3, 1.0])
    flair, t1 = tmp_path / "flair.nii.gz", tmp_path / "t1.nii.gz"
    nib.save(nib.Nifti1Image((1.2 - head) * (head > 0), affine), flair)
    # Every second slice of the same head, whose header is 6 mm and 4 mm off.
    moved = affine @ np.diag([1, 1, 2, 1.0])
    moved[:3, 3] += 6, -4, 0
    nib.save(nib.Nifti1Image(head[:, :, ::2], moved), t1)
    labels = np.zeros(head.shape, np.uint8)
    labels[20:28, 40:50, 30:38] = 1
    found, where = labels_on_contrast(labels, head > 0, flair, t1)
    assert where.shape == head[:, :, ::2].shape
    np.testing.assert_allclose(where.affine, moved, atol=1e-4)
    centre = np.array(ndimage.center_of_mass(found)) * (1, 1, 2)
    assert np.linalg.norm((centre - ndimage.center_of_mass(labels)) * 3) < 3
