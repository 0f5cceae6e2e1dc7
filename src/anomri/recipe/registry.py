"""The functions of a table, called by a recipe's step, with words for what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter, signature
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from anomri.errors import RecipeError
from anomri.recipe.definition import Step

Size = Annotated[float, Field(ge=0)]  # mm or ml
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]

Result = TypeVar("Result")


def call(table: Mapping[str, Callable[..., Result]], step: Step, *inputs: object) -> Result:
    """Look up ``step`` in ``table`` and call it on ``inputs`` with the step's options.

    Raises:
        RecipeError: as :func:`bind`.
    """
    return bind(table, step)(*inputs)


def bind(table: Mapping[str, Callable[..., Result]], step: Step) -> Callable[..., Result]:
    """Look up ``step`` in ``table`` and fix its options.

    The options of a step are the keyword-only parameters of its function; each is held against
    the parameter's annotation.

    Raises:
        RecipeError: no such name, an option that is unknown or missing, or a wrong value.
    """
    if step.name not in table:
        raise RecipeError(
            f"'{step.name}': expected one of {', '.join(table)}. "
            "Next: check the spelling in the recipe, and the section that it stands in."
        )
    function = table[step.name]
    return partial(function, **_checked(function, step))


def _checked(function: Callable[..., object], step: Step) -> dict[str, Any]:
    """Return the step's options as the function wants them."""
    known = {
        name: parameter
        for name, parameter in signature(function).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    }
    required = {name for name, parameter in known.items() if parameter.default is Parameter.empty}
    unknown = sorted(step.options.keys() - known)
    missing = sorted(required - step.options.keys())
    if unknown or missing:
        fault = f"unknown option {unknown}" if unknown else f"missing option {missing}"
        raise RecipeError(f"{step.name}: {fault}; its options are: {', '.join(known) or 'none'}.")
    hints = get_type_hints(function, include_extras=True)
    return {name: _valid(step.name, name, hints[name], step.options[name]) for name in step.options}


def _valid(step: str, option: str, hint: Any, value: object) -> Any:
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        problems = "; ".join(item["msg"] for item in error.errors())
        raise RecipeError(f"{step}: option '{option}': {problems} (got {value!r}).") from error
