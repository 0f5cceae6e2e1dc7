"""What each part of the default detector adds, and how much its constants matter.

    python benchmarks/default.py DATA [--split-file DATA/splits.tsv]

``DATA`` holds ``brats2018`` and ``nichart``; the subjects of their split ``train`` are measured, on
which the constants were chosen: these are no results, they show what the choices rest on. Each
line changes one thing. Columns: mean whole-tumour Dice and the lowest; with T1CE also core and
enhancing; of ``nichart`` mean lesion Dice and the median volume outside its automatic lesion masks.
Maps are made once for each scan and score, on the prepared grid; masks are measured there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.datasets import find
from anomri.detector import Detector, MapModel, load
from anomri.errors import ScanError
from anomri.pipeline import Selection
from anomri.recipe import SegmentationStep, Step
from anomri.scan import AnomalyMap, Mask, Scan

WHOLE, CORE, ENHANCING = (1, 2, 4), (1, 4), (4,)
FIFTH = (0.8, 1.2)
DEFAULT = load("default")
AGAINST_FIELDS = ("subtract_field", "divide_by_local_mean")
NEVER = -1e6  # standard deviations
T1CE_ALONE = Step(name="subtract_native", options={"above": 1000, "raise_by": 0})


@dataclass
class Case:
    """A prepared scan, and its maps by name and score."""

    scan: Scan
    made: dict[tuple[str, str], AnomalyMap] = field(default_factory=dict)

    def truth(self, labels: tuple[int, ...]) -> Mask:
        """Return where the reference has one of these labels."""
        return np.isin(self.scan.truth if self.scan.truth is not None else 0, labels)

    def maps(self, detector: Detector) -> dict[str, AnomalyMap]:
        """Return the maps that the detector would make of the scan."""
        return {
            name: self._map(name, detector.map_models[name]) for name in detector.maps(self.scan)
        }

    def _map(self, name: str, model: MapModel) -> AnomalyMap:
        section = model.recipe.detection
        key = name, f"{section.score} {section.clean}"
        if key not in self.made:
            self.made[key] = model.score(self.scan)
        return self.made[key]


@dataclass(frozen=True)
class Variant:
    """The default with one thing changed.

    Attributes:
        name: of the line.
        steps: of the segmentation.
        detection: entries of ``detection``, by map.
    """

    name: str
    steps: tuple[SegmentationStep, ...] = DEFAULT.steps
    detection: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def detector(self) -> Detector:
        """Return the default with this change."""
        models = {
            name: model.with_recipe(model.recipe.with_changes(**self.detection.get(name, {})))
            for name, model in DEFAULT.map_models.items()
            if name in {step.map for step in self.steps}
        }
        return Detector(models, self.steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split-file", type=Path)
    words = parser.parse_args()
    splits = words.split_file or words.data / "splits.tsv"
    chosen = Selection.of_split(splits, "train")
    tumours = list(cases(words.data / "brats2018", chosen))
    elderly = list(cases(words.data / "nichart", chosen))
    print(f"{len(tumours)} gliomas, {len(elderly)} scans with white-matter lesions")
    print(f"{'':46}{'whole':>7}{'lowest':>8}{'core':>7}{'enh.':>7}{'WML':>7}{'ml out':>8}")
    for variant in variants():
        print(f"{variant.name:46}{figures(variant, tumours, elderly)}", flush=True)


def cases(folder: Path, chosen: Selection) -> Iterator[Case]:
    """Yield the chosen scans of a folder that have a reference."""
    for files in find(folder).scans:
        if files in chosen:
            try:
                scan = DEFAULT.prepare(files)
            except ScanError as error:
                print(error)
                continue
            if scan.truth is not None:
                yield Case(scan)


def variants() -> Iterator[Variant]:
    """Yield the default taken apart, then with each constant a fifth smaller and larger."""
    segment, enclose, compete, small, regions = DEFAULT.steps
    bright = changed(compete, dark_below=NEVER)
    early = changed(bright, core_map="")
    name_regions = changed(regions, half_maximum_mm=0.0, closing_mm=0.0)
    at_once = with_fields("brightness")["brightness"] | {"decide": Step(name="above")}
    yield Variant("above the threshold", (segment,), {"brightness": at_once})
    fields = with_fields("brightness", "enhancement")
    yield Variant("grown: `intensity`", (segment,), fields)
    t1ce_alone = [*fields["enhancement"]["clean"][:-1], T1CE_ALONE]
    without_t1 = {**fields, "enhancement": {"clean": t1ce_alone}}
    plain = name_regions.model_copy(update={"step": Step(name="name_regions")})
    yield Variant("+ T1CE: `intensity_regions`", (segment, plain), without_t1)
    hulls = changed(name_regions, min_enhancing_fraction=0.0)
    yield Variant("+ hulls of slices", (segment, hulls), without_t1)
    yield Variant("+ what rims enclose", (segment, enclose, hulls), without_t1)
    yield Variant("+ a dark core", (segment, enclose, name_regions), without_t1)
    yield Variant("+ T1 subtracted from T1CE", (segment, enclose, name_regions), fields)
    yield Variant("+ region competition", (segment, enclose, early, name_regions), fields)
    yield Variant("+ small lesions", (segment, enclose, early, small, name_regions), fields)
    rims = changed(regions, closing_mm=0.0)
    yield Variant("+ enhancement to half maximum", (segment, enclose, early, small, rims), fields)
    yield Variant("+ a closed core", (segment, enclose, early, small, regions), fields)
    yield Variant("+ edema around a core", (segment, enclose, bright, small, regions), fields)
    steps = (segment, enclose, bright, small, regions)
    yield Variant("+ less bias field in FLAIR", steps, with_fields("enhancement"))
    yield Variant("+ what is dark in T1CE grows", detection=with_fields("enhancement"))
    yield Variant("+ local means of T1CE: `default`")
    for number, step in enumerate(DEFAULT.steps):
        for option, value in step.step.options.items():
            if isinstance(value, float | int) and option != "dims":
                for moved_value in fifths(option, value):
                    moved_steps = list(DEFAULT.steps)
                    moved_steps[number] = changed(step, **{option: moved_value})
                    line = f"{step.step.name}: {option} {moved_value:g}"
                    yield Variant(line, tuple(moved_steps))
    for name, model in DEFAULT.map_models.items():
        section = model.recipe.detection
        for entry in ("score", "threshold", "decide"):
            yield from moved(name, entry, getattr(section, entry))
        if name != "network":
            yield from cleaning_steps_moved(name)


def _clean(name: str) -> tuple[Step, ...]:
    return DEFAULT.map_models[name].recipe.detection.clean


def with_fields(*names: str) -> dict[str, dict[str, Any]]:
    """Return the entries of these maps with which bias fields stay in them."""
    return {
        name: {"clean": [step for step in _clean(name) if step.name not in AGAINST_FIELDS]}
        for name in names
    }


def cleaning_steps_moved(name: str) -> Iterator[Variant]:
    """Yield variants in which one number of the cleaning steps of a map is moved."""
    steps = _clean(name)
    for number, step in enumerate(steps):
        for option, value in step.options.items():
            for moved_value in fifths(option, float(str(value))):
                other = Step(name=step.name, options={**step.options, option: moved_value})
                clean = [*steps[:number], other, *steps[number + 1 :]]
                line = f"{name}: {step.name}: {option} {moved_value:g}"
                yield Variant(line, detection={name: {"clean": clean}})


def fifths(option: str, value: float) -> list[float]:
    """Return a number a fifth smaller and larger; a count stays whole, a percentile below 100.

    A degree is moved by 1.
    """
    if option == "degree":
        return [round(value) - 1, round(value) + 1]
    numbers = [value * times for times in FIFTH]
    if option == "iterations":
        return [round(number) for number in numbers]
    return [min(number, 100) for number in numbers] if "percentile" in option else numbers


def moved(name: str, entry: str, step: Step) -> Iterator[Variant]:
    """Yield variants in which one number of a map's step is a fifth smaller and larger."""
    for option, value in step.options.items():
        if isinstance(value, float | int) and option != "spacing_mm":
            for moved_value in fifths(option, value):
                options = {**step.options, option: moved_value}
                change = {name: {entry: Step(name=step.name, options=options)}}
                yield Variant(f"{name}: {option} {moved_value:g}", detection=change)


