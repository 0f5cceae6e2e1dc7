"""What several families are made of: layers by number of axes, and images that must grow to fit.

Nothing here is a network; a family's file puts these together.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import pad

ByAxes = dict[int, Callable[..., nn.Module]]

CONVOLUTION: ByAxes = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: ByAxes = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORM: ByAxes = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def block(convolution: nn.Module, width: int, axes: int) -> nn.Sequential:
    """Follow a convolution to ``width`` channels by batch norm and leaky ReLU."""
    return nn.Sequential(convolution, NORM[axes](width), nn.LeakyReLU(inplace=True))


def rounded_up(size: tuple[int, ...], step: int) -> tuple[int, ...]:
    """Return the smallest size that is a multiple of ``step`` along each axis."""
    return tuple(-(-length // step) * step for length in size)


def fit(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """Pad with 0 or crop (N, C, *space) to ``size``, around the centre.

    Cropping back to the size before padding restores the image; an odd voxel too many or too few
    is at the far end.
    """
    ends: list[int] = []
    for length, wanted in zip(images.shape[:1:-1], size[::-1], strict=True):
        before = abs(wanted - length) // 2
        after = abs(wanted - length) - before
        ends += [before, after] if wanted >= length else [-before, -after]
    return pad(images, ends) if any(ends) else images
