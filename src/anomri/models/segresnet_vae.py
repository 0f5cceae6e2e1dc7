"""Encoder-decoder with a variational branch, Myronenko 2018, Figure 1 and Table 1.

MONAI's ``SegResNetVAE`` differs: its branch shares the weights of the segmentation's decoder, its
divergence is by default the mean of the squared means, and it does not return the reconstruction.
Here the branch has its own decoder, built of MONAI's residual block, and both parameters of the
latent distribution are learnt.
"""

from __future__ import annotations

from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from anomri.errors import RecipeError, UsageError
from anomri.models.base import TOTAL, Batch, Losses, Segmenter
from anomri.models.latents import SMALLEST_VARIANCE
from anomri.scan import REGIONS

BLOCKS = (1, 2, 2, 4)  # residual blocks per level of the encoder, from Figure 1
GROUPS = 8  # of each group norm
BOTTLENECK = 16  # channels of the branch's first layer, "Conv (16)" in Table 1
REDUCTION = 16  # downsampling factor of the branch's smallest image
EPSILON = 1e-5  # of eq. (2), "to avoid zero division"


class RegularisedSegmenter(Segmenter):
    """Segmenter of nested regions, regularised by a branch that reconstructs the input.

    Args:
        channels: number of contrasts; four in the paper.
        size: (I, J, K) voxels of a crop, each a multiple of 16; 160 x 192 x 128 in the paper.
        filters: channels of the first level, a multiple of 8; doubled at each further level.
        code: dimensions of the branch's latent distribution.
        dropout: share of channels dropped after the first convolution.
        branch_weight: weight of reconstruction and divergence, eq. (1); 0 for no branch in the
            loss.

    Raises:
        RecipeError: ``filters`` is not a multiple of 8.
        UsageError: the size of the crop is not a multiple of 16.
    """

    def __init__(
        self,
        *,
        channels: int,
        size: tuple[int, ...],
        filters: int = 32,
        code: int = 128,
        dropout: float = 0.2,
        branch_weight: float = 0.1,
    ) -> None:
        super().__init__(channels=channels, size=size)
        _check(size, filters)
        widths = [filters * 2**level for level in range(len(BLOCKS))]
        self.branch_weight = branch_weight
        self.first = nn.Sequential(_conv3(channels, filters), nn.Dropout3d(dropout))
        self.levels = nn.ModuleList(
            nn.Sequential(*(_residual(width) for _ in range(count)))
            for width, count in zip(widths, BLOCKS, strict=True)
        )
        self.down = nn.ModuleList(_conv3(width, 2 * width, stride=2) for width in widths[:-1])
        self.up = nn.ModuleList(_upwards(width, width // 2) for width in widths[:0:-1])
        self.blocks = nn.ModuleList(_residual(width // 2) for width in widths[:0:-1])
        self.last = nn.Conv3d(filters, len(REGIONS), 1)
        self.branch = Branch(channels, size, width=widths[-1], code=code)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the features of each level, the deepest last."""
        features = [self.levels[0](self.first(images))]
        for down, level in zip(self.down, self.levels[1:], strict=True):
            features.append(level(down(features[-1])))
        return features

    def logits(self, features: list[Tensor]) -> Tensor:
        """Decode features with additive skip connections."""
        *skipped, decoded = features
        for up, block, skip in zip(self.up, self.blocks, reversed(skipped), strict=True):
            decoded = block(up(decoded) + skip)
        return cast(Tensor, self.last(decoded))

    def losses(self, batch: Batch) -> Losses:
        """Return ``dice + 0.1 * reconstruction + 0.1 * kl``, eq. (1), and its terms."""
        features = self.encode(batch.image)
        dice = soft_dice_loss(self.logits(features).sigmoid(), batch.target)
        output, mean, deviation = self.branch(features[-1])
        reconstruction = (output.float() - batch.image.float()).square().mean()
        kl = divergence(mean, deviation) / prod(self.size)
        total = dice + self.branch_weight * (reconstruction + kl)
        return {TOTAL: total, "dice": dice, "reconstruction": reconstruction, "kl": kl}

    def segment(self, images: Tensor) -> Tensor:
        """Return the probabilities of the regions, for any size that is a multiple of 8."""
        return self.logits(self.encode(images)).sigmoid()


class Branch(nn.Module):
    """Variational branch: from the deepest features to a latent distribution and to an image.

    Args:
        channels: number of contrasts.
        size: (I, J, K) voxels of the image.
        width: channels of the deepest features.
        code: dimensions of the latent distribution.
    """

    def __init__(self, channels: int, size: tuple[int, ...], *, width: int, code: int) -> None:
        super().__init__()
        smallest = (BOTTLENECK, *(length // REDUCTION for length in size))
        self.reduce = nn.Sequential(
            nn.GroupNorm(GROUPS, width), nn.ReLU(), _conv3(width, BOTTLENECK, stride=2)
        )
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(prod(smallest), 2 * code))
        self.grow = nn.Sequential(
            nn.Linear(code, prod(smallest)),
            nn.ReLU(),
            nn.Unflatten(1, smallest),
            _upwards(BOTTLENECK, width),
        )
        widths = [width // 2**level for level in range(1, len(BLOCKS))]
        self.levels = nn.ModuleList(
            nn.Sequential(_upwards(2 * narrow, narrow), _residual(narrow)) for narrow in widths
        )
        self.last = nn.Conv3d(widths[-1], channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the image decoded from one sample, and mean and deviation, (N, code) each."""
        mean, deviation = self.dense(self.reduce(features)).chunk(2, 1)
        decoded = self.grow(mean + deviation * torch.randn_like(deviation))
        for level in self.levels:
            decoded = level(decoded)
        return self.last(decoded), mean, deviation


def soft_dice_loss(probabilities: Tensor, masks: Tensor) -> Tensor:
    """Return ``sum over regions of 1 - 2 sum(p t) / (sum t^2 + sum p^2 + epsilon)``, eq. (2).

    The paper calls the coefficient itself the loss; 1 minus the coefficient is minimised.

    Args:
        probabilities: (N, R, *space); sums are over the voxels of each image.
        masks: (N, R, *space).
    """
    p, t = probabilities.float().flatten(2), masks.float().flatten(2)
    overlap = 2 * (p * t).sum(2) / (p.square().sum(2) + t.square().sum(2) + EPSILON)
    return (1 - overlap).sum(1).mean()


def divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return the sum of ``m^2 + s^2 - log s^2 - 1`` per image, eq. (4) without its division."""
    mean, variance = mean.float(), deviation.float().square() + SMALLEST_VARIANCE
    return (mean.square() + variance - variance.log() - 1).sum(1).mean()


def _check(size: tuple[int, ...], filters: int) -> None:
    if filters < GROUPS or filters % GROUPS:
        raise RecipeError(f"filters: expected a multiple of {GROUPS}; got {filters}.")
    if len(size) != 3 or any(length % REDUCTION for length in size):
        raise UsageError(
            f"image size {size}: expected three axes, each a multiple of {REDUCTION}. "
            "Next: set `axes: 3` and `preparation.shape` in the recipe, such as [160, 192, 128]."
        )


def _conv3(channels: int, width: int, *, stride: int = 1) -> nn.Conv3d:
    return nn.Conv3d(channels, width, 3, stride=stride, padding=1, bias=False)


def _upwards(channels: int, width: int) -> nn.Sequential:
    """Return a 1x1x1 convolution followed by linear upsampling by 2."""
    return nn.Sequential(
        nn.Conv3d(channels, width, 1, bias=False),
        nn.Upsample(scale_factor=2, mode="trilinear", align_corners=False),
    )


def _residual(width: int) -> nn.Module:
    """Return a residual block of twice norm, ReLU and convolution."""
    from monai.networks.blocks.segresnet_block import ResBlock  # takes seconds to import

    block: nn.Module = ResBlock(3, width, norm=("GROUP", {"num_groups": GROUPS}))
    return block
