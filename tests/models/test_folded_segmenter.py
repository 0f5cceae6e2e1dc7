"""The folded segmenter: any size comes back as it went in."""

from __future__ import annotations

import pytest
import torch

from anomri.errors import RecipeError
from anomri.models import Batch, FoldedSegmenter, build_segmenter
from anomri.models.folded_segmenter import dice_loss
from anomri.recipe import Step

SIZE = (32, 48, 32)


def segmenter() -> FoldedSegmenter:
    torch.manual_seed(0)
    return FoldedSegmenter(channels=2, size=SIZE, filters=8)


@pytest.mark.parametrize("size", [(32, 48, 32), (33, 17, 20), (16, 16, 16)])
def test_any_size_comes_back_as_it_went_in(size: tuple[int, ...]) -> None:
    with torch.inference_mode():
        found = segmenter().eval().segment(torch.randn(1, 2, *size))
    assert found.shape == (1, 3, *size)
    assert 0 <= found.min() < found.max() <= 1


def test_padding_is_centred() -> None:
    """A scan that was padded by hand to a multiple of 16 gives the same answer."""
    network = segmenter().eval()
    images = torch.randn(1, 2, 30, 16, 16)
    by_hand = torch.nn.functional.pad(images, (0, 0, 0, 0, 1, 1))
    with torch.inference_mode():
        torch.testing.assert_close(network.segment(images), network.segment(by_hand)[:, :, 1:31])


def test_dice_loss_by_hand() -> None:
    masks = torch.zeros(1, 2, 10, 10, 10)
    masks[:, 0, :5] = 1
    probabilities = torch.full_like(masks, 0.5)
    expected = 1 - (2 * 250 + 20) / (500 + 500 + 20)
    torch.testing.assert_close(dice_loss(probabilities, masks), torch.tensor([[expected, 0.0]]))


def test_it_learns_one_image() -> None:
    torch.manual_seed(0)
    masks = torch.zeros(1, 3, *SIZE)
    masks[:, :, 8:24, 8:24, 8:24] = 1
    batch = Batch(torch.randn(1, 2, *SIZE) + 3 * masks[:, :1], masks, torch.ones(1, 1, *SIZE))
    network = segmenter()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    first = float(network.losses(batch)["loss"].detach())
    for _ in range(10):
        loss = network.losses(batch)["loss"]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert float(loss.detach()) < 0.85 * first


def test_filters_must_suit_the_group_norm() -> None:
    step = Step(name="folded_segmenter", options={"filters": 12})
    with pytest.raises(RecipeError, match="multiple of 8"):
        build_segmenter(step, channels=1, size=SIZE)
