"""The loss that keeps a variational autoencoder from ignoring its code (Lambert et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anomri.errors import RecipeError
from anomri.models.base import TOTAL, Batch, Losses
from anomri.models.latents import Latent
from anomri.models.losses import RECONSTRUCTION, PlainObjective

SMALLEST_SIGMA = 1e-8  # a perfect reconstruction has none


class CollapseRobust(nn.Module):
    """``reconstruction / Sigma + beta(t) * cost`` of any objective; Lambert et al. 2021, eq. (2).

    The cost is what the objective adds for the code: ``kl_weight * KL``, with a weight of 1 in the
    paper. Sigma is the mean of the last ``window`` values of the reconstruction term, the present
    one included, without a gradient. The quotient stays near 1 however good the reconstruction has
    become, and is the same whether the term is a mean over voxels or their sum. beta climbs from 0
    to 1 within the first half of each ``cycle`` and stays there for the second.

    Steps and window are buffers: they are saved with the weights, and a resumed training goes on
    in the middle of a cycle. In evaluation the loss is the reconstruction term alone: what is
    divided by Sigma or weighted by beta cannot be compared between epochs, and that is what
    validation is for.

    Args:
        objective: gives the terms.
        cycle: T, in training steps.
        window: L, in training steps.

    Raises:
        RecipeError: cycle or window is not a number of steps.
    """

    step: Tensor
    recent: Tensor

    def __init__(self, objective: PlainObjective, *, cycle: int = 50, window: int = 10) -> None:
        super().__init__()
        for name, steps in {"cycle": cycle, "window": window}.items():
            if not isinstance(steps, int) or steps < 1:
                raise RecipeError(f"{name}: expected a number of steps, at least 1; got {steps}.")
        self.objective = objective
        self.cycle = cycle
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("recent", torch.full((window,), torch.nan))

    @property
    def context_weight(self) -> float:
        """Weight of the erased image's error; see :class:`~anomri.models.losses.PlainObjective`."""
        return self.objective.context_weight

    def losses(self, batch: Batch, output: Tensor, latent: Latent) -> Losses:
        """Return ``loss`` and its terms, unweighted; in training, ``beta`` and ``sigma`` too."""
        term = RECONSTRUCTION[self.objective.reconstruction](output, batch.target, batch.weight)
        cost, costs = self.objective.cost(latent)
        named = {"reconstruction": term, **costs}
        if not self.training:
            return {TOTAL: term, **named}
        beta, sigma = self._advance(term.detach())
        return {TOTAL: term / sigma + beta * cost, **named, "beta": beta, "sigma": sigma}

    def erase(self, images: Tensor) -> Tensor:
        """Set one square per image to 0, in all its contrasts."""
        return self.objective.erase(images)

    def with_context(self, losses: Losses, batch: Batch, healed: Tensor) -> Losses:
        """Add the error of what the network made of images with a hole, over Sigma too."""
        added = self.objective.with_context(losses, batch, healed)
        if not self.training:
            return {**added, TOTAL: losses[TOTAL]}
        scaled = self.context_weight * added["context"] / losses["sigma"]
        return {**added, TOTAL: losses[TOTAL] + scaled}

    def beta(self) -> Tensor:
        """Return the weight of the code's cost at the present step."""
        return (2 * (self.step % self.cycle) / self.cycle).clamp(max=1)

    @torch.no_grad()
    def _advance(self, term: Tensor) -> tuple[Tensor, Tensor]:
        """Put ``term`` into the window; return this step's beta and sigma, and count the step."""
        # In place: processes that train together keep buffers equal by their address.
        self.recent.copy_(torch.cat((self.recent[1:], term.reshape(1))))
        beta, sigma = self.beta(), self.recent.nanmean().clamp_min(SMALLEST_SIGMA)
        self.step.add_(1)
        return beta, sigma
