"""Networks by name, and their options.

To add a reconstructor: one file for a new kind, and one line in ``RECONSTRUCTORS``. Its options are
its own keyword arguments and, if it takes a ``loss``, the attributes of the loss terms that belong
to its kind of latents (``LOSS_TERMS``). In a recipe, ``loss`` names the weighting of these terms
(``LOSSES``), which may have options of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
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
from anomri.models.losses import CodebookLoss, Loss, ReconstructionLoss, VariationalLoss
from anomri.models.plans import DENSE, DVAE, LARGE, SMALL, SPATIAL, VAE, VAE1PX, VECTORS
from anomri.models.segresnet_vae import RegularisedSegmenter
from anomri.recipe import CORRECT_IT, RECONSTRUCTOR_GROUP, ExtensibleTable, Step

_VAE = partial(VariationalAutoencoder, plan=VAE)

_OWN: dict[str, Callable[..., Reconstructor]] = {
    "intensity": Intensity,
    "vae": _VAE,
    "dvae": partial(VariationalAutoencoder, plan=DVAE),
    "vae1px": partial(VariationalAutoencoder, plan=VAE1PX),
    "aae": partial(Adversarial, autoencoder=_VAE, pairs=False),
    "biaae": partial(Adversarial, autoencoder=_VAE, pairs=True),
    "ae": partial(PlainAutoencoder, plan=LARGE),
    "vae1": partial(VariationalAutoencoder, plan=LARGE),
    "vae2": partial(VariationalAutoencoder, plan=SMALL),
    "vqvae": partial(QuantisedAutoencoder, plan=VECTORS),
    "spatial_vae": partial(VariationalAutoencoder, plan=SPATIAL),
    "dense_vae": partial(VariationalAutoencoder, plan=DENSE),
}

RECONSTRUCTORS = ExtensibleTable(RECONSTRUCTOR_GROUP, _OWN)

SEGMENTERS: dict[str, Callable[..., Segmenter]] = {
    "regularised_segmenter": RegularisedSegmenter,
    "folded_segmenter": FoldedSegmenter,
}

# Loss terms of reconstructors whose latents are not normally distributed.
LOSS_TERMS: dict[str, Callable[..., Loss]] = {"ae": ReconstructionLoss, "vqvae": CodebookLoss}

LOSS, PLAIN = "loss", "plain"


def plain(terms: Loss) -> Loss:
    """Return the loss terms as they are."""
    return terms


LOSSES: dict[str, Callable[..., Loss]] = {PLAIN: plain, "collapse_robust": CollapseRobust}


def build(step: Step, *, channels: int, size: tuple[int, ...]) -> Reconstructor:
    """Build an untrained reconstructor.

    Args:
        step: the recipe's ``family``: a name of ``RECONSTRUCTORS`` and its options.
        channels: number of contrasts per image.
        size: spatial shape of one image.

    Raises:
        RecipeError: unknown name or option; the message lists the known ones.
        UsageError: the network cannot take images of this size.
    """
    if step.name not in RECONSTRUCTORS:
        raise RecipeError(_unknown_family(step.name, RECONSTRUCTORS))
    loss = _loss_of(step)
    _check_options(step, loss)
    arguments: dict[str, Any] = dict(step.options)
    if _takes_loss(step.name):
        arguments.pop(LOSS, None)
        loss_terms = LOSS_TERMS.get(step.name, VariationalLoss)
        terms = loss_terms(**_extract_options(arguments, loss_terms))
        arguments[LOSS] = LOSSES[loss](terms, **_extract_options(arguments, LOSSES[loss]))
    network = RECONSTRUCTORS[step.name](channels=channels, size=size, **arguments)
    if not isinstance(network, Reconstructor):  # of another package
        raise RecipeError(
            f"family '{step.name}': expected a Reconstructor, got {type(network).__name__}. "
            "Next: report this to the authors of the package that provides it."
        )
    network.name = step.name
    return network


def build_segmenter(step: Step, *, channels: int, size: tuple[int, ...]) -> Segmenter:
    """Build an untrained segmenter; arguments as for :func:`build`.

    Raises:
        RecipeError: unknown name or option, or a wrong value.
        UsageError: the segmenter cannot take images of this size.
    """
    if step.name not in SEGMENTERS:
        raise RecipeError(_unknown_family(step.name, SEGMENTERS))
    _check_options(step, PLAIN)
    segmenter = SEGMENTERS[step.name](channels=channels, size=size, **step.options)
    segmenter.name = step.name
    return segmenter


def build_network(step: Step, *, channels: int, size: tuple[int, ...]) -> Network:
    """Build an untrained reconstructor or segmenter; see :func:`build`.

    Raises:
        RecipeError: unknown family, or a wrong option.
    """
    if step.name in SEGMENTERS:
        return build_segmenter(step, channels=channels, size=size)
    if step.name not in RECONSTRUCTORS:
        raise RecipeError(_unknown_family(step.name, [*RECONSTRUCTORS, *SEGMENTERS]))
    return build(step, channels=channels, size=size)


def _unknown_family(name: str, known: Iterable[str]) -> str:
    return f"family: expected one of {', '.join(known)}; got '{name}'. {CORRECT_IT}"


def options(name: str, *, loss: str = PLAIN) -> list[str]:
    """Return the names of the options of a network in a recipe, with the given loss."""
    constructor = _constructor(name)
    fixed = constructor.keywords.keys() if isinstance(constructor, partial) else set()
    names = _parameters(constructor) - fixed - {"channels", "size"}
    if _takes_loss(name):
        names |= _parameters(LOSS_TERMS.get(name, VariationalLoss))
        names |= _parameters(LOSSES[loss]) - {"terms"}
    return sorted(names)


def _constructor(name: str) -> Callable[..., Network]:
    return RECONSTRUCTORS[name] if name in RECONSTRUCTORS else SEGMENTERS[name]


def _takes_loss(name: str) -> bool:
    return LOSS in _parameters(_constructor(name))


def _parameters(function: Callable[..., object]) -> set[str]:
    return set(inspect.signature(function).parameters)


def _extract_options(options: dict[str, Any], function: Callable[..., object]) -> dict[str, Any]:
    """Remove the parameters of ``function`` from ``options`` and return them."""
    return {name: options.pop(name) for name in _parameters(function) & options.keys()}


def _loss_of(step: Step) -> str:
    loss = step.options.get(LOSS, PLAIN)
    if not isinstance(loss, str) or loss not in LOSSES:
        raise RecipeError(
            f"family '{step.name}': loss: expected one of {', '.join(LOSSES)}; got '{loss}'. "
            f"{CORRECT_IT}"
        )
    return loss


def _check_options(step: Step, loss: str) -> None:
    known = options(step.name, loss=loss)
    unknown = sorted(step.options.keys() - set(known))
    if unknown:
        existing = ", ".join(known) or "none"
        raise RecipeError(
            f"family '{step.name}': no option '{unknown[0]}'; its options: {existing}. {CORRECT_IT}"
        )
