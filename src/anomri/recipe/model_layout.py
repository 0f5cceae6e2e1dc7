"""The recipes and run folders that a model is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from pydantic import TypeAdapter

from anomri.errors import UsageError
from anomri.files import (
    MAP_THRESHOLDS,
    RECIPE,
    TOGETHER,
    parse_yaml,
    read_text,
    read_thresholds_by_part,
)
from anomri.recipe.combined import CombinedRecipe, MapEntry, SegmentationStep, load_recipe
from anomri.recipe.definition import MOVED, NamedStep, Recipe, Step, builtin_names
from anomri.recipe.model_archive import opened_model
from anomri.scan import Threshold

ByMap = Mapping[str, Mapping[str, Threshold]]  # map -> rule -> threshold


@dataclass(frozen=True, slots=True)
class MapSource:
    """Where the recipe and the weights of one map lie.

    Attributes:
        recipe: of the map; of the first run where several are averaged.
        runs: run folders, several for segmenters to be averaged; none for a built-in recipe.
        home: folder of the fitted thresholds; None for a built-in recipe.
        optional: whether the map is left out where a scan lacks its contrasts.
    """

    recipe: Recipe
    runs: tuple[Path, ...] = ()
    home: Path | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """The maps of a model and the steps that make a segmentation of them.

    Attributes:
        name: of the model.
        maps: by name; the first is segmented first.
        recipe: of several maps; None for a single one.
        thresholds: fitted to several maps together.
    """

    name: str
    maps: Mapping[str, MapSource]
    recipe: CombinedRecipe | None = None
    thresholds: ByMap = field(default_factory=dict)

    @property
    def steps(self) -> tuple[SegmentationStep, ...]:
        """Steps from the maps to a segmentation; none for a single map."""
        return self.recipe.segmentation if self.recipe else ()

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Contrasts of all maps, in order."""
        return joint_contrasts(source.recipe for source in self.maps.values())

    @property
    def optional(self) -> frozenset[str]:
        """Contrasts that a scan may lack."""
        return optional_contrasts((one.recipe, one.optional) for one in self.maps.values())


def recipe_to_prepare(model: str) -> Recipe:
    """Return the first recipe of a model with the contrasts of all its maps.

    Raises:
        UsageError: there is no such model.
    """
    layout = layout_of(model)
    optional = tuple(name for name in layout.contrasts if name in layout.optional)
    first = next(iter(layout.maps.values())).recipe
    return first.model_copy(update={"contrasts": layout.contrasts, "optional": optional})


def layout_of(model: str | Path) -> ModelLayout:
    """Tell what a model is made of, for its recipes alone: an archive's files are gone by then."""
    with opened_model(model) as opened:
        return model_layout(opened)


def joint_contrasts(recipes: Iterable[Recipe]) -> tuple[str, ...]:
    """Return the contrasts of several recipes, in order."""
    return tuple(dict.fromkeys(chain.from_iterable(recipe.contrasts for recipe in recipes)))


def optional_contrasts(maps: Iterable[tuple[Recipe, bool]]) -> frozenset[str]:
    """Return the contrasts that a scan may lack.

    Args:
        maps: recipe of each map, and whether the map is optional.
    """
    maps = list(maps)
    needed = (set(r.contrasts) - set(r.optional) for r, optional in maps if not optional)
    everything = chain.from_iterable(recipe.contrasts for recipe, _ in maps)
    return frozenset(everything) - frozenset(chain.from_iterable(needed))


def model_layout(model: str | Path) -> ModelLayout:
    """Tell what a model is made of, without loading weights.

    Args:
        model: name of a built-in model, recipe file, run folder, or folder of run folders.

    Raises:
        UsageError: there is no such model, or its maps do not agree.
    """
    path = Path(model)
    file = path / RECIPE if path.is_dir() else path
    if file.is_file() or (not path.is_dir() and str(model) in builtin_names()):
        recipe = load_recipe(file if file.is_file() else str(model))
        base = file.parent if file.is_file() else None
        if isinstance(recipe, CombinedRecipe):
            return _checked(_combined(recipe, base))
        if path.is_dir():
            return _single(recipe, (path,), path)
        return _single(recipe, (), None)
    return _folder_of_runs(path)


def _single(recipe: Recipe, runs: tuple[Path, ...], home: Path | None) -> ModelLayout:
    return ModelLayout(recipe.name, {recipe.name: MapSource(recipe, runs, home)})


def _combined(recipe: CombinedRecipe, base: Path | None) -> ModelLayout:
    maps = {name: _map_source(entry, base) for name, entry in recipe.maps.items()}
    fitted = read_thresholds_by_part(base / MAP_THRESHOLDS) if base else {}
    return ModelLayout(recipe.name, maps, recipe, fitted)


