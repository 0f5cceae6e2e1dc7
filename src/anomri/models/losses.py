"""Losses of the autoencoders: reconstruction terms, latent terms and their combinations.

All are the same in two and three dimensions and computed in float32, whatever the precision of the
network. Reconstruction terms take

- ``output``, ``target``: (N, C, *space),
- ``weight``: (N, 1, *space), 1 for voxels that count, else 0;

they return a scalar, 0 for a perfect reconstruction and near 1 for a useless one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn

from anomri.errors import RecipeError
from anomri.models.base import TOTAL, Batch, Losses
from anomri.models.latents import Gaussian, Latent, Quantised

Kind = TypeVar("Kind")
Reconstruction = Callable[[Tensor, Tensor, Tensor], Tensor]

SMALLEST_RANGE = 1e-3
SIGMA = 1.5  # voxels, of the SSIM window; Wang et al. 2004
TRUNCATE = 3.5  # sigmas; with SIGMA, a window of 11 voxels


def mse(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean squared difference over the voxels that count."""
    return weighted_mean((output.float() - target.float()).square(), weight)


def l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean absolute difference over the voxels that count."""
    return weighted_mean((output.float() - target.float()).abs(), weight)


def ssim(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return 1 minus the mean structural similarity over the voxels that count.

    Voxels without weight are first replaced by the target, so that they do not affect the windows
    of their neighbours.
    """
    weighted_output = target + weight * (output - target)
    return weighted_mean(1 - ssim_map(weighted_output, target), weight)


def ssim_map(output: Tensor, target: Tensor, *, data_range: float | None = None) -> Tensor:
    """Return the structural similarity of each voxel's neighbourhood, (N, C, *space), at most 1.

    ``(2 m n + C1)(2 s_xy + C2) / ((m^2 + n^2 + C1)(s_xx + s_yy + C2))`` with Gaussian windows
    (sigma 1.5, 11 voxels wide) and mirrored borders; Wang et al. 2004, eq. (13).

    Args:
        output: (N, C, *space).
        target: (N, C, *space).
        data_range: range of the intensities; by default each target image's own range.
    """
    with torch.autocast(output.device.type, enabled=False):  # E[x^2] - E[x]^2 needs the digits
        x, y = output.float(), target.float()
        squared_range = _squared_range(y, data_range)
        mean_x, mean_y, square, product = smooth(torch.stack((x, y, x * x + y * y, x * y)))
        mean_product, mean_square = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
        c1, c2 = 1e-4 * squared_range, 9e-4 * squared_range
        numerator = (2 * mean_product + c1) * (2 * (product - mean_product) + c2)
        similarity: Tensor = numerator / ((mean_square + c1) * (square - mean_square + c2))
        return similarity


def smooth(values: Tensor) -> Tensor:
    """Return the Gaussian-weighted mean of each voxel's window, along the axes after the third.

    Along one axis this is a product with a banded matrix, which is several times faster than a
    convolution of one channel, and mirrors the border at no cost.

    Args:
        values: (M, N, C, *space).
    """
    for axis in range(3, values.ndim):
        window = _window(values.shape[axis], values.device)
        values = (values.transpose(axis, -1) @ window).transpose(axis, -1)
    return values


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of ``values`` (N, C, *space); 0 if all weights are 0.

    Args:
        values: (N, C, *space).
        weight: (N, 1, *space), 0 or 1.
    """
    count = (weight.sum() * values.shape[1]).clamp_min(1)
    return (values * weight).sum() / count


def kl_mean(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence from the standard normal, mean over dimensions and images."""
    return _divergence(mean, log_variance).mean()


