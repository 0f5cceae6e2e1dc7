from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, label

from anomri.preprocessing.nearest_label import nearest_labels


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.75, 4.0), (2.0, 1.0, 1.5)])
@pytest.mark.parametrize("share", [0.003, 0.1])
def test_each_wanted_voxel_gets_a_label_that_is_nearest(
    spacing: tuple[float, float, float], share: float
) -> None:
    random = np.random.default_rng(2)
    labels = label(random.random((17, 14, 12)) < share)[0].astype(np.uint16)
    wanted = random.random(labels.shape) < 0.5
    found = nearest_labels(labels, wanted, spacing)
    kept = ~wanted | (labels > 0)
    assert (found[kept] == labels[kept]).all()
    nearest = distance_transform_edt(labels == 0, spacing)
    for number in np.unique(found[found > 0]):
        own = distance_transform_edt(labels != number, spacing)
        assert own[found == number] == pytest.approx(nearest[found == number])
    assert (found[wanted] > 0).all()


def test_without_a_label_none_is_given() -> None:
    labels, wanted = np.zeros((3, 3, 3), np.int32), np.ones((3, 3, 3), bool)
    assert not nearest_labels(labels, wanted, (1.0, 1.0, 1.0)).any()
