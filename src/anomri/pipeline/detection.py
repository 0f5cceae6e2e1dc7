"""Scans are looked at: maps, masks and tables."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from anomri.datasets import Found, converted
from anomri.detector import Detector, load
from anomri.errors import ScanError, UsageError
from anomri.pipeline.batch import Outcome, Track, each, untracked
from anomri.pipeline.crew import ALONE, Crew
from anomri.pipeline.failing import failures_of, known, replace_all, replace_for
from anomri.pipeline.parts import WHOLE, Note, Part, joint, locked
from anomri.postprocessing import DECISIONS, SCAN_RULES, TO_BE_FITTED
from anomri.preprocessing import DOUBT
from anomri.reporting import (
    Failure,
    describe,
    read_record,
    refusals_shown,
    refuse_foreign,
    sweep,
    write_detection,
    write_run,
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
        return _arrive, (origin, self.detector.fingerprint, self.out)

    def __call__(self, files: ScanFiles) -> bool:
        """Look at a scan and write what was found; False where that was done before."""
        key = _key(files, self.detector)
        before = read_record(self.out, files.label)
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
        facts = {**detection.provenance, "key": key, "seconds": seconds}
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
    describe(out)  # before the first scan: a killed run must not be taken for scans either
    sweep(out)
    try:
        scans = part.of(found.scans)
        outcome = each(scans, Look(detector, out), track, "detecting", crew)
    finally:
        sweep(out)
    failed = failures_of(scans, outcome)
    everybody = part.whole and not found.chosen
    with joint(out, "detect", part, {}, chosen=found.chosen or bool(failed)):
        replace_for(out, known(out) if everybody else [files.label for files in scans], failed)
        detection_tables(out)
    write_run(out, command, device=str(detector.device), **detector.provenance())
    return outcome


def gather(found: Found, out: Path) -> Outcome:
    """Write the tables of scans that were looked at one by one; name those without a result."""
    outcome = Outcome()
    with locked(out):
        before = known(out)
        for files in found.scans:
            if read_record(out, files.label) is not None:
                outcome.unchanged.append(files.label)
            else:
                outcome.failures.append(before.get(files.label) or _not_looked_at(files))
                outcome.exit_codes.add(3)
        replace_all(out, failures_of(found.scans, outcome))
        detection_tables(out)
    return outcome


def detection_tables(out: Path, _: Sequence[Note] = ()) -> None:
    """Write the tables of a folder of results."""
    write_tables(out, list(known(out).values()))


def _not_looked_at(files: ScanFiles) -> Failure:
    step = "look at it, and see what is said"
    return Failure(files.subject, "", f"no result of {files.label}", step)


def _arrive(origin: Origin, fingerprint: str, out: Path) -> Look:
    """Make a :class:`Look` that came from another process; one model stays loaded.

    Raises:
        UsageError: the model is not the same any more.
    """
    if _kept(origin).fingerprint != fingerprint:
        _kept.cache_clear()
    detector = _kept(origin)
    if detector.fingerprint != fingerprint:
        raise UsageError(
            f"{Path(origin[0]).name}: it changed while it was in use. Next: run the command again."
        )
    return Look(detector, out)


@lru_cache(maxsize=1)
def _kept(origin: Origin) -> Detector:
    model, device, instead = origin
    return load_detector(model, device=device, instead=instead)


def _key(files: ScanFiles, detector: Detector) -> str:
    """Hash what decides the result: the files as they are, the model, and the program's version."""
    paths = [path for name, path in files.contrasts.items() if name not in files.slices]
    facts = [detector.fingerprint, version("anomri")]
    for contrast, slices in files.slices.items():
        facts += [contrast, *_facts(slices)]  # their names do not say which contrast they are
    facts += _facts([*paths, *(path for path in (files.brain, files.truth) if path)])
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _facts(paths: Iterable[Path]) -> Iterator[str]:
    """Yield name, size and time of each file, and of each slice of a folder."""
    for path in paths:
        parts = sorted(path.iterdir()) if path.is_dir() else [path]
        for part in parts:
            if part.is_file():
                stat = part.stat()
                yield f"{part.name} {stat.st_size} {stat.st_mtime_ns}"
