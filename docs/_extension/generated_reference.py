"""Pages that are made from the code: commands, recipes, exports; and links that leave the site.

A library for Typer's or pydantic's pages is not used: those for Click no longer read Typer, which
brings its own, and a table of options by section says all that a recipe's author needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar, get_args

from docutils import nodes
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command

from anomri import recipe
from anomri.cli import app

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


class Generated(SphinxDirective):
    """Directive whose content is made from the code."""

    has_content = False
    optional_arguments = 20

    def lines(self) -> Iterable[str]:
        """Yield reStructuredText."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse the lines where the directive stands."""
        return self.parse_text_to_nodes("\n".join(self.lines()), allow_section_headings=True)


class Commands(Generated):
    """Help of every command, as `anomri COMMAND --help` prints it."""

    def lines(self) -> Iterable[str]:
        """Yield a section for each command."""
        yield from _help_of(get_command(app), "anomri")


class Recipes(Generated):
    """Options of a recipe, by section, from the models that validate recipes."""

    SECTIONS: ClassVar = (
        recipe.Recipe,
        recipe.Preparation,
        recipe.Template,
        recipe.Training,
        recipe.Augmentation,
        recipe.NoiseSquares,
        recipe.Perturbation,
        recipe.Detection,
        recipe.CombinedRecipe,
        recipe.MapEntry,
    )

    def lines(self) -> Iterable[str]:
        """Yield a table and the description for each section."""
        for section in self.SECTIONS:
            yield from _heading(section.__name__)
            yield from (f".. autoclass:: anomri.recipe.{section.__name__}()", "   :no-index:", "")
            yield from (
                ".. list-table::",
                "   :header-rows: 1",
                "",
                "   * - option",
                "     - value",
            )
            yield "     - if omitted"
            for name, kind, default in _options(section):
                yield from (f"   * - ``{name}``", f"     - ``{kind}``", f"     - ``{default}``")
            yield ""


class Exports(Generated):
    """Classes and functions that packages export."""

    def lines(self) -> Iterable[str]:
        """Yield a section for each package."""
        seen = set()
        for package in self.arguments:
            module = import_module(package)
            yield from _heading(f"Package {package}")
            yield from ((module.__doc__ or "").partition("\n")[0], "")
            for name in module.__all__:
                member = getattr(module, name)
                if _is_ours(member) and member not in seen:
                    seen.add(member)
                    kind = "autoclass" if isinstance(member, type) else "autofunction"
                    members = ("   :members:",) if isinstance(member, type) else ()
                    yield from (f".. {kind}:: {package}.{name}", *members, "")


def _is_ours(member: object) -> bool:
    """Tell a class or function of anomri from an alias of a type and a value."""
    is_definition = isinstance(member, type | FunctionType)
    return is_definition and str(member.__module__).startswith("anomri.")


def _heading(text: str) -> tuple[str, ...]:
    return (text, "-" * len(text), "")


def _help_of(command: Any, path: str) -> Iterable[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    yield from _heading(path)
    yield ".. code-block:: text"
    yield ""
    yield from (f"   {line}".rstrip() for line in command.get_help(context).splitlines())
    yield ""
    for name, inner in getattr(command, "commands", {}).items():
        yield from _help_of(inner, f"{path} {name}")


def _options(section: type[BaseModel]) -> Iterable[tuple[str, str, str]]:
    for name, field in section.model_fields.items():
        default = "required" if field.is_required() else _short(field.get_default())
        yield name, _kind(field.annotation), default


def _short(value: object) -> str:
    if isinstance(value, recipe.Step):
        return value.name
    return f"{type(value).__name__}()" if isinstance(value, BaseModel) else repr(value)


def _kind(annotation: Any) -> str:
    """Return a type as a recipe's author reads it."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    text = re.sub(r"\b(?:\w+\.)+(?=\w)", "", str(annotation)).replace("NoneType", "None")
    return re.sub(r"Annotated\[(\w+), .*?\)\]", r"\1", text)


def _without_outside_links(app: Sphinx, name: str, source: list[str]) -> None:
    """Replace links to files of the repository that are no page by their names.

    A link to a file that does not exist stays, and the build fails on it.
    """
    docs = Path(app.srcdir)
    folder = (docs / name).parent

    def text_of(link: re.Match[str]) -> str:
        text, target = link.group(1), (folder / link.group(2)).resolve()
        return link.group(0) if docs in target.parents or not target.exists() else text

    source[0] = LINK.sub(text_of, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register directives and the rewriting of links."""
    app.add_directive("anomri-commands", Commands)
    app.add_directive("anomri-recipes", Recipes)
    app.add_directive("anomri-exports", Exports)
    app.connect("source-read", _without_outside_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
