"""Networks of recipes and run folders, with their weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
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


def trained_networks(sources: Mapping[str, MapSource]) -> dict[str, list[tuple[Network, str]]]:
    """Load the networks of a model's maps; maps with the same weights share a network.

    Args:
        sources: of the recipe and the weights, by map.

    Returns:
        By map: its networks, each with the first 16 hex digits of its weights' SHA-256.

    Raises:
        UsageError: weights are missing, or runs cannot be averaged.
    """
    shared: dict[str, Network] = {}
    return {name: _networks(source, shared) for name, source in sources.items()}


def _networks(source: MapSource, shared: dict[str, Network]) -> list[tuple[Network, str]]:
    if source.runs:
        return [_member(run, source, shared) for run in source.runs]
    with resources.as_file(shipped_weights(source.recipe)) as path:
        return [_trained(source.recipe, path, shared)]


def _member(run: Path, source: MapSource, shared: dict[str, Network]) -> tuple[Network, str]:
    recipe, first = Recipe.load(run / RECIPE), source.recipe
    network, digest = _trained(recipe, run / WEIGHTS, shared)
    alike = (recipe.preparation, recipe.contrasts) == (first.preparation, first.contrasts)
    if not alike or (isinstance(network, Reconstructor) and len(source.runs) > 1):
        raise UsageError(
            f"{run.resolve().name}: cannot be averaged with the runs beside it: expected "
            "segmenters with one preparation and the same contrasts. Next: name one run folder."
        )
    return network, digest


def _trained(recipe: Recipe, path: Path, shared: dict[str, Network]) -> tuple[Network, str]:
    """Return a recipe's network with its weights, and their hash; empty without parameters."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else ""
    architecture = f"{digest} {recipe.family!r} {recipe.contrasts} {recipe.size}"
    if digest and architecture in shared:
        return shared[architecture], digest
    network = build_recipe_network(recipe)
    if not network.has_parameters:
        return network, ""
    if not digest:
        raise UsageError(
            f"{path.parent.resolve().name}: expected {path.name}, found none. "
            "Next: finish the training with `anomri train`."
        )
    load_weights(network, path)
    shared[architecture] = network
    return network, digest


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
