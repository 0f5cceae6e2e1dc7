"""The network that finds the brain in a head, whatever the contrast.

A U-Net (Ronneberger et al. 2015; Çiçek et al. 2016) on blocks of 2 x 2 x 2 voxels: the blocks'
voxels are channels, so that the widest layers have an eighth of the voxels, and the last layer
gives each voxel of a block a logit of its own. Trained as SynthStrip was (Hoopes et al. 2022,
NeuroImage 260:119474), on images drawn at random from labelled heads; see
docs/brain_extraction.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool3d

from anomri.errors import MissingPiece
from anomri.scan import Volume

WEIGHTS = resources.files("anomri") / "weights"
FILE, CARD = "brain.safetensors", "brain.json"

WIDTHS = (16, 32, 64, 128)
GROUPS = 8
SLOPE = 0.1
SHAPE = (48, 64, 48)  # voxels of the working grid
SPACING = 4.0  # mm
BRIGHT = 99.0  # percentile of what was measured that is sent to 1
CEILING = 1.5


class BrainNetwork(nn.Module):
    """Logits of brain, (B, 1, I, J, K) for images (B, 1, I, J, K); axes are multiples of 16.

    Args:
        widths: channels of each level; the two deepest have two convolutions going down.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        below = [8, *widths[:-1]]
        self.down = nn.ModuleList(
            _level(a, b, 2 if level >= len(widths) - 2 else 1)
            for level, (a, b) in enumerate(zip(below, widths, strict=True))
        )
        steps = list(zip(widths[-2::-1], widths[:0:-1], strict=True))
        self.narrow = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in steps)
        self.up = nn.ModuleList(_block(2 * a, a) for a, _ in steps)
        self.last = nn.Conv3d(widths[0], 8, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, above zero for brain."""
        values, kept = _fold(images), []
        for level, block in enumerate(self.down):
            values = block(max_pool3d(values, 2) if level else values)
            kept.append(values)
        kept.pop()
        for narrow, block in zip(self.narrow, self.up, strict=True):
            above = interpolate(narrow(values), scale_factor=2.0)
            values = block(torch.cat([above, kept.pop()], dim=1))
        return _unfold(self.last(values))


def normalise(image: Volume) -> Volume:
    """Return ``image`` with its darkest value at 0 and its 99th percentile at 1, cut at 1.5.

    Voxels of exactly zero were not measured and do not count for the percentile.
    """
    measured = image[image != 0]
    if not measured.size:
        return image
    low = min(float(measured.min()), 0.0) if measured.min() < 0 else 0.0
    high = float(np.percentile(measured, BRIGHT))
    scaled: Volume = np.clip((image - low) / max(high - low, 1e-6), 0, CEILING)
    return np.where(image != 0, scaled, 0).astype(np.float32)


@cache
def brain_network() -> BrainNetwork:
    """Return the network that ships with anomri.

    Raises:
        MissingPiece: its weights are not there, or are not those that the card beside them names.
    """
    try:
        held = (WEIGHTS / FILE).read_bytes()
        expected = json.loads((WEIGHTS / CARD).read_text("utf-8"))["sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise MissingPiece(f"{FILE}: the brain network's weights are missing. {_REPAIR}") from error
    if hashlib.sha256(held).hexdigest() != expected:
        raise MissingPiece(f"{FILE}: these are not the weights that {CARD} names. {_REPAIR}")
    network = BrainNetwork()
    network.load_state_dict({name: weight.float() for name, weight in load(held).items()})
    return network.eval()


_REPAIR = "Next: install anomri again, or give brain masks."


def _level(inputs: int, outputs: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_block(outputs if n else inputs, outputs) for n in range(count)))


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, padding=1, bias=False),
        nn.GroupNorm(GROUPS, outputs),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def _fold(images: Tensor) -> Tensor:
    """Turn (B, 1, I, J, K) into (B, 8, I/2, J/2, K/2)."""
    b, _, i, j, k = images.shape
    blocks = images.view(b, i // 2, 2, j // 2, 2, k // 2, 2)
    return blocks.permute(0, 2, 4, 6, 1, 3, 5).reshape(b, 8, i // 2, j // 2, k // 2)


def _unfold(blocks: Tensor) -> Tensor:
    """Turn (B, 8, I, J, K) into (B, 1, 2I, 2J, 2K), the inverse of :func:`_fold`."""
    b, _, i, j, k = blocks.shape
    parts = blocks.view(b, 2, 2, 2, i, j, k).permute(0, 4, 1, 5, 2, 6, 3)
    return parts.reshape(b, 1, 2 * i, 2 * j, 2 * k)
