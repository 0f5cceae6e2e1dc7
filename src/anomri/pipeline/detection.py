"""Detection: maps, masks and tables of scans."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from anomri.batch import (
    DEFAULT_EXECUTION,
    Execution,
    Failures,
    Note,
    Outcome,
    by_label,
    failures_of,
    joint,
    known,
    left_out,
    locked,
    replace_all,
    replace_for,
    run_batch,
)
from anomri.datasets import Found, converted
from anomri.detector import Detector, load
from anomri.errors import DamagedFile, ScanError, UsageError
from anomri.files import content_digest, remove_stale_drafts, unchanged_stamp
from anomri.postprocessing import SCAN_RULES, SEGMENTATION_METHODS, TO_BE_FITTED
from anomri.preprocessing import DOUBT
from anomri.reporting import (
    LEFT_OUT,
    Failure,
    Record,
    describe,
    read_record,
    read_sound_records,
    refusals_shown,
    refuse_foreign,
    write_detection,
    write_run,
    write_tables,
)
from anomri.scan import Scan, ScanFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Settings that replace those of a model's recipe; None keeps the recipe's.

    Attributes:
        threshold: name of a threshold rule.
        decide: name of a segmentation method.
        blank_slices: name of a slice score; slices below its threshold are cleared.
        space: ``native``, or ``template`` for results in MNI152 space as well.
        brain: method of the brain extraction.
        orientation: orientation of files whose header gives none, such as ``RAS``.
        mask_grid: placement of masks with the scan's shape but another affine.
    """

    threshold: str | None = None
    decide: str | None = None
    blank_slices: str | None = None
    space: str | None = None
    brain: str | None = None
    orientation: str | None = None
    mask_grid: str | None = None

    def of(self, detector: Detector) -> Detector:
        """Return the detector with these settings.

        Raises:
            UsageError: there is no such space, rule or method, or the rule has not been fitted.
        """
        self._check(detector)
        if self.space not in (None, "native", "template"):
            raise UsageError(
                f"space '{self.space}': expected native or template. Next: choose one."
            )
        if self.threshold or self.decide or self.blank_slices:
            detector = detector.with_detection(
                threshold=self.threshold, decide=self.decide, blank_slices=self.blank_slices
            )
        if self.space == "template":
            detector = detector.in_template()
        if self.orientation:
            detector = detector.with_orientation(self.orientation)
        if self.mask_grid:
            detector = detector.with_mask_grid(self.mask_grid)
        return detector.with_brain(self.brain) if self.brain else detector

    def _check(self, detector: Detector) -> None:
        """Raise for unknown names before the first scan is read."""
        if self.decide and self.decide not in SEGMENTATION_METHODS:
            raise UsageError(
                f"unknown segmentation method '{self.decide}': "
                f"expected one of {', '.join(SEGMENTATION_METHODS)}. Next: choose one."
            )
        rules = (*SCAN_RULES, *detector.thresholds)
        if self.threshold and self.threshold not in rules:
            fitted = self.threshold in TO_BE_FITTED
            problem = (
                "threshold rule that has not been fitted" if fitted else "unknown threshold rule"
            )
            step = "run `anomri calibrate` first, or choose another" if fitted else "choose one"
            raise UsageError(
                f"{detector.recipe.name}: {problem} '{self.threshold}': "
                f"expected one of {', '.join(rules)}. Next: {step}."
            )


NO_OVERRIDES = Overrides()

Origin = tuple[str, str, Overrides]

log = logging.getLogger(__name__)

# The arguments that a detector was loaded with: a worker loads it again with these, instead of
# receiving the weights with every scan.
_ORIGINS: WeakKeyDictionary[Detector, Origin] = WeakKeyDictionary()


def load_detector(
    model: str, *, device: str = "auto", overrides: Overrides = NO_OVERRIDES
) -> Detector:
    """Load a model, with settings that replace those of its recipe.

    Raises:
        UsageError: there is no such model, device or space.
    """
    detector = overrides.of(load(model, device=device))
    source = str(Path(model).resolve()) if Path(model).is_dir() else model
    _ORIGINS[detector] = (source, device, overrides)
    return detector


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
    """

    detector: Detector
    out: Path

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the weights where the worker can load them."""
        origin = _ORIGINS.get(self.detector)
        if origin is None:
            return DetectTask, (self.detector, self.out)
        return DetectTaskFromSource, (origin, self.detector.fingerprint, self.out)

    def __call__(self, files: ScanFiles) -> bool:
        """Detect anomalies and write the results; return False if that was done before."""
        before = _finished_before(self.out, files.label)
        source = _source(files, {} if before is None else before.provenance)
        key = source.key(self.detector)
        if before is not None and before.provenance.get("key") == key:
            return False
        refuse_foreign(self.out, files.label)
        start = time.perf_counter()
        with converted(files) as images, refusals_shown(self.out, files.label):
            scan = self._prepared(images)
        for note in scan.notes:
            if DOUBT in note:
                log.warning("%s: %s", files.subject, note)
        detection = self.detector.detect_scan(scan)
        seconds = round(time.perf_counter() - start, 2)
        facts = {**detection.provenance, **asdict(source), "key": key, "seconds": seconds}
        slices = files.slices.get(scan.contrasts[0], ())
        write_detection(replace(detection, provenance=facts), self.out, slices=slices)
        return True

    def _prepared(self, files: ScanFiles) -> Scan:
        """Prepare a scan, without the expert mask if only that cannot be used."""
        try:
            return self.detector.prepare(files)
        except ScanError as error:
            if files.truth is None:
                raise
            scan = self.detector.prepare(replace(files, truth=None))
            told = f"without the expert's mask: {error}"
            return replace(scan, notes=(*scan.notes, told))


