"""Networks that learn healthy anatomy: one file per kind, one line per family in ``FAMILIES``.

A family's options are its own keyword arguments and, where it takes an ``objective``, the
attributes of :class:`~anomri.objective.Objective`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

from anomri.errors import RecipeError
from anomri.family import Family
from anomri.models.convolutional import DVAE, VAE, VariationalAutoencoder
from anomri.models.intensity import Intensity
from anomri.models.summary import LayerSummary, summary
from anomri.models.weights import load_weights, save_weights
from anomri.objective import Objective
from anomri.recipe import Step

FAMILIES: dict[str, Callable[..., Family]] = {
    "intensity": Intensity,
    "vae": partial(VariationalAutoencoder, plan=VAE),
    "dvae": partial(VariationalAutoencoder, plan=DVAE),
}

OBJECTIVE = frozenset(field.name for field in fields(Objective))


def build(step: Step, *, channels: int, size: tuple[int, ...]) -> Family:
    """Build the family that a recipe names, untrained.

    Args:
        step: the recipe's ``family``: a name of ``FAMILIES`` and its options.
        channels: contrasts per image.
        size: spatial shape of one image.

    Raises:
        RecipeError: there is no such family or option; the message lists those that exist.
        UsageError: the family cannot take images of this size.
    """
    if step.name not in FAMILIES:
        raise RecipeError(f"family: expected one of {', '.join(FAMILIES)}; got '{step.name}'.")
    _check_options(step)
    own: dict[str, Any] = dict(step.options)
    if _takes_objective(step.name):
        chosen = {name: own.pop(name) for name in OBJECTIVE & own.keys()}
        own["objective"] = Objective(**chosen)
    family = FAMILIES[step.name](channels=channels, size=size, **own)
    family.name = step.name
    return family


def options(name: str) -> list[str]:
    """Names of the options that the family called ``name`` takes in a recipe."""
    entry = FAMILIES[name]
    fixed = entry.keywords.keys() if isinstance(entry, partial) else set()
    own = inspect.signature(entry).parameters.keys() - fixed - {"channels", "size", "objective"}
    return sorted(own | OBJECTIVE if _takes_objective(name) else own)


def _takes_objective(name: str) -> bool:
    return "objective" in inspect.signature(FAMILIES[name]).parameters


def _check_options(step: Step) -> None:
    unknown = sorted(step.options.keys() - set(options(step.name)))
    if unknown:
        existing = ", ".join(options(step.name)) or "none"
        raise RecipeError(
            f"family '{step.name}': no option '{unknown[0]}'; its options: {existing}."
        )


__all__ = [
    "FAMILIES",
    "LayerSummary",
    "build",
    "load_weights",
    "options",
    "save_weights",
    "summary",
]
