"""Shards of a cohort for job arrays: the scans of each, and the tables that they share.

Every job gets ``--part i/n`` and writes to the same folder. Each scan has its own files, but the
tables are shared: each part leaves a note of its results in ``.parts/`` and then, holding a lock,
writes the tables from all notes. The tables are complete when the last part has finished, whichever
that is. Jobs for selected scans use the lock but leave no note.
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
from anomri.files import make_folder, read_json, write_text
from anomri.scan import ScanFiles

NOTES = ".parts"
LOCK = "lock"

ShardNote = dict[str, Any]
Labelled = TypeVar("Labelled", ScanFiles, LeftOut)


class _Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Measured(_Anything):
    """Measures of one scan."""

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
"""Schema of each command's notes; the notes of other commands are not read."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``count``, counted from 1.

    Attributes:
        number: of this part.
        count: of all parts.
    """

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``.

        >>> Shard.parse("2/8")
        Shard(number=2, count=8)

        Raises:
            UsageError: the text has another form, or ``i`` is not within 1 to ``n``.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(
                f"part '{text}': expected i/n with i from 1 to n, such as 2/8. "
                "Next: number the parts from 1."
            )
        return cls(int(match[1]), int(match[2]))

    @property
    def whole(self) -> bool:
        """Whether this is the only part."""
        return self.count == 1

    def of(self, items: Sequence[Labelled]) -> tuple[Labelled, ...]:
        """Return this part's scans: every n-th by label, whatever the order of the listing."""
        labels = set(sorted(item.label for item in items)[self.number - 1 :: self.count])
        return tuple(item for item in items if item.label in labels)

    def found(self, found: Found) -> Found:
        """Return the scans found, restricted to this part."""
        return replace(found, scans=self.of(found.scans), left_out=self.of(found.left_out))


WHOLE = Shard()


@contextmanager
def joint(
    folder: Path, work: str, shard: Shard, note: ShardNote, *, chosen: bool = False
) -> Iterator[list[ShardNote]]:
    """Leave a part's note and yield the notes of all parts; no other job writes tables meanwhile.

    Args:
        folder: that the parts write to.
        work: name of the command, such as ``detect``; a folder holds the notes of several.
        shard: of the note; the whole replaces the notes of parts, and leaves none.
        note: serialisable as JSON.
        chosen: the job processes selected scans, and others like it may run at the same time.
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
    """Whether all parts have left their notes."""
    return shard.whole or len(notes(folder, work)) == shard.count


def notes(folder: Path, work: str) -> list[ShardNote]:
    """Return the notes that parts have left of a command, by number."""
    kind = NOTE_KINDS.get(work, _Anything)
    step = "delete it and run this part again"
    return [
        read_json(path, kind, what="the note of a part", next_step=step).model_dump()
        for path in _paths(folder, work)
    ]


def finish(folder: Path, writers: Mapping[str, Callable[[Path, list[ShardNote]], object]]) -> None:
    """Write the tables of each command that parts have left notes of."""
    if not (folder / NOTES).is_dir():
        return
    with locked(folder):
        for work, write in writers.items():
            if left := notes(folder, work):
                write(folder, left)


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
    """Hold the lock of the tables that jobs share."""
    make_folder(folder / NOTES, name=folder)
    with FileLock(folder / NOTES / LOCK):
        yield
