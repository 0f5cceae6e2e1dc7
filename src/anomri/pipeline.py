"""The main path, top to bottom: from files to a page.

Files are prepared, a model is trained on them, its thresholds are fitted, scans are looked at,
the results are measured and shown. Each function is one command of the command line. A scan that
fails is a row in the outcome, never the end of the batch; what is done and unchanged is not done
again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from anomri.datasets import Found, find, make_phantoms
from anomri.detector import RECIPE, THRESHOLDS, Detector, load, load_thresholds
from anomri.errors import ScanError, UsageError
from anomri.evaluation import case_metrics, curve_points, summarise, write_table
from anomri.family import REGIONS
from anomri.postprocessing import ThresholdFits
from anomri.preprocessing import PreparedFolder, read_labels, read_native, read_truth
from anomri.recipe import Recipe
from anomri.reporting import (
    Failure,
    derivative,
    read_record,
    write_detection,
    write_failures,
    write_page,
    write_run,
    write_tables,
    write_view,
)
from anomri.scan import Grid, Mask, ScanFiles, Threshold
from anomri.training import train as fit

DEMO_HEALTHY, DEMO_GLIOMAS, DEMO_LESIONS = 18, 4, 2
# Of the healthy: the first learn, the next set the threshold, the rest are looked at.
DEMO_TRAINED, DEMO_CALIBRATED = 12, 16

Item = TypeVar("Item")
Track = Callable[[Sequence[Any], str], Iterable[Any]]

log = logging.getLogger(__name__)


def untracked(items: Sequence[Item], _: str) -> Iterable[Item]:
    """Go through ``items`` without showing progress."""
    return items


@dataclass(frozen=True, slots=True)
class Selection:
    """Which subjects of a source are meant.

    Attributes:
        subjects: names or BIDS labels, with or without ``sub-``; all where empty.
    """

    subjects: frozenset[str] = frozenset()

    def __contains__(self, files: ScanFiles) -> bool:
        """Tell whether the subject is one of the chosen."""
        names = {files.subject, files.label, files.label.removeprefix("sub-")}
        return not self.subjects or bool(names & self.subjects)

    @classmethod
    def of_split(cls, path: Path, split: str) -> Selection:
        """Read the subjects of one split from a TSV file with columns ``subject`` and ``split``.

        Raises:
            UsageError: the file lacks a column, or no subject has that split.
        """
        header, *rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
        if not {"subject", "split"} <= set(header):
            raise UsageError(f"{path.name}: expected columns 'subject' and 'split', got {header}")
        subject, part = header.index("subject"), header.index("split")
        chosen = frozenset(row[subject] for row in rows if row[part] == split)
        if not chosen:
            parts = ", ".join(sorted({row[part] for row in rows}))
            raise UsageError(f"{path.name}: no subject of split '{split}'; it has {parts}")
        return cls(chosen)


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


def survey(source: Path, *, layout: str = "auto", selection: Selection | None = None) -> Found:
    """List the scans below ``source`` without computing anything.

    Raises:
        UsageError: nothing there looks like a scan, or nobody of the selection is there.
    """
    found = find(source, layout)
    if selection is None:
        return found
    chosen = tuple(files for files in found.scans if files in selection)
    if not chosen:
        raise UsageError(
            f"{source.name}: none of the {len(found.scans)} subjects found is among those asked "
            f"for. Next: `--dry-run` lists what is there."
        )
    return replace(found, scans=chosen)


def prepare(found: Found, out: Path, *, recipe: Recipe, track: Track = untracked) -> Outcome:
    """Read, orient, crop, resample and scale every scan into ``out``, once."""
    prepared = PreparedFolder(out, recipe.preparation, recipe.contrasts)

    outcome = _each(found.scans, prepared.add, track, "preparing")
    write_failures(out, outcome.failures)
    return outcome


def train(recipe: Recipe, data: Path, run: Path, **machine: Any) -> Path:
    """Train the recipe's model on prepared scans; see :func:`anomri.training.train`."""
    return fit(recipe, PreparedFolder.open(data), run, **machine)


