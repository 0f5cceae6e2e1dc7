"""Recipes of several anomaly maps that make one segmentation.

::

    maps:                                          # costly, made once for each scan
      brightness: {recipe: intensity}
      enhancement: {recipe: intensity_t1ce, optional: true}
    segmentation:                                  # cheap, repeated at other thresholds
      - segment: {map: brightness}
      - name_regions: {map: enhancement, dims: 3}

The first step segments one map; each further step combines the result with another map's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from anomri.errors import RecipeError
from anomri.files import parse_yaml
from anomri.recipe.definition import (
    CORRECT_IT,
    Recipe,
    Section,
    Step,
    in_words,
    text_of,
)
from anomri.scan import StepFacts

SEGMENT = "segment"


class MapEntry(Section):
    """One anomaly map of a combined recipe.

    Attributes:
        recipe: folder of its run beside the recipe file, or the name of a built-in recipe.
        optional: whether the map is left out where a scan lacks the contrasts it needs.
    """

    recipe: str
    optional: bool = False


class SegmentationStep(Section):
    """One step from maps to a segmentation.

    Attributes:
        step: a name of ``COMBINATION_STEPS``, or ``segment`` for the first, with its options.
        map: name of the map that it works on; the step is skipped where that map is left out.
    """

    step: Step
    map: str

    @property
    def facts(self) -> StepFacts:
        """What a sidecar says about the step."""
        return StepFacts(name=self.step.name, options={"map": self.map, **self.step.options})


def _as_segmentation_step(value: object) -> object:
    """Turn ``{name: {map: m, option: value}}`` into the fields of a :class:`SegmentationStep`."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((name, options),) = value.items()
    if not isinstance(options, dict) or "map" not in options:
        raise ValueError(f"{name}: expected the option 'map', the name of a map")
    rest = {option: given for option, given in options.items() if option != "map"}
    return {"step": {"name": name, "options": rest}, "map": options["map"]}


class CombinedRecipe(Section):
    """A model of several anomaly maps.

    Attributes:
        name: of the model.
        about: one line for people who choose a model.
        maps: by name; the first one is segmented first and says how scans are prepared.
        segmentation: steps from the maps to a segmentation, in order.
    """

    name: str
    about: str = ""
    maps: dict[str, MapEntry] = Field(min_length=1)
    segmentation: tuple[
        Annotated[SegmentationStep, BeforeValidator(_as_segmentation_step)], ...
    ] = Field(min_length=1)

    @model_validator(mode="after")
    def _steps_name_maps(self) -> CombinedRecipe:
        first, *others = self.segmentation
        if first.step.name != SEGMENT or any(one.step.name == SEGMENT for one in others):
            raise ValueError(
                f"segmentation: expected '{SEGMENT}' as the first step, and only there"
            )
        unknown = [one.map for one in self.segmentation if one.map not in self.maps]
        if unknown:
            raise ValueError(f"segmentation: no map '{unknown[0]}'; maps: {', '.join(self.maps)}")
        if first.map != next(iter(self.maps)):
            raise ValueError(f"maps: '{first.map}' is segmented first and must be listed first")
        if self.maps[first.map].optional:
            raise ValueError(f"maps: '{first.map}' is segmented first and cannot be optional")
        return self

    def to_yaml(self) -> str:
        """Return the recipe as it is read."""
        entries: dict[str, Any] = {"name": self.name, "about": self.about}
        entries["maps"] = {name: entry.model_dump() for name, entry in self.maps.items()}
        entries["segmentation"] = [
            {one.step.name: {"map": one.map, **one.step.options}} for one in self.segmentation
        ]
        return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True)


def load_recipe(source: str | Path) -> Recipe | CombinedRecipe:
    """Read a recipe file, or a recipe that ships with anomri by its name.

    Raises:
        RecipeError: the file is missing, is not YAML, or does not validate.
    """
    text, origin = text_of(source), Path(source).name
    try:
        entries = parse_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{origin}: not valid YAML: {error}. {CORRECT_IT}") from error
    if not isinstance(entries, dict) or "maps" not in entries:
        return Recipe.parse(text, origin=origin)
    try:
        return CombinedRecipe.model_validate(entries)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {in_words(error)}. {CORRECT_IT}") from error
