"""Application of a filter to the files of BIDS scans, and advice where several remain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anomri.datasets.bids_filter import (
    WHOLE_SCANS,
    BidsFilter,
    Entities,
    entities_of,
    suggestion,
)
from anomri.datasets.bids_folders import session_of
from anomri.datasets.bids_names import name_of
from anomri.datasets.cases import BRAIN, CONTRASTS, TRUTH, Case, Cases
from anomri.datasets.file_tree import Tree

RAW = "raw"
"""Name of the scans' data set in BIDS URIs."""


def choose_files(cases: Cases, choice: BidsFilter) -> None:
    """Keep the files that a filter chooses, and note how to choose where several remain.

    A scan of another subject or session than a query names is not a scan of the user's choice. One
    of which no file is left for another reason is reported as left out.
    """
    cases.datasets[RAW] = cases.tree.root
    for key, case in list(cases.items()):
        reasons = [_apply(cases, case, role, choice) for role in (*CONTRASTS, BRAIN, TRUTH)]
        mismatches = {entity for reason in reasons for entity in reason}
        if mismatches & WHOLE_SCANS:
            cases.drop(key)
        for role in case.files:
            _describe(cases.tree, case, role)


def _apply(cases: Cases, case: Case, role: str, choice: BidsFilter) -> set[str]:
    """Remove the files of a role that do not match; return the entities that did not."""
    paths = case.files.get(role, [])
    if not paths or not choice:
        return set()
    entities = {path: _entities(cases.tree, path) for path in paths}
    others = list(entities.values())
    faults = {path: dict(choice.mismatches(role, entities[path], others)) for path in paths}
    kept = [path for path in paths if not faults[path]]
    for path in paths:
        if faults[path] and not faults[path].keys() & WHOLE_SCANS:
            cases.skip(path, _not_chosen(entities[path], faults[path]))
    if kept:
        case.files[role] = kept
    else:
        del case.files[role]
        case.unclear[role] = "no file matches the filter"
    return {entity for fault in faults.values() for entity in fault}


def _not_chosen(entities: Entities, faults: dict[str, Any]) -> str:
    parts = (
        f"its {name} is {entities.get(name, 'not given')}, not {_written(value)}"
        for name, value in faults.items()
    )
    return f"not chosen by the filter: {', '.join(parts)}"


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " or ".join(_written(one) for one in value)
    return "absent" if value is None else str(value)


def _describe(tree: Tree, case: Case, role: str) -> None:
    """Note the BIDS URIs of a role's files, and how to choose if there are several."""
    paths = case.files[role]
    for path in paths:
        case.uris.setdefault(path, f"bids:{RAW}:{tree.name(path)}")
    if len(paths) > 1 and (advice := suggestion(role, [_entities(tree, path) for path in paths])):
        case.hints[role] = f"choose one, such as {advice}"


def _entities(tree: Tree, path: Path) -> Entities:
    name = name_of(path)
    if name is None:
        return {}
    session = session_of(tree, path, name.entities)
    return entities_of(path, name.entities, name.suffix, session)
