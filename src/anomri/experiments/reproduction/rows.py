"""The rows of a paper as recipes, at the size they are trained in."""

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
    """A row as it is trained.

    Attributes:
        recipe: at its size; its name is the row's.
        run: name of its run folder; rows that differ in detection alone share one.
        members: seeds of an ensemble's networks; none for a single network.
        parts: rows of a pair, of the whole and of the enhancing tumour; none for a single row.
    """

    recipe: Recipe
    run: str
    members: tuple[int, ...] = ()
    parts: tuple[Row, ...] = ()

    @property
    def supervised(self) -> bool:
        """Whether it learns from labels."""
        return self.recipe.family.name in SEGMENTERS


def rows_of(folder: Path, protocol: Protocol, size: str, chosen: frozenset[str]) -> list[Row]:
    """List the chosen rows, all where none is named, the row without a network first.

    Raises:
        UsageError: the folder has no rows, or a row or a size that is not there is named, by the
            protocol perhaps.
    """
    if size not in protocol.sizes:
        sizes = ", ".join(protocol.sizes)
        raise UsageError(f"{folder.name}: no size '{size}'; its protocol has {sizes}")
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
    if unknown or not files:
        raise UsageError(f"{folder.name}: no row {unknown}; it has {', '.join(known)}")
    return [row for name, row in known.items() if not chosen or name in chosen]


def resized(recipe: Recipe, size: Size) -> Recipe:
    """Return the recipe with the options that the size changes.

    Raises:
        RecipeError: the result is no recipe.
    """
    change = _merged(size.change, size.rows.get(recipe.name, {}))
    changed = _merged(recipe.model_dump(mode="json"), change)
    return Recipe.parse(yaml.safe_dump(changed), origin=recipe.name)


def size_of(row: Row, size: str) -> str:
    """Name the size of a row: what has no network is the same at each."""
    named = [part.run for part in row.parts] or [row.run]
    return FULL if set(named) <= set(builtin_names()) else size


def _with_runs(recipes: Mapping[str, Recipe]) -> dict[str, Row]:
    """Give rows that train the same network the run folder of the first of them."""
    rows: dict[str, Row] = {}
    for name, recipe in recipes.items():
        alike = (row.run for row in rows.values() if row.recipe.learns_like(recipe))
        rows[name] = Row(recipe, next(alike, name))
    return rows


def _ensemble(name: str, recipe: Recipe, members: int) -> Row:
    first = recipe.training.seed
    seeds = tuple(range(first, first + members))
    return Row(recipe.model_copy(update={"name": name}), name, seeds)


def _pair(name: str, parts: Sequence[Row]) -> Row:
    """Return the row of two models beside each other, called by the recipe of the first."""
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
    """Return a row that ships with anomri and needs no training."""
    return Row(Recipe.load(name), name)


def _merged(values: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` with those of ``change``, sections merged and everything else replaced."""
    return dict(values) | {
        name: _merged(values[name], new)
        if isinstance(new, Mapping) and isinstance(values.get(name), Mapping)
        else new
        for name, new in change.items()
    }
