"""Scans are looked at: maps, masks and tables."""

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

from anomri.datasets import Found, converted
from anomri.detector import Detector, load
from anomri.errors import DamagedFile, ScanError, UsageError
from anomri.files import content_digest, remove_stale_drafts, unchanged_stamp
from anomri.pipeline.batch import Outcome, Track, each, left_out, untracked
from anomri.pipeline.crew import ALONE, Crew
from anomri.pipeline.failing import Failures, by_label, failures_of, known, replace_all, replace_for
from anomri.pipeline.parts import WHOLE, Note, Part, joint, locked
from anomri.postprocessing import DECISIONS, SCAN_RULES, TO_BE_FITTED
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
    write_stamp,
    write_tables,
)
from anomri.scan import Scan, ScanFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Instead:
    """What is named in place of a recipe's own; empty words leave it as it is.

    Attributes:
        threshold: name of a threshold's rule.
        decide: name of a decision.
        blank_slices: name of a slice score below whose threshold slices are emptied.
        space: ``native``, or ``template`` for results on the MNI152 grid beside the native ones.
        brain: how the brain is found.
        orientation: where the axes of files point whose headers do not say so.
        mask_grid: where masks lie that have the scan's shape and another affine.
    """

    threshold: str = ""
    decide: str = ""
    blank_slices: str = ""
    space: str = ""
    brain: str = ""
    orientation: str = ""
    mask_grid: str = ""

    def of(self, detector: Detector) -> Detector:
        """Return the detector with what is named.

        Raises:
            UsageError: there is no such space, rule or decision, or the rule has not been fitted.
        """
        self._check(detector)
        if self.space not in ("", "native", "template"):
            raise UsageError(
                f"space '{self.space}': expected native or template. Next: choose one."
            )
        if self.threshold or self.decide or self.blank_slices:
            detector = detector.with_detection(
                threshold=self.threshold or None,
                decide=self.decide or None,
                blank_slices=self.blank_slices or None,
            )
        if self.space == "template":
            detector = detector.in_template()
        if self.orientation:
            detector = detector.with_orientation(self.orientation)
        if self.mask_grid:
            detector = detector.with_mask_grid(self.mask_grid)
        return detector.with_brain(self.brain) if self.brain else detector

    def _check(self, detector: Detector) -> None:
        """Refuse names before the first scan is read."""
        if self.decide and self.decide not in DECISIONS:
            raise UsageError(
                f"decide '{self.decide}': expected one of {', '.join(DECISIONS)}. Next: choose one."
            )
        rules = (*SCAN_RULES, *detector.thresholds)
        if self.threshold and self.threshold not in rules:
            fitted = self.threshold in TO_BE_FITTED
            step = "run `anomri calibrate` first, or choose another" if fitted else "choose one"
            raise UsageError(
                f"{detector.recipe.name}: threshold '{self.threshold}': expected one of "
                f"{', '.join(rules)}, got one that "
                f"{'has not been fitted' if fitted else 'is none'}. Next: {step}."
            )


AS_WRITTEN = Instead()

Origin = tuple[str, str, Instead]

log = logging.getLogger(__name__)

# Which arguments made a detector: another process makes it again from them, and loads its weights
# from their own file, in place of receiving them with every scan.
_ORIGINS: WeakKeyDictionary[Detector, Origin] = WeakKeyDictionary()


def load_detector(model: str, *, device: str = "auto", instead: Instead = AS_WRITTEN) -> Detector:
    """Load a model, with what is named in place of the recipe's own.

    Raises:
        UsageError: there is no such model, device or space.
    """
    detector = instead.of(load(model, device=device))
    home = str(Path(model).resolve()) if Path(model).is_dir() else model
    _ORIGINS[detector] = (home, device, instead)
    return detector


def with_brain_mask(found: Found, mask: Path) -> Found:
    """Give the one scan of ``found`` a brain mask.

    Raises:
        UsageError: there are several scans, so that the mask could belong to any.
    """
    if len(found.scans) != 1:
        raise UsageError(f"{mask.name}: one mask for {len(found.scans)} scans; it fits one only")
    return replace(found, scans=(replace(found.scans[0], brain=mask),))


@dataclass(frozen=True, slots=True)
class Look:
    """What is done with one scan; travels to a worker.

    Attributes:
        detector: looks at it.
        out: folder of the results.
    """

    detector: Detector
    out: Path

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the weights, where they can be loaded there."""
        origin = _ORIGINS.get(self.detector)
        if origin is None:
            return Look, (self.detector, self.out)
        return LookElsewhere, (origin, self.detector.fingerprint, self.out)

    def __call__(self, files: ScanFiles) -> bool:
        """Look at a scan and write what was found; False where that was done before."""
        before = _finished_before(self.out, files.label)
        source = _source(files, {} if before is None else before.provenance)
        key = source.key(self.detector)
        if before is not None and before.provenance.get("key") == key:
            if source.stamp != before.provenance.get("stamp"):  # so that it is read only once
                write_stamp(self.out, before, source.stamp)
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
        """Prepare a scan, without the expert's mask where that alone cannot be used."""
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
    track: Track = untracked,
    command: Sequence[str] = (),
    crew: Crew = ALONE,
    part: Part = WHOLE,
) -> Outcome:
    """Look at every scan, one in memory at a time, and write what was found below ``out``.

    Args:
        found: the scans.
        detector: the model.
        out: folder of the results; several parts may write to it at the same time.
        track: shows progress.
        command: what was typed, for ``run.json``.
        crew: who looks.
        part: which of the scans.
    """
    remove_stale_drafts(out)
    describe(out)  # before the first scan: a killed run must not be taken for scans either
    try:
        scans = part.of(found.scans)
        outcome = each(scans, Look(detector, out), track, "detecting", crew)
        outcome.left_out = left_out(part.found(found).left_out)
    finally:
        remove_stale_drafts(out)  # of workers that were killed
    failed = failures_of(scans, outcome) | by_label(outcome.left_out)
    everybody = part.whole and not found.chosen
    with joint(out, "detect", part, {}, chosen=found.chosen or bool(failed)):
        replace_for(out, known(out) if everybody else [files.label for files in scans], failed)
        detection_tables(out)
    write_run(out, command, device=str(detector.device), **detector.provenance())
    return outcome


