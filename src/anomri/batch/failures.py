"""Which scans of a folder of results failed, and why; kept by scan.

Jobs of an array and jobs of single participants write to one folder, at the same time. Each scan
has a file of its own, so that no job loses what another one saw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path

from anomri.batch.shards import NOTES
from anomri.errors import DamagedFile
from anomri.files import read_json, write_text
from anomri.reporting import Failure

FOLDER = "failures"
REMOVE = "delete it; the next run of `anomri detect` writes it again"

Failures = dict[str, Failure]  # by the scan's label


def by_label(failures: Iterable[Failure]) -> Failures:
    """Return failures by the label of their scan, in the order of the labels."""
    ordered = sorted(failures, key=attrgetter("label"))
    return {failure.label: failure for failure in ordered}


def known(folder: Path) -> Failures:
    """Return the failures that are known in the folder, in the order of their labels.

    A note that cannot be read back is itself the reason that is given.
    """
    found = {}
    for file in sorted((folder / NOTES / FOLDER).glob("*.json")):
        with suppress(FileNotFoundError):  # another job may just have finished this scan
            found[file.stem] = _read(file)
    return found


def _read(file: Path) -> Failure:
    try:
        return read_json(file, Failure, what="a scan's failure", next_step=REMOVE)
    except DamagedFile as error:
        return Failure.of(error, subject=file.stem, label=file.stem)


def replace_for(folder: Path, labels: Iterable[str], failures: Mapping[str, Failure]) -> None:
    """Forget what is known of some scans, and keep their failures."""
    place = folder / NOTES / FOLDER
    for label in set(labels) - set(failures):
        (place / f"{label}.json").unlink(missing_ok=True)
    for label, failure in failures.items():
        write_text(
            place / f"{label}.json", json.dumps(asdict(failure), indent=1, ensure_ascii=False)
        )


def replace_all(folder: Path, failures: Mapping[str, Failure]) -> None:
    """Forget all that is known, and keep these failures."""
    replace_for(folder, known(folder), failures)
