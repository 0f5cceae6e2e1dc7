"""Which scans are the time points of which subject."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from anomri.datasets import acquisition_date, parse_date
from anomri.errors import UsageError
from anomri.reporting import Record
from anomri.scan import ScanFiles


@dataclass(frozen=True, slots=True)
class Examination:
    """One scan with its result.

    Attributes:
        folder: of the results that hold the scan's.
        record: of the result.
        files: the scan itself; None where only its result is known.
        date: on which it was acquired; None where nothing tells. Never written.
    """

    folder: Path
    record: Record
    files: ScanFiles | None = None
    date: date | None = None

    @property
    def subject_label(self) -> str:
        """BIDS label of the subject, ``sub-<label>``."""
        return self.record.label.partition("_ses-")[0]

    @property
    def session(self) -> str:
        """BIDS label of the session; empty without one."""
        return self.record.label.partition("_ses-")[2]


@dataclass(frozen=True, slots=True)
class Course:
    """The examinations of one subject, earliest first.

    Attributes:
        subject: name in the data set.
        label: BIDS label, ``sub-<label>``.
        examinations: earliest first.
    """

    subject: str
    label: str
    examinations: tuple[Examination, ...]

    @property
    def sessions(self) -> tuple[str, ...]:
        """Names of the sessions, numbered where they are not distinct."""
        names = tuple(one.session for one in self.examinations)
        distinct = all(names) and len(set(names)) == len(names)
        return names if distinct else tuple(str(n) for n in range(1, len(names) + 1))

    @property
    def days(self) -> tuple[int | None, ...]:
        """Days since the first examination; None where a date is not known."""
        dates = [one.date for one in self.examinations]
        start = dates[0]
        return tuple(None if day is None or start is None else (day - start).days for day in dates)


def examinations_of(
    folder: Path, records: Iterable[Record], scans: Mapping[str, ScanFiles]
) -> list[Examination]:
    """Return the examinations in a folder of results.

    Args:
        folder: of the results.
        records: of the scans in it.
        scans: by label, the scans that the results were made from, as far as they are known.
    """
    found = []
    for record in records:
        files = scans.get(record.label)
        day = acquisition_date(files) if files else None
        found.append(Examination(folder, record, files, day))
    return found


def courses_of(sources: Sequence[Sequence[Examination]], *, one_subject: bool) -> list[Course]:
    """Group examinations by subject.

    Several sources with one scan each are one subject's time points, in this order. Any others are
    matched by the label of their subject; those of one source are in the order of their dates, or
    of their names where a date is not known.

    Args:
        sources: the examinations of each source, in the order given.
        one_subject: whether each source has one scan. Where others of its scans have no result,
            the examinations that are left may be of different subjects.
    """
    if one_subject and len(sources) > 1 and all(len(source) == 1 for source in sources):
        return [_course([source[0] for source in sources])]
    by_subject: dict[str, list[Examination]] = defaultdict(list)
    for source in sources:
        for one in _ordered(source):
            by_subject[one.subject_label].append(one)
    return [_course(examinations) for _, examinations in sorted(by_subject.items())]


def with_dates(courses: Sequence[Course], dates: Sequence[str]) -> list[Course]:
    """Give the examinations dates of the command line; without any they keep their own.

    Raises:
        UsageError: there are several subjects, another number of dates, or one that is none.
    """
    if not dates:
        return list(courses)
    counts = [len(course.examinations) for course in courses]
    days = check_dates(dates, sum(counts))
    if len(courses) > 1:
        raise UsageError(
            f"--dates: expected the scans of one subject, got those of {len(courses)}. "
            "Next: leave --dates out, or follow one subject."
        )
    dated = (replace(one, date=day) for one, day in zip(courses[0].examinations, days, strict=True))
    return [replace(courses[0], examinations=tuple(dated))]


def check_dates(dates: Sequence[str], count: int) -> list[date | None]:
    """Return the days of dates, of which there may be none.

    Args:
        dates: of the command line.
        count: of the time points.

    Raises:
        UsageError: there is another number of dates, or one that is none.
    """
    days = [parse_date(text) for text in dates]
    if None in days:  # not what it is: no date is written, and a log file may be
        raise UsageError(
            f"--dates: expected dates such as 2024-03-01, got something else at position "
            f"{days.index(None) + 1}. Next: write year, month and day."
        )
    if len(days) not in (0, count):
        raise UsageError(
            f"--dates: expected a date for each time point of one subject, got {len(dates)} for "
            f"{count} time points. "
            "Next: write them in the order of the scans, separated by commas."
        )
    return days


def _course(examinations: Sequence[Examination]) -> Course:
    first = examinations[0]
    return Course(first.record.subject, first.subject_label, tuple(examinations))


def _ordered(examinations: Sequence[Examination]) -> list[Examination]:
    if all(one.date is not None for one in examinations):
        return sorted(examinations, key=lambda one: (one.date, one.record.label))
    return sorted(examinations, key=lambda one: _numerical_order(one.record.label))


def _numerical_order(label: str) -> list[tuple[int, str]]:
    """Return a sort key of a label, in which session 2 comes before session 10."""
    parts = re.split(r"(\d+)", label)
    return [(int(part) if part.isdigit() else 0, part) for part in parts]
