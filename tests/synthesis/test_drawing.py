from __future__ import annotations

import numpy as np
import pytest

from anomri.synthesis import Drawing, LabelledHead, draw_image
from anomri.synthesis.acquisition import Scanner, add_noise, cut, thicken
from anomri.synthesis.contrasts import add_lesions, paint, remap
from anomri.synthesis.geometry import Placing, move
from anomri.synthesis.heads import tissues

STILL = Placing(rotation_deg=0, scale=0, shear=0, shift_mm=0, bend_mm=0, mirror=0)


def test_a_head_knows_its_brain_its_air_and_how_far_they_are(head: LabelledHead) -> None:
    assert head.brain[24, 30, 30]
    assert not head.head[0, 0, 0]
    np.testing.assert_array_equal(head.regions > 0, head.brain)
    assert head.depth_mm[24, 30, 30] == 0
    assert head.depth_mm[24 + 17 + 4, 30, 30] == pytest.approx(5 * 4, abs=4)


@pytest.mark.parametrize("seed", range(4))
def test_tissues_never_cross_the_border_of_the_brain(head: LabelledHead, seed: int) -> None:
    labels = tissues(head, np.random.default_rng(seed))
    np.testing.assert_array_equal(labels >= 40, head.brain)
    np.testing.assert_array_equal(labels == 0, ~head.head)


@pytest.mark.parametrize("draw_one", [paint, remap])
def test_the_same_seed_draws_the_same_contrast_and_another_one_another(
    head: LabelledHead, draw_one: object
) -> None:
    one, same, other = (draw_one(head, np.random.default_rng(s)) for s in (1, 1, 2))  # type: ignore[operator]
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.05
    assert one.min() >= 0


def test_lesions_stay_inside_the_brain(head: LabelledHead) -> None:
    changed = add_lesions(head.scan, head.brain, np.random.default_rng(0)) != head.scan
    assert changed.any()
    assert not changed[~head.brain].any()


def test_a_head_that_is_not_moved_stays_what_it_was(head: LabelledHead) -> None:
    moved = move(
        head.scan[None],
        head.brain,
        head.spacing,
        shape=(35, 43, 33),
        spacing_out=4.0,
        placing=STILL,
        draw=np.random.default_rng(0),
    )
    expected = head.scan[24 - 17 : 24 + 18, 30 - 21 : 30 + 22, 30 - 16 : 30 + 17]
    np.testing.assert_allclose(moved[0], expected, atol=1e-4)


def test_a_larger_head_covers_more_voxels() -> None:
    brain = np.zeros((40, 40, 40), bool)
    brain[15:25, 15:25, 15:25] = True
    placing = Placing(rotation_deg=20, scale=0, shear=0, shift_mm=10, bend_mm=0)
    moved = move(
        brain[None].astype(np.float32),
        brain,
        (2.0, 2.0, 2.0),
        shape=(64, 64, 64),
        spacing_out=1.0,
        placing=placing,
        draw=np.random.default_rng(3),
    )
    assert moved.sum() == pytest.approx(brain.sum() * 8, rel=0.01)  # 2 mm to 1 mm


def test_thick_slices_leave_an_even_image_even_and_blur_along_one_axis() -> None:
    scanner = Scanner(slice_mm=(8.0, 8.0), gain=0.0)
    even = np.ones((20, 20, 20), np.float32)
    np.testing.assert_allclose(thicken(even, 2.0, scanner, np.random.default_rng(5)), 1, rtol=1e-6)
    points = np.zeros((21, 21, 21), np.float32)
    points[10, 10, 10] = 1
    spread = np.argwhere(thicken(points, 2.0, scanner, np.random.default_rng(5)))
    assert sorted((np.ptp(spread, axis=0) > 0).tolist()) == [False, False, True]


def test_noise_in_air_has_the_mean_of_rayleigh() -> None:
    r"""Without signal the magnitude's mean is :math:`\sigma\sqrt{\pi/2}` (Gudbjartsson 1995)."""
    image = np.zeros((40, 40, 40), np.float32)
    image[:20] = 100
    for seed in range(20):
        draw = np.random.default_rng(seed)
        kind, share = draw.random(), draw.uniform(0, 0.1)
        noisy = add_noise(image, 0.1, np.random.default_rng(seed))
        if kind < 0.66:
            assert (noisy[20:] == 0).all()
        else:
            assert noisy[20:].mean() == pytest.approx(share * 100 * np.sqrt(np.pi / 2), rel=0.02)


def test_beyond_the_field_of_view_nothing_is_measured() -> None:
    image = np.ones((30, 30, 30), np.float32)
    lost = 0
    for seed in range(10):
        measured, seen = cut(image, 4.0, Scanner(cut=1.0), np.random.default_rng(seed))
        np.testing.assert_array_equal(measured > 0, seen)
        lost += int(not seen.all())
    assert lost >= 5


@pytest.mark.parametrize("seed", range(6))
def test_an_image_is_finite_and_its_brain_lies_where_something_was_measured(
    head: LabelledHead, seed: int
) -> None:
    drawing = Drawing(shape=(48, 64, 48), spacing=4.0)
    image, brain = draw_image(head, drawing, np.random.default_rng(seed))
    assert image.shape == brain.shape == (48, 64, 48)
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert brain.any()
