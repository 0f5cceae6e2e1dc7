"""Labelled heads on coarser voxels."""

from __future__ import annotations

import numpy as np

from anomri.experiments.pretraining.labelled_heads import LabelledHead


def test_a_head_on_coarser_voxels_stays_where_it_is() -> None:
    """Voxel n of 4 mm lies where voxel 4n of 1 mm lay."""
    index = np.indices((33, 41, 37)).astype(np.float32)
    scan = index[0] + 10 * index[1] + 100 * index[2]
    labels = (index[0] >= 16).astype(np.uint8)
    coarse = LabelledHead(scan, labels, (1.0, 1.0, 1.0)).at(4.0)
    assert coarse.scan.shape == (9, 11, 10)
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(coarse.scan[inner], scan[::4, ::4, ::4][inner], rtol=1e-3)
    np.testing.assert_array_equal(coarse.anatomy, labels[::4, ::4, ::4])
