"""Choice of BIDS files by their entities.

The JSON format is that of pybids, as fMRIPrep and MRIQC take it with ``--bids-filter-file``: a
query for each kind of image, with a value for each entity::

    {"flair": {"acquisition": "3D"}, "t1w": {"run": [1, 2], "ceagent": null}}

==========================  ============================================================
``"3D"``, ``2``, ``true``   this value; numbers are compared as numbers, so that 1 is ``01``
``["3D", "2D"]``            one of these values
``null``                    without the entity
``"*"``                     with the entity, whatever its value
``"regex_search": true``    the values of this query are regular expressions, searched for
==========================  ============================================================

A file that does not match is not used. Options (``--select``) are less strict, so that they can be
given for a data set in which only some scans have several files: they are applied to the scans of
which a file has the entity.

Queries are ``flair``, ``t1w``, ``t1ce``, ``t2w``, and ``brain`` and ``truth`` for masks. ``t1w`` is
applied to images without contrast agent, and to the others where it names ``ceagent``. Queries
of images that anomri does not read (``bold``, ``fmap``, ...) are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from anomri.datasets.cases import BRAIN, TRUTH
from anomri.errors import UsageError
from anomri.files import read_json

ENTITIES = {
    "sub": "subject",
    "ses": "session",
    "acq": "acquisition",
    "ce": "ceagent",
    "rec": "reconstruction",
    "dir": "direction",
    "res": "resolution",
    "inv": "inv",
    "mod": "mod",
    "hemi": "hemi",
    "task": "task",
}
"""Names of pybids for the entities whose name differs from the key in a file name, among others."""
SHORT = {long: short for short, long in ENTITIES.items()}
KNOWN = {*SHORT, "run", "echo", "part", "space", "desc", "label", "mask"} | {
    *("datatype", "suffix", "extension", "split", "den", "recording", "processing", "chunk"),
    *("atlas", "flip", "mt", "tracer", "sample", "from", "to", "mode", "proc", "trc", "fmap"),
    *("staining", "nucleus", "volume", "tracksys", "density", "scanner"),
}
QUERIES = {"flair": "flair", "t1w": "t1", "t1": "t1", "t1ce": "t1ce", "t2w": "t2", "t2": "t2"} | {
    BRAIN: BRAIN,
    TRUTH: TRUTH,
}
"""Role by the name of its query."""
NAME_OF = {"flair": "flair", "t1": "t1w", "t1ce": "t1ce", "t2": "t2w", BRAIN: BRAIN, TRUTH: TRUTH}
OTHER_QUERIES = frozenset(
    {"bold", "sbref", "fmap", "roi", "dwi", "asl", "pet", "meg", "eeg", "xfm", "func", "t2star"}
)
ARGUMENTS = frozenset({"scope", "return_type", "target", "absolute_paths", "invalid_filters"})
REGEX = "regex_search"
AGENT = "ceagent"
ALL = "all"
ANY, NONE = frozenset({"*", "Query.ANY"}), frozenset({"Query.NONE"})
OPTIONAL = "Query.OPTIONAL"
WHOLE_SCANS = frozenset({"subject", "session"})  # leaving these out leaves out scans, not files
MAX_TOGETHER = 3  # entities in a suggested filter
SUGGESTED = ("run", "acquisition", "reconstruction", AGENT, "echo", "part", "inv", "mod", "desc")
"""Entities that a suggested filter uses, the most usual first."""

Entities = Mapping[str, str]
Query = Mapping[str, Any]


def entities_of(
    path: Path, entities: Mapping[str, str], suffix: str, session: str | None
) -> Entities:
    """Return the entities of a BIDS file by their names in pybids."""
    named = {ENTITIES.get(key, key): value for key, value in entities.items()}
    extension = path.name[path.name.index(".") :] if "." in path.name else ""
    place = {"suffix": suffix, "extension": extension, "datatype": path.parent.name}
    return {**named, **place, **({"session": session} if session else {})}


@dataclass(frozen=True, slots=True)
class BidsFilter:
    """Which files of a BIDS data set to use.

    >>> chosen = BidsFilter({"flair": {"run": 2}})
    >>> chosen.chooses("flair", {"run": "02"}), chosen.chooses("flair", {})
    (True, False)
    >>> chosen.chooses("t2", {})
    True

    Attributes:
        queries: by role; every entity must match.
        options: by role, or ``all`` for all images; an entity must match where a file of the same
            scan and role has it.
    """

    queries: Mapping[str, Query] = field(default_factory=dict)
    options: Mapping[str, Query] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> BidsFilter:
        """Read a filter file.

        Raises:
            UsageError: not JSON, or a query, entity or value is not known.
        """
        what = 'a JSON object of filters such as {"flair": {"run": 1}}'
        content = read_json(path, dict[str, Any], what=what, next_step="correct the file")
        return cls(dict(_parsed(content, path.name)))

    @classmethod
    def of_options(cls, texts: Iterable[str]) -> BidsFilter:
        """Return the filter of options ``entity=value`` and ``contrast:entity=value``.

        Values of the same entity are alternatives.

        >>> BidsFilter.of_options(["acq=3D", "flair:run=1", "flair:run=2"]).options
        {'all': {'acquisition': ['3D']}, 'flair': {'run': ['1', '2']}}

        Raises:
            UsageError: an option has another form, or names no known contrast or entity.
        """
        options: dict[str, dict[str, Any]] = {}
        for text in texts:
            role, entity, value = _option(text)
            options.setdefault(role, {}).setdefault(entity, []).append(value)
        return cls(options=options)

    def __bool__(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.queries or self.options)

    def joined(self, other: BidsFilter) -> BidsFilter:
        """Return a filter with the queries and options of both."""
        return BidsFilter({**self.queries, **other.queries}, {**self.options, **other.options})

    def chooses(self, role: str, entities: Entities, beside: Sequence[Entities] = ()) -> bool:
        """Return whether a file is used.

        Args:
            role: contrast, ``brain`` or ``truth``.
            entities: of the file, see :func:`entities_of`.
            beside: those of all files of the same scan and role.
        """
        return not list(self.mismatches(role, entities, beside))

    def mismatches(
        self, role: str, entities: Entities, beside: Sequence[Entities] = ()
    ) -> Iterator[tuple[str, Any]]:
        """Yield the entities of a file that do not match, with the values to match."""
        query = self._query(role)
        regex = bool(query.get(REGEX))
        for entity, value in query.items():
            if entity != REGEX and not _matches(value, entities.get(entity), regex=regex):
                yield entity, value
        everywhere = {} if role in (BRAIN, TRUTH) else self.options.get(ALL, {})
        for entity, value in {**everywhere, **self.options.get(role, {})}.items():
            decides = any(entity in other for other in (entities, *beside))
            if decides and not _matches(value, entities.get(entity)):
                yield entity, value

    def _query(self, role: str) -> Query:
        if role == "t1ce" and role not in self.queries and AGENT in self.queries.get("t1", {}):
            return self.queries["t1"]
        return self.queries.get(role, {})


def suggestion(role: str, candidates: Sequence[Entities]) -> str:
    """Return the options that would choose the first of several files; empty if none would.

    >>> suggestion("flair", [{"run": "1"}, {"run": "2"}])
    '--select flair:run=1, or --bids-filter-file with {"flair": {"run": ["1", null]}}'
    """
    first, *others = candidates
    names = [name for name in SUGGESTED if any(name in entities for entities in candidates)]
    names += [name for name in ("extension", "datatype") if name in first]
    for count in range(1, MAX_TOGETHER + 1):
        for chosen in combinations(names, count):
            values = [first.get(name) for name in chosen]
            if all([other.get(name) for name in chosen] != values for other in others):
                shared = {name for name in chosen if all(name in one for one in candidates)}
                return _as_options(role, dict(zip(chosen, values, strict=True)), shared)
    return ""


def _as_options(role: str, values: Mapping[str, str | None], shared: Set[str]) -> str:
    """Return the options for values of entities.

    Entities that all files of a scan have, such as its runs, may be missing in other scans.
    """
    query = NAME_OF[role]
    options = " ".join(
        f"--select {query}:{SHORT.get(name, name)}={'null' if value is None else value}"
        for name, value in values.items()
    )
    entries = {name: [value, None] if name in shared else value for name, value in values.items()}
    return f"{options}, or --bids-filter-file with {json.dumps({query: entries})}"


def _parsed(content: Mapping[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for query, entities in content.items():
        if query.lower() in OTHER_QUERIES:
            continue
        if query.lower() not in QUERIES:
            known = ", ".join(NAME_OF.values())
            raise UsageError(
                f"{name}: query '{query}': expected one of {known}. Next: correct the name."
            )
        if not isinstance(entities, dict):
            raise UsageError(
                f"{name}: query '{query}': expected entities with their values, such as "
                f'{{"run": 1}}, got {type(entities).__name__}. Next: correct the query.'
            )
        values = {k: v for k, v in entities.items() if k not in ARGUMENTS}
        checked = {_entity(k, name): v for k, v in values.items()}
        _check_values(checked, f"{name}: query '{query}'")
        yield QUERIES[query.lower()], checked


def _entity(text: str, where: str) -> str:
    """Return the name in pybids of an entity given by that name or by its key in file names."""
    name = ENTITIES.get(text, text)
    if name in KNOWN or name == REGEX:
        return name
    raise UsageError(
        f"{where}: entity '{text}': expected the name or the key of a BIDS entity, such as "
        "acquisition or acq, run, ceagent or ce. Next: check the spelling."
    )


def _check_values(query: Query, where: str) -> None:
    """Refuse nested objects and regular expressions that cannot be compiled."""
    for entity, value in query.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict | list | float):
                raise UsageError(
                    f"{where}: {entity}: expected a string, a whole number, null or a list of "
                    "these. Next: correct the value."
                )
            if query.get(REGEX) and isinstance(one, str):
                try:
                    re.compile(one)
                except re.error as error:
                    raise UsageError(
                        f"{where}: {entity}: expected a regular expression, got '{one}' "
                        f"({error}). Next: correct it, or remove {REGEX}."
                    ) from error


def _option(text: str) -> tuple[str, str, str | None]:
    """Return role (or :data:`ALL`), entity and value of ``[contrast:]entity=value``."""
    name, equals, value = text.partition("=")
    query, colon, entity = name.strip().rpartition(":")
    if not (equals and entity):
        raise UsageError(
            f"select '{text}': expected an entity and its value, such as run=1, flair:acq=3D or "
            "flair:acq=null. Next: correct the option."
        )
    if colon and query.lower() not in QUERIES:
        raise UsageError(
            f"select '{text}': expected one of {', '.join(NAME_OF.values())} before the colon. "
            "Next: check the spelling."
        )
    role = QUERIES[query.lower()] if colon else ALL
    value = value.strip()
    return role, _entity(entity, f"select '{text}'"), None if value in ("null", "") else value


def _matches(wanted: Any, actual: str | None, *, regex: bool = False) -> bool:
    if isinstance(wanted, list):
        return any(_matches(value, actual, regex=regex) for value in wanted)
    if wanted is None or wanted in NONE:
        return actual is None
    if wanted == OPTIONAL:
        return True
    if wanted in ANY:
        return actual is not None
    if actual is None:
        return False
    if regex:
        return re.search(str(wanted), actual, re.IGNORECASE) is not None
    text = str(wanted)
    if text.isdecimal() and actual.isdecimal():
        return int(text) == int(actual)
    return _plain(text) == _plain(actual)


def _plain(value: str) -> str:
    """Return a value without the prefix or the dot that people write before it."""
    return re.sub(r"^(sub-|ses-|\.)", "", value)
