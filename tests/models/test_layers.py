"""Images grow and shrink around their centre."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anomri.models.layers import fit, rounded_up

LENGTHS = st.lists(st.integers(1, 40), min_size=2, max_size=3)


@settings(deadline=None)
@given(LENGTHS, st.sampled_from([1, 8, 16]))
def test_what_was_padded_is_cropped_back(lengths: list[int], step: int) -> None:
    size = tuple(lengths)
    image = torch.rand(1, 2, *size)
    grown = fit(image, rounded_up(size, step))
    assert all(
        n % step == 0 and 0 <= n - m < step for n, m in zip(grown.shape[2:], size, strict=True)
    )
    assert torch.equal(fit(grown, size), image)
    torch.testing.assert_close(grown.sum(), image.sum())


def test_the_odd_voxel_is_at_the_far_end() -> None:
    assert fit(torch.tensor([[[[1.0, 2.0]]]]), (1, 5)).tolist() == [[[[0, 1, 2, 0, 0]]]]
    assert fit(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]), (1, 1)).tolist() == [[[[2]]]]
    assert rounded_up((160, 192, 75), 16) == (160, 192, 80)
