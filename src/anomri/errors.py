"""Every error that anomri raises on purpose.

::

    AnomriError                 exit code 1
    ├── DiskFull                exit code 1   no space left where results are written
    ├── OutputGone              exit code 1   somebody removed the folder of the results meanwhile
    ├── UsageError              exit code 2   an option, a name or a folder that cannot be right
    │   ├── RecipeError                       a recipe that does not validate
    │   ├── DamagedFile                       a file of anomri's own that cannot be read back
    │   └── NotWritable                       a folder that cannot be written to
    ├── ScanError               exit code 3   one scan's fault; the batch goes on without it
    │   ├── UnreadableScan                    truncated, not an image, no permission
    │   │   └── NotFetched                    a pointer to data that were not downloaded
    │   ├── WrongShape                        4-D, RGB, empty, too thin
    │   ├── BadIntensities                    NaN, infinite, constant
    │   ├── GridMismatch                      a mask that lies on another grid
    │   └── MissingContrast                   the model needs what the subject does not have
    ├── MissingPiece            exit code 4   something to install or to download
    └── QualityRefused          exit code 5   a gate refused the scan (also a ScanError)
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Evidence:
    """What made a gate refuse.

    Attributes:
        volume: (I, J, K), RAS+.
        mask: (I, J, K) bool, what was found in it.
        spacing: mm along I, J, K.
    """

    volume: NDArray[np.float32]
    mask: NDArray[np.bool_]
    spacing: tuple[float, float, float]


class AnomriError(Exception):
    """Root of the tree: an error whose message is meant for the person at the keyboard."""

    exit_code = 1


class UsageError(AnomriError):
    """What was asked for cannot be done as asked."""

    exit_code = 2


class DiskFull(AnomriError):
    """There is no space, or no quota, left where results are written.

    Args:
        name: what was being written.
        reason: in the words of the operating system.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(
            f"{name}: {reason or 'no space left on device'}. What was finished is kept, and "
            "nothing is left half-written. Next: free some space or raise the limit, and run the "
            "same command again."
        )

    def __reduce__(self) -> tuple[type[DiskFull], tuple[str, str]]:
        """Travel to another process."""
        return type(self), (self.name, self.reason)


class OutputGone(AnomriError):
    """A folder of results was removed while they were written.

    Args:
        name: what was being written.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name}: the folder was removed while it was written to. "
            "Next: run the same command again."
        )

    def __reduce__(self) -> tuple[type[OutputGone], tuple[str]]:
        """Travel to another process."""
        return type(self), (self.name,)


class NotWritable(UsageError):
    """A folder that cannot be written to.

    Args:
        name: what was being written.
        reason: in the words of the operating system.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(
            f"{name}: {reason or 'cannot be written'}. What was finished is kept. "
            "Next: check the path and who may write there, or choose another folder."
        )

    def __reduce__(self) -> tuple[type[NotWritable], tuple[str, str]]:
        """Travel to another process."""
        return type(self), (self.name, self.reason)


class RecipeError(UsageError):
    """A recipe that is not valid YAML, names something unknown or holds a wrong value."""


class DamagedFile(UsageError):
    """A file that anomri wrote itself, or a table given to it, cannot be read back.

    Args:
        file: the file at fault; only its name is kept.
        expected: what it should have held.
        got: what it holds.
        next_step: one sentence on how to go on.
    """

    def __init__(
        self, file: str | PathLike[str], *, expected: str, got: str, next_step: str
    ) -> None:
        self.file = PurePath(fspath(file)).name
        self.reason = f"expected {expected}, got {got}"
        self.next_step = next_step
        super().__init__(f"{self.file}: {self.reason}. Next: {next_step}")

    def __reduce__(self) -> tuple[object, ...]:
        """Travel from a worker process: the arguments are not those of :class:`Exception`."""
        return _damaged, (self.file, self.reason, self.next_step)


def _damaged(file: str, reason: str, next_step: str) -> DamagedFile:
    error = DamagedFile(file, expected="", got="", next_step=next_step)
    error.reason, error.args = reason, (f"{file}: {reason}. Next: {next_step}",)
    return error


class ScanError(AnomriError):
    """One scan cannot be used; says which file, what was expected, what was found, what to do.

    Args:
        file: the file at fault; only its name is kept, so that no folder of the user's
            machine reaches a report.
        expected: what the file should have held, in the user's words.
        got: what it holds.
        next_step: one sentence on how to go on.
    """

    exit_code = 3

    def __init__(
        self, file: str | PathLike[str], *, expected: str, got: str, next_step: str
    ) -> None:
        self.file = PurePath(fspath(file)).name
        self.reason = f"expected {expected}, got {got}"
        self.next_step = next_step
        super().__init__(f"{self.file}: {self.reason}. Next: {next_step}")


class UnreadableScan(ScanError):
    """The file is truncated, is no image, or may not be read."""


class NotFetched(UnreadableScan):
    """The file is a pointer of git-lfs or git-annex to data that were not downloaded."""


class WrongShape(ScanError):
    """The image does not have the three spatial axes of a scan."""


class BadIntensities(ScanError):
    """The voxel values cannot be an MRI scan: not finite, or all the same."""


class GridMismatch(ScanError):
    """Two images that must share a grid do not."""


class MissingContrast(ScanError):
    """The subject lacks a contrast that the model was trained on."""


class MissingPiece(AnomriError):
    """An optional library, a program or a download that is not there."""

    exit_code = 4


class QualityRefused(ScanError):
    """A quality gate refused the scan: a result would not deserve trust.

    Args:
        file: as for :class:`ScanError`.
        expected: likewise.
        got: likewise.
        next_step: likewise.
        evidence: what a picture of the refusal shows; it does not travel to another process.
    """

    exit_code = 5

    def __init__(
        self,
        file: str | PathLike[str],
        *,
        expected: str,
        got: str,
        next_step: str,
        evidence: Evidence | None = None,
    ) -> None:
        super().__init__(file, expected=expected, got=got, next_step=next_step)
        self.evidence = evidence
