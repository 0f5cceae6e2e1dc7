"""A batch of scans: one piece of work for each, and what became of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from anomri.batch.executor import SERIAL, Executor
from anomri.datasets import LeftOut
from anomri.errors import AnomriError, DamagedFile, DiskFull, ScanError
from anomri.files import DISK_FULL
from anomri.reporting import LEFT_OUT, Failure
from anomri.scan import ScanFiles

Item = TypeVar("Item")
Progress = Callable[[Sequence[Any], str], Iterable[Any]]

log = logging.getLogger(__name__)


def no_progress(items: Sequence[Item], _: str) -> Iterable[Item]:
    """Go through ``items`` without showing progress."""
    return items


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        done: labels finished now.
        unchanged: labels that were finished before.
        failures: one entry per scan that could not be used.
        values: what the work returned, one per label in ``done``.
        exit_codes: of the failures.
        left_out: subjects that the data set names and that have no usable scan.
        not_detected: scans to be evaluated that nobody has looked at; no failure.
    """

    done: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    exit_codes: set[int] = field(default_factory=set)
    left_out: list[Failure] = field(default_factory=list)
    not_detected: list[Failure] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when all is well; 5 when gates alone refused scans; 3 when others are missing too."""
        if self.left_out:
            return 3
        if not self.failures:
            return 0
        return 5 if self.exit_codes == {5} else 3

    def add(self, label: str, value: Any) -> None:
        """Note what an :class:`GuardedTask` made of a scan."""
        if isinstance(value, tuple) and isinstance(value[0], Failure):
            self.failures.append(value[0])
            self.exit_codes.add(value[1])
        elif value is False:
            self.unchanged.append(label)
        else:
            self.done.append(label)
            self.values.append(value)


@dataclass(frozen=True, slots=True)
class GuardedTask:
    """One scan's piece of work, done where the scan was looked at; an error costs that scan.

    Attributes:
        work: returns False where nothing had to be done, and otherwise anything else.
    """

    work: Callable[[ScanFiles], Any]

    def __call__(self, files: ScanFiles) -> Any:
        """Do the work; return what it returns, or the failure with its exit code."""
        try:
            return self.work(files)
        except (ScanError, DamagedFile) as error:  # a damaged file: what anomri wrote before
            code = error.exit_code if isinstance(error, ScanError) else ScanError.exit_code
            return Failure.of(error, subject=files.subject, label=files.label), code
        except AnomriError:
            raise  # what holds for all scans, such as a package that is missing
        # A library may raise anything at a scan that nobody has met yet.
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise DiskFull(_place(error), error.strerror or "") from error
            log.exception("%s: unexpected", files.subject)
            return _unexpected(files, error), 3


def run_batch(
    items: Sequence[ScanFiles],
    work: Callable[[ScanFiles], Any],
    progress: Progress,
    what: str,
    executor: Executor = SERIAL,
) -> Outcome:
    """Do ``work`` for each scan; an error costs that scan and no other."""
    outcome = Outcome()
    # Closed whatever happens, so that no worker outlives an interrupted batch.
    with closing(executor.run(GuardedTask(work), items)) as results:
        for files in progress(items, what):
            outcome.add(files.label, next(results))
    return outcome


def _place(error: OSError) -> str:
    return str(error.filename2 or error.filename or "the disk, perhaps that of temporary files")


def left_out(subjects: Iterable[LeftOut]) -> list[Failure]:
    """Return the rows of subjects that the data set names and that have no usable scan."""
    step = "mend what is named, or take the subject out of the data set"
    return [
        Failure(
            subject=item.subject,
            label=item.label,
            reason=item.reason,
            next_step=step,
            status=LEFT_OUT,
        )
        for item in subjects
    ]


def _unexpected(files: ScanFiles, error: Exception) -> Failure:
    return Failure(
        subject=files.subject,
        label=files.label,
        reason=f"unexpected {type(error).__name__}: {_without_folders(str(error))}",
        next_step="run `anomri --verbose` with the same command again, and report it with the "
        "last lines",
    )


def _without_folders(text: str) -> str:
    r"""Leave of each path in a message its last part: the rest is private to the machine.

    >>> _without_folders("[Errno 28] No space left on device: '/home/ada/my scans/a.nii'")
    "[Errno 28] No space left on device: 'a.nii'"
    >>> _without_folders(r"cannot map C:\Users\ada\a.nii (3/4 read)")
    'cannot map a.nii (3/4 read)'
    """
    quoted = re.sub(r"(?<=['\"])(?:[A-Za-z]:)?[\\/][^'\"]*[\\/]", "", text)
    return re.sub(r"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[^\s'\":]+[\\/])+", "", quoted)
