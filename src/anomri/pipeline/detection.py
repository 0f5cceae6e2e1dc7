"""Detection: maps, masks and tables of scans."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from uuid import uuid4

from anomri.batch import (
    DEFAULT_EXECUTION,
    Execution,
    Failures,
    Outcome,
    ScanSummary,
    ShardNote,
    by_label,
    joint,
    known,
    left_out,
    locked,
    replace_all,
    replace_for,
    run_batch,
)
from anomri.datasets import Found, converted, write_dataset_description
from anomri.detector import Detector
from anomri.errors import LEFT_OUT, DamagedFile, Failure, ScanError, UsageError
from anomri.files import (
    content_digest,
    files_of,
    refuse_foreign,
    remove_stale_drafts,
    unchanged_stamp,
)
from anomri.pipeline.run_record import write_run, write_stamp
from anomri.reporting import (
    Record,
    read_record,
    read_sound_records,
    refusals_shown,
    write_detection,
    write_tables,
)
from anomri.scan import Note, NoteKind, Provenance, Scan, ScanFiles

DEFAULT_DICOM = ("seg",)

log = logging.getLogger(__name__)


def with_brain_mask(found: Found, mask: Path) -> Found:
    """Add a brain mask to the only scan found.

    Raises:
        UsageError: there is not exactly one scan.
    """
    if len(found.scans) != 1:
        raise UsageError(
            f"{mask.name}: expected one scan for one brain mask, found {len(found.scans)}. "
            "Next: choose a scan with --subjects."
        )
    return replace(found, scans=(replace(found.scans[0], brain=mask),))


@dataclass(frozen=True, slots=True)
class DetectTask:
    """Detection in one scan; can be pickled for a worker.

    Attributes:
        detector: the model.
        out: folder of the results.
        dicom: kinds of DICOM objects to write for scans from DICOM.
    """

    detector: Detector
    out: Path
    dicom: tuple[str, ...] = DEFAULT_DICOM

    def __call__(self, files: ScanFiles) -> ScanSummary | Literal[False]:
        """Detect anomalies and write the results; return False if that was done before."""
        before = _finished_before(self.out, files.label)
        source = _source(files, Provenance() if before is None else before.provenance)
        key = source.key(self.detector, self.dicom if files.slices else DEFAULT_DICOM)
        if before is not None and before.provenance.key == key:
            if source.stamp != before.provenance.stamp:  # the next run need not read the files
                write_stamp(self.out, before, source.stamp)
            return False
        refuse_foreign(self.out, files.label)
        start = time.perf_counter()
        with converted(files) as images, refusals_shown(self.out, files.label):
            scan = self._prepared(images)
        for note in scan.notes:
            if note.kind is NoteKind.IMPLAUSIBLE:
                log.warning("%s: %s", files.subject, note.text)
        detection = self.detector.detect_scan(scan)
        seconds = round(time.perf_counter() - start, 2)
        used = {**asdict(source), "key": key, "sources": _uris(files, scan)}
        facts = detection.provenance.model_copy(update=used)
        detection = replace(detection, provenance=facts)
        slices = files.slices.get(scan.contrasts[0], ())
        write_detection(detection, self.out, slices=slices, dicom=self.dicom, seconds=seconds)
        return ScanSummary(len(detection.findings), detection.volume_ml, seconds)

    def _prepared(self, files: ScanFiles) -> Scan:
        """Prepare a scan, without the expert mask if only that cannot be used."""
        try:
            return self.detector.prepare(files)
        except ScanError as error:
            if files.truth is None:
                raise
            scan = self.detector.prepare(replace(files, truth=None))
            note = Note(NoteKind.UNUSABLE_TRUTH, f"without the expert's mask: {error}")
            return replace(scan, notes=(*scan.notes, note))


def detect(
    found: Found,
    detector: Detector,
    out: Path,
    *,
    execution: Execution = DEFAULT_EXECUTION,
    command: Sequence[str] = (),
    dicom: Sequence[str] = DEFAULT_DICOM,
) -> Outcome:
    """Detect anomalies in every scan, one in memory at a time, and write the results.

    Args:
        found: the scans.
        detector: the model.
        out: folder of the results; several parts may write to it at the same time.
        execution: how to run the batch.
        command: the command line, for ``run.json``.
        dicom: kinds of DICOM objects to write for scans from DICOM, see
            :data:`anomri.datasets.DICOM_OBJECTS`.
    """
    remove_stale_drafts(out)
    # Before the first scan, so that an interrupted run is not taken for scans either.
    write_dataset_description(out, found.datasets)
    try:
        outcome = run_batch(found, DetectTask(detector, out, tuple(dicom)), execution, "detecting")
    finally:
        remove_stale_drafts(out)  # of workers that were killed
    shard, scans = execution.shard, execution.shard.of(found.scans)
    failed = by_label([*outcome.failures, *outcome.left_out])
    complete = shard.whole and not found.chosen
    with joint(out, "detect", shard, {}, chosen=found.chosen or bool(failed)):
        replace_for(out, known(out) if complete else [files.label for files in scans], failed)
        detection_tables(out)
    facts = detector.provenance().model_dump(mode="json", exclude_unset=True)
    write_run(out, command, device=str(detector.device), **facts)
    return outcome


def gather(found: Found | None, out: Path) -> Outcome:
    """Write the tables of scans that were processed one by one, and list those without a result.

    A finished scan counts whether or not its images can still be read.

    Args:
        found: the scans of the data set; None if its images are no longer there, so that only the
            results are known.
        out: folder of the results.
    """
    outcome = Outcome()
    remove_stale_drafts(out)
    with locked(out):
        before = known(out)
        outcome.unchanged = [record.label for record in read_sound_records(out)[0]]
        expected = dict(before) if found is None else _expected(found, before)
        for label in expected.keys() - set(outcome.unchanged):
            failure = expected[label]
            rows = outcome.left_out if failure.status == LEFT_OUT else outcome.failures
            rows.append(failure)
            outcome.exit_codes.add(3)
        replace_all(out, by_label([*outcome.failures, *outcome.left_out]))
        detection_tables(out)
    return outcome


def _expected(found: Found, before: Failures) -> Failures:
    """Return the failure of each scan of a data set, if it has no result."""
    scans = {files.label: before.get(files.label) or _no_result(files) for files in found.scans}
    return scans | by_label(left_out(found.left_out))


def detection_tables(out: Path, _: Sequence[ShardNote] = ()) -> None:
    """Write the tables of a folder of results."""
    write_tables(out, list(known(out).values()))


def _finished_before(out: Path, label: str) -> Record | None:
    """Return a scan's result; None if it has none, or a damaged one that is computed again."""
    try:
        return read_record(out, label)
    except DamagedFile as error:
        log.warning("%s", error)
        return None


