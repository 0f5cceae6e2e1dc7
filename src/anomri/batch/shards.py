"""One cohort in the jobs of an array: which scans are whose, and tables that all of them share.

Every job gets ``--part i/n`` and writes to the same folder. A scan's files are its own; tables are
everybody's: each part leaves a note of what only it knows in ``.parts/`` and, one at a time behind
a lock, writes the tables from all that was left there. So they are whole when the last part has
finished, whichever that is. Jobs for chosen scans share the lock and leave no note.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from anomri.datasets import Found, LeftOut
from anomri.errors import UsageError
from anomri.files import read_json, write_text
from anomri.scan import ScanFiles

NOTES = ".parts"
LOCK = "lock"

ShardNote = dict[str, Any]
Labelled = TypeVar("Labelled", ScanFiles, LeftOut)


class _Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Measured(_Anything):
    """What was measured of one scan."""

    place: int
    row: dict[str, Any]
    points: list[dict[str, Any]]
    slices: list[dict[str, Any]]


class _Evaluated(BaseModel):
    measured: list[_Measured]
    unused: list[dict[str, str]] = []


class _Prepared(BaseModel):
    failures: list[dict[str, str]]


NOTE_KINDS: Mapping[str, type[BaseModel]] = {"evaluate": _Evaluated, "prepare": _Prepared}
"""What the note of a work must hold; of other works it is read by nobody."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``count``, counted from 1.

    Attributes:
        number: which of the parts.
        count: how many there are.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``.

        >>> Shard.parse("2/8")
        Part(number=2, count=8)

        Raises:
            UsageError: it is nothing of the kind, or ``i`` is not within 1 to ``n``.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"part '{text}': expected i/n with i from 1 to n, such as 2/8")
        return cls(int(match[1]), int(match[2]))

    @property
    def whole(self) -> bool:
        """Whether this part is all there is."""
        return self.count == 1

    def of(self, scans: Sequence[ScanFiles]) -> tuple[ScanFiles, ...]:
        """Return this part's scans: every n-th by label, whatever the order of the listing."""
        return self._share(scans)

    def _share(self, items: Sequence[Labelled]) -> tuple[Labelled, ...]:
        labels = sorted(item.label for item in items)[self.number - 1 :: self.count]
        mine = frozenset(labels)
        return tuple(item for item in items if item.label in mine)

    def found(self, found: Found) -> Found:
        """Return what was found, with this part's scans alone."""
        left_out = self._share(found.left_out)
        return replace(found, scans=self.of(found.scans), left_out=left_out)


WHOLE = Shard()


@contextmanager
def joint(
    folder: Path, work: str, shard: Shard, note: ShardNote, *, chosen: bool = False
) -> Iterator[list[ShardNote]]:
    """Leave a part's note and yield all parts' notes, while no other job writes tables.

    Args:
        folder: that the parts write to.
        work: what was done, such as ``detect``; a folder holds the notes of several.
        shard: whose note it is; the whole supersedes the notes of parts, and leaves none.
        note: what JSON can hold.
        chosen: the job looks at some scans only, and may meet others of its kind.
    """
    if shard.whole and not chosen and not (folder / NOTES).is_dir():
        yield [note]
        return
    with locked(folder):
        if not (shard.whole and chosen):
            _forget_other_counts(folder, work, shard)
        if not shard.whole:
            text = json.dumps(note, default=float)
            write_text(folder / NOTES / f"{work}-{shard.number}-of-{shard.count}.json", text)
        yield [note] if shard.whole else notes(folder, work)


def all_there(folder: Path, work: str, shard: Shard) -> bool:
    """Whether every part has left its note."""
    return shard.whole or len(notes(folder, work)) == shard.count


def notes(folder: Path, work: str) -> list[ShardNote]:
    """Return the notes that parts have left of a work, by number."""
    kind = NOTE_KINDS.get(work, _Anything)
    step = "delete it and run this part again"
    return [
        read_json(path, kind, what="the note of a part", next_step=step).model_dump()
        for path in _paths(folder, work)
    ]


def finish(folder: Path, writers: Mapping[str, Callable[[Path, list[ShardNote]], object]]) -> None:
    """Write the tables of every work that parts have left notes of; nothing where none did."""
    if not (folder / NOTES).is_dir():
        return
    with locked(folder):
        for work, write in writers.items():
            if held := notes(folder, work):
                write(folder, held)


def _paths(folder: Path, work: str) -> list[Path]:
    named = re.compile(rf"{work}-(\d{{1,9}})-of-\d{{1,9}}\.json")
    found = ((named.fullmatch(path.name), path) for path in (folder / NOTES).glob(f"{work}-*.json"))
    return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]


def _forget_other_counts(folder: Path, work: str, shard: Shard) -> None:
    for path in _paths(folder, work):
        if shard.whole or not path.stem.endswith(f"-of-{shard.count}"):
            path.unlink()
    if shard.whole and not any((folder / NOTES).glob("*.json")):
        shutil.rmtree(folder / NOTES, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one job at a time write what all of them share."""
    (folder / NOTES).mkdir(parents=True, exist_ok=True)
    with FileLock(folder / NOTES / LOCK):
        yield
