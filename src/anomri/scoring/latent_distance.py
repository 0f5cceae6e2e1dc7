"""How far the code of a slice lies from the codes of healthy slices."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor

from anomri.errors import UsageError
from anomri.files import CALIBRATE, undamaged, write_bytes
from anomri.models import Latent, Reconstructor
from anomri.scan import Scan
from anomri.scoring.forward_passes import batches, in_evaluation
from anomri.scoring.windows import Window, as_stack

Codes = NDArray[np.float32]  # (n, D)

# Of the mean variance: a latent number that never changes would be infinitely far off by rounding.
SMALLEST_SHARE = 1e-6

NAMES = TypeAdapter(tuple[str, ...])


@runtime_checkable
class Encodes(Protocol):
    """A family that has codes."""

    def encode(self, images: Tensor) -> Latent:
        """Return what is known of the code of each image."""


@dataclass(frozen=True, slots=True)
class CodeStatistics:
    """What the codes of healthy slices look like (Weninger et al., section 4.2).

    Attributes:
        mean: (D,) float64.
        variance: (D,) float64.
        slices: how many there were.
        subjects: whose.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    slices: int
    subjects: tuple[str, ...] = ()

    @classmethod
    def of(cls, codes: Codes, subjects: tuple[str, ...]) -> CodeStatistics:
        """Learn from (n, D) codes."""
        exact = codes.astype(np.float64)
        return cls(exact.mean(axis=0), exact.var(axis=0), len(codes), subjects)

    def distances(self, codes: Codes) -> NDArray[np.float64]:
        """Return the Mahalanobis distance of each of (n, D) codes, with a diagonal covariance.

        ``sqrt(sum_d (code_d - mean_d)^2 / variance_d)``: a full covariance of some thousand
        latent numbers cannot be learnt from some hundred slices.
        """
        floor = max(SMALLEST_SHARE * float(self.variance.mean()), np.finfo(np.float64).tiny)
        squares = (codes - self.mean) ** 2 / np.maximum(self.variance, floor)
        distances: NDArray[np.float64] = np.sqrt(squares.sum(axis=1))
        return distances

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the numbers."""
        numbers = self.mean.tobytes() + self.variance.tobytes()
        return hashlib.sha256(numbers).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write safetensors; the file appears whole or not at all."""
        about = {"slices": str(self.slices), "subjects": json.dumps(self.subjects)}
        write_bytes(path, save({"mean": self.mean, "variance": self.variance}, metadata=about))

    @classmethod
    def load(cls, path: Path) -> CodeStatistics:
        """Read what :meth:`save` wrote.

        Raises:
            DamagedFile: the file cannot be read.
        """
        guard = undamaged(path, what="the statistics of codes", next_step=CALIBRATE)
        with guard, safe_open(path, framework="np") as file:
            about = file.metadata() or {}
            mean, variance = (_vector(file.get_tensor(name)) for name in ("mean", "variance"))
            if mean.shape != variance.shape or (variance < 0).any():
                raise ValueError("no variances of these codes")
            return cls(mean, variance, int(about["slices"]), NAMES.validate_json(about["subjects"]))


def _vector(numbers: NDArray[Any]) -> NDArray[np.float64]:
    """Return (D,) finite numbers as they are; raise ValueError for anything else."""
    if numbers.ndim != 1 or numbers.dtype != np.float64 or not np.isfinite(numbers).all():
        raise ValueError("no vector of finite numbers")
    return numbers


def encode_slices(
    family: Reconstructor, scan: Scan, *, device: torch.device, batch_size: int = 32
) -> tuple[NDArray[np.intp], Codes] | None:
    """Return the axial slices that hold brain, and the mean code of each as (n, D).

    None where there is no code per slice: the family has none, or sees whole volumes.
    """
    size = family.size or scan.brain.shape[:2]
    if not isinstance(family, Encodes) or len(size) != 2:
        return None
    brain, image = as_stack(scan.brain, 2), as_stack(scan.image, 2)
    window = Window.centred(brain.shape[1:], size)
    chosen = batches(brain, batch_size)
    with in_evaluation(family), torch.inference_mode():
        codes = [
            family.encode(torch.from_numpy(window.take(image, part)).to(device)).mean.flatten(1)
            for part in chosen
        ]
    if not codes:
        return None
    return np.concatenate(chosen), torch.cat(codes).float().cpu().numpy()


def code_distances(
    family: Reconstructor, scan: Scan, statistics: CodeStatistics, *, device: torch.device
) -> NDArray[np.float64] | None:
    """Return the (K,) distance of each axial slice's code, NaN without brain; None without codes.

    Raises:
        UsageError: the statistics are those of another network.
    """
    encoded = encode_slices(family, scan, device=device)
    if encoded is None:
        return None
    held, codes = encoded
    if codes.shape[1:] != statistics.mean.shape:
        raise UsageError(
            f"the statistics of codes hold {statistics.mean.size} numbers, the network's codes "
            f"{codes.shape[1]}. Next: run `anomri calibrate` on the run folder again."
        )
    distances = np.full(scan.brain.shape[2], np.nan)
    distances[held] = statistics.distances(codes)
    return distances
