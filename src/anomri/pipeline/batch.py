"""A batch of scans: one piece of work for each, and what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from anomri.errors import ScanError
from anomri.reporting import Failure
from anomri.scan import ScanFiles

Item = TypeVar("Item")
Track = Callable[[Sequence[Any], str], Iterable[Any]]

log = logging.getLogger(__name__)


def untracked(items: Sequence[Item], _: str) -> Iterable[Item]:
    """Go through ``items`` without showing progress."""
    return items


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        done: labels finished now.
        unchanged: labels that were finished before.
        failures: one entry per scan that could not be used.
    """

    done: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    exit_codes: set[int] = field(default_factory=set)

    @property
    def exit_code(self) -> int:
        """0 when all is well; 5 when gates alone refused scans; 3 when others failed too."""
        if not self.failures:
            return 0
        return 5 if self.exit_codes == {5} else 3


def each(
    items: Sequence[ScanFiles],
    work: Callable[[ScanFiles], bool],
    track: Track,
    what: str,
) -> Outcome:
    """Do ``work`` for each scan; an error costs that scan and no other."""
    outcome = Outcome()
    for files in track(items, what):
        try:
            (outcome.done if work(files) else outcome.unchanged).append(files.label)
        except ScanError as error:
            outcome.exit_codes.add(error.exit_code)
            outcome.failures.append(Failure.of(files.subject, error))
        except (OSError, ValueError, MemoryError, RuntimeError) as error:
            log.exception("%s: unexpected", files.subject)
            outcome.exit_codes.add(3)
            outcome.failures.append(
                Failure(
                    files.subject,
                    "",
                    f"unexpected {type(error).__name__}: {error}",
                    "run again with --verbose and report it with the last lines",
                )
            )
    return outcome
