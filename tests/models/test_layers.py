"""Images grow and shrink around their centre."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anomri.models.layers import fit

LENGTHS = st.lists(st.integers(1, 40), min_size=2, max_size=3)


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 15))
def test_what_was_padded_is_cropped_back(lengths: list[int], added: int) -> None:
    size = tuple(lengths)
    image = torch.rand(1, 2, *size)
    grown = fit(image, tuple(length + added for length in size))
    assert grown.shape[2:] == tuple(length + added for length in size)
    assert torch.equal(fit(grown, size), image)
    torch.testing.assert_close(grown.sum(), image.sum())


def test_the_odd_voxel_is_at_the_far_end() -> None:
    assert fit(torch.tensor([[[[1.0, 2.0]]]]), (1, 5)).tolist() == [[[[0, 1, 2, 0, 0]]]]
    assert fit(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]), (1, 1)).tolist() == [[[[2]]]]
