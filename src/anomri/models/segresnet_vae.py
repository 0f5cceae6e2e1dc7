"""The encoder-decoder with a variational branch of Myronenko 2018, Figure 1 and Table 1.

MONAI's ``SegResNetVAE`` is another network: its branch shares the weights of the segmentation's
decoder, its divergence is the mean of the squared means unless told otherwise, and it gives out no
reconstruction. Here the branch has its own decoder, built of MONAI's residual block, and both
parameters of the code are learnt.
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
REDUCTION = 16  # voxels of the image along an axis to one of the branch's smallest image
EPSILON = 1e-5  # of eq. (2), "to avoid zero division"


class RegularisedSegmenter(Segmenter):
    """Segments nested regions; a branch that reconstructs the input keeps the encoder honest.

    Args:
        channels: contrasts; four in the paper.
        size: (I, J, K) voxels of a crop, each a multiple of 16; 160 x 192 x 128 in the paper.
        filters: channels of the first level, a multiple of 8; each level has twice as many as the
            one above.
        code: dimensions of the branch's normal distribution.
        dropout: share of channels that are dropped after the first convolution.
        branch_weight: of the reconstruction and of the divergence, eq. (1); 0 for no branch in
            the loss.

    Raises:
        RecipeError: ``filters`` is no multiple of 8.
        UsageError: the crop does not survive the layers.
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
        """Return the features of each level, the endpoint last."""
        features = [self.levels[0](self.first(images))]
        for down, level in zip(self.down, self.levels[1:], strict=True):
            features.append(level(down(features[-1])))
        return features

    def logits(self, features: list[Tensor]) -> Tensor:
        """Decode, adding the encoder's features of the same level."""
        *others, decoded = features
        for up, block, skipped in zip(self.up, self.blocks, reversed(others), strict=True):
            decoded = block(up(decoded) + skipped)
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
        """Return the probabilities of the regions; any size that is a multiple of 8."""
        return self.logits(self.encode(images)).sigmoid()


class Branch(nn.Module):
    """From the encoder's endpoint to a normal distribution, and from a draw back to the image.

    Args:
        channels: contrasts.
        size: (I, J, K) voxels of the image.
        width: channels of the endpoint.
        code: dimensions of the distribution.
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

    def forward(self, endpoint: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the image of one draw, and mean and deviation, (N, code) each."""
        mean, deviation = self.dense(self.reduce(endpoint)).chunk(2, 1)
        decoded = self.grow(mean + deviation * torch.randn_like(deviation))
        for level in self.levels:
            decoded = level(decoded)
        return self.last(decoded), mean, deviation


def soft_dice_loss(probabilities: Tensor, masks: Tensor) -> Tensor:
    """Return ``sum over regions of 1 - 2 sum(p t) / (sum t^2 + sum p^2 + epsilon)``, eq. (2).

    The paper writes the coefficient and calls it the loss; what is minimised is 1 minus it.

    Args:
        probabilities: (N, R, *space); sums are over the voxels of each image.
        masks: (N, R, *space).
    """
    p, t = probabilities.float().flatten(2), masks.float().flatten(2)
    overlap = 2 * (p * t).sum(2) / (p.square().sum(2) + t.square().sum(2) + EPSILON)
    return (1 - overlap).sum(1).mean()


def divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return the sum of ``m^2 + s^2 - log s^2 - 1`` per image, eq. (4) before its division."""
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
    """Change the channels, then double the image linearly."""
    return nn.Sequential(
        nn.Conv3d(channels, width, 1, bias=False),
        nn.Upsample(scale_factor=2, mode="trilinear", align_corners=False),
    )


def _residual(width: int) -> nn.Module:
    """Return norm, ReLU and convolution, twice, and the identity added."""
    from monai.networks.blocks.segresnet_block import ResBlock  # takes seconds to import

    block: nn.Module = ResBlock(3, width, norm=("GROUP", {"num_groups": GROUPS}))
    return block
