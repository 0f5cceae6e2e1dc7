"""Baseline without a network: the reconstruction is 0, so the residual is the intensity."""

from __future__ import annotations

import torch
from torch import Tensor

from anomri.errors import UsageError
from anomri.models.base import Batch, Losses, Reconstructor


class Intensity(Reconstructor):
    """Intensity baseline, for images of any size; the recipe scales the intensities."""

    def losses(self, batch: Batch) -> Losses:  # noqa: ARG002 - the contract's argument
        """Refuse training, since there are no parameters.

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
