"""Loss against posterior collapse of variational autoencoders (Lambert et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anomri.errors import RecipeError
from anomri.models.base import TOTAL, Batch, Losses
from anomri.models.latents import Latent
from anomri.models.losses import RECONSTRUCTION, ReconstructionLoss

SMALLEST_SIGMA = 1e-8  # sigma is 0 for a perfect reconstruction


class CollapseRobust(nn.Module):
    """``reconstruction / sigma + beta(t) * latent term`` of any loss; Lambert et al. 2021, eq. (2).

    The latent term is ``kl_weight * KL``, with a weight of 1 in the paper. Sigma is the mean of the
    last ``window`` reconstruction terms including the current one, without a gradient: the quotient
    stays near 1 as the reconstruction improves, and does not depend on whether the term is a mean
    or a sum over voxels. Beta rises from 0 to 1 in the first half of each ``cycle`` and is 1 in the
    second.

    Step and window are buffers: they are saved with the weights, so that a resumed training goes
    on within its cycle. The validation loss is the reconstruction term alone, because terms that
    are scaled by sigma or beta cannot be compared between epochs.

    Args:
        terms: loss whose terms are weighted.
        cycle: T, in training steps.
        window: L, in training steps.

    Raises:
        RecipeError: cycle or window is not a positive number of steps.
    """

    step: Tensor
    recent: Tensor

    def __init__(self, terms: ReconstructionLoss, *, cycle: int = 50, window: int = 10) -> None:
        super().__init__()
        for name, steps in {"cycle": cycle, "window": window}.items():
            if not isinstance(steps, int) or steps < 1:
                raise RecipeError(f"{name}: expected a number of steps, at least 1; got {steps}.")
        self.terms = terms
        self.cycle = cycle
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("recent", torch.full((window,), torch.nan))

    @property
    def context_weight(self) -> float:
        """Weight of the context term; see :class:`~anomri.models.losses.ReconstructionLoss`."""
        return self.terms.context_weight

    def losses(self, batch: Batch, output: Tensor, latent: Latent) -> Losses:
        """Return ``loss`` and its unweighted terms; in training also ``beta`` and ``sigma``."""
        term = RECONSTRUCTION[self.terms.reconstruction](output, batch.target, batch.weight)
        latent_term, named_terms = self.terms.latent_term(latent)
        named = {"reconstruction": term, **named_terms}
        if not self.training:
            return {TOTAL: term, **named}
        beta, sigma = self._advance(term.detach())
        return {TOTAL: term / sigma + beta * latent_term, **named, "beta": beta, "sigma": sigma}

    def erase(self, images: Tensor) -> Tensor:
        """Set one square per image to 0, in all its contrasts."""
        return self.terms.erase(images)

    def with_context(self, losses: Losses, batch: Batch, inpainted: Tensor) -> Losses:
        """Add the context term, divided by sigma like the reconstruction term."""
        added = self.terms.with_context(losses, batch, inpainted)
        if not self.training:
            return {**added, TOTAL: losses[TOTAL]}
        scaled = self.context_weight * added["context"] / losses["sigma"]
        return {**added, TOTAL: losses[TOTAL] + scaled}

    def beta(self) -> Tensor:
        """Return the weight of the latent term at the current step."""
        return (2 * (self.step % self.cycle) / self.cycle).clamp(max=1)

    @torch.no_grad()
    def _advance(self, term: Tensor) -> tuple[Tensor, Tensor]:
        """Add ``term`` to the window and count the step; return the step's beta and sigma."""
        # In place: distributed training synchronises buffers by their address.
        self.recent.copy_(torch.cat((self.recent[1:], term.reshape(1))))
        beta, sigma = self.beta(), self.recent.nanmean().clamp_min(SMALLEST_SIGMA)
        self.step.add_(1)
        return beta, sigma
