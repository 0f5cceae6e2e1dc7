"""Augmentation of labelled volumes: intensity and mirroring; Myronenko 2018, section 3.7."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from anomri.models import Batch
from anomri.recipe import Perturbation
from anomri.training.augmentation import brain_mean_and_spread


@dataclass(frozen=True, slots=True)
class PerturbationDraw:
    """Random parameters of the augmentation of a batch.

    Attributes:
        shift: (N, C) in standard deviations of the brain.
        scale: (N, C) factors.
        mirrored: (N, axes) whether images are mirrored along each axis.
    """

    shift: Tensor
    scale: Tensor
    mirrored: Tensor


@dataclass(frozen=True, slots=True)
class Perturber:
    """Augmentation of labelled images.

    Attributes:
        limits: the recipe's ``perturbation``; None for none.
    """

    limits: Perturbation | None

    def draw(self, images: Tensor, seed: int) -> PerturbationDraw:
        """Draw the parameters for images (N, C, *space), on the CPU."""
        limits = self.limits or Perturbation(shift=0, scale=0, mirror=0)
        generator = torch.Generator().manual_seed(seed)
        count, channels, *space = images.shape

        def uniform(largest: float) -> Tensor:
            return (2 * torch.rand(count, channels, generator=generator) - 1) * largest

        shift, scale = uniform(limits.shift), 1 + uniform(limits.scale)
        mirrored = torch.rand(count, len(space), generator=generator) < limits.mirror
        return PerturbationDraw(shift, scale, mirrored)

    def apply(self, images: Tensor, masks: Tensor, draw: PerturbationDraw) -> Batch:
        """Return a batch with mirrored masks as targets; intensities change within the brain.

        Args:
            images: (N, C, *space), 0 outside the brain.
            masks: (N, R, *space).
            draw: random parameters.
        """
        _, spread = brain_mean_and_spread(images)
        shift, scale = (t.to(images.device).reshape(spread.shape) for t in (draw.shift, draw.scale))
        changed = torch.where(images != 0, images * scale + shift * spread, images)
        return self.unchanged(mirror(changed, draw.mirrored), mirror(masks, draw.mirrored))

    def unchanged(self, images: Tensor, masks: Tensor) -> Batch:
        """Return a batch without augmentation."""
        return Batch(image=images, target=masks, weight=torch.ones_like(images[:, :1]))


def mirror(images: Tensor, mirrored: Tensor) -> Tensor:
    """Flip each image of (N, C, *space) along the axes for which ``mirrored`` (N, axes) is true."""
    flipped = [
        image.flip([axis + 1 for axis, is_mirrored in enumerate(axes.tolist()) if is_mirrored])
        for image, axes in zip(images, mirrored, strict=True)
    ]
    return torch.stack(flipped)
