"""A segmenter of lesions that is small enough for a CPU: an encoder-decoder on folded voxels.

Each block of 2 x 2 x 2 voxels becomes one voxel with eight times the channels, and back at the end
(space to depth, Shi et al. 2016), so that the widest layers see an eighth of the voxels. In between
stands MONAI's ``SegResNet``, the encoder-decoder of Myronenko 2018 without its branch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anomri.errors import RecipeError
from anomri.models.base import TOTAL, Batch, Losses, Segmenter
from anomri.scan import REGIONS

SIDE = 2  # voxels of a block along each axis
MULTIPLE = 16  # axes are padded to one of this: a block, then three halvings
BLOCKS_DOWN, BLOCKS_UP = (1, 2, 2, 2), (1, 1, 1)
GROUPS = 8
ENTROPY_WEIGHT = 4.0
REGION_WEIGHTS = (1.0, 0.7, 0.8)  # lesion, core, enhancing tumour
SMOOTHING = 20.0  # voxels, so that the overlap of a few voxels does not jump


class FoldedSegmenter(Segmenter):
    """Segments nested regions in volumes of any size.

    Args:
        channels: contrasts; one that is missing is 0 everywhere.
        size: what training sees at once; segmenting takes any size.
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
        """Return cross entropy and 1 - soft Dice, each summed over the regions with their weights.

        The overlap counts where there is something to overlap with.
        """
        weights = torch.tensor(REGION_WEIGHTS, device=batch.image.device)
        return weighted_losses(self.logits(batch.image), batch.target, weights)

    def segment(self, images: Tensor) -> Tensor:
        """Return the probabilities of the regions; any size, padded with 0 and cropped back."""
        lengths = images.shape[2:]
        missing = [-n % MULTIPLE for n in lengths]
        margins = [part for n in reversed(missing) for part in (n // 2, n - n // 2)]
        found = self.logits(nn.functional.pad(images, margins)).sigmoid()
        i, j, k = (
            slice(n // 2, n // 2 + length) for n, length in zip(missing, lengths, strict=True)
        )
        return found[:, :, i, j, k]


def weighted_losses(logits: Tensor, masks: Tensor, weights: Tensor) -> Losses:
    """Return cross entropy, 1 - soft Dice and their weighted sum, (N, R, I, J, K) against masks.

    Args:
        logits: (N, R, I, J, K).
        masks: likewise, 0 or 1.
        weights: of the regions, (R,) or, for each image its own, (N, R).
    """
    voxels = binary_cross_entropy_with_logits(logits, masks, reduction="none")
    entropy = (voxels.flatten(2).mean(2) * weights).sum(1).mean()
    dice = (missed_overlap(logits.sigmoid(), masks) * weights).sum(1).mean()
    return {TOTAL: ENTROPY_WEIGHT * entropy + dice, "entropy": entropy, "dice": dice}


def missed_overlap(probabilities: Tensor, masks: Tensor) -> Tensor:
    """Return (N, R) ``1 - (2 sum(p t) + s) / (sum p + sum t + s)``, 0 where a mask is empty."""
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
