"""Follow-up: the change of each subject's lesions over several time points."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from anomri.batch import DEFAULT_EXECUTION, Execution, Outcome, known, left_out, run_batch
from anomri.datasets import Found, converted, write_dataset_description
from anomri.detector import Detector
from anomri.errors import DamagedFile, Failure, MissingContrast, ScanError, UsageError
from anomri.files import DATASET_DESCRIPTION, FAILURES, remove_stale_drafts
from anomri.longitudinal import (
    EvolutionRecord,
    TimePoint,
    follow,
    read_evolution,
    read_time_point,
    refuse_foreign_files,
    write_evolution,
    write_evolution_tables,
)
from anomri.pipeline.detection import detect
from anomri.pipeline.run_record import write_run
from anomri.pipeline.scan_selection import Selection
from anomri.pipeline.time_point_selection import (
    Course,
    Examination,
    check_dates,
    courses_of,
    examinations_of,
    with_dates,
)
from anomri.reporting import read_sound_records, refusals_shown, write_failures
from anomri.scan import ScanFiles

DETECTIONS = "detections"  # folder of the results of scans that had none
EVERYONE = Selection()
ALGORITHM = 1  # incremented when the same results yield another evolution

log = logging.getLogger(__name__)


def is_results(folder: Path) -> bool:
    """Whether a folder was written by ``anomri detect``."""
    description = folder / DATASET_DESCRIPTION
    if not description.is_file():
        return False
    ours = '"anomri"' in description.read_text("utf-8", errors="replace")
    return ours and any(folder.glob("sub-*"))


def follow_up(
    sources: Sequence[Path | Found],
    out: Path,
    *,
    detector: Detector | None = None,
    dates: Sequence[str] = (),
    selection: Selection = EVERYONE,
    execution: Execution = DEFAULT_EXECUTION,
    command: Sequence[str] = (),
) -> Outcome:
    """Compare the time points of every subject, and write tables, labels and pages.

    Args:
        sources: one for each time point, or one with all of them: a folder of results of
            ``detect``, or the scans found in a source, in which lesions are detected first.
        out: folder of the results.
        detector: for scans.
        dates: of the time points of a single subject; otherwise those of DICOM or BIDS are used.
        selection: of subjects and sessions, for sources that are results.
        execution: how to run the batch.
        command: the command line, without the dates, for ``run.json``.

    Raises:
        UsageError: there is no subject with two time points, or the dates do not fit.
    """
    _check_request(sources, dates)
    remove_stale_drafts(out)
    outcome = Outcome()
    examined = _examinations(sources, out, detector, selection, execution, outcome)
    alone = all(_count_scans(source, selection) == 1 for source in sources)
    courses = courses_of(examined, one_subject=alone)
    if not outcome.failures:
        courses = with_dates(courses, dates)
    elif dates:  # which belong to the scans that are left cannot be known
        log.warning(
            "--dates: not used, because not every time point could be. "
            "Next: repair or leave out those in %s, and give the dates of the others.",
            FAILURES,
        )
    _refuse_one_time_point(courses, outcome)
    write_dataset_description(out)
    by_label = {course.label: course for course in courses}
    keys = tuple(
        ScanFiles(subject=course.subject, contrasts={}, layout="follow", own_label=label[4:])
        for label, course in by_label.items()
    )
    orientation = detector.recipe.preparation.orientation if detector else ""
    task = FollowTask(by_label, out, orientation)
    followed = run_batch(Found(keys, (), "follow"), task, execution, "following")
    outcome.done, outcome.unchanged = followed.done, followed.unchanged
    outcome.failures += followed.failures
    outcome.exit_codes |= followed.exit_codes
    write_failures(out, [*outcome.failures, *outcome.left_out])
    follow_tables(out)
    write_run(out, command)
    return outcome


def follow_tables(out: Path) -> None:
    """Write the tables of a folder of results from its records."""
    records = []
    for folder in sorted(path for path in out.glob("sub-*") if path.is_dir()):
        with suppress(DamagedFile):
            if record := read_evolution(out, folder.name):
                records.append(record)
    write_evolution_tables(out, records)


@dataclass(frozen=True, slots=True)
class FollowTask:
    """Comparison of the time points of one subject; can be pickled for a worker.

    Attributes:
        courses: by label of the subject.
        out: folder of the results.
        orientation: of files whose headers do not give one.
    """

    courses: Mapping[str, Course]
    out: Path
    orientation: str = ""

    def __call__(self, files: ScanFiles) -> bool:
        """Compare and write the results; return False if that was done before."""
        course = self.courses[files.label]
        key = _key(course)
        if _finished_before(self.out, course.label) == key:
            return False
        refuse_foreign_files(self.out, course.label)
        _check_course(course)
        with ExitStack() as stack, refusals_shown(self.out, course.label):
            points = _points(course, stack, self.orientation)
            evolution = follow(points)
        record = EvolutionRecord.of(
            evolution, subject=course.subject, label=course.label, sessions=course.sessions, key=key
        )
        write_evolution(evolution, record, self.out)
        return True


def _check_request(sources: Sequence[Path | Found], dates: Sequence[str]) -> None:
    """Raise where detection would be in vain: one scan, or dates that cannot fit."""
    scans = [source.scans for source in sources if isinstance(source, Found)]
    if len(scans) == len(sources):
        check_dates(dates, sum(map(len, scans)))
        if len(scans) == 1 and len(scans[0]) == 1:
            raise _one_time_point(scans[0][0].label)


def _count_scans(source: Path | Found, selection: Selection) -> int:
    """Return how many selected scans a source has, with a result or without."""
    if isinstance(source, Found):
        return len(source.scans)
    records, damaged = read_sound_records(source)
    subjects = {label: label for label in damaged}
    subjects |= {label: failure.subject for label, failure in known(source).items()}
    subjects |= {record.label: record.subject for record in records}
    return sum(selection.names(subject, label) for label, subject in subjects.items())


def _examinations(
    sources: Sequence[Path | Found],
    out: Path,
    detector: Detector | None,
    selection: Selection,
    execution: Execution,
    outcome: Outcome,
) -> list[list[Examination]]:
    """Return the examinations of each source, and add scans without them to the outcome."""
    examined = []
    for number, source in enumerate(sources, start=1):
        folder, scans = out / DETECTIONS / str(number), dict[str, ScanFiles]()
        if isinstance(source, Path):
            folder = source
        else:
            write_dataset_description(out)  # before results that might be taken for scans
            _detect(source, detector, folder, execution, outcome)
            scans = {files.label: files for files in source.scans}
        records, damaged = read_sound_records(folder)
        for label, error in damaged.items():
            if not selection.names(label, label):
                continue
            outcome.failures.append(Failure.of(error, subject=label, label=label))
            outcome.exit_codes.add(ScanError.exit_code)
        wanted = [
            record
            for record in records
            if (record.label in scans if scans else selection.names(record.subject, record.label))
        ]
        examined.append(examinations_of(folder, wanted, scans))
    return examined


def _detect(
    found: Found, detector: Detector | None, folder: Path, execution: Execution, outcome: Outcome
) -> None:
    """Detect lesions in scans, and add those that could not be used to the outcome."""
    if detector is None:
        raise UsageError("follow: expected a model for scans without results. Next: add --model.")
    made = detect(found, detector, folder, execution=execution)
    outcome.failures += made.failures
    outcome.exit_codes |= made.exit_codes
    outcome.left_out += left_out(found.left_out)


def _refuse_one_time_point(courses: Sequence[Course], outcome: Outcome) -> None:
    """Raise where no subject has two time points, unless their scans could not be used."""
    if outcome.failures or any(len(course.examinations) > 1 for course in courses):
        return
    raise _one_time_point(", ".join(course.label for course in courses[:3]) or "no scan")


def _one_time_point(found: str) -> UsageError:
    return UsageError(
        f"follow: expected at least two time points of a subject, got one of {found}. "
        "Next: name both scans, or one folder with several sessions."
    )


def _check_course(course: Course) -> None:
    """Raise where time points are missing, in the wrong order or results of different models."""
    days = course.days
    if len(course.examinations) < 2:
        raise ScanError(
            course.label,
            expected="at least two time points",
            got="one",
            next_step="add the other scan, or see failures.tsv for why it has no result",
        )
    known = [day for day in days if day is not None]
    if known != sorted(known):
        raise ScanError(
            course.label,
            expected="the earliest scan first",
            got="dates in another order",
            next_step="name the scans in the order of their dates, or correct --dates",
        )
    models = {_model(one.record.provenance.recipe, one.record.shows) for one in course.examinations}
    if len(models) > 1:
        raise ScanError(
            course.label,
            expected="results of one model",
            got=f"results of {' and '.join(sorted(models))}",
            next_step="run `anomri detect` on all scans with the same model",
        )


def _model(recipe: str, shows: Sequence[str]) -> str:
    return f"{recipe} ({shows[0] if shows else 'whole'})"


def _contrast(course: Course) -> str:
    """Return the first contrast that all time points have."""
    names = [one.record.contrasts for one in course.examinations]
    shared = [name for name in names[0] if all(name in others for others in names)]
    if not shared:
        raise MissingContrast(
            course.label,
            expected="a contrast that all time points have",
            got="; ".join(", ".join(contrasts) for contrasts in names),
            next_step="follow scans of the same contrast",
        )
    return shared[0]


def _points(course: Course, stack: ExitStack, orientation: str) -> list[TimePoint]:
    """Read all time points; images that had to be converted last as long as ``stack``."""
    contrast = _contrast(course)
    points = []
    for one, days in zip(course.examinations, course.days, strict=True):
        scan = None
        if one.files is not None:
            scan = stack.enter_context(converted(one.files)).contrasts.get(contrast)
        point = read_time_point(
            one.folder,
            one.record,
            contrast=contrast,
            scan=scan,
            days=days,
            orientation=orientation,
        )
        points.append(point)
    return points


def _key(course: Course) -> str:
    """Hash all that the evolution depends on."""
    parts = [f"{ALGORITHM} {version('anomri')} {course.subject} {course.sessions} {course.days}"]
    for one in course.examinations:
        provenance = one.record.provenance
        own = provenance.key or provenance.content or one.record.model_dump_json()
        parts.append(f"{own} {one.files is not None}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _finished_before(out: Path, label: str) -> str | None:
    try:
        record = read_evolution(out, label)
    except DamagedFile as error:
        log.warning("%s", error)
        return None
    return record.key if record else None