def changed(step: SegmentationStep, **options: Any) -> SegmentationStep:
    """Return a step with other options."""
    inner = step.step.model_copy(update={"options": {**step.step.options, **options}})
    return step.model_copy(update={"step": inner})


def figures(variant: Variant, tumours: list[Case], elderly: list[Case]) -> str:
    """Return one line of the table."""
    detector = variant.detector()
    found = [labels_of(detector, case) for case in tumours]
    whole = overlaps(found, tumours, WHOLE, found_numbers=range(1, 256))
    line = f"{np.mean(whole):7.3f}{min(whole):8.2f}"
    named = any(step.step.name == "name_regions" for step in variant.steps)
    for region in (CORE, ENHANCING):
        mean = np.mean(overlaps(found, tumours, region, found_numbers=region))
        line += f"{mean:7.3f}" if named else f"{'-':>7}"
    masks = [labels_of(detector, case) > 0 for case in elderly]
    lesions = [dice(mask, case.truth(WHOLE)) for mask, case in zip(masks, elderly, strict=True)]
    outside = [
        float((mask & ~case.truth(WHOLE)).sum() * case.scan.grid.voxel_ml)
        for mask, case in zip(masks, elderly, strict=True)
    ]
    return line + f"{np.mean(lesions):7.3f}{np.median(outside):8.1f}"


def labels_of(detector: Detector, case: Case) -> NDArray[np.uint8]:
    """Return label numbers; those of the mask alone where nothing names regions."""
    made = detector.segment(case.maps(detector))
    return made.mask.astype(np.uint8) if made.regions is None else made.regions


def overlaps(
    found: list[NDArray[np.uint8]],
    cases: list[Case],
    region: tuple[int, ...],
    *,
    found_numbers: range | tuple[int, ...],
) -> list[float]:
    """Return the Dice of a region in each case."""
    return [
        dice(np.isin(labels, list(found_numbers)), case.truth(region))
        for labels, case in zip(found, cases, strict=True)
    ]


def dice(mask: Mask, truth: Mask) -> float:
    total = float(mask.sum() + truth.sum())
    return 2 * float((mask & truth).sum()) / total if total else 1.0


if __name__ == "__main__":
    main()
