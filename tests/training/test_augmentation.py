"""Augmentation against cases worked by hand, and that it does no more than it should."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform
from torch import Tensor

from anomri.recipe import Augmentation, NoiseSquares
from anomri.training.augmentation import (
    Augmenter,
    add_squares,
    draw_geometry,
    draw_squares,
    transform,
)

ALWAYS = Augmentation(probability=1)


def picture(rows: int = 24, columns: int = 20) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    image = torch.zeros(1, 1, rows, columns)
    image[..., 4:-4, 4:-4] = torch.randn(rows - 8, columns - 8, generator=generator)
    return image


def matrix(a: float, b: float, c: float, d: float) -> Tensor:
    return torch.tensor([[[a, b], [c, d]]])


def test_the_identity_changes_nothing() -> None:
    torch.testing.assert_close(
        transform(picture(), matrix(1, 0, 0, 1)), picture(), atol=1e-5, rtol=1e-5
    )


def test_a_flip_mirrors_left_and_right() -> None:
    flipped = transform(picture(), matrix(-1, 0, 0, 1))
    torch.testing.assert_close(flipped, picture().flip(2), atol=1e-5, rtol=1e-5)


def test_a_quarter_turn_of_a_square_is_rot90() -> None:
    image = picture(20, 20)
    turned = transform(image, matrix(0, -1, 1, 0))
    expected = torch.rot90(image, -1, (2, 3))  # out[i, j] = in[-j, i]
    torch.testing.assert_close(turned, expected, atol=1e-4, rtol=1e-4)


@given(st.tuples(*[st.floats(-1.2, 1.2)] * 4))
@settings(max_examples=30, deadline=None)
def test_move_is_scipys_affine_about_the_centre(numbers: tuple[float, ...]) -> None:
    image, geometry = picture(), np.array(numbers).reshape(2, 2)
    centre = (np.array(image.shape[2:]) - 1) / 2
    expected = affine_transform(
        image[0, 0].numpy().astype(float), geometry, centre - geometry @ centre, order=1
    )
    ours = transform(image, torch.tensor(geometry[None], dtype=torch.float32))[0, 0].numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_geometry_stays_within_its_limits() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = draw_geometry(4000, ALWAYS, generator)
    size = drawn.det().abs().sqrt()  # scale alone changes areas
    assert 0.9 <= size.min() < 0.91
    assert 1.09 < size.max() <= 1.1
    assert float((drawn.det() < 0).float().mean()) == pytest.approx(0.5, abs=0.03)
    angle = torch.atan2(drawn[:, 1, 0], drawn[:, 0, 0].abs()).abs().rad2deg()
    assert 9.9 < angle.max() <= 10 + 1e-3


def test_the_rest_of_the_samples_is_left_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = draw_geometry(4000, Augmentation(probability=0.3), generator)
    same = (drawn == torch.eye(2)).all((1, 2))
    assert float(same.float().mean()) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("size", [(128, 100), (128, 100, 75)])
def test_squares_lie_inside_and_have_the_sides_asked_for(size: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    limits = NoiseSquares(probability=0.5, smallest=15, largest=50)
    squares = draw_squares(9000, size, limits, generator)
    sides = squares[:, :, 1] - squares[:, :, 0]
    assert (sides == sides[:, :1]).all()
    there = sides[:, 0] > 0
    assert float(there.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert [int(sides[there].min()), int(sides[there].max())] == [15, 50]
    assert squares.min() >= 0
    assert squares.amax(0)[:, 1].tolist() == list(size)


def test_squares_larger_than_the_image_cover_it() -> None:
    limits = NoiseSquares(probability=1, smallest=40, largest=50)
    squares = draw_squares(3, (16, 20), limits, torch.Generator().manual_seed(0))
    assert squares[:, 0].tolist() == [[0, 16]] * 3


def test_noise_has_the_mean_and_spread_of_the_images_own_brain() -> None:
    images = torch.zeros(2, 1, 128, 128)
    images[0, :, 30:90, 30:90] = 5 + 2 * torch.randn(60, 60)
    images[1, :, 10:120, 10:120] = -1 + 0.5 * torch.randn(110, 110)
    squares = torch.tensor([[[0, 100], [0, 100]], [[20, 100], [20, 100]]])
    hidden = add_squares(images, squares, torch.randn(2, 1, 128, 128))
    for n, (mean, spread) in enumerate([(5.0, 2.0), (-1.0, 0.5)]):
        start, end = squares[n, 0].tolist()
        inside = hidden[n, 0, start:end, start:end]
        assert float(inside.mean()) == pytest.approx(mean, abs=0.1)
        assert float(inside.std()) == pytest.approx(spread, rel=0.05)
        outside = torch.ones(128, 128, dtype=torch.bool)
        outside[start:end, start:end] = False
        assert torch.equal(hidden[n, 0][outside], images[n, 0][outside])


def test_the_target_has_no_noise_and_moves_with_the_input() -> None:
    images = picture(64, 64).repeat(8, 2, 1, 1)
    augmenter = Augmenter(ALWAYS, NoiseSquares(probability=1, smallest=8, largest=8))
    draw = augmenter.draw(images, seed=3)
    batch = augmenter.apply(images, torch.zeros(8, 1, 64, 64), draw)
    assert draw.geometry is not None
    torch.testing.assert_close(batch.target, transform(images, draw.geometry))
    differing = (batch.image != batch.target).any(1).sum((1, 2))
    assert differing.tolist() == [64] * 8
    assert torch.equal(batch.weight, torch.ones(8, 1, 64, 64))


def test_an_image_that_is_not_moved_keeps_every_bit() -> None:
    images = picture(30, 30).repeat(6, 1, 1, 1)
    augmenter = Augmenter(Augmentation(probability=0.5), None)
    draw = augmenter.draw(images, seed=0)
    batch = augmenter.apply(images, torch.zeros_like(images), draw)
    assert draw.geometry is not None
    still = (draw.geometry == torch.eye(2)).all(2).all(1)
    assert 0 < int(still.sum()) < 6
    assert torch.equal(batch.target[still], images[still])
    assert not any(torch.equal(one, images[0]) for one in batch.target[~still])


def test_what_is_excluded_moves_with_the_image_and_loses_no_pixel() -> None:
    excluded = torch.zeros(1, 1, 33, 33)
    excluded[..., 10:14, 20:24] = 1
    turn = math.radians(10)
    draw = Augmenter(ALWAYS, None).draw(excluded, seed=0)
    rotation = matrix(math.cos(turn), -math.sin(turn), math.sin(turn), math.cos(turn))
    moved = transform(excluded, rotation)
    object.__setattr__(draw, "geometry", rotation)
    weight = Augmenter(ALWAYS, None).apply(torch.ones(1, 1, 33, 33), excluded, draw).weight
    assert set(weight.flatten().tolist()) == {0.0, 1.0}
    assert (weight[moved > 0] == 0).all()
    assert (weight[moved == 0] == 1).all()


def test_a_volume_moves_as_each_of_its_slices() -> None:
    volume = torch.rand(2, 1, 12, 10, 5)
    geometry = draw_geometry(2, ALWAYS, torch.Generator().manual_seed(1))
    moved = transform(volume, geometry)
    for k in range(5):
        torch.testing.assert_close(moved[..., k], transform(volume[..., k], geometry))


def test_a_cube_of_noise_hides_the_voxels_it_names_and_no_others() -> None:
    volume = torch.rand(1, 2, 9, 8, 7) + 1
    hidden = add_squares(
        volume, torch.tensor([[[2, 5], [0, 3], [4, 7]]]), torch.randn(volume.shape)
    )
    changed = (hidden != volume).all(1)[0]
    expected = torch.zeros(9, 8, 7, dtype=torch.bool)
    expected[2:5, 0:3, 4:7] = True
    assert torch.equal(changed, expected)


def test_the_same_seed_gives_the_same_batch() -> None:
    images = picture(40, 40).repeat(4, 1, 1, 1)
    augmenter = Augmenter(Augmentation(), NoiseSquares(smallest=4, largest=9))
    batches = [
        augmenter.apply(images, torch.zeros_like(images), augmenter.draw(images, seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(batches[0].image, batches[1].image)
    assert not torch.equal(batches[0].image, batches[2].image)


def test_nothing_asked_for_is_nothing_done() -> None:
    images = picture()
    augmenter = Augmenter(None, None)
    batch = augmenter.apply(images, torch.zeros_like(images), augmenter.draw(images, 0))
    assert torch.equal(batch.image, images)
    assert torch.equal(batch.target, images)
