"""What networks minimise: reconstruction terms, what a code costs, and how they are combined.

Pure functions of tensors, the same in two and three dimensions. Reconstruction terms take

- ``output``, ``target``: (N, C, *space),
- ``weight``: (N, 1, *space), 1 where a voxel counts, 0 where nothing may be learnt;

they return a scalar near 1 for a useless reconstruction and 0 for a perfect one. All of them are
computed in float32, whatever the network was run in.
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
    """Mean of the squared differences over the voxels that count."""
    return weighted_mean((output.float() - target.float()).square(), weight)


def l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean of the absolute differences over the voxels that count."""
    return weighted_mean((output.float() - target.float()).abs(), weight)


def ssim(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """One minus the mean structural similarity over the voxels that count.

    Where the weight is 0 the output is first replaced by the target, so that such a voxel does not
    reach its neighbours' windows either.
    """
    counted = target + weight * (output - target)
    return weighted_mean(1 - ssim_map(counted, target), weight)


def ssim_map(output: Tensor, target: Tensor, *, data_range: float | None = None) -> Tensor:
    """Structural similarity of each voxel's neighbourhood, (N, C, *space), at most 1.

    ``(2 m n + C1)(2 s_xy + C2) / ((m^2 + n^2 + C1)(s_xx + s_yy + C2))`` with Gaussian windows
    (sigma 1.5, 11 voxels wide) and mirrored borders; Wang et al. 2004, eq. (13).

    Args:
        output: (N, C, *space).
        target: (N, C, *space).
        data_range: span of the intensities; left out, each target image's own span.
    """
    with torch.autocast(output.device.type, enabled=False):  # E[x^2] - E[x]^2 needs the digits
        x, y = output.float(), target.float()
        small = _stabiliser(y, data_range)
        mean_x, mean_y, square, product = smooth(torch.stack((x, y, x * x + y * y, x * y)))
        mean_product, mean_square = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
        c1, c2 = 1e-4 * small, 9e-4 * small
        alike = (2 * mean_product + c1) * (2 * (product - mean_product) + c2)
        similarity: Tensor = alike / ((mean_square + c1) * (square - mean_square + c2))
        return similarity


def smooth(values: Tensor) -> Tensor:
    """Gaussian-weighted mean of each voxel's window, along the axes after the third.

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
    """Mean of ``values`` (N, C, *space) under ``weight`` (N, 1, *space); 0 if nothing counts."""
    counted = (weight.sum() * values.shape[1]).clamp_min(1)
    return (values * weight).sum() / counted


def kl_mean(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence from the standard normal, averaged over latent dimensions and images."""
    return _divergence(mean, log_variance).mean()


def kl_sum(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence from the standard normal, summed over an image's dimensions, mean of images."""
    return _divergence(mean, log_variance).flatten(1).sum(1).mean()


RECONSTRUCTION: dict[str, Reconstruction] = {"mse": mse, "l1": l1, "ssim": ssim}
KL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mean": kl_mean, "sum": kl_sum}


class Loss(Protocol):
    """What an autoencoder minimises."""

    @property
    def context_weight(self) -> float:
        """Weight of the erased image's error; 0 for no context encoding."""

    def losses(self, batch: Batch, output: Tensor, latent: Latent) -> Losses:
        """Return ``loss`` and its terms for the output (N, C, *space) of a batch."""

    def erase(self, images: Tensor) -> Tensor:
        """Return images (N, C, *space) with a hole in each."""

    def with_context(self, losses: Losses, batch: Batch, healed: Tensor) -> Losses:
        """Add the error of what was made of the images with a hole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainObjective:
    """Reconstruction alone, for a code that costs nothing; and context encoding, for any code.

    With context encoding the network is also shown each image with a square erased, and the error
    of what it makes of that, through the mean code and against the whole image, is added
    (Zimmerer et al. 2018; the last term of Paolini et al., section 3.5).

    Attributes:
        reconstruction: name in ``RECONSTRUCTION``.
        context_weight: of the erased image's error; 0 for no context encoding.
        context_smallest: shortest side of the square in voxels.
        context_largest: longest side.
    """

    reconstruction: str = "ssim"
    context_weight: float = 0.0
    context_smallest: int = 15
    context_largest: int = 50

    def __post_init__(self) -> None:
        _known("reconstruction", self.reconstruction, RECONSTRUCTION)
        _weights(self, "context_weight")
        sides = self.context_smallest, self.context_largest
        if not all(isinstance(n, int) for n in sides) or not 1 <= sides[0] <= sides[1]:
            raise RecipeError(
                "context_smallest, context_largest: expected whole numbers, at least 1, the "
                f"smaller one first; got {sides[0]} and {sides[1]}."
            )

    def losses(self, batch: Batch, output: Tensor, latent: Latent) -> Losses:
        """Return ``loss`` and its terms, unweighted."""
        term = RECONSTRUCTION[self.reconstruction](output, batch.target, batch.weight)
        total, costs = self.cost(latent)
        return {TOTAL: term + total, "reconstruction": term, **costs}

    def cost(self, latent: Latent) -> tuple[Tensor | float, Losses]:
        """Return what the code adds to the loss, and its named terms."""
        del latent
        return 0.0, {}

    def erase(self, images: Tensor) -> Tensor:
        """Set one square per image to 0, in all its contrasts."""
        return erase(images, smallest=self.context_smallest, largest=self.context_largest)

    def with_context(self, losses: Losses, batch: Batch, healed: Tensor) -> Losses:
        """Add the error of what the network made of images with a hole; the hole counts too."""
        term = RECONSTRUCTION[self.reconstruction](healed, batch.target, batch.weight)
        total = losses[TOTAL] + self.context_weight * term
        return {**losses, TOTAL: total, "context": term}


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective(PlainObjective):
    """The evidence lower bound with a free weight: ``reconstruction + kl_weight * KL``.

    The reconstruction term is a mean over voxels, so the weight decides whether the latent space
    carries anything. For a mean squared error the bound itself asks for ``2 s^2 D / V`` (noise
    variance s^2, D latent dimensions, V voxels): with s^2 = 0.1, about what is left of z-scored
    slices, 0.013 for the VAE and 0.028 for the dVAE. The default stays just under both, which
    keeps the codes in use (no posterior collapse) and the latent space near a standard normal.

    Attributes:
        kl_weight: of the divergence.
        kl_reduction: ``mean`` over the latent dimensions, or their ``sum`` per image.
    """

    kl_weight: float = 0.01
    kl_reduction: str = "mean"

    def __post_init__(self) -> None:
        PlainObjective.__post_init__(self)
        _known("kl_reduction", self.kl_reduction, KL)
        _weights(self, "kl_weight")

    def cost(self, latent: Latent) -> tuple[Tensor | float, Losses]:
        """Return the weighted divergence, and ``kl`` itself."""
        gaussian = _of_kind(latent, Gaussian)
        divergence = KL[self.kl_reduction](gaussian.mean, gaussian.log_variance)
        return self.kl_weight * divergence, {"kl": divergence}


@dataclass(frozen=True, slots=True, kw_only=True)
class CodebookObjective(PlainObjective):
    """Reconstruction, and encoder and codebook drawn towards each other.

    ``reconstruction + mean((sg[z] - e)^2) + commitment_weight * mean((z - sg[e])^2)``, where sg
    stops the gradient; van den Oord et al. 2017, eq. (3).

    Attributes:
        commitment_weight: of the term that moves the encoder.
    """

    commitment_weight: float = 0.25

    def __post_init__(self) -> None:
        PlainObjective.__post_init__(self)
        _weights(self, "commitment_weight")

    def cost(self, latent: Latent) -> tuple[Tensor | float, Losses]:
        """Return the weighted sum of ``codebook`` and ``commitment``, and how many codes serve."""
        code = _of_kind(latent, Quantised)
        codebook = nn.functional.mse_loss(code.chosen.float(), code.encoded.detach().float())
        commitment = nn.functional.mse_loss(code.encoded.float(), code.chosen.detach().float())
        terms = {"codebook": codebook, "commitment": commitment, "perplexity": code.perplexity()}
        return codebook + self.commitment_weight * commitment, terms


def erase(images: Tensor, *, smallest: int, largest: int) -> Tensor:
    """Return images in which one square (or cube) of each is 0, in all channels.

    Side and place are uniform; the centre is a voxel of the brain, so that something is always
    erased.

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
    for axis, middle in enumerate(torch.unravel_index(centre, space)):
        voxels = torch.arange(space[axis], device=images.device)
        first = (middle - side // 2)[:, None]
        along = (voxels >= first) & (voxels < first + side[:, None])
        erased &= along.reshape(count, 1, *(-1 if n == axis else 1 for n in range(len(space))))
    return images.masked_fill(erased, 0)


def _divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """``(m^2 + v - log v - 1) / 2`` of each latent dimension."""
    mean, log_variance = mean.float(), log_variance.float()
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1)


def _stabiliser(target: Tensor, data_range: float | None) -> Tensor:
    """Return the squared intensity span, (N, 1, ...): what C1 and C2 are fractions of."""
    if data_range is not None:
        return target.new_tensor(data_range**2)
    axes = tuple(range(1, target.ndim))
    span = target.amax(axes, keepdim=True) - target.amin(axes, keepdim=True)
    return span.clamp_min(SMALLEST_RANGE).square()


@lru_cache(maxsize=32)
def _window(length: int, device: torch.device) -> Tensor:
    """Return the (length, length) matrix whose columns are the window around each voxel."""
    rows = gaussian_filter1d(np.eye(length), SIGMA, axis=1, truncate=TRUNCATE, mode="reflect")
    with torch.inference_mode(False):  # it is kept, and may be needed for a gradient later
        return torch.from_numpy(rows.astype(np.float32)).to(device)


def _weights(objective: PlainObjective, *names: str) -> None:
    for name in names:
        value = getattr(objective, name)
        if not isinstance(value, int | float) or value < 0:
            raise RecipeError(f"{name}: expected a number of at least 0; got {value}.")


def _of_kind(latent: Latent, kind: type[Kind]) -> Kind:
    """Return the code as what it has to be; a family and its objective are built together."""
    if not isinstance(latent, kind):
        raise TypeError(f"expected a code of kind {kind.__name__}, got {type(latent).__name__}")
    return latent


def _known(option: str, name: object, table: Mapping[str, Any]) -> None:
    if name not in list(table):  # the name may be unhashable, a list in YAML
        raise RecipeError(
            f"{option}: expected one of {', '.join(table)}; got '{name}'. "
            "Next: correct the options of the recipe's family."
        )