def _map_source(entry: MapEntry, base: Path | None) -> MapSource:
    folder = base / entry.recipe if base else None
    if folder is None or not folder.is_dir():
        return MapSource(Recipe.load(entry.recipe), optional=entry.optional)
    itself = base is not None and folder.resolve() == base.resolve()
    maps = () if itself else tuple(model_layout(folder).maps.values())
    if len(maps) != 1:
        raise UsageError(
            f"{entry.recipe}: expected the folder of one map, got a model of several. "
            "Next: name the folder of one of its maps."
        )
    (source,) = maps
    return MapSource(source.recipe, source.runs, source.home, entry.optional)


def _checked(layout: ModelLayout) -> ModelLayout:
    """Refuse maps that want scans prepared in different ways."""
    recipes = [source.recipe for source in layout.maps.values()]
    if len({recipe.preparation.key() for recipe in recipes}) > 1:
        names = ", ".join(recipe.name for recipe in recipes)
        raise UsageError(
            f"{layout.name}: expected maps with one preparation, got several ({names}). "
            "Next: make the section `preparation` of their recipes equal."
        )
    return layout


def _folder_of_runs(folder: Path) -> ModelLayout:
    """Return segmenters to be averaged, or the models of a folder of version 0.1."""
    runs = sorted(path.parent for path in folder.glob(f"*/{RECIPE}"))
    if not runs:
        raise UsageError(
            f"{folder.resolve().name}: expected a run folder, a folder of them, a recipe file, "
            "or one of "
            f"{', '.join(builtin_names())}. Next: check the spelling, or train a model with "
            "`anomri train`."
        )
    recipes = {run: Recipe.load(run / RECIPE) for run in runs}
    if len({recipe.contrasts for recipe in recipes.values()}) == 1:
        return _single(recipes[runs[0]], tuple(runs), folder if len(runs) > 1 else runs[0])
    return _checked(_of_version_0_1(folder, recipes))


# Folders of version 0.1 held several models without a recipe that says how they work together.

_PARTS = ("whole", "enhancing", "small")


def _of_version_0_1(folder: Path, recipes: Mapping[Path, Recipe]) -> ModelLayout:
    """Read a folder of version 0.1 by what its recipes show."""
    fitted = read_thresholds_by_part(folder / TOGETHER)
    entries = _parts_of_version_0_1(folder, recipes, fitted)
    whole = recipes[entries["whole"]]
    optional = set(recipes[entries["enhancing"]].contrasts) <= set(whole.optional)
    combined = CombinedRecipe(
        name=whole.name,
        about=whole.about,
        maps={
            part: MapEntry(recipe=run.name, optional=optional and part == "enhancing")
            for part, run in entries.items()
        },
        segmentation=_steps_of_version_0_1(entries),
    )
    maps = {name: _map_source(entry, folder) for name, entry in combined.maps.items()}
    return ModelLayout(combined.name, maps, combined, fitted)


def _parts_of_version_0_1(
    folder: Path, recipes: Mapping[Path, Recipe], fitted: ByMap
) -> dict[str, Path]:
    """Return the run folder of each part.

    Raises:
        UsageError: the recipes do not say which part each of them is.
    """
    by_part = {
        "small" if "small" in fitted and run.name == "small" else recipe.detection.shows: run
        for run, recipe in recipes.items()
    }
    if len(by_part) < max(len(recipes), len(fitted)) or not {"whole", "enhancing"} <= set(by_part):
        found = ", ".join(
            f"{recipe.name} of {'+'.join(recipe.contrasts)} shows '{recipe.detection.shows}'"
            for recipe in recipes.values()
        )
        raise UsageError(
            f"{folder.resolve().name}: expected a {RECIPE} that says how its {len(recipes)} "
            "models work "
            f"together, or one that shows the whole and one that shows the enhancing tumour; got "
            f"{found}. Next: set `detection.shows` in their recipes, write `maps` and "
            f"`segmentation` into {folder.resolve().name}/{RECIPE}, or name one run folder."
        )
    return {part: by_part[part] for part in _PARTS if part in by_part}


def _steps_of_version_0_1(entries: Mapping[str, Path]) -> tuple[SegmentationStep, ...]:
    text = read_text(entries["whole"] / RECIPE, next_step="give the path of a recipe")
    section = dict(dict(parse_yaml(text)).get("detection") or {})
    regions, radius = (section.get(name) for name in MOVED)
    named: Step = TypeAdapter(NamedStep).validate_python(regions or "hull")
    steps = [
        SegmentationStep(step=Step(name="segment"), map="whole"),
        SegmentationStep(
            step=Step(name="add_if_no_mass", options={"min_mass_radius_mm": radius or 0.0}),
            map="small",
        ),
        SegmentationStep(step=Step(name="name_regions", options=named.options), map="enhancing"),
    ]
    return tuple(step for step in steps if step.map in entries)
