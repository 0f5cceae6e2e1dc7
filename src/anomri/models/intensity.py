"""No network: a healthy version that is empty, so that the residual is the intensity itself."""

from __future__ import annotations

import torch
from torch import Tensor

from anomri.errors import UsageError
from anomri.models.base import Batch, Losses, Reconstructor


class Intensity(Reconstructor):
    """The row that every model must beat: how bright a voxel is within its own brain.

    Takes images of any size. What "bright" means is the recipe's intensity scaling.
    """

    def losses(self, batch: Batch) -> Losses:  # noqa: ARG002 - the contract's argument
        """There is nothing to learn.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"family '{self.name or 'intensity'}' has nothing to train: it compares intensities. "
            "Next: run `anomri detect` with it, or choose a recipe with a network."
        )

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return zeros."""
        return torch.zeros_like(images)
