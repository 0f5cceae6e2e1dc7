"""Networks by name: one file per kind, one line per family in ``RECONSTRUCTORS``.

A family's options are its own keyword arguments and, where it takes an ``objective``, the
attributes of the objective that belongs to its kind of code (``OBJECTIVES``). ``loss`` names how
the objective's terms are weighed (``LOSSES``), which may have options of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from anomri.errors import RecipeError
from anomri.models.adversarial import Adversarial
from anomri.models.base import Network, Reconstructor, Segmenter
from anomri.models.collapse_robust import CollapseRobust
from anomri.models.convolutional import (
    PlainAutoencoder,
    QuantisedAutoencoder,
    VariationalAutoencoder,
)
from anomri.models.folded_segmenter import FoldedSegmenter
from anomri.models.intensity import Intensity
from anomri.models.losses import CodebookObjective, Loss, Objective, PlainObjective
from anomri.models.plans import DENSE, DVAE, LARGE, SMALL, SPATIAL, VAE, VAE1PX, VECTORS
from anomri.models.segresnet_vae import RegularisedSegmenter
from anomri.recipe import Step

_VAE = partial(VariationalAutoencoder, plan=VAE)

RECONSTRUCTORS: dict[str, Callable[..., Reconstructor]] = {
    "intensity": Intensity,
    "vae": _VAE,
    "dvae": partial(VariationalAutoencoder, plan=DVAE),
    "vae1px": partial(VariationalAutoencoder, plan=VAE1PX),
    "aae": partial(Adversarial, autoencoder=_VAE, codes=False),
    "biaae": partial(Adversarial, autoencoder=_VAE, codes=True),
    "ae": partial(PlainAutoencoder, plan=LARGE),
    "vae1": partial(VariationalAutoencoder, plan=LARGE),
    "vae2": partial(VariationalAutoencoder, plan=SMALL),
    "vqvae": partial(QuantisedAutoencoder, plan=VECTORS),
    "spatial_vae": partial(VariationalAutoencoder, plan=SPATIAL),
    "dense_vae": partial(VariationalAutoencoder, plan=DENSE),
}

SEGMENTERS: dict[str, Callable[..., Segmenter]] = {
    "regularised_segmenter": RegularisedSegmenter,
    "folded_segmenter": FoldedSegmenter,
}

# What a family minimises where its code is not a normal distribution.
OBJECTIVES: dict[str, Callable[..., Loss]] = {"ae": PlainObjective, "vqvae": CodebookObjective}

LOSS, PLAIN = "loss", "plain"


def plain(objective: Loss) -> Loss:
    """Minimise the objective as it is."""
    return objective


LOSSES: dict[str, Callable[..., Loss]] = {PLAIN: plain, "collapse_robust": CollapseRobust}


def build(step: Step, *, channels: int, size: tuple[int, ...]) -> Reconstructor:
    """Build the family that a recipe names, untrained.

    Args:
        step: the recipe's ``family``: a name of ``RECONSTRUCTORS`` and its options.
        channels: contrasts per image.
        size: spatial shape of one image.

    Raises:
        RecipeError: there is no such family or option; the message lists those that exist.
        UsageError: the family cannot take images of this size.
    """
    if step.name not in RECONSTRUCTORS:
        raise RecipeError(
            f"family: expected one of {', '.join(RECONSTRUCTORS)}; got '{step.name}'."
        )
    loss = _loss_of(step)
    _check_options(step, loss)
    own: dict[str, Any] = dict(step.options)
    if _takes_objective(step.name):
        own.pop(LOSS, None)
        objective = OBJECTIVES.get(step.name, Objective)
        terms = objective(**_taken(own, objective))
        own["objective"] = LOSSES[loss](terms, **_taken(own, LOSSES[loss]))
    family = RECONSTRUCTORS[step.name](channels=channels, size=size, **own)
    family.name = step.name
    return family


def build_segmenter(step: Step, *, channels: int, size: tuple[int, ...]) -> Segmenter:
    """Build the segmenter that a recipe's ``family`` names, untrained.

    Raises:
        RecipeError: there is no such segmenter or option, or its value is wrong.
        UsageError: the segmenter cannot take images of this size.
    """
    if step.name not in SEGMENTERS:
        raise RecipeError(f"family: expected one of {', '.join(SEGMENTERS)}; got '{step.name}'.")
    _check_options(step, PLAIN)
    segmenter = SEGMENTERS[step.name](channels=channels, size=size, **step.options)
    segmenter.name = step.name
    return segmenter


def build_network(step: Step, *, channels: int, size: tuple[int, ...]) -> Network:
    """Build the family or the segmenter that a recipe names; see :func:`build`."""
    make = build_segmenter if step.name in SEGMENTERS else build
    return make(step, channels=channels, size=size)


def options(name: str, *, loss: str = PLAIN) -> list[str]:
    """Names of the options that the family called ``name`` takes in a recipe, with that loss."""
    entry = _entry(name)
    fixed = entry.keywords.keys() if isinstance(entry, partial) else set()
    own = _parameters(entry) - fixed - {"channels", "size", "objective"}
    if _takes_objective(name):
        terms = _parameters(OBJECTIVES.get(name, Objective))
        own |= {LOSS} | terms | (_parameters(LOSSES[loss]) - {"objective"})
    return sorted(own)


def _entry(name: str) -> Callable[..., Network]:
    return RECONSTRUCTORS[name] if name in RECONSTRUCTORS else SEGMENTERS[name]


def _takes_objective(name: str) -> bool:
    return "objective" in _parameters(_entry(name))


def _parameters(function: Callable[..., object]) -> set[str]:
    return set(inspect.signature(function).parameters)


def _taken(options: dict[str, Any], function: Callable[..., object]) -> dict[str, Any]:
    """Take out of ``options`` those that are ``function``'s."""
    return {name: options.pop(name) for name in _parameters(function) & options.keys()}


def _loss_of(step: Step) -> str:
    loss = step.options.get(LOSS, PLAIN)
    if not isinstance(loss, str) or loss not in LOSSES:
        raise RecipeError(
            f"family '{step.name}': loss: expected one of {', '.join(LOSSES)}; got '{loss}'."
        )
    return loss


def _check_options(step: Step, loss: str) -> None:
    known = options(step.name, loss=loss)
    unknown = sorted(step.options.keys() - set(known))
    if unknown:
        existing = ", ".join(known) or "none"
        raise RecipeError(
            f"family '{step.name}': no option '{unknown[0]}'; its options: {existing}."
        )
