"""Brain extraction from whole heads with deepbet.

deepbet (Fisch et al. 2024, Computers in Biology and Medicine 179:108845; MIT licence) ships two
networks inside its wheel, so nothing is downloaded. The first network finds the bounding box of the
brain, the second one segments the brain in it. Both were trained on T1-weighted scans; they also
work on FLAIR (docs/brain_extraction.md). The probabilities of a scan and of its mirror image are
averaged.

The networks are TorchScript archives. Loading one runs no Python code: PyTorch reads tensors and a
graph of its own operations. Only the two files whose SHA-256 is known are loaded.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anomri.errors import MissingPiece
from anomri.preprocessing.brain.overlap import dice
from anomri.preprocessing.connected_components import largest_filled_component
from anomri.scan import Mask, Volume

NETWORK_SHA256 = {
    "bbox_model.pt": "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa",
    "model.pt": "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd",
}
MIN_PROBABILITY = 0.7  # of the averaged probability: above it is brain
MIN_AGREEMENT = 0.93  # Dice of the two segmentations; below it a note is added
PADDING_GAP = 0.1  # of the intensity range: a constant that far below the rest is padding
AIR_FRACTION = 0.2  # of the unpadded voxels; in a head, more lie in the darkest 5 % of the range
STRAY_VOXELS = 10  # in a layer that is empty otherwise
RINGING_FRACTION = 0.1  # of voxels below zero; a standardised scan has more


@dataclass(frozen=True, slots=True)
class DeepbetResult:
    """The brain that deepbet found.

    Attributes:
        probability: (I, J, K) float32, mean over the scan and its mirror image.
        mask: (I, J, K) bool, one component without holes; empty where no brain was found.
        agreement: Dice of the segmentations of the scan and of its mirror image.
    """

    probability: Volume
    mask: Mask
    agreement: float


def deepbet_brain(volume: Volume, device: torch.device | None = None) -> DeepbetResult:
    """Find the brain in a whole head.

    Args:
        volume: (I, J, K), RAS+, any scale and offset.
        device: where the networks run, see :func:`network_device`.

    Raises:
        MissingPiece: deepbet is not installed, or its network files are not the expected ones.
    """
    cleaned = clean_background(volume)
    box = box_without_margin(cleaned)  # an empty margin would change the scale that it sees
    cleaned = cleaned[box]
    networks = _networks(network_device(device))
    original = _probability(networks, cleaned)
    mirrored = _probability(networks, cleaned[::-1])[::-1]
    agreement = dice(original > MIN_PROBABILITY, mirrored > MIN_PROBABILITY)
    mean: Volume = np.zeros(volume.shape, dtype=np.float32)
    mean[box] = (original + mirrored) / 2
    return DeepbetResult(mean, largest_filled_component(mean > MIN_PROBABILITY), agreement)


def network_device(device: torch.device | None) -> torch.device:
    """Return where a brain extraction network runs.

    Args:
        device: the chosen one; None for CUDA where PyTorch sees it. In place of MPS the CPU is
            used.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return device if device.type == "cuda" else torch.device("cpu")


def clean_background(volume: Volume) -> Volume:
    """Return a head with padding and interpolation ringing clipped to the background.

    deepbet scales a scan between its 0.5th and 99.5th percentile. Padding of -1024, or negative
    values that an interpolation left in the air, would shift the lower one.

    Args:
        volume: (I, J, K).
    """
    lowest, highest = float(volume.min()), float(np.percentile(volume, 99.9))
    rest = volume[volume > lowest]
    if rest.size and _is_padding(lowest, rest, highest):
        lowest = float(rest.min())
    negative_fraction = np.count_nonzero(rest < 0) / max(rest.size, 1)
    if lowest < 0 and negative_fraction < RINGING_FRACTION:
        lowest = 0.0
    cleaned: Volume = np.clip(volume, lowest, max(highest, lowest))
    return cleaned


def box_without_margin(volume: Volume) -> tuple[slice, ...]:
    """Return the box that remains without outer layers of the lowest value.

    Args:
        volume: (I, J, K) without padding of other values; a few voxels in a layer do not count.
    """
    filled = volume > volume.min()
    box = []
    for axis in range(volume.ndim):
        others = tuple(other for other in range(volume.ndim) if other != axis)
        layers = np.flatnonzero(filled.sum(axis=others) > STRAY_VOXELS)
        box.append(slice(layers[0], layers[-1] + 1) if layers.size else slice(None))
    return tuple(box)


def _is_padding(lowest: float, rest: Volume, highest: float) -> bool:
    """Return whether the lowest value is far below the rest, which has a background of its own."""
    darkest = float(rest.min())
    span = highest - darkest
    if span <= 0 or darkest - lowest <= PADDING_GAP * span:
        return False
    return bool(np.mean(rest < darkest + 0.05 * span) > AIR_FRACTION)


def _probability(networks: Any, volume: Volume) -> Volume:
    """Return (I, J, K) float32, 0 everywhere if the first network finds no brain."""
    try:
        probability: Volume = networks.run_model(np.ascontiguousarray(volume, dtype=np.float32))
    except torch.OutOfMemoryError:
        raise
    # deepbet raises these where its bounding box is empty.
    except (AssertionError, ValueError, RuntimeError, IndexError):
        return np.zeros(volume.shape, dtype=np.float32)
    return probability


@cache
def _networks(device: torch.device) -> Any:
    """Load the networks, once per process and device."""
    if find_spec("deepbet") is None:
        raise MissingPiece("deepbet is not installed. Next: pip install 'deepbet>=1.0.2,<2'.")
    import deepbet
    from deepbet.utils import DATA_PATH

    for name, digest in NETWORK_SHA256.items():
        _verify(Path(DATA_PATH, "models", name), digest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's, for TorchScript
        networks = deepbet.BrainExtraction(no_gpu=True)
    networks.model.to(device)  # scans follow the networks
    networks.bbox_model.to(device)
    return networks


def _verify(path: Path, digest: str) -> None:
    """Refuse a network file whose checksum differs.

    Raises:
        MissingPiece: the file is missing, or its SHA-256 differs.
    """
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest:
        return
    raise MissingPiece(
        f"{path.name}: expected the network of deepbet 1.0.2 (SHA-256 {digest[:12]}...), found "
        f"{'a different file' if path.is_file() else 'none'}. "
        "Next: pip install --force-reinstall 'deepbet==1.0.2'."
    )
