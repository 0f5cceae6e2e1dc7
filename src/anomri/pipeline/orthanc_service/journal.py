"""The journal of a service: what was seen of an Orthanc, and what became of each study.

SQLite, because the position in the log of changes and the studies found up to there must be written
together, and because a transaction is on disk, whole, or not there, however the process ends. Times
and tags are not kept: a study is known by Orthanc's hash of its identifiers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anomri.errors import DamagedFile, DiskFull, NotWritable, UsageError

NAME, LOCK = "journal.sqlite", "lock"
VERSION = 2
SCHEMA = """
CREATE TABLE server (address TEXT NOT NULL, position INTEGER NOT NULL);
CREATE TABLE studies (
    study TEXT PRIMARY KEY,
    step TEXT NOT NULL,
    fingerprint TEXT NOT NULL DEFAULT '',
    outcome TEXT NOT NULL DEFAULT '',
    exit_code INTEGER NOT NULL DEFAULT 0,
    kills INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0
);
"""
# Of each version after the first, what it adds to the one before it.
ADDED = ("ALTER TABLE studies ADD COLUMN reason TEXT NOT NULL DEFAULT ''",)
PRIMARY = 0xFF  # the part of SQLite's error codes that names the kind
DENIED = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})
START_AGAIN = (
    "move the work folder away and start again: studies are then processed once more, and what "
    "was sent before is recognised by its identifiers"
)


class Step(StrEnum):
    """What comes next for a study."""

    WAITING = "waiting"
    """It is to be looked at."""
    SENDING = "sending"
    """Its answer is complete and lies in the work folder."""
    FINISHED = "finished"


class Outcome(StrEnum):
    """How the work on a study ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    IGNORED = "ignored"
    """None of its images is one that the service looks at."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A study in the journal.

    Attributes:
        study: Orthanc's identifier.
        step: what comes next.
        fingerprint: of the source images that the outcome, or the answer to send, belongs to.
        outcome: empty before the first one.
        exit_code: that the outcome amounts to.
        kills: how often the process ended without notice while it worked on the study.
        errors: how often in a row Orthanc's answers about it could not be used.
    """

    study: str
    step: Step
    fingerprint: str
    outcome: str
    exit_code: int
    kills: int
    errors: int


class Journal:
    """The journal in a work folder; one process at a time has it open.

    Args:
        folder: the work folder; created if missing, readable by its owner alone.
        address: of the Orthanc.

    Raises:
        UsageError: another process has it open, or it belongs to another Orthanc.
        DamagedFile: it cannot be read.
    """

    def __init__(self, folder: Path, address: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / NAME
        self._lock = FileLock(folder / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UsageError(
                f"{folder.resolve().name}: expected a work folder of its own, another `anomri "
                "serve` uses "
                "it. Next: stop that one, or name another folder with --work-dir."
            ) from error
        try:
            with self._errors():
                self._database = sqlite3.connect(self._path, isolation_level=None)
            self._open(address)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file and let others have it."""
        if database := getattr(self, "_database", None):
            database.close()
        self._lock.release()

    @property
    def position(self) -> int:
        """Position in the log of changes up to which everything was noted."""
        return int(self._row("SELECT position FROM server")[0])

    def note(self, studies: Iterable[str], position: int) -> None:
        """Note studies to look at, and the position in the log of changes, together.

        A study whose answer is being sent stays so: what was sent makes a change, too, and the
        images are compared again before it is sent.
        """
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO studies (study, step) VALUES (?, 'waiting') ON CONFLICT (study) "
                "DO UPDATE SET step = 'waiting', errors = 0 WHERE step != 'sending'",
                [(study,) for study in studies],
            )
            database.execute("UPDATE server SET position = ?", (position,))

    def unfinished(self) -> list[str]:
        """Return the studies that are waiting or being sent, the longest known first."""
        with self._errors():
            rows = self._database.execute(
                "SELECT study FROM studies WHERE step != 'finished' ORDER BY rowid"
            ).fetchall()
        return [row[0] for row in rows]

    def entry(self, study: str) -> Entry:
        """Return what is known of a study."""
        row = self._row(
            "SELECT study, step, fingerprint, outcome, exit_code, kills, errors FROM studies "
            "WHERE study = ?",
            study,
        )
        _, step, *facts = row
        return Entry(study, Step(step), *facts)

    def begin(self, study: str) -> None:
        """Note that work on a study begins, in case the process is killed."""
        self._change("UPDATE studies SET kills = kills + 1 WHERE study = ?", study)

    def end(self, study: str) -> None:
        """Note that work on a study ended with the process alive."""
        self._change("UPDATE studies SET kills = 0 WHERE study = ?", study)

    def error(self, study: str) -> None:
        """Note that an answer about a study could not be used."""
        self._change("UPDATE studies SET errors = errors + 1 WHERE study = ?", study)

    def wait(self, study: str) -> None:
        """Note that the images of a study changed: its answer is not sent."""
        self._set(study, Step.WAITING, "", "", 0)

    def send(self, study: str, fingerprint: str, outcome: Outcome, exit_code: int) -> None:
        """Note that the answer for a study is complete."""
        self._set(study, Step.SENDING, fingerprint, outcome, exit_code)

    def finish(
        self,
        study: str,
        fingerprint: str,
        outcome: Outcome | str,
        exit_code: int = 0,
        reason: str = "",
    ) -> None:
        """Note that nothing is left to do for these images of a study, and why it has no result."""
        self._set(study, Step.FINISHED, fingerprint, outcome, exit_code, reason)

    def forget(self, study: str) -> None:
        """Remove a study that Orthanc no longer has."""
        self._change("DELETE FROM studies WHERE study = ?", study)

    def _set(
        self,
        study: str,
        step: Step,
        fingerprint: str,
        outcome: Outcome | str,
        exit_code: int,
        reason: str = "",
    ) -> None:
        self._change(
            "UPDATE studies SET step = ?, fingerprint = ?, outcome = ?, exit_code = ?, "
            "reason = ?, errors = 0 WHERE study = ?",
            *(str(step), fingerprint, str(outcome), exit_code, reason, study),
        )

    def _open(self, address: str) -> None:
        with self._transaction() as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in filter(str.strip, SCHEMA.split(";")):
                    database.execute(statement)
                database.execute("INSERT INTO server VALUES (?, -1)", (address,))
            elif version > VERSION:
                raise self._damaged(f"version {version}")
            for statement in ADDED[max(version - 1, 0) :]:
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {VERSION}")
        known = self._row("SELECT address FROM server")[0]
        if known != address:
            raise UsageError(
                f"{self._path.name}: expected the Orthanc at {known}, whose studies this journal "
                f"holds, got {address}. Next: name another folder with --work-dir."
            )

    def _change(self, statement: str, *values: str | int) -> None:
        with self._transaction() as database:
            database.execute(statement, values)

    def _row(self, statement: str, *values: str) -> tuple[Any, ...]:
        with self._errors():
            row: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
        if row is None:
            raise self._damaged("none of its entries")
        return row

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & PRIMARY
            if code == sqlite3.SQLITE_FULL:
                raise DiskFull(self._path.name, "no space left on device") from error
            if code in DENIED:
                raise NotWritable(str(self._path), str(error)) from error
            raise self._damaged(f"{type(error).__name__}: {error}") from error

    def _damaged(self, got: str) -> DamagedFile:
        return DamagedFile(
            self._path, expected="the journal of a service", got=got, next_step=START_AGAIN
        )