def calibrate(
    model: str | Path,
    data: Path,
    run: Path,
    *,
    false_positive_ml: float = 5.0,
    device: str = "auto",
    track: Track = untracked,
) -> dict[str, Threshold]:
    """Fit the model's thresholds on prepared scans and keep them in the run folder.

    ``healthy`` needs tissue without lesions (healthy scans, or what lies outside the truth of the
    others); ``labelled`` needs truth and is fitted only where there is some.
    """
    detector = load(model, device=device)
    prepared = PreparedFolder.open(data)
    rule = detector.recipe.detection.threshold
    candidates: Any = rule.options.get("candidates", ()) if rule.name == "labelled" else ()
    fits = ThresholdFits(false_positive_ml=false_positive_ml, candidates=candidates)
    for label in track(prepared.labels(), "calibrating"):
        fits.add(detector.score(prepared.load(label)))
    fitted = load_thresholds(run) | fits.thresholds()
    run.mkdir(parents=True, exist_ok=True)
    if not (run / RECIPE).exists():
        (run / RECIPE).write_text(detector.recipe.to_yaml(), encoding="utf-8")
    entries = {rule: asdict(threshold) for rule, threshold in fitted.items()}
    (run / THRESHOLDS).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    return fitted


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
    outcome = _each(found.scans, look, track, "detecting")
    write_tables(out, outcome.failures)
    write_run(out, command, device=str(detector.device), **detector.provenance())
    return outcome


def evaluate(
    detections: Path,
    found: Found,
    out: Path,
    *,
    region: str = "whole",
    track: Track = untracked,
) -> tuple[list[dict[str, Any]], Outcome]:
    """Measure what was detected against the experts' masks, on the scans' own grid.

    Writes ``evaluation.tsv``, a row per subject, ``evaluation_summary.tsv`` and
    ``evaluation_curves.tsv``, points of each subject's precision-recall and ROC curves.

    Raises:
        UsageError: none of the scans was detected.
    """
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []

    def measure(files: ScanFiles) -> bool:
        case = read_case(detections, files, region)
        error = {"reconstruction_mae": _reconstruction_mae(detections, files)}
        rows.append({"subject": files.subject, **case_metrics(**case), **error})
        points = curve_points(case["values"], case["truth"], case["brain"])
        curves.extend({"subject": files.subject, **point} for point in points)
        return True

    detected = [files for files in found.scans if read_record(detections, files.label)]
    if not detected:
        raise UsageError(f"{detections.name}: holds no detection of the {len(found.scans)} scans")
    outcome = _each(detected, measure, track, "evaluating")
    summary = summarise(rows)
    write_table(out / "evaluation.tsv", rows)
    write_table(out / "evaluation_summary.tsv", summary)
    write_table(out / "evaluation_curves.tsv", curves)
    return summary, outcome


def measure_case(detections: Path, files: ScanFiles, region: str = "whole") -> dict[str, float]:
    """Measure one detection on its scan's own grid; arguments as for :func:`read_case`."""
    metrics = case_metrics(**read_case(detections, files, region))
    return metrics | {"reconstruction_mae": _reconstruction_mae(detections, files)}


