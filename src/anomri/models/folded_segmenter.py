"""Lesion segmenter that is small enough for a CPU: an encoder-decoder on folded voxels.

Each block of 2 x 2 x 2 voxels becomes one voxel with eight times the channels and is unfolded at
the end (space to depth, Shi et al. 2016), so that the widest layers process an eighth of the
voxels. The body is MONAI's ``SegResNet``, the encoder-decoder of Myronenko 2018 without its branch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anomri.errors import RecipeError
from anomri.models.base import TOTAL, Batch, Losses, Segmenter
from anomri.scan import REGIONS

SIDE = 2  # voxels of a block along each axis
MULTIPLE = 16  # axes are padded to a multiple of this: a block, then three halvings
BLOCKS_DOWN, BLOCKS_UP = (1, 2, 2, 2), (1, 1, 1)
GROUPS = 8
ENTROPY_WEIGHT = 4.0
REGION_WEIGHTS = (1.0, 0.7, 0.8)  # lesion, core, enhancing tumour
SMOOTHING = 20.0  # voxels; smooths the Dice of tiny regions


class FoldedSegmenter(Segmenter):
    """Segments nested regions in volumes of any size.

    Args:
        channels: number of contrasts; a missing one is 0 everywhere.
        size: spatial shape of a training crop; segmentation takes any size.
        filters: channels of the first level, a multiple of 8.

    Raises:
        RecipeError: ``filters`` is no multiple of 8.
    """

    def __init__(self, *, channels: int, size: tuple[int, ...], filters: int = 16) -> None:
        super().__init__(channels=channels, size=size)
        if filters < GROUPS or filters % GROUPS:
            raise RecipeError(f"filters: expected a multiple of {GROUPS}; got {filters}.")
        self.body = _encoder_decoder(channels * SIDE**3, len(REGIONS) * SIDE**3, filters)

    def logits(self, images: Tensor) -> Tensor:
        """Return (N, R, I, J, K) for (N, C, I, J, K); axes are multiples of 16."""
        from monai.networks.utils import pixelshuffle, pixelunshuffle  # takes seconds to import

        blocks = self.body(pixelunshuffle(images, 3, SIDE))
        return pixelshuffle(blocks, 3, SIDE)

    def losses(self, batch: Batch) -> Losses:
        """Return cross entropy and 1 - soft Dice, weighted sums over the regions.

        The Dice term of an empty region is 0.
        """
        weights = torch.tensor(REGION_WEIGHTS, device=batch.image.device)
        return weighted_losses(self.logits(batch.image), batch.target, weights)

    def segment(self, images: Tensor) -> Tensor:
        """Return the probabilities of the regions; images of any size are padded internally."""
        lengths = images.shape[2:]
        missing = [-n % MULTIPLE for n in lengths]
        margins = [margin for n in reversed(missing) for margin in (n // 2, n - n // 2)]
        probabilities = self.logits(nn.functional.pad(images, margins)).sigmoid()
        i, j, k = (
            slice(n // 2, n // 2 + length) for n, length in zip(missing, lengths, strict=True)
        )
        return probabilities[:, :, i, j, k]


def weighted_losses(logits: Tensor, masks: Tensor, weights: Tensor) -> Losses:
    """Return cross entropy, 1 - soft Dice and their weighted sum.

    Args:
        logits: (N, R, I, J, K).
        masks: (N, R, I, J, K), 0 or 1.
        weights: weights of the regions, (R,) or per image (N, R).
    """
    voxels = binary_cross_entropy_with_logits(logits, masks, reduction="none")
    entropy = (voxels.flatten(2).mean(2) * weights).sum(1).mean()
    dice = (dice_loss(logits.sigmoid(), masks) * weights).sum(1).mean()
    return {TOTAL: ENTROPY_WEIGHT * entropy + dice, "entropy": entropy, "dice": dice}


def dice_loss(probabilities: Tensor, masks: Tensor) -> Tensor:
    """Return (N, R) ``1 - (2 sum(p t) + s) / (sum p + sum t + s)``, 0 for an empty mask."""
    p, t = probabilities.flatten(2), masks.flatten(2)
    overlap = (2 * (p * t).sum(2) + SMOOTHING) / ((p + t).sum(2) + SMOOTHING)
    return (1 - overlap) * t.amax(2)


def _encoder_decoder(channels: int, outputs: int, filters: int) -> nn.Module:
    from monai.networks.nets.segresnet import SegResNet  # takes seconds to import

    return SegResNet(
        spatial_dims=3,
        init_filters=filters,
        in_channels=channels,
        out_channels=outputs,
        blocks_down=BLOCKS_DOWN,
        blocks_up=BLOCKS_UP,
    )