def _no_result(files: ScanFiles) -> Failure:
    return Failure(
        subject=files.subject,
        label=files.label,
        reason=f"no result of {files.label}",
        next_step="run `anomri detect` on this scan",
    )


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The files that a result was made from.

    Attributes:
        stamp: of the file system, see :func:`anomri.files.unchanged_stamp`; if it is the same, no
            file was modified.
        content: digest of their names and bytes; the result is valid while it is the same.
    """

    stamp: str
    content: str

    @classmethod
    def of(cls, files: ScanFiles, before: Provenance) -> SourceFiles:
        """Return the digest of a scan's files; they are read only if they may have changed.

        Args:
            files: the scan.
            before: provenance of an earlier result; an empty one where there is none.
        """
        parts = list(_parts(files))
        stamp = unchanged_stamp(path for _, path in parts)
        if stamp and stamp == before.stamp and before.content:
            return cls(stamp, before.content)
        # The names of slices do not tell their contrast.
        roles = "\n".join(role for role, _ in parts)
        digest = content_digest(path for _, path in parts)
        return cls(stamp, hashlib.sha256(f"{roles}\n{digest}".encode()).hexdigest()[:16])

    @classmethod
    def unreadable(cls) -> SourceFiles:
        """Return a source that equals no other; reading the scan will raise the error."""
        return cls("", uuid4().hex[:16])

    def key(self, detector: Detector, dicom: Sequence[str] = DEFAULT_DICOM) -> str:
        """Hash everything that determines the result: files, model, version and DICOM objects."""
        facts = [detector.fingerprint, _installed_version(), self.content]
        facts += [] if tuple(dicom) == DEFAULT_DICOM else dicom
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


@cache
def _installed_version() -> str:
    """Return the version of anomri, read from its metadata once for all scans."""
    return version("anomri")


def _source(files: ScanFiles, before: Provenance) -> SourceFiles:
    try:
        return SourceFiles.of(files, before)
    except OSError:
        return SourceFiles.unreadable()


def _uris(files: ScanFiles, scan: Scan) -> tuple[str, ...]:
    """Return the BIDS URIs of the files that a prepared scan was made from."""
    roles = (*scan.contrasts, "brain", "truth")
    return tuple(files.uris[role] for role in roles if role in files.uris)


def _parts(files: ScanFiles) -> Iterator[tuple[str, Path]]:
    """Yield role and path of every file of a scan."""
    single = {name: path for name, path in files.contrasts.items() if name not in files.slices}
    for contrast, slices in files.slices.items():
        yield from ((contrast, path) for path in slices)
    for role, path in {**single, "brain": files.brain, "truth": files.truth}.items():
        inside = sorted(path.iterdir()) if path and path.is_dir() else [path]
        images = (file for file in inside if file and file.is_file())
        yield from ((role, file) for image in images for file in files_of(image))
