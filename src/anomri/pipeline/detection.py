"""Scans are looked at: maps, masks and tables."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from anomri.datasets import Found
from anomri.detector import Detector, load
from anomri.errors import UsageError
from anomri.pipeline.batch import Outcome, Track, each, untracked
from anomri.reporting import read_record, write_detection, write_run, write_tables
from anomri.scan import ScanFiles


def load_detector(model: str, *, device: str, threshold: str = "", decide: str = "") -> Detector:
    """Load a model, with another threshold rule or decision where one is named."""
    detector = load(model, device=device)
    if not threshold and not decide:
        return detector
    return detector.with_detection(threshold=threshold or None, decide=decide or None)


def with_brain_mask(found: Found, mask: Path) -> Found:
    """Give the one scan of ``found`` a brain mask.

    Raises:
        UsageError: there are several scans, so that the mask could belong to any.
    """
    if len(found.scans) != 1:
        raise UsageError(f"{mask.name}: one mask for {len(found.scans)} scans; it fits one only")
    return replace(found, scans=(replace(found.scans[0], brain=mask),))


def detect(
    found: Found,
    detector: Detector,
    out: Path,
    *,
    track: Track = untracked,
    command: Sequence[str] = (),
) -> Outcome:
    """Look at every scan, one in memory at a time, and write what was found below ``out``."""

    def look(files: ScanFiles) -> bool:
        key = _key(files, detector)
        before = read_record(out, files.label)
        if before is not None and before.provenance.get("key") == key:
            return False
        start = time.perf_counter()
        detection = detector.detect_scan(detector.prepare(files))
        seconds = round(time.perf_counter() - start, 2)
        facts = {**detection.provenance, "key": key, "seconds": seconds}
        write_detection(replace(detection, provenance=facts), out)
        return True

    out.mkdir(parents=True, exist_ok=True)
    outcome = each(found.scans, look, track, "detecting")
    write_tables(out, outcome.failures)
    write_run(out, command, device=str(detector.device), **detector.provenance())
    return outcome


def _key(files: ScanFiles, detector: Detector) -> str:
    """Hash what decides the result: the files as they are, the recipe, weights and thresholds."""
    paths = [*files.contrasts.values(), *(p for p in (files.brain, files.truth) if p)]
    facts = [detector.recipe.to_yaml(), detector.weights_hash, repr(detector.thresholds)]
    for path in paths:
        if path.exists():
            stat = path.stat()
            facts.append(f"{path.name} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
