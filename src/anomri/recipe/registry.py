"""Look up a recipe's step in a table of functions, and check its options."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache, partial
from inspect import Parameter, signature
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from anomri.errors import RecipeError
from anomri.recipe.definition import CORRECT_IT, Step

Size = Annotated[float, Field(ge=0)]  # mm or ml
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]

Result = TypeVar("Result")

# Options of a step by their names in version 0.1, accepted for one more version.
RENAMED_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "grow": {"lowest": "min_level", "heaviness": "min_relative_weight"},
    "name_regions": {
        "reach_mm": "rim_distance_mm",
        "hardly": "min_enhancing_fraction",
        "darker": "necrosis_sd",
        "mass_mm": "min_mass_radius_mm",
    },
}

log = logging.getLogger(__name__)


def call(table: Mapping[str, Callable[..., Result]], step: Step, *inputs: object) -> Result:
    """Look up ``step`` in ``table`` and call it on ``inputs`` with the step's options.

    Raises:
        RecipeError: as :func:`bind`.
    """
    return bind(table, step)(*inputs)


def bind(table: Mapping[str, Callable[..., Result]], step: Step) -> Callable[..., Result]:
    """Look up ``step`` in ``table`` and fix its options.

    The options of a step are the keyword-only parameters of its function; each value is validated
    against the parameter's annotation. Names of ``RENAMED_OPTIONS`` are accepted with a warning.

    Raises:
        RecipeError: no such name, an option that is unknown, missing or given twice, or a wrong
            value.
    """
    if step.name not in table:
        raise RecipeError(
            f"'{step.name}': expected one of {', '.join(table)}. "
            "Next: check the spelling in the recipe, and the section that it is in."
        )
    function = table[step.name]
    return partial(function, **_checked(function, _with_current_names(step)))


def _with_current_names(step: Step) -> Step:
    """Replace renamed options of a step by their current names."""
    current = RENAMED_OPTIONS.get(step.name, {})
    options: dict[str, Any] = {}
    for name, value in step.options.items():
        if name in current:
            _warn_renamed(step.name, name, current[name])
        new_name = current.get(name, name)
        if new_name in options:
            raise RecipeError(
                f"{step.name}: option '{new_name}' is given twice, once by its old name. "
                "Next: remove one of the two from the recipe."
            )
        options[new_name] = value
    return Step(name=step.name, options=options)


@cache  # steps are bound once per scan
def _warn_renamed(step: str, old: str, new: str) -> None:
    log.warning(
        "%s: option '%s' is now called '%s'. "
        "Next: rename it in the recipe; the next version will not accept the old name.",
        *(step, old, new),
    )


def _checked(function: Callable[..., object], step: Step) -> dict[str, Any]:
    """Return the step's options, validated and converted."""
    known, required = _options_of(function)
    unknown = sorted(step.options.keys() - known.keys())
    missing = sorted(required - step.options.keys())
    if unknown or missing:
        fault = f"unknown option {unknown}" if unknown else f"missing option {missing}"
        raise RecipeError(
            f"{step.name}: {fault}; its options are: {', '.join(known) or 'none'}. {CORRECT_IT}"
        )
    return {
        name: _valid(step.name, name, known[name], value) for name, value in step.options.items()
    }


@cache  # a scan's steps are bound several times
def _options_of(
    function: Callable[..., object],
) -> tuple[Mapping[str, TypeAdapter[Any]], frozenset[str]]:
    """Return what validates each option of a function, and the options without a default."""
    parameters = [
        parameter
        for parameter in signature(function).parameters.values()
        if parameter.kind is Parameter.KEYWORD_ONLY
    ]
    hints = get_type_hints(function, include_extras=True)
    known = {one.name: TypeAdapter(hints[one.name]) for one in parameters}
    return known, frozenset(one.name for one in parameters if one.default is Parameter.empty)


def _valid(step: str, option: str, known: TypeAdapter[Any], value: object) -> Any:
    try:
        return known.validate_python(value)
    except ValidationError as error:
        problems = "; ".join(item["msg"] for item in error.errors())
        raise RecipeError(
            f"{step}: option '{option}': {problems} (got {value!r}). {CORRECT_IT}"
        ) from error
