"""Detection and evaluation of a trained row: one line per threshold, region and measure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anomri import pipeline
from anomri.datasets import Found
from anomri.detector import Detector, load
from anomri.errors import ScanError
from anomri.evaluation import summarise
from anomri.experiments.reproduction.protocol import Setting
from anomri.experiments.reproduction.rows import Row
from anomri.experiments.reproduction.scans import halves
from anomri.experiments.reproduction.training import Work
from anomri.files import EVALUATION, NOTHING, read_tsv
from anomri.postprocessing import TO_BE_FITTED, fit_threshold
from anomri.recipe import Overrides, Step
from anomri.scan import REGIONS, Scan, ScanFiles

# setting -> threshold rule, decision, and data that the rule uses
RULES: Mapping[Setting, tuple[str, str, str]] = {
    "recipe": ("", "", "label-free"),
    "slices": (
        "",
        "",
        "label-free; slices emptied below the mean residual of lesion-free slices of train",
    ),
    "robust": ("robust", "above", "label-free"),
    "healthy": ("healthy", "above", "fitted on lesion-free tissue of train"),
    "labelled": ("labelled", "above", "fitted on train labels"),
}
SUPERVISED = "supervised"
# The better one in Table 3 of Weninger et al.; section 5.3 does not say which one was used.
SLICE_SCORE = "mean_residual"
HALVES = {
    "halves": "chosen on the labels of the first half, measured on the second",
    "halves swapped": "chosen on the labels of the second half, measured on the first",
    "halves both": "each scan under the threshold of the other half",
}

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowEvaluation:
    """Evaluation of a trained row on a test set.

    Attributes:
        row: the row.
        model: model name or folder for :func:`anomri.detector.load`.
        scans: scans of the test set.
        out: folder for detections.
        work: device and progress.
    """

    row: Row
    model: str
    scans: Found
    out: Path
    work: Work

    def measure(self, setting: Setting) -> Iterator[Line]:
        """Yield one line per threshold, region and measure."""
        regions = regions_of(self.row)
        if setting in ("labelled", "halves") and regions != ("whole",):
            return  # thresholds are fitted to all labels as one lesion
        if setting == "halves":
            yield from self._halves()
            return
        rule, decide, data_used = RULES[setting]
        detector = self._detector(rule, decide, SLICE_SCORE if setting == "slices" else "")
        out = self.out / setting
        self._detect(self.scans, detector, out)
        threshold = f"{setting} ({_data_used(self.row, setting, data_used)})"
        for region in regions:
            summary = self._evaluate(out, self.scans, out / region, region)
            yield from self._lines(summary, region, threshold, detector)

    def _halves(self) -> Iterator[Line]:
        """Yield the lines of two-fold cross-validated thresholds, as in Lambert et al.

        "On the first half, we compute Dice scores between ground truths and segmentations obtained
        with 15 different thresholds [...]. Then, the threshold which provided the best performance
        is applied on the second half" (section 3). Rows without a list of thresholds choose from
        all values.
        """
        first, second = halves(self.scans)
        cases: list[Line] = []
        detector = self._detector("", "")
        for name, fitting_scans, test_scans in (
            ("halves", first, second),
            ("halves swapped", second, first),
        ):
            out = self.out / name.replace(" ", "-")
            fitted, value = fitted_on(detector, fitting_scans, self.work)
            self._detect(test_scans, fitted, out)
            summary = self._evaluate(out, test_scans, out, "whole")
            cases += [_numbers(line) for line in read_tsv(out / EVALUATION)]
            summary.append({"metric": "threshold", "mean": value, "n": len(fitting_scans.scans)})
            yield from self._lines(summary, "whole", f"{name} ({HALVES[name]})", fitted)
        threshold = f"halves both ({HALVES['halves both']})"
        yield from self._lines(summarise(cases), "whole", threshold, detector)

    def _detector(self, rule: str, decide: str, blank_slices: str = "") -> Detector:
        overrides = Overrides(
            threshold=rule or None, decide=decide or None, blank_slices=blank_slices or None
        )
        return load(self.model, device=self.work.device, overrides=overrides)

    def _detect(self, scans: Found, detector: Detector, out: Path) -> None:
        outcome = pipeline.detect(scans, detector, out, execution=self.work.execution)
        self.work.note_failures(outcome)

    def _evaluate(self, detections: Path, scans: Found, out: Path, region: str) -> list[Line]:
        summary, outcome = pipeline.evaluate(
            detections, scans, out, region=region, execution=self.work.execution
        )
        self.work.note_failures(outcome)
        return summary

    def _lines(
        self, summary: Iterable[Line], region: str, threshold: str, detector: Detector
    ) -> Iterator[Line]:
        origin = {
            "row": self.row.recipe.name,
            "contrasts": "+".join(self.row.recipe.contrasts),
            "weights_sha256": detector.weights_hash,
            "region": region,
            "threshold": threshold,
        }
        yield from ({**origin, **line} for line in summary)


def regions_of(row: Row) -> tuple[str, ...]:
    """Return the regions on which a row is evaluated."""
    if row.supervised or row.parts:
        return tuple(REGIONS)
    return (row.recipe.detection.shows,)


def fitted_on(detector: Detector, scans: Found, work: Work) -> tuple[Detector, float]:
    """Return the detector with the best threshold on labelled scans, and the threshold.

    The threshold is chosen from the recipe's candidates, with the decision ``above``; other
    detection options are unchanged.

    Raises:
        UsageError: none of the scans has a labelled lesion.
    """
    section = detector.recipe.detection
    rule = section.threshold if section.threshold.name == "labelled" else Step(name="labelled")
    tracked = work.progress(scans.scans, "choosing the threshold")
    maps = (detector.first.score(scan) for scan in _prepared(detector, tracked))
    value = fit_threshold(maps, rule).value
    fixed = Step(name="fixed", options={"value": value})
    chosen = section.model_copy(update={"threshold": fixed, "decide": Step(name="above")})
    recipe = detector.recipe.model_copy(update={"detection": chosen})
    return Detector({recipe.name: detector.first.with_recipe(recipe)}), value


def _prepared(detector: Detector, scans: Iterable[ScanFiles]) -> Iterator[Scan]:
    """Yield the scans that can be prepared; detection reports the others."""
    for files in scans:
        with suppress(ScanError):
            yield detector.prepare(files)


def _data_used(row: Row, setting: Setting, of_setting: str) -> str:
    """Describe the data that a threshold was fitted on."""
    if setting != "recipe":
        return of_setting
    if row.supervised:
        return SUPERVISED
    rule = row.recipe.detection.threshold.name
    return f"fitted on train: {rule}" if rule in TO_BE_FITTED else of_setting


def _numbers(line: dict[str, str]) -> Line:
    """Convert a line of a table of subjects to numbers, without measures that do not apply."""
    measures = {k: float(v) for k, v in line.items() if k != "subject" and v != NOTHING}
    return {"subject": line["subject"], **measures}
