from __future__ import annotations

import numpy as np
import pytest

from anomri.scan import Volume
from anomri.synthesis.phantoms.anatomy import Anatomy
from anomri.synthesis.phantoms.signal import EDEMA, SIGNAL, paint

# From dark to bright, as a radiologist expects it.
ORDER = {
    "flair": ("fluid", "white", "grey"),
    "t1": ("fluid", "grey", "white"),
    "t1ce": ("fluid", "grey", "white"),
    "t2": ("white", "grey", "fluid"),
}


def _median(image: Volume, fraction: Volume) -> float:
    return float(np.median(image[fraction > 0.9]))


@pytest.mark.parametrize("contrast", sorted(SIGNAL))
def test_tissues_are_as_bright_as_they_should_be(anatomy: Anatomy, contrast: str) -> None:
    image = paint(np.random.default_rng(0), anatomy, {}, contrast)
    tissues = {"fluid": anatomy.ventricles, "grey": anatomy.grey, "white": anatomy.white}
    levels = [_median(image, tissues[name]) for name in ORDER[contrast]]
    assert levels[0] < 0.95 * levels[1] < 0.95 * 0.95 * levels[2]


@pytest.mark.parametrize("contrast", sorted(SIGNAL))
def test_outside_the_brain_is_zero_and_units_are_arbitrary(anatomy: Anatomy, contrast: str) -> None:
    first, second = (paint(np.random.default_rng(seed), anatomy, {}, contrast) for seed in (0, 9))
    assert (first[~anatomy.brain] == 0).all()
    assert (first[anatomy.brain] > 0).all()
    ratio = first[anatomy.brain].mean() / second[anatomy.brain].mean()
    assert not 0.95 < ratio < 1.05


def test_edema_is_bright_on_flair_and_dark_on_t1(anatomy: Anatomy) -> None:
    edema = np.zeros_like(anatomy.white)
    edema[: edema.shape[0] // 2] = anatomy.white[: edema.shape[0] // 2]
    healthy = anatomy.white - edema
    flair = paint(np.random.default_rng(0), anatomy, {EDEMA: edema}, "flair")
    t1 = paint(np.random.default_rng(0), anatomy, {EDEMA: edema}, "t1")
    assert _median(flair, edema) > 1.4 * _median(flair, healthy)
    assert _median(t1, edema) < 0.85 * _median(t1, healthy)


def test_vessels_enhance_a_small_part_of_t1ce(anatomy: Anatomy) -> None:
    """The brightest thousandth stands out with contrast agent and not without."""

    def peak(contrast: str) -> float:
        image = paint(np.random.default_rng(0), anatomy, {}, contrast)[anatomy.brain]
        return float(np.quantile(image, 0.9995) / np.quantile(image, 0.95))

    assert peak("t1ce") > peak("t1")
