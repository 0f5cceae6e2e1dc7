"""Mahalanobis distance of a slice's latents from those of healthy slices."""

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

Latents = NDArray[np.float32]  # (n, D)

# Lower bound of a variance as a share of the mean variance, for dimensions that never change.
SMALLEST_SHARE = 1e-6

NAMES = TypeAdapter(tuple[str, ...])


@runtime_checkable
class Encoder(Protocol):
    """A reconstructor with latents."""

    def encode(self, images: Tensor) -> Latent:
        """Encode images to their latents."""


@dataclass(frozen=True, slots=True)
class LatentStatistics:
    """Mean and variance of the latents of healthy slices (Weninger et al., section 4.2).

    Attributes:
        mean: (D,) float64.
        variance: (D,) float64.
        slices: number of slices.
        subjects: names of their subjects.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    slices: int
    subjects: tuple[str, ...] = ()

    @classmethod
    def of(cls, latents: Latents, subjects: tuple[str, ...]) -> LatentStatistics:
        """Compute the statistics of (n, D) latents."""
        exact = latents.astype(np.float64)
        return cls(exact.mean(axis=0), exact.var(axis=0), len(latents), subjects)

    def distances(self, latents: Latents) -> NDArray[np.float64]:
        """Return the (n,) Mahalanobis distances of (n, D) latents, with a diagonal covariance.

        ``sqrt(sum_d (z_d - mean_d)^2 / variance_d)``: a full covariance of some thousand
        dimensions cannot be estimated from some hundred slices.
        """
        floor = max(SMALLEST_SHARE * float(self.variance.mean()), np.finfo(np.float64).tiny)
        squares = (latents - self.mean) ** 2 / np.maximum(self.variance, floor)
        distances: NDArray[np.float64] = np.sqrt(squares.sum(axis=1))
        return distances

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of mean and variance."""
        numbers = self.mean.tobytes() + self.variance.tobytes()
        return hashlib.sha256(numbers).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write the statistics as safetensors, atomically."""
        metadata = {"slices": str(self.slices), "subjects": json.dumps(self.subjects)}
        write_bytes(path, save({"mean": self.mean, "variance": self.variance}, metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> LatentStatistics:
        """Read what :meth:`save` wrote.

        Raises:
            DamagedFile: the file cannot be read.
        """
        guard = undamaged(path, what="the statistics of latents", next_step=CALIBRATE)
        with guard, safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            mean, variance = (_vector(file.get_tensor(name)) for name in ("mean", "variance"))
            if mean.shape != variance.shape or (variance < 0).any():
                raise ValueError("mean and variance do not match, or a variance is negative")
            subjects = NAMES.validate_json(metadata["subjects"])
            return cls(mean, variance, int(metadata["slices"]), subjects)


def _vector(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``array`` if it is a vector (D,) of finite numbers; raise ValueError otherwise."""
    if array.ndim != 1 or array.dtype != np.float64 or not np.isfinite(array).all():
        raise ValueError("not a vector of finite numbers")
    return array


def encode_slices(
    network: Reconstructor, scan: Scan, *, device: torch.device, batch_size: int = 32
) -> tuple[NDArray[np.intp], Latents] | None:
    """Encode the axial slices that hold brain.

    Returns:
        Indices (n,) of the slices and the means (n, D) of their latents; None for a network
        without latents or of whole volumes.
    """
    size = network.size or scan.brain.shape[:2]
    if not isinstance(network, Encoder) or len(size) != 2:
        return None
    brain, image = as_stack(scan.brain, 2), as_stack(scan.image, 2)
    window = Window.centred(brain.shape[1:], size)
    slice_batches = batches(brain, batch_size)
    with in_evaluation(network), torch.inference_mode():
        latents = [
            network.encode(torch.from_numpy(window.take(image, batch)).to(device)).mean.flatten(1)
            for batch in slice_batches
        ]
    if not latents:
        return None
    return np.concatenate(slice_batches), torch.cat(latents).float().cpu().numpy()


def latent_distances(
    network: Reconstructor, scan: Scan, statistics: LatentStatistics, *, device: torch.device
) -> NDArray[np.float64] | None:
    """Return the (K,) Mahalanobis distances of axial slices, NaN for slices without brain.

    None for a network without latents.

    Raises:
        UsageError: the statistics belong to another network.
    """
    encoded = encode_slices(network, scan, device=device)
    if encoded is None:
        return None
    slices, latents = encoded
    if latents.shape[1:] != statistics.mean.shape:
        raise UsageError(
            f"the statistics of latents have {statistics.mean.size} dimensions, the network's "
            f"latents {latents.shape[1]}. Next: run `anomri calibrate` on the run folder again."
        )
    distances = np.full(scan.brain.shape[2], np.nan)
    distances[slices] = statistics.distances(latents)
    return distances