def kl_sum(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return the KL divergence from the standard normal, summed per image, mean over images."""
    return _divergence(mean, log_variance).flatten(1).sum(1).mean()


RECONSTRUCTION: dict[str, Reconstruction] = {"mse": mse, "l1": l1, "ssim": ssim}
KL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mean": kl_mean, "sum": kl_sum}


class Loss(Protocol):
    """Loss of an autoencoder."""

    @property
    def context_weight(self) -> float:
        """Weight of the context term; 0 for no context encoding."""

    def losses(self, batch: Batch, output: Tensor, latent: Latent) -> Losses:
        """Return ``loss`` and its terms for the output (N, C, *space) of a batch."""

    def erase(self, images: Tensor) -> Tensor:
        """Erase a square of each image (N, C, *space)."""

    def with_context(self, losses: Losses, batch: Batch, inpainted: Tensor) -> Losses:
        """Add the context term: the error of the reconstruction of erased images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionLoss:
    """Reconstruction term, with optional context encoding.

    For context encoding each image is also reconstructed with a square erased, through the mean of
    its latents; the error against the whole image is the context term (Zimmerer et al. 2018; the
    last term of Paolini et al., section 3.5).

    Attributes:
        reconstruction: name in ``RECONSTRUCTION``.
        context_weight: weight of the context term; 0 for no context encoding.
        context_smallest: shortest side of the erased square in voxels.
        context_largest: longest side.
    """

    reconstruction: str = "ssim"
    context_weight: float = 0.0
    context_smallest: int = 15
    context_largest: int = 50

    def __post_init__(self) -> None:
        _check_name("reconstruction", self.reconstruction, RECONSTRUCTION)
        _check_weight("context_weight", self.context_weight)
        sides = self.context_smallest, self.context_largest
        if not all(isinstance(n, int) for n in sides) or not 1 <= sides[0] <= sides[1]:
            raise RecipeError(
                "context_smallest, context_largest: expected whole numbers, at least 1, the "
                f"smaller one first; got {sides[0]} and {sides[1]}."
            )

    def losses(self, batch: Batch, output: Tensor, latent: Latent) -> Losses:
        """Return ``loss`` and its unweighted terms."""
        term = RECONSTRUCTION[self.reconstruction](output, batch.target, batch.weight)
        latent_term, named_terms = self.latent_term(latent)
        return {TOTAL: term + latent_term, "reconstruction": term, **named_terms}

    def latent_term(self, latent: Latent) -> tuple[Tensor | float, Losses]:
        """Return the weighted term of the latents in the loss, and its unweighted terms by name."""
        del latent
        return 0.0, {}

    def erase(self, images: Tensor) -> Tensor:
        """Set one square per image to 0, in all its contrasts."""
        return erase(images, smallest=self.context_smallest, largest=self.context_largest)

    def with_context(self, losses: Losses, batch: Batch, inpainted: Tensor) -> Losses:
        """Add the context term, which includes the erased square."""
        term = RECONSTRUCTION[self.reconstruction](inpainted, batch.target, batch.weight)
        total = losses[TOTAL] + self.context_weight * term
        return {**losses, TOTAL: total, "context": term}


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationalLoss(ReconstructionLoss):
    """Evidence lower bound with a free weight: ``reconstruction + kl_weight * KL``.

    The reconstruction term is a mean over voxels, so the weight decides whether the latent space
    is used. For a mean squared error the bound corresponds to a weight of ``2 s^2 D / V`` (noise
    variance s^2, D latent dimensions, V voxels): with s^2 = 0.1, about the residual variance of
    z-scored slices, 0.013 for the VAE and 0.028 for the dVAE. The default is just below both, which
    avoids posterior collapse and keeps the latent space near a standard normal.

    Attributes:
        kl_weight: weight of the divergence.
        kl_reduction: ``mean`` over the latent dimensions, or their ``sum`` per image.
    """

    kl_weight: float = 0.01
    kl_reduction: str = "mean"

    def __post_init__(self) -> None:
        ReconstructionLoss.__post_init__(self)
        _check_name("kl_reduction", self.kl_reduction, KL)
        _check_weight("kl_weight", self.kl_weight)

    def latent_term(self, latent: Latent) -> tuple[Tensor | float, Losses]:
        """Return the weighted divergence, and ``kl``."""
        gaussian = _of_kind(latent, Gaussian)
        divergence = KL[self.kl_reduction](gaussian.mean, gaussian.log_variance)
        return self.kl_weight * divergence, {"kl": divergence}


@dataclass(frozen=True, slots=True, kw_only=True)
class CodebookLoss(ReconstructionLoss):
    """Loss of the VQ-VAE: reconstruction, codebook and commitment terms.

    ``reconstruction + mean((sg[z] - e)^2) + commitment_weight * mean((z - sg[e])^2)``, where sg
    stops the gradient; van den Oord et al. 2017, eq. (3).

    Attributes:
        commitment_weight: weight of the term that trains the encoder.
    """

    commitment_weight: float = 0.25

    def __post_init__(self) -> None:
        ReconstructionLoss.__post_init__(self)
        _check_weight("commitment_weight", self.commitment_weight)

    def latent_term(self, latent: Latent) -> tuple[Tensor | float, Losses]:
        """Return the weighted sum of ``codebook`` and ``commitment``, and both with perplexity."""
        pair = _of_kind(latent, Quantised)
        codebook = nn.functional.mse_loss(pair.quantised.float(), pair.encoded.detach().float())
        commitment = nn.functional.mse_loss(pair.encoded.float(), pair.quantised.detach().float())
        terms = {"codebook": codebook, "commitment": commitment, "perplexity": pair.perplexity()}
        return codebook + self.commitment_weight * commitment, terms


def erase(images: Tensor, *, smallest: int, largest: int) -> Tensor:
    """Set a square (or cube) of each image to 0, in all channels.

    Side and position are uniform; the centre is a voxel of the brain, so that some of the brain is
    always erased.

    Args:
        images: (N, C, *space), 0 outside the brain.
        smallest: shortest side in voxels.
        largest: longest side in voxels, included.
    """
    count, space = len(images), images.shape[2:]
    brain = (images != 0).any(1).flatten(1)
    centre = (torch.rand(brain.shape, device=images.device) * brain).argmax(1)
    side = torch.randint(smallest, largest + 1, (count,), device=images.device)
    erased = torch.ones((count, 1, *space), dtype=torch.bool, device=images.device)
    for axis, position in enumerate(torch.unravel_index(centre, space)):
        voxels = torch.arange(space[axis], device=images.device)
        first = (position - side // 2)[:, None]
        along = (voxels >= first) & (voxels < first + side[:, None])
        erased &= along.reshape(count, 1, *(-1 if n == axis else 1 for n in range(len(space))))
    return images.masked_fill(erased, 0)


def _divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return ``(m^2 + v - log v - 1) / 2`` of each latent dimension."""
    mean, log_variance = mean.float(), log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)


def _squared_range(target: Tensor, data_range: float | None) -> Tensor:
    """Return the squared range of the intensities, (N, 1, ...)."""
    if data_range is not None:
        return target.new_tensor(data_range**2)
    axes = tuple(range(1, target.ndim))
    own_range = target.amax(axes, keepdim=True) - target.amin(axes, keepdim=True)
    return own_range.clamp_min(SMALLEST_RANGE).square()


@lru_cache(maxsize=32)
def _window(length: int, device: torch.device) -> Tensor:
    """Return the (length, length) matrix whose columns are the windows of the voxels."""
    rows = gaussian_filter1d(np.eye(length), SIGMA, axis=1, truncate=TRUNCATE, mode="reflect")
    with torch.inference_mode(False):  # cached, and may be needed for gradients later
        return torch.from_numpy(rows.astype(np.float32)).to(device)


def _check_weight(name: str, value: object) -> None:
    if not isinstance(value, int | float) or value < 0:
        raise RecipeError(f"{name}: expected a number of at least 0; got {value}.")


def _of_kind(latent: Latent, kind: type[Kind]) -> Kind:
    """Return the latents as the kind that the loss requires."""
    if not isinstance(latent, kind):
        raise TypeError(f"expected latents of {kind.__name__}, got {type(latent).__name__}")
    return latent


def _check_name(option: str, name: object, table: Mapping[str, Any]) -> None:
    if name not in list(table):  # the name may be unhashable, such as a list in YAML
        raise RecipeError(
            f"{option}: expected one of {', '.join(table)}; got '{name}'. "
            "Next: correct the options of the recipe's family."
        )