def read_case(detections: Path, files: ScanFiles, region: str = "whole") -> dict[str, Any]:
    """Read a detection and its truth on the scan's own grid, as `case_metrics` wants them.

    Args:
        detections: folder written by :func:`detect`.
        files: the scan; without a truth it must be known to be healthy.
        region: which labels of the truth count, by name of ``REGIONS``.

    Raises:
        UsageError: there is no such region.
        ScanError: the truth cannot be used.
    """
    if region not in REGIONS:
        raise UsageError(f"region '{region}': expected one of {', '.join(REGIONS)}")
    record = read_record(detections, files.label)
    if record is None:
        raise UsageError(f"{files.label}: was not detected")

    def path(name: str) -> Path:
        return derivative(detections, files.label, name)

    regional = record.regions and region != "whole"
    found, grid = read_labels(
        path("desc-regions_dseg.nii.gz" if regional else "label-lesion_mask.nii.gz")
    )
    mask = np.isin(found, REGIONS[region])
    brain, _ = read_labels(path("desc-brain_mask.nii.gz"))
    maps = [read_native(path(f"desc-anomaly_{name}.nii.gz"))[0] for name in record.contrasts]
    truth = _truth(files, grid, region)
    order = grid.axial_last
    i, j, k = (grid.spacing[axis] for axis in order)
    return {
        "mask": mask.transpose(order),
        "values": np.max(maps, axis=0).transpose(order),
        "truth": None if truth is None else truth.transpose(order),
        "brain": brain.transpose(order) > 0,
        "spacing": (i, j, k),
        "voxel_ml": grid.voxel_ml,
    }


def report(folder: Path, *, scores: Path | None = None) -> Path:
    """Write one HTML page that shows everything in a folder of anomri's; see `write_page`."""
    return write_page(folder, scores=scores)


def view(source: Path, *, result: Path | None = None, out: Path | None = None) -> Path:
    """Write a page with the viewer of one scan, beside its result or in the present folder.

    Raises:
        UsageError: there are several scans, or the result holds none of this scan.
    """
    found = find(source)
    if len(found.scans) != 1:
        raise UsageError(f"{source.name}: {len(found.scans)} scans; the viewer shows one")
    files = found.scans[0]
    if result is not None and read_record(result, files.label) is None:
        raise UsageError(f"{result.name}: holds no detection of {files.label}")
    return write_view(files, out or (result or Path()) / f"{files.label}_view.html", result=result)


def demo(out: Path, *, device: str = "auto", track: Track = untracked) -> Path:
    """Run the whole path on digital phantoms, and return the page.

    Twelve healthy phantoms teach the model, four more set its threshold; the rest, healthy and
    diseased, are looked at.
    """
    recipe = Recipe.load("demo")
    cohort = make_phantoms(
        out / "phantoms", healthy=DEMO_HEALTHY, gliomas=DEMO_GLIOMAS, lesions=DEMO_LESIONS
    )
    found = survey(cohort, layout="phantom")
    healthy = tuple(files for files in found.scans if files.healthy)
    seen = {
        "prepared": healthy[:DEMO_TRAINED],
        "calibration": healthy[DEMO_TRAINED:DEMO_CALIBRATED],
    }
    for name, scans in seen.items():
        prepare(replace(found, scans=scans), out / name, recipe=recipe, track=track)
    run = train(recipe, out / "prepared", out / "run", device=device)
    calibrate(run, out / "calibration", run, device=device, track=track)
    used = [files for scans in seen.values() for files in scans]
    unseen = replace(found, scans=tuple(files for files in found.scans if files not in used))
    results = out / "results"
    detect(unseen, load(run, device=device), results, track=track, command=("anomri", "demo"))
    evaluate(results, unseen, results, track=track)
    return report(results)


def _reconstruction_mae(detections: Path, files: ScanFiles) -> float:
    record = read_record(detections, files.label)
    error = np.nan if record is None else record.provenance.get("reconstruction_mae", np.nan)
    return float(error)


def _truth(files: ScanFiles, grid: Grid, region: str) -> Mask | None:
    """Return the expert's mask on the scan's grid; all False for a healthy scan."""
    if files.truth is None:
        return np.zeros(grid.shape, dtype=bool) if files.healthy else None
    return np.isin(read_truth(files.truth, grid), REGIONS[region])


def _each(
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


def _key(files: ScanFiles, detector: Detector) -> str:
    """Hash what decides the result: the files as they are, the recipe, weights and thresholds."""
    paths = [*files.contrasts.values(), *(p for p in (files.brain, files.truth) if p)]
    facts = [detector.recipe.to_yaml(), detector.weights_hash, repr(detector.thresholds)]
    for path in paths:
        if path.exists():
            stat = path.stat()
            facts.append(f"{path.name} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
