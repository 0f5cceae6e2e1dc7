"""Every error that anomri raises on purpose.

::

    AnomriError                 exit code 1
    ├── DiskFull                exit code 1   no space left for the results
    ├── OutputGone              exit code 1   the folder of results was removed while in use
    ├── ServerUnreachable       exit code 1   a server that does not answer, perhaps for a while
    ├── UsageError              exit code 2   a wrong option, name or folder
    │   ├── RecipeError                       an invalid recipe
    │   ├── DamagedFile                       a file written by anomri that cannot be read
    │   └── NotWritable                       no permission to write
    ├── ScanError               exit code 3   one scan; the others are still processed
    │   ├── UnreadableScan                    truncated, not an image, no permission to read
    │   │   ├── ImageTooLarge                 above the limit of memory
    │   │   └── NotFetched                    a pointer to data that were not downloaded
    │   ├── WrongShape                        4-D, RGB, empty, too thin
    │   ├── BadIntensities                    NaN, infinite, constant
    │   ├── UnusableAnswer                    what a server answered about one study
    │   ├── GridMismatch                      a mask that lies on another grid
    │   └── MissingContrast                   a contrast that the model needs
    ├── MissingPiece            exit code 4   an optional package or a download
    └── QualityRefused          exit code 5   a quality check refused the scan (also a ScanError)
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Evidence:
    """Images that show why a quality check refused a scan.

    Attributes:
        volume: (I, J, K), RAS+.
        mask: (I, J, K) bool, the brain that was found.
        spacing: mm along I, J, K.
    """

    volume: NDArray[np.float32]
    mask: NDArray[np.bool_]
    spacing: tuple[float, float, float]


class AnomriError(Exception):
    """Base class: an error whose message is written for the user.

    >>> from anomri import AnomriError, load
    >>> try:
    ...     load("no such model")
    ... except AnomriError as error:
    ...     error.exit_code
    2
    """

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling: the arguments of a subclass are not those of :class:`Exception`."""
        return _remade, (type(self), *self.args), self.__dict__


def _remade(kind: type[AnomriError], *message: str) -> AnomriError:
    return kind.__new__(kind, *message)


class _FileError(AnomriError):
    """An error that names a file, what was expected, what was found and what to do."""

    def __init__(
        self, file: str | PathLike[str], *, expected: str, got: str, next_step: str
    ) -> None:
        self.file = PurePath(fspath(file)).name
        self.reason = f"expected {expected}, got {got}"
        self.next_step = next_step
        super().__init__(f"{self.file}: {self.reason}. Next: {next_step}")


class UsageError(AnomriError):
    """A request that cannot be carried out as given."""

    exit_code = 2


class DiskFull(AnomriError):
    """No disk space or quota left for the results.

    Args:
        name: of the file or folder that was being written.
        reason: message of the operating system.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(
            f"{name}: {reason or 'no space left on device'}. Finished results are kept, and no "
            "file is incomplete. Next: free some space or raise the limit, and run the same "
            "command again."
        )


class OutputGone(AnomriError):
    """The folder of results was removed while results were being written.

    Args:
        name: of the file or folder that was being written.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name}: the folder was removed while results were being written to it. "
            "Next: run the same command again."
        )


class ServerUnreachable(AnomriError):
    """A server that does not answer.

    Args:
        address: of the server, without credentials.
        reason: what went wrong.
    """

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(
            f"{address}: expected an answer, got none ({reason}). "
            "Next: check that the server runs and can be reached, and run the same command again."
        )


class NotWritable(UsageError):
    """A folder that cannot be written to.

    Args:
        name: of the file or folder that was being written.
        reason: message of the operating system.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(
            f"{name}: {reason or 'cannot be written'}. Finished results are kept. "
            "Next: check the path and its permissions, or choose another folder."
        )


class RecipeError(UsageError):
    """A recipe that is not valid YAML, or has an unknown name or a wrong value."""


class DamagedFile(_FileError, UsageError):
    """A file written by anomri, or a table given to it, that cannot be read.

    Args:
        file: the damaged file; only its name is kept.
        expected: what it should contain.
        got: what it contains.
        next_step: what the user can do, in one sentence.
    """


class ScanError(_FileError):
    """A scan that cannot be used: which file, what was expected, what was found, what to do.

    >>> print(ScanError("t1.nii", expected="a volume", got="4 axes", next_step="split it"))
    t1.nii: expected a volume, got 4 axes. Next: split it

    Args:
        file: the faulty file; only its name is kept, so that no path of the user's machine
            appears in a report.
        expected: what the file should contain, in the user's terms.
        got: what it contains.
        next_step: what the user can do, in one sentence.
    """

    exit_code = 3


class UnreadableScan(ScanError):
    """The file is truncated, is not an image, or may not be read."""


class ImageTooLarge(UnreadableScan):
    """The image would take more memory than the limit."""


class NotFetched(UnreadableScan):
    """The file is a pointer of git-lfs or git-annex to data that were not downloaded."""


class WrongShape(ScanError):
    """The image does not have the three spatial axes of a scan."""


class BadIntensities(ScanError):
    """The voxel values cannot be those of an MRI scan: not finite, or constant."""


class GridMismatch(ScanError):
    """Two images that must lie on the same grid do not."""


class MissingContrast(ScanError):
    """The subject lacks a contrast that the model was trained on."""


class UnusableAnswer(ScanError):
    """A server's answer about one study that cannot be used."""


class MissingPiece(AnomriError):
    """An optional package, a program or a download is missing."""

    exit_code = 4


class QualityRefused(ScanError):
    """A quality check refused the scan, because its result could not be trusted.

    Args:
        file: as for :class:`ScanError`.
        expected: likewise.
        got: likewise.
        next_step: likewise.
        evidence: images for the picture of the refusal; not passed to other processes.
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

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the images behind."""
        remade, message, state = super().__reduce__()
        return remade, message, {**state, "evidence": None}


FAILED, LEFT_OUT, NOT_DETECTED = "failed", "left out", "not detected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A scan that could not be used.

    Attributes:
        subject: name in the data set.
        label: BIDS prefix of the scan.
        file: name of the faulty file, without its folder; empty if no file is to blame.
        reason: what was expected and what was found.
        next_step: what the user can do, in one sentence.
        status: ``failed``, ``left out`` before anything was computed, or ``not detected``.
    """

    subject: str
    label: str
    file: str = ""
    reason: str
    next_step: str
    status: str = FAILED

    @classmethod
    def of(cls, error: ScanError | DamagedFile, *, subject: str, label: str) -> Failure:
        """Return the failure that an error of a scan amounts to."""
        return cls(
            subject=subject,
            label=label,
            file=error.file,
            reason=error.reason,
            next_step=error.next_step,
        )
