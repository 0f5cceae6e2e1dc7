"""The brain of a whole head, found by deepbet.

deepbet (Fisch et al. 2024, Computers in Biology and Medicine 179:108845; MIT licence) brings two
networks inside its wheel, so nothing is downloaded. Its own call is used: a first network finds the
brain's box, a second one the brain in it. It was trained on T1-weighted scans and holds on FLAIR
(docs/brain_extraction.md). Two answers are averaged, to the scan and to its mirror image.

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
from anomri.preprocessing.connected_components import largest_filled_component
from anomri.scan import Mask, Volume

MODELS = {
    "bbox_model.pt": "39a7b2b5f799faa1391ea97bfcdc0b9299f20d84f2316a4ff8918dc4685e40aa",
    "model.pt": "de8ee7c69654d0dd3935dc4a5d84571d8ecf4637a6bfc01df399c4c2bc86e0fd",
}
LEVEL = 0.7  # of the averaged probability
AGREEMENT = 0.93  # Dice of the two answers under which the reader is told
PADDING_GAP = 0.1  # of the range of the values: a constant that far below them is padding
AIR_SHARE = 0.2  # of the voxels beside the padding are air, in the darkest twentieth of the range
RINGING_SHARE = 0.1  # of voxels below zero: more of them belong to a scan that was standardised


@dataclass(frozen=True, slots=True)
class FoundBrain:
    """What the networks answered.

    Attributes:
        probability: (I, J, K) float32, the mean of both answers.
        mask: (I, J, K), one piece without holes; empty where nothing like a brain was seen.
        agreement: Dice of the answers to the scan and to its mirror image.
    """

    probability: Volume
    mask: Mask
    agreement: float


def deepbet_brain(volume: Volume) -> FoundBrain:
    """Find the brain of a whole head.

    Args:
        volume: (I, J, K), RAS+, any scale and offset.

    Raises:
        MissingPiece: deepbet is not installed, or its networks are not the known ones.
    """
    values = clean_background(volume)
    both = (_probability(values), _probability(values[::-1])[::-1])
    first, second = (p > LEVEL for p in both)
    total = int(np.count_nonzero(first) + np.count_nonzero(second))
    agreement = 2 * int(np.count_nonzero(first & second)) / total if total else 0.0
    probability: Volume = np.asarray((both[0] + both[1]) / 2, dtype=np.float32)
    return FoundBrain(probability, largest_filled_component(probability > LEVEL), agreement)


def clean_background(volume: Volume) -> Volume:
    """Return a head without padding and without the ringing of an interpolation around it.

    deepbet scales a scan between its 0.5th and 99.5th percentile. A padding of -1024, or values
    below zero that an interpolation left in the air, would move the lower one.

    Args:
        volume: (I, J, K).
    """
    lowest, highest = float(volume.min()), float(np.percentile(volume, 99.9))
    rest = volume[volume > lowest]
    if rest.size and _is_padded(lowest, rest, highest):
        lowest = float(rest.min())
    below = np.count_nonzero(rest < 0) / max(rest.size, 1)
    if lowest < 0 and below < RINGING_SHARE:
        lowest = 0.0
    cleaned: Volume = np.clip(volume, lowest, max(highest, lowest))
    return cleaned


def _is_padded(lowest: float, rest: Volume, highest: float) -> bool:
    """Say whether the lowest value lies far below a background that the rest has of its own."""
    darkest = float(rest.min())
    span = highest - darkest
    if span <= 0 or darkest - lowest <= PADDING_GAP * span:
        return False
    return bool(np.mean(rest < darkest + 0.05 * span) > AIR_SHARE)


def _probability(volume: Volume) -> Volume:
    """Return (I, J, K) float32, 0 everywhere where the first network saw no brain."""
    try:
        found: Volume = _networks().run_model(np.ascontiguousarray(volume, dtype=np.float32))
    # The library's own way of saying that there is no foreground.
    except (AssertionError, ValueError, RuntimeError, IndexError):
        return np.zeros(volume.shape, dtype=np.float32)
    return found


@cache
def _networks() -> Any:
    """Load the networks, once a process."""
    if find_spec("deepbet") is None:
        raise MissingPiece("deepbet is not installed. Next: pip install 'deepbet>=1.0.2,<2'.")
    import deepbet
    from deepbet.utils import DATA_PATH

    for name, digest in MODELS.items():
        _check(Path(DATA_PATH, "models", name), digest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's, for TorchScript
        return deepbet.BrainExtraction(no_gpu=not torch.cuda.is_available())


def _check(path: Path, digest: str) -> None:
    """Refuse a network that is not the one that was measured.

    Raises:
        MissingPiece: the file is missing, or its SHA-256 is another one.
    """
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest:
        return
    raise MissingPiece(
        f"{path.name}: expected the network of deepbet 1.0.2 (SHA-256 {digest[:12]}...), found "
        f"{'another file' if path.is_file() else 'none'}. "
        "Next: pip install --force-reinstall 'deepbet==1.0.2'."
    )
