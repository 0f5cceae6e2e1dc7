"""Entries that installed packages add to tables: reconstructors, scores and layouts.

A package of others names them in its metadata, and they are imported when they are used::

    [project.entry-points."anomri.reconstructors"]
    mine = "my_package.networks:MyNetwork"

Names that anomri has itself stay anomri's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from anomri.errors import UsageError

RECONSTRUCTOR_GROUP, SCORE_GROUP = "anomri.reconstructors", "anomri.scores"
LAYOUT_GROUP = "anomri.layouts"
GROUPS = (RECONSTRUCTOR_GROUP, SCORE_GROUP, LAYOUT_GROUP)

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Extension:
    """An entry that an installed package offers.

    Attributes:
        group: such as ``anomri.scores``.
        name: in recipes or on the command line.
        package: name and version.
    """

    group: str
    name: str
    package: str


class ExtensibleTable(dict[str, Entry]):
    """Entries by name; a name that is not among them may be an installed package's.

    Iteration lists anomri's own entries only.

    Args:
        group: entry points of the other packages.
        entries: anomri's own.
    """

    def __init__(self, group: str, entries: Mapping[str, Entry]) -> None:
        super().__init__(entries)
        self.group = group

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in entry_points(group=self.group).names

    def __missing__(self, name: str) -> Entry:
        offers = tuple(entry_points(group=self.group, name=name))
        if not offers:
            raise KeyError(name)
        if len(offers) > 1:
            packages = " and ".join(_package(offer) for offer in offers)
            raise UsageError(
                f"{name}: provided by several packages ({packages}). Next: uninstall one of them."
            )
        return _imported(offers[0])


def extensions(groups: Iterable[str] = GROUPS) -> list[Extension]:
    """List what installed packages offer, without importing it."""
    return [
        Extension(group, entry.name, _package(entry))
        for group in groups
        for entry in sorted(entry_points(group=group), key=lambda entry: entry.name)
    ]


def _imported(entry: EntryPoint) -> Entry:  # type: ignore[type-var]
    try:
        loaded: Entry = entry.load()
    except Exception as error:
        raise UsageError(
            f"{entry.name}: expected {entry.value} of the package {_package(entry)}, got "
            f"{type(error).__name__}: {error}. Next: update or uninstall this package."
        ) from error
    return loaded


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
