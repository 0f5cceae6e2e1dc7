"""Option objects: frozen dataclasses whose fields are options of the command line."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import Annotated, Any, get_args, get_type_hints

from typer.core import TyperCommand, TyperGroup


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command in which the fields of option objects are options of their own.

    Typer reads a command's options from its signature. An option object is a parameter whose type
    is a dataclass with fields ``Annotated[type, typer.Option(...)]``; its ``PANEL`` is the heading
    that the help lists them under.
    """
    parameters = inspect.signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {
        name: p.annotation for name, p in parameters.items() if is_dataclass(p.annotation)
    }

    @wraps(command)
    def expanded(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    single = [parameter for name, parameter in parameters.items() if name not in groups]
    options = [option for group in groups.values() for option in _options_of(group)]
    keywords = [option.replace(kind=Parameter.KEYWORD_ONLY) for option in (*single, *options)]
    expanded.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    return expanded


def _options_of(group: Any) -> Iterator[Parameter]:
    """Yield a parameter for each field of an option object."""
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        value_type, option = get_args(hints[field.name])
        option = copy(option)
        option.rich_help_panel = group.PANEL
        default = Parameter.empty if field.default is MISSING else field.default
        annotation: Any = Annotated[value_type, option]
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


class GroupedHelp(TyperCommand):
    """Command whose help lists options under the headings of their panels.

    Typer does so in its Rich help only, which cuts off the names of options in narrow terminals.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for the arguments and for each panel."""
        sections = defaultdict(list)
        for parameter in self.get_params(ctx):
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            heading = getattr(parameter, "rich_help_panel", None) or usual
            if record := parameter.get_help_record(ctx):
                sections[heading].append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class ListByDefault(TyperGroup):
    """Group of commands whose command `list` need not be named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Add `list` where no command of the group, and no help, comes first."""
        first = args[0] if args else ""
        if first not in {*self.commands, *self.get_help_option_names(ctx)}:
            args = ["list", *args]
        return super().parse_args(ctx, args)
