"""Batches of scans: one task per scan, and the outcome."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from anomri.batch.executor import SERIAL, Executor
from anomri.batch.shards import WHOLE, Shard
from anomri.datasets import Found, LeftOut
from anomri.errors import LEFT_OUT, AnomriError, DamagedFile, DiskFull, Failure, ScanError
from anomri.files import DISK_FULL
from anomri.scan import ScanFiles

Item = TypeVar("Item")
Progress = Callable[[Sequence[Any], str], Iterable[Any]]

log = logging.getLogger(__name__)
UNEXPECTED = "unexpected"
"""First word of a failure whose reason ends with the text of a library's error."""


def no_progress(items: Sequence[Item], _: str) -> Iterable[Item]:
    """Return ``items``; no progress is shown."""
    return items


@dataclass(frozen=True, slots=True)
class Execution:
    """How to run a batch.

    Attributes:
        executor: worker processes.
        shard: part of the scans to process.
        progress: shows progress; called with the items and a description.
    """

    executor: Executor = SERIAL
    shard: Shard = WHOLE
    progress: Progress = no_progress


DEFAULT_EXECUTION = Execution()


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What was found in a scan, in one line.

    >>> str(ScanSummary(lesions=3, volume_ml=4.21, seconds=6.3))
    '3 lesions, 4.2 ml, 6 s'

    Attributes:
        lesions: their number.
        volume_ml: of all of them.
        seconds: duration.
    """

    lesions: int
    volume_ml: float
    seconds: float

    def __str__(self) -> str:
        """Return the line."""
        lesions = "1 lesion" if self.lesions == 1 else f"{self.lesions} lesions"
        return f"{lesions}, {self.volume_ml:.1f} ml, {self.seconds:.0f} s"


@dataclass(slots=True)
class Outcome:
    """Outcome of a batch.

    Attributes:
        done: labels of scans finished now.
        unchanged: labels of scans finished before.
        failures: one entry per scan that could not be used.
        values: return values of the task, one per label in ``done``.
        exit_codes: of the failures.
        left_out: subjects of the data set without a usable scan.
        not_detected: scans to evaluate that were not processed; these are not failures.
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
        """0: success; 5: quality checks refused scans; 3: other scans failed or were left out."""
        if self.left_out:
            return 3
        if not self.failures:
            return 0
        return 5 if self.exit_codes == {5} else 3

    def add(self, label: str, value: Any) -> None:
        """Add the return value of a :class:`GuardedTask`."""
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
    """A task whose errors are failures of their scan, and do not end the batch.

    Attributes:
        task: returns False for a scan that was finished before.
    """

    task: Callable[[ScanFiles], Any]

    def __call__(self, files: ScanFiles) -> Any:
        """Return the value of the task, or the failure with its exit code."""
        try:
            return self.task(files)
        except (ScanError, DamagedFile) as error:  # a damaged file: an earlier result
            code = error.exit_code if isinstance(error, ScanError) else ScanError.exit_code
            return Failure.of(error, subject=files.subject, label=files.label), code
        except AnomriError:
            raise  # concerns all scans, such as a missing package
        # For an unusual scan a library may raise anything.
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise DiskFull(_place(error), error.strerror or "") from error
            log.error("%s: unexpected\n%s", files.subject, _traceback(error))
            return _unexpected(files, error), 3


def run_batch(
    found: Found, task: Callable[[ScanFiles], Any], execution: Execution, description: str
) -> Outcome:
    """Run a task for each scan of this shard; an error affects its own scan only.

    Args:
        found: all scans.
        task: pickled and sent to the workers.
        execution: how to run the batch.
        description: of the progress, such as ``detecting``.
    """
    found, outcome = execution.shard.found(found), Outcome()
    # Closed in any case, so that no worker outlives an interrupted batch.
    with closing(execution.executor.run(GuardedTask(task), found.scans)) as results:
        for number, files in enumerate(execution.progress(found.scans, description), start=1):
            value = next(results)
            outcome.add(files.label, value)
            log.info("%d/%d %s %s", number, len(found.scans), files.label, _in_words(value))
    outcome.left_out = left_out(found.left_out)
    return outcome


def _in_words(value: Any) -> str:
    """Return what became of a scan, for a line of the log."""
    if isinstance(value, tuple) and isinstance(value[0], Failure):
        failure = value[0]
        return f"failed: {failure.file or failure.subject}: {failure.reason}"
    if value is False:
        return "unchanged"
    return f"done, {value}" if isinstance(value, ScanSummary) else "done"


def _place(error: OSError) -> str:
    return str(error.filename2 or error.filename or "the disk, possibly that of temporary files")


def left_out(subjects: Iterable[LeftOut]) -> list[Failure]:
    """Return the table rows of subjects without a usable scan."""
    step = "correct the files named, or remove the subject from the data set"
    return [
        Failure(
            subject=subject.subject,
            label=subject.label,
            reason=subject.reason,
            next_step=step,
            status=LEFT_OUT,
        )
        for subject in subjects
    ]


def _unexpected(files: ScanFiles, error: Exception) -> Failure:
    return Failure(
        subject=files.subject,
        label=files.label,
        reason=f"{UNEXPECTED} {type(error).__name__}: {_without_folders(str(error))}",
        next_step="run the same command again with --verbose, and report the error with the last "
        "lines of the output",
    )


def _traceback(error: Exception) -> str:
    """Return the traceback of an error, of paths only the last parts."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(map(_without_folders, lines))


def _without_folders(text: str) -> str:
    r"""Shorten each path in a message to its last part: the folders are private.

    >>> _without_folders("[Errno 28] No space left on device: '/home/ada/my scans/a.nii'")
    "[Errno 28] No space left on device: 'a.nii'"
    >>> _without_folders(r"cannot map C:\Users\ada\a.nii (3/4 read)")
    'cannot map a.nii (3/4 read)'
    """
    quoted = re.sub(r"(?<=['\"])(?:[A-Za-z]:)?[\\/][^'\"]*[\\/]", "", text)
    return re.sub(r"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[^\s'\":]+[\\/])+", "", quoted)
