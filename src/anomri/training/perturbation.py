"""Random intensity and mirroring of labelled volumes; Myronenko 2018, section 3.7."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anomri.models import Batch
from anomri.recipe import Perturbation


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to each image of a batch.

    Attributes:
        shift: (N, C), in standard deviations of the brain.
        scale: (N, C) factors.
        mirrored: (N, axes), whether along each axis.
    """

    shift: Tensor
    scale: Tensor
    mirrored: Tensor


@dataclass(frozen=True, slots=True)
class Perturber:
    """Draws and applies what a recipe asks for.

    Attributes:
        limits: the recipe's ``perturbation``; None for none.
    """

    limits: Perturbation | None

    def draw(self, images: Tensor, seed: int) -> Change:
        """Decide everything for images (N, C, *space), on the CPU."""
        limits = self.limits or Perturbation(shift=0, scale=0, mirror=0)
        generator = torch.Generator().manual_seed(seed)
        count, channels, *space = images.shape

        def uniform(largest: float) -> Tensor:
            return (2 * torch.rand(count, channels, generator=generator) - 1) * largest

        shift, scale = uniform(limits.shift), 1 + uniform(limits.scale)
        mirrored = torch.rand(count, len(space), generator=generator) < limits.mirror
        return Change(shift, scale, mirrored)

    def apply(self, images: Tensor, masks: Tensor, change: Change) -> Batch:
        """Return the batch: mirrored masks as targets; intensities change in the brain alone.

        Args:
            images: (N, C, *space), 0 outside the brain.
            masks: (N, R, *space).
            change: what to do.
        """
        brain, space = images != 0, tuple(range(2, images.ndim))
        count = brain.sum(space, keepdim=True).clamp_min(1)
        mean = images.sum(space, keepdim=True) / count
        spread = ((images - mean).square() * brain).sum(space, keepdim=True).div(count).sqrt()
        shape = (*change.shift.shape, *(1 for _ in space))
        shift, scale = (t.to(images.device).reshape(shape) for t in (change.shift, change.scale))
        changed = torch.where(brain, images * scale + shift * spread, images)
        return self.undisturbed(mirror(changed, change.mirrored), mirror(masks, change.mirrored))

    def undisturbed(self, images: Tensor, masks: Tensor) -> Batch:
        """Return the batch as it was read."""
        return Batch(image=images, target=masks, weight=torch.ones_like(images[:, :1]))


def mirror(images: Tensor, mirrored: Tensor) -> Tensor:
    """Flip each of (N, C, *space) along the axes that (N, axes) marks."""
    flipped = [
        image.flip([axis + 1 for axis, along in enumerate(axes.tolist()) if along])
        for image, axes in zip(images, mirrored, strict=True)
    ]
    return torch.stack(flipped)
