"""Networks of recipes and run folders, with their weights."""

from __future__ import annotations

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from anomri.errors import UsageError
from anomri.files import LICENCE, RECIPE, WEIGHTS
from anomri.models.base import Network, Reconstructor
from anomri.models.factory import build_network
from anomri.models.weights import load_weights
from anomri.recipe import MapSource, Recipe

SHIPPED = resources.files("anomri.models") / "pretrained"
SHIPPED_LICENCE = "CC-BY-SA-3.0"


def trained_networks(source: MapSource) -> list[tuple[Network, str]]:
    """Load a map's networks, each with the hash of its weights."""
    if source.runs:
        alone = len(source.runs) == 1
        return [_member(run, source.recipe, alone=alone) for run in source.runs]
    network = build_recipe_network(source.recipe)
    with resources.as_file(shipped_weights(source.recipe)) as path:
        return [(network, _load_weights(network, path))]


def _member(run: Path, first: Recipe, *, alone: bool) -> tuple[Network, str]:
    recipe = Recipe.load(run / RECIPE)
    network = build_recipe_network(recipe)
    alike = (recipe.preparation, recipe.contrasts) == (first.preparation, first.contrasts)
    if not alike or (isinstance(network, Reconstructor) and not alone):
        raise UsageError(
            f"{run.name}: cannot be averaged with the runs beside it: expected segmenters with "
            "one preparation and the same contrasts. Next: name one run folder."
        )
    return network, _load_weights(network, run / WEIGHTS)


def shipped_weights(recipe: Recipe) -> Traversable:
    """Return where the weights of a built-in recipe would be."""
    return SHIPPED / f"{recipe.weights or recipe.name}.safetensors"


def ships_weights(path: Path) -> bool:
    """Tell whether a file holds weights that ship with anomri."""
    content = path.read_bytes()
    files = (file for file in SHIPPED.iterdir() if file.name.endswith(path.suffix))
    return any(file.read_bytes() == content for file in files)


def shipped_licence() -> str:
    """Return the licence of the shipped weights, as Markdown."""
    return (SHIPPED / LICENCE).read_text(encoding="utf-8")


def build_recipe_network(recipe: Recipe) -> Network:
    """Build the recipe's network, untrained."""
    return build_network(recipe.family, channels=len(recipe.contrasts), size=recipe.size)


def _load_weights(network: Network, path: Path) -> str:
    if not network.has_parameters:
        return ""
    if not path.is_file():
        raise UsageError(
            f"{path.parent.name}: expected {path.name}, found none. "
            "Next: finish the training with `anomri train`."
        )
    load_weights(network, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