def detect(
    found: Found,
    detector: Detector,
    out: Path,
    *,
    execution: Execution = DEFAULT_EXECUTION,
    command: Sequence[str] = (),
) -> Outcome:
    """Detect anomalies in every scan, one in memory at a time, and write the results.

    Args:
        found: the scans.
        detector: the model.
        out: folder of the results; several parts may write to it at the same time.
        execution: how to run the batch.
        command: the command line, for ``run.json``.
    """
    remove_stale_drafts(out)
    describe(out)  # before the first scan: results of a killed run must not be read as scans
    try:
        outcome = run_batch(found, DetectTask(detector, out), execution, "detecting")
    finally:
        remove_stale_drafts(out)  # of workers that were killed
    shard, scans = execution.shard, execution.shard.of(found.scans)
    failed = failures_of(scans, outcome) | by_label(outcome.left_out)
    complete = shard.whole and not found.chosen
    with joint(out, "detect", shard, {}, chosen=found.chosen or bool(failed)):
        replace_for(out, known(out) if complete else [files.label for files in scans], failed)
        detection_tables(out)
    write_run(out, command, device=str(detector.device), **detector.provenance())
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


def detection_tables(out: Path, _: Sequence[Note] = ()) -> None:
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
    step = "run `anomri detect` on this scan"
    return Failure(files.subject, "", f"no result of {files.label}", step, label=files.label)


@dataclass(frozen=True, slots=True)
class DetectTaskFromSource:
    """A :class:`DetectTask` in another process, which loads the model for its first scan.

    If unpickling loaded it, joblib would replace the message of an error by its own.

    Attributes:
        origin: arguments that the detector was loaded with.
        fingerprint: of the model.
        out: folder of the results.
    """

    origin: Origin
    fingerprint: str
    out: Path

    def __call__(self, files: ScanFiles) -> bool:
        """Detect anomalies in a scan, as :class:`DetectTask` does.

        Raises:
            UsageError: the model was removed or changed.
        """
        return DetectTask(self._detector(), self.out)(files)

    def _detector(self) -> Detector:
        """Return the model; the last one stays loaded."""
        if _kept(self.origin).fingerprint != self.fingerprint:
            _kept.cache_clear()
        detector = _kept(self.origin)
        if detector.fingerprint != self.fingerprint:
            raise _changed(self.origin)
        return detector


def _changed(origin: Origin) -> UsageError:
    return UsageError(
        f"{Path(origin[0]).name}: the model was changed or removed while in use; finished results "
        "are kept. Next: restore it, or choose another model, and run the command again."
    )


@lru_cache(maxsize=1)
def _kept(origin: Origin) -> Detector:
    model, device, overrides = origin
    # A folder may have the name of a built-in model.
    if Path(model).is_absolute() and not Path(model).is_dir():
        raise _changed(origin)
    return load_detector(model, device=device, overrides=overrides)


@dataclass(frozen=True, slots=True)
class Source:
    """The files that a result was made from.

    Attributes:
        stamp: of the file system, see :func:`anomri.files.unchanged_stamp`; if it is the same, no
            file was modified.
        content: digest of their names and bytes; the result is valid while it is the same.
    """

    stamp: str
    content: str

    @classmethod
    def of(cls, files: ScanFiles, before: Mapping[str, Any]) -> Source:
        """Return the digest of a scan's files; they are read only if they may have changed.

        Args:
            files: the scan.
            before: provenance of an earlier result, if there is one.
        """
        parts = list(_parts(files))
        stamp = unchanged_stamp(path for _, path in parts)
        if stamp and stamp == before.get("stamp") and before.get("content"):
            return cls(stamp, str(before["content"]))
        # The names of slices do not tell their contrast.
        roles = "\n".join(role for role, _ in parts)
        digest = content_digest(path for _, path in parts)
        return cls(stamp, hashlib.sha256(f"{roles}\n{digest}".encode()).hexdigest()[:16])

    @classmethod
    def unreadable(cls) -> Source:
        """Return a source that equals no other; reading the scan will raise the error."""
        return cls("", uuid4().hex[:16])

    def key(self, detector: Detector) -> str:
        """Hash everything that determines the result: files, model and version of anomri."""
        facts = [detector.fingerprint, version("anomri"), self.content]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _source(files: ScanFiles, before: Mapping[str, Any]) -> Source:
    try:
        return Source.of(files, before)
    except OSError:
        return Source.unreadable()


def _parts(files: ScanFiles) -> Iterator[tuple[str, Path]]:
    """Yield role and path of every file of a scan."""
    single = {name: path for name, path in files.contrasts.items() if name not in files.slices}
    for contrast, slices in files.slices.items():
        yield from ((contrast, path) for path in slices)
    for role, path in {**single, "brain": files.brain, "truth": files.truth}.items():
        inside = sorted(path.iterdir()) if path and path.is_dir() else [path]
        yield from ((role, file) for file in inside if file and file.is_file())
