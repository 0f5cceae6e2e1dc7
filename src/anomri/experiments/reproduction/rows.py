"""Rows of a paper as recipes, at a given size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from anomri.errors import UsageError
from anomri.experiments.reproduction.protocol import FULL, Protocol, Size
from anomri.models import SEGMENTERS
from anomri.recipe import CombinedRecipe, MapEntry, Recipe, SegmentationStep, Step, builtin_names

BASELINE = "intensity"
PAIR = ("whole", "enhancing")  # maps of a pair of rows, by what they show


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a paper at a given size.

    Attributes:
        recipe: the recipe, named like the row.
        run: name of its run folder; rows that only differ in detection share one.
        members: seeds of an ensemble's networks; empty for a single network.
        parts: rows of the whole and of the enhancing tumour of a pair; empty for a single row.
    """

    recipe: Recipe
    run: str
    members: tuple[int, ...] = ()
    parts: tuple[Row, ...] = ()

    @property
    def supervised(self) -> bool:
        """Whether it is trained with labels."""
        return self.recipe.family.name in SEGMENTERS


def rows_of(folder: Path, protocol: Protocol, size: str, chosen: frozenset[str]) -> list[Row]:
    """List the chosen rows, or all if none is chosen, the baseline first.

    Raises:
        UsageError: the folder has no rows, or a row or size, possibly of the protocol, is unknown.
    """
    if size not in protocol.sizes:
        sizes = ", ".join(protocol.sizes)
        raise UsageError(
            f"{folder.resolve().name}: no size '{size}'; its protocol has {sizes}. "
            "Next: choose one."
        )
    change = protocol.sizes[size]
    files = {path.stem: Recipe.load(path) for path in sorted((folder / "rows").glob("*.yaml"))}
    rows = _with_runs({name: resized(recipe, change) for name, recipe in files.items()})
    for name, base in protocol.ensembles.items():
        if base in rows:
            rows[name] = _ensemble(name, rows[base].recipe, change.members)
    for name, (whole, enhancing) in protocol.pairs.items():
        rows[name] = _pair(name, [rows.get(n) or _built_in(n) for n in (whole, enhancing)])
    known = {BASELINE: _built_in(BASELINE), **rows}
    changed = {*change.rows, *protocol.ensembles.values()}
    unknown = sorted((chosen - set(known)) | (changed - set(files)))
    if not files:
        raise UsageError(
            f"{folder.resolve().name}: expected recipes in rows/, found none. "
            "Next: name the folder of a paper, such as recipes/paolini."
        )
    if unknown:
        raise UsageError(
            f"{folder.resolve().name}: no row {unknown}; it has {', '.join(known)}. "
            "Next: check the spelling."
        )
    return [row for name, row in known.items() if not chosen or name in chosen]


def resized(recipe: Recipe, size: Size) -> Recipe:
    """Return the recipe with the options of a size.

    Raises:
        RecipeError: the result is not a valid recipe.
    """
    change = _merged(size.change, size.rows.get(recipe.name, {}))
    changed = _merged(recipe.model_dump(mode="json"), change)
    return Recipe.parse(yaml.safe_dump(changed), origin=recipe.name)


def size_of(row: Row, size: str) -> str:
    """Return the name of a row's size; built-in models are the same at each size."""
    runs = [part.run for part in row.parts] or [row.run]
    return FULL if set(runs) <= set(builtin_names()) else size


def _with_runs(recipes: Mapping[str, Recipe]) -> dict[str, Row]:
    """Assign run folders; rows that train the same network share that of the first."""
    rows: dict[str, Row] = {}
    for name, recipe in recipes.items():
        same_network = (row.run for row in rows.values() if row.recipe.learns_like(recipe))
        rows[name] = Row(recipe, next(same_network, name))
    return rows


def _ensemble(name: str, recipe: Recipe, members: int) -> Row:
    first = recipe.training.seed
    seeds = tuple(range(first, first + members))
    return Row(recipe.model_copy(update={"name": name}), name, seeds)


def _pair(name: str, parts: Sequence[Row]) -> Row:
    """Return the row of a pair of models, with the recipe of the first."""
    recipe = parts[0].recipe
    contrasts = tuple(c for part in parts for c in part.recipe.contrasts)
    named = recipe.model_copy(update={"name": name, "contrasts": contrasts})
    return Row(named, name, parts=tuple(parts))


def pair_steps() -> tuple[SegmentationStep, ...]:
    """Return the segmentation of a pair: the whole tumour, whose regions the other one names."""
    whole, enhancing = PAIR
    return (
        SegmentationStep(step=Step(name="segment"), map=whole),
        SegmentationStep(step=Step(name="name_regions"), map=enhancing),
    )


def pair_recipe(row: Row) -> CombinedRecipe:
    """Return the recipe of a pair's run folder, which holds a folder for each of its rows."""
    entries = {name: MapEntry(recipe=part.run) for name, part in zip(PAIR, row.parts, strict=True)}
    return CombinedRecipe(name=row.recipe.name, maps=entries, segmentation=pair_steps())


def _built_in(name: str) -> Row:
    """Return the row of a built-in model, which needs no training."""
    return Row(Recipe.load(name), name)


def _merged(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` updated with ``change``, recursively for sections."""
    return dict(values) | {
        name: _merged(values[name], new)
        if isinstance(new, Mapping) and isinstance(values.get(name), Mapping)
        else new
        for name, new in change.items()
    }
