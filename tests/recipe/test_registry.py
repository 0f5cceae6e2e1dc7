"""Options of a recipe's step by their current and their previous names."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from anomri.errors import RecipeError
from anomri.recipe import Step, call
from anomri.recipe.registry import _warn_renamed


def grow(*, fallback: float = 3.0, min_level: float = 1.5) -> tuple[float, float]:
    return fallback, min_level


@pytest.fixture(autouse=True)
def fresh_warnings() -> Iterator[None]:
    _warn_renamed.cache_clear()
    yield
    _warn_renamed.cache_clear()


def test_a_renamed_option_is_accepted_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    step = Step(name="grow", options={"lowest": 2.0, "fallback": 4.0})
    with caplog.at_level(logging.WARNING):
        assert call({"grow": grow}, step) == (4.0, 2.0)
        assert call({"grow": grow}, step) == (4.0, 2.0)
    assert [record.getMessage() for record in caplog.records] == [
        "grow: option 'lowest' is now called 'min_level'. "
        "Next: rename it in the recipe; the next version will not accept the old name."
    ]


def test_a_current_name_gives_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert call({"grow": grow}, Step(name="grow", options={"min_level": 2.0})) == (3.0, 2.0)
    assert not caplog.records


@pytest.mark.parametrize("names", [("lowest", "min_level"), ("min_level", "lowest")])
def test_an_option_by_both_of_its_names_is_refused(names: tuple[str, str]) -> None:
    step = Step(name="grow", options=dict.fromkeys(names, 1.0))
    with pytest.raises(RecipeError, match="'min_level' is given twice"):
        call({"grow": grow}, step)


def test_an_old_name_belongs_to_its_own_step() -> None:
    with pytest.raises(RecipeError, match="unknown option \\['lowest'\\]"):
        call({"another": grow}, Step(name="another", options={"lowest": 1.0}))