def gather(found: Found | None, out: Path) -> Outcome:
    """Write the tables of scans that were looked at one by one; name those without a result.

    A finished scan counts whether or not its images can still be read.

    Args:
        found: who belongs to the data set; None where its images are not there any more, so that
            the results alone say it.
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
    """Return what to say of each scan of a data set if it has no result."""
    scans = {files.label: before.get(files.label) or _not_looked_at(files) for files in found.scans}
    return scans | by_label(left_out(found.left_out))


def detection_tables(out: Path, _: Sequence[Note] = ()) -> None:
    """Write the tables of a folder of results."""
    write_tables(out, list(known(out).values()))


def _finished_before(out: Path, label: str) -> Record | None:
    """Return a scan's result; None where it has none, or one that is damaged and made anew."""
    try:
        return read_record(out, label)
    except DamagedFile as error:
        log.warning("%s", error)
        return None


def _not_looked_at(files: ScanFiles) -> Failure:
    step = "look at it, and see what is said"
    return Failure(files.subject, "", f"no result of {files.label}", step, label=files.label)


@dataclass(frozen=True, slots=True)
class LookElsewhere:
    """A :class:`Look` in another process, which loads the model when it begins to look.

    Not when it arrives: an error there would be one of joblib's, which says that work could not be
    unpacked, and not why.

    Attributes:
        origin: what made the detector.
        fingerprint: of the model.
        out: folder of the results.
    """

    origin: Origin
    fingerprint: str
    out: Path

    def __call__(self, files: ScanFiles) -> bool:
        """Look at a scan, as :class:`Look` does.

        Raises:
            UsageError: the model is not there any more, or is another one.
        """
        return Look(self._detector(), self.out)(files)

    def _detector(self) -> Detector:
        """Return the model; one stays loaded."""
        if _kept(self.origin).fingerprint != self.fingerprint:
            _kept.cache_clear()
        detector = _kept(self.origin)
        if detector.fingerprint != self.fingerprint:
            raise _changed(self.origin)
        return detector


def _changed(origin: Origin) -> UsageError:
    return UsageError(
        f"{Path(origin[0]).name}: the model was changed or removed while it was in use; what was "
        "finished is kept. Next: put it back, or name another model, and run the command again."
    )


@lru_cache(maxsize=1)
def _kept(origin: Origin) -> Detector:
    model, device, instead = origin
    # A folder's name could be a built-in one's, too.
    if not Path(model).is_absolute():
        return load_detector(model, device=device, instead=instead)
    if not Path(model).is_dir():
        raise _changed(origin)
    try:
        return load_detector(model, device=device, instead=instead)
    except (UsageError, OSError) as error:  # it was sound when the batch began
        raise _changed(origin) from error


@dataclass(frozen=True, slots=True)
class Source:
    """The files that a result was made from.

    Attributes:
        stamp: of the file system, see :func:`anomri.files.unchanged_stamp`; None of the files was
            touched where it is the same.
        content: digest of their names and bytes; the result stands while it is the same.
    """

    stamp: str
    content: str

    @classmethod
    def of(cls, files: ScanFiles, before: Mapping[str, Any]) -> Source:
        """Describe the files of a scan; they are read only where they may have changed.

        Args:
            files: the scan.
            before: provenance of an earlier result, if there is one.
        """
        parts = list(_parts(files))
        stamp = unchanged_stamp(path for _, path in parts)
        if stamp and stamp == before.get("stamp") and before.get("content"):
            return cls(stamp, str(before["content"]))
        # The names of slices do not say which contrast they are.
        roles = "\n".join(role for role, _ in parts)
        digest = content_digest(path for _, path in parts)
        return cls(stamp, hashlib.sha256(f"{roles}\n{digest}".encode()).hexdigest()[:16])

    @classmethod
    def unreadable(cls) -> Source:
        """Return what equals no other: what is wrong with the files is said when they are used."""
        return cls("", uuid4().hex[:16])

    def key(self, detector: Detector) -> str:
        """Hash what decides the result: these files, the model, and the program's version."""
        facts = [detector.fingerprint, version("anomri"), self.content]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _source(files: ScanFiles, before: Mapping[str, Any]) -> Source:
    try:
        return Source.of(files, before)
    except OSError:
        return Source.unreadable()


def _parts(files: ScanFiles) -> Iterator[tuple[str, Path]]:
    """Yield role and path of every file that a scan is made from."""
    single = {name: path for name, path in files.contrasts.items() if name not in files.slices}
    for contrast, slices in files.slices.items():
        yield from ((contrast, path) for path in slices)
    for role, path in {**single, "brain": files.brain, "truth": files.truth}.items():
        inside = sorted(path.iterdir()) if path and path.is_dir() else [path]
        yield from ((role, part) for part in inside if part and part.is_file())
