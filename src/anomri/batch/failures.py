"""Failed scans of a folder of results, with the reasons, in one file per scan.

Jobs of an array and jobs of single participants may write to one folder at the same time; with a
file per scan no job overwrites the failures of another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path

from anomri.batch.shards import NOTES
from anomri.errors import DamagedFile, Failure
from anomri.files import read_json, write_text

FOLDER = "failures"
REMOVE = "delete it; the next run of `anomri detect` writes it again"

Failures = dict[str, Failure]  # by the scan's label


def by_label(failures: Iterable[Failure]) -> Failures:
    """Return failures by the label of their scan, sorted."""
    ordered = sorted(failures, key=attrgetter("label"))
    return {failure.label: failure for failure in ordered}


def known(folder: Path) -> Failures:
    """Return the failures recorded in a folder, sorted by label.

    A record that cannot be read is given as the reason.
    """
    found = {}
    for file in sorted((folder / NOTES / FOLDER).glob("*.json")):
        with suppress(FileNotFoundError):  # another job may have finished this scan meanwhile
            found[file.stem] = _read(file)
    return found


def _read(file: Path) -> Failure:
    try:
        return read_json(file, Failure, what="a scan's failure", next_step=REMOVE)
    except DamagedFile as error:
        return Failure.of(error, subject=file.stem, label=file.stem)


def replace_for(folder: Path, labels: Iterable[str], failures: Mapping[str, Failure]) -> None:
    """Replace the recorded failures of some scans.

    Args:
        folder: of the results.
        labels: scans whose records are removed if they have no failure any more.
        failures: by label.
    """
    place = folder / NOTES / FOLDER
    for label in set(labels) - set(failures):
        (place / f"{label}.json").unlink(missing_ok=True)
    for label, failure in failures.items():
        write_text(
            place / f"{label}.json", json.dumps(asdict(failure), indent=1, ensure_ascii=False)
        )


def replace_all(folder: Path, failures: Mapping[str, Failure]) -> None:
    """Replace all recorded failures."""
    replace_for(folder, known(folder), failures)
