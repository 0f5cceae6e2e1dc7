"""Which scans of a folder of results failed, and why; kept by scan.

Jobs of an array and jobs of single participants write to one folder. Each takes the failures of
its own scans out of the list and puts the new ones in, so that no job loses what another one saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from anomri.pipeline.batch import Outcome
from anomri.pipeline.parts import NOTES
from anomri.reporting import Failure
from anomri.scan import ScanFiles
from anomri.tsv import write_text

LIST = "failures.json"

Failures = dict[str, Failure]  # by the scan's label


def failures_of(scans: Iterable[ScanFiles], outcome: Outcome) -> Failures:
    """Return the failures of a batch by label; both are in the order of the scans."""
    well = {*outcome.done, *outcome.unchanged}
    failed = [files.label for files in scans if files.label not in well]
    return dict(zip(failed, outcome.failures, strict=True))


def known(folder: Path) -> Failures:
    """Return the failures that the folder's list holds."""
    path = folder / NOTES / LIST
    if not path.is_file():
        return {}
    held = json.loads(path.read_text("utf-8"))
    return {label: Failure(**entry) for label, entry in held.items()}


def replace_for(folder: Path, labels: Iterable[str], failures: Mapping[str, Failure]) -> None:
    """Take what is known of some scans out of the list and put their failures in."""
    looked_at = frozenset(labels)
    others = {label: held for label, held in known(folder).items() if label not in looked_at}
    replace_all(folder, {**others, **failures})


def replace_all(folder: Path, failures: Mapping[str, Failure]) -> None:
    """Write the list anew; none where nothing failed."""
    path = folder / NOTES / LIST
    if not failures:
        path.unlink(missing_ok=True)
        return
    entries = {label: asdict(failures[label]) for label in sorted(failures)}
    write_text(path, json.dumps(entries, indent=1, ensure_ascii=False))
