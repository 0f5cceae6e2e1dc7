"""What each part of the default detector adds, and how much its constants matter.

    python benchmarks/default.py DATA [--split-file DATA/splits.tsv] [--only PATTERN]
        [--cache FOLDER] [--workers N]

``DATA`` holds ``brats2018`` and ``nichart``; the subjects of their split ``train`` are measured, on
which the constants were chosen: these are no results, they show what the choices rest on. Columns:
mean whole-tumour Dice and the lowest; with T1CE also core and enhancing; of ``nichart`` mean lesion
Dice and the median volume outside its automatic lesion masks; then in how many scans whole, core,
enhancing and lesion Dice are higher and lower than those of the default, by more than 0.002. Masks
are measured on the prepared grid. Tables: parts added one by one, with all contrasts and with FLAIR
and T1CE alone; the default without one part; each constant a fifth smaller and larger. Constants of
the preparation are not varied, as another grid has another reference.

Of a scan everything is kept that a line has in common with others: a map, and the outcome of a step
by what it was made of. ``--cache`` keeps figures by scan, line and weights, so that an
interrupted run is resumed. They are not made again after a change of code: choose another
folder then.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from anomri.datasets import find
from anomri.detector import Detector, MapModel, load
from anomri.errors import ScanError
from anomri.files import write_text
from anomri.pipeline import Selection
from anomri.postprocessing import COMBINATION_STEPS, Segmentation, SegmentationState, StepMap
from anomri.recipe import SegmentationStep, Step, call
from anomri.scan import AnomalyMap, Labels, Mask, Scan, ScanFiles, Threshold
from anomri.scoring import AnomalyMaps

WHOLE, CORE, ENHANCING = (1, 2, 4), (1, 4), (4,)
PAIR = ("flair", "t1ce")
FIFTH = (0.8, 1.2)
CHANGED = 0.002  # Dice
DEFAULT = load("default", device="cpu")
AGAINST_FIELDS = ("subtract_field", "divide_by_local_mean")
NEVER = -1e6  # standard deviations
CHOICES = ("dims",)  # numbers that are no amounts
KEPT_MAPS = 12  # of a scan, in memory
ABOVE = Step(name="above")
SMALL = "network"  # the map of small lesions


@dataclass(frozen=True)
class Variant:
    """The default with something changed.

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
        used = {step.map for step in self.steps}
        used |= {str(value) for step in self.steps for value in step.step.options.values()}
        models = {
            name: model.with_recipe(model.recipe.with_changes(**self.detection.get(name, {})))
            for name, model in DEFAULT.map_models.items()
            if name in used
        }
        return Detector(models, self.steps)


UNCHANGED = Variant("`default`")


def parts() -> Iterator[Variant]:
    """Yield the default built up part by part, first what masses need, then small lesions."""
    segment, enclose, compete, decide, small, regions = DEFAULT.steps
    smooth = changed(decide, edge_sigma_mm=0.0)
    grey = changed(compete, min_mean_probability=None)
    faint = changed(grey, grey_core_probability=1.0)
    flooding = changed(faint, probability_map=None)
    bright = changed(flooding, dark_below=NEVER)
    early = changed(bright, core_map="")
    rims = changed(regions, closing_mm=0.0)
    name_regions = changed(rims, half_maximum_mm=0.0)
    at_once = with_fields("brightness")["brightness"] | {"decide": ABOVE}
    yield Variant("above the threshold", (segment,), {"brightness": at_once})
    fields = with_fields("brightness", "enhancement")
    yield Variant("grown: `intensity`", (segment,), fields)
    without_t1 = {**fields, **without_subtraction(fields["enhancement"]["clean"])}
    plain = regions.model_copy(update={"step": Step(name="name_regions")})
    yield Variant("+ T1CE: `intensity_regions`", (segment, plain), without_t1)
    hulls = changed(name_regions, min_enhancing_fraction=0.0)
    yield Variant("+ hulls of slices", (segment, hulls), without_t1)
    yield Variant("+ what rims enclose", (segment, enclose, hulls), without_t1)
    yield Variant("+ a dark core", (segment, enclose, name_regions), without_t1)
    yield Variant("+ T1 subtracted from T1CE", (segment, enclose, name_regions), fields)
    yield Variant("+ region competition", (segment, enclose, early, name_regions), fields)
    yield Variant("+ enhancement to half maximum", (segment, enclose, early, rims), fields)
    yield Variant("+ a closed core", (segment, enclose, early, regions), fields)
    yield Variant("+ edema around a core", (segment, enclose, bright, regions), fields)
    fields = with_fields("enhancement")
    yield Variant("+ less bias field in FLAIR", (segment, enclose, bright, regions), fields)
    steps: tuple[SegmentationStep, ...] = segment, enclose, flooding, regions
    yield Variant("+ what is dark in T1CE grows", steps, fields)
    yield Variant("+ local means of T1CE", steps)
    yield Variant("+ the network near the border", (*steps[:-1], smooth, regions))
    steps = segment, enclose, faint, smooth, regions
    yield Variant("+ faint tissue only by the network", steps)
    steps = segment, enclose, grey, smooth, regions
    yield Variant("+ grey cores by the network", steps)
    steps = segment, enclose, compete, smooth, regions
    yield Variant("+ no lesions that it doubts beside a mass", steps)
    steps = segment, enclose, compete, decide
    yield Variant("+ the border along edges of FLAIR", (*steps, regions))
    yield from parts_of_small_lesions(steps, small, regions)


def parts_of_small_lesions(
    before: Sequence[SegmentationStep], small: SegmentationStep, regions: SegmentationStep
) -> Iterator[Variant]:
    """Yield the step for small lesions built up part by part.

    Args:
        before: the steps before it.
        small: the step.
        regions: the step after it.
    """
    always = changed(small, symmetric_from=None, min_bright_fraction=None)
    steps = (*before, always, regions)
    section = DEFAULT.map_models[SMALL].recipe.detection
    every = [step for step in section.refine if step.name != "remove_faint"]
    inside = [step for step in every if step.name != "remove_superficial"]
    above = {"decide": ABOVE, "refine": inside}
    plain = {"score": with_options(section.score, penalty=0.0, grey_matter_sd=0.0), **above}
    yield Variant("+ small lesions without the linear field", steps, {SMALL: plain})
    confirmed = {"score": with_options(section.score, grey_matter_sd=0.0), **above}
    yield Variant("+ the network confirms them", steps, {SMALL: confirmed})
    yield Variant("+ grey matter has its own level", steps, {SMALL: above})
    yield Variant("+ half-way down to the tissue around", steps, {SMALL: {"refine": inside}})
    yield Variant("+ nothing along the surface", steps, {SMALL: {"refine": every}})
    yield Variant("+ nothing faint among the scan's lesions", steps)
    symmetric = changed(small, min_bright_fraction=None)
    yield Variant("+ symmetric lesions are no mass", (*before, symmetric, regions))
    yield Variant("+ nor is a bright coil: `default`")


def without_one() -> Iterator[Variant]:
    """Yield the default without one of its parts."""
    _, enclose, compete, decide, small, regions = DEFAULT.steps
    yield without("enclosed rims", enclose)
    yield without("region competition", compete)
    yield replaced("edema around a core", compete, core_map="")
    yield replaced("growth where T1CE is dark", compete, dark_below=NEVER)
    yield replaced("the stop at faint tissue", compete, faint_fraction=0.0)
    yield replaced("grey cores by the network", compete, grey_core_probability=1.0)
    yield replaced("the removal beside a mass", compete, min_mean_probability=None)
    yield without("the network near the border", decide)
    yield replaced("the edges of FLAIR", decide, edge_sigma_mm=None)
    yield replaced("the limit of what it takes away", decide, min_kept=None)
    yield replaced("the half maximum of enhancement", regions, half_maximum_mm=None)
    yield replaced("the closed core", regions, closing_mm=None)
    yield replaced("rule for hardly any enhancement", regions, min_enhancing_fraction=None)
    yield without("small lesions", small)
    yield replaced("symmetry", small, symmetric_from=None)
    yield replaced("test for a bright coil", small, min_bright_fraction=None)
    other = {
        "less bias field in FLAIR": with_fields("brightness"),
        "local means of T1CE": with_fields("enhancement"),
        "T1 subtracted from T1CE": without_subtraction(_section("enhancement").clean),
        "the network's doubt": {SMALL: {"score": with_options(_section(SMALL).score, penalty=0.0)}},
        "grey matter's own level": {
            SMALL: {"score": with_options(_section(SMALL).score, grey_matter_sd=0.0)}
        },
        "borders half-way down": {SMALL: {"decide": ABOVE}},
        "removal along the surface": {SMALL: {"refine": _section(SMALL).refine[1:]}},
        "removal of what is faint": {SMALL: {"refine": _section(SMALL).refine[:-1]}},
    }
    for name, detection in other.items():
        yield Variant(f"without {name}", detection=detection)


def constants() -> Iterator[Variant]:
    """Yield the default with each number of its steps and maps a fifth smaller and larger."""
    for step in DEFAULT.steps:
        for name, moved in moved_steps(step.step):
            yield Variant(name, exchanged(step, step.model_copy(update={"step": moved})))
    for name in DEFAULT.map_models:
        yield from constants_of_map(name)


def constants_of_map(name: str) -> Iterator[Variant]:
    """Yield the default with each number of a map a fifth smaller and larger."""
    section = _section(name)
    for entry in ("score", "threshold", "decide"):
        for line, moved in moved_steps(getattr(section, entry)):
            yield Variant(f"{name}: {line}", detection={name: {entry: moved}})
    for entry in ("clean", "refine"):
        steps = getattr(section, entry)
        for number, step in enumerate(steps):
            for line, moved in moved_steps(step):
                others = [*steps[:number], moved, *steps[number + 1 :]]
                yield Variant(f"{name}: {line}", detection={name: {entry: others}})


def moved_steps(step: Step) -> Iterator[tuple[str, Step]]:
    """Yield a step with each of its numbers a fifth smaller and larger, and the line's name."""
    for option, value in step.options.items():
        if isinstance(value, float | int) and not isinstance(value, bool) and option not in CHOICES:
            for number in fifths(option, value):
                yield f"{step.name}: {option} {number:g}", with_options(step, **{option: number})


def fifths(option: str, value: float) -> list[float]:
    """Return a number a fifth smaller and larger; a count stays whole.

    A percentile is at most 100 and a probability at most 1. A degree is moved by 1.
    """
    if option == "degree":
        return [round(value) - 1, round(value) + 1]
    numbers = [value * times for times in FIFTH]
    if option == "iterations":
        return [round(number) for number in numbers]
    most = 1 if "probability" in option else 100 if "percentile" in option else np.inf
    return [min(number, most) for number in numbers]


def with_options(step: Step, **options: Any) -> Step:
    """Return a step with other options; None leaves one out."""
    every = {**step.options, **options}
    return Step(name=step.name, options={k: v for k, v in every.items() if v is not None})


def changed(step: SegmentationStep, **options: Any) -> SegmentationStep:
    """Return a step with other options; None leaves one out."""
    return step.model_copy(update={"step": with_options(step.step, **options)})


def exchanged(step: SegmentationStep, *others: SegmentationStep) -> tuple[SegmentationStep, ...]:
    """Return the default's steps with others in place of one."""
    number = DEFAULT.steps.index(step)
    return (*DEFAULT.steps[:number], *others, *DEFAULT.steps[number + 1 :])


def without(name: str, step: SegmentationStep) -> Variant:
    """Return the default without a step."""
    return Variant(f"without {name}", exchanged(step))


def replaced(name: str, step: SegmentationStep, **options: Any) -> Variant:
    """Return the default with options of a step that switch a part of it off."""
    return Variant(f"without {name}", exchanged(step, changed(step, **options)))


def with_fields(*names: str) -> dict[str, dict[str, Any]]:
    """Return the entries of these maps with which bias fields stay in them."""
    return {
        name: {"clean": [step for step in _section(name).clean if step.name not in AGAINST_FIELDS]}
        for name in names
    }


def without_subtraction(clean: Sequence[Step]) -> dict[str, dict[str, Any]]:
    """Return the entries of the map of enhancement with which T1 is not subtracted."""
    never = Step(name="subtract_native", options={"above": 1000, "raise_by": 0})
    return {
        "enhancement": {"clean": [never if step.name == never.name else step for step in clean]}
    }


def _section(name: str) -> Any:
    return DEFAULT.map_models[name].recipe.detection


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of one scan: Dice of the regions, and ml outside the reference."""

    whole: float
    core: float | None
    enhancing: float | None
    outside_ml: float


@dataclass
class Case:
    """A prepared scan, and what was computed of it.

    Attributes:
        scan: prepared, with the reference.
        maps: by what they were made of, those used last.
        masks: of single maps, compressed, by fingerprint.
        labels: after a step, compressed, by what it was given: the fingerprints of the maps that it
            read, and the result.
    """

    scan: Scan
    maps: dict[str, AnomalyMap] = field(default_factory=dict)
    masks: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, list[tuple[dict[str, str], bytes]]] = field(default_factory=dict)

    def segment(self, detector: Detector) -> Labels:
        """Return the labels that :meth:`Detector.segment` gives; 1 where it names no regions."""
        there = frozenset(detector.maps(self.scan))
        labels = self._mask(detector.first_name, detector.first)
        for step in detector.steps[1:]:
            if step.map in there:
                labels = self._after(step, labels, detector)
        return labels

    def _after(self, step: SegmentationStep, before: Labels, detector: Detector) -> Labels:
        """Return the labels after a step, computed where it or a map that it reads is new."""
        first = _key(detector.first_name, detector.first)
        names = [*detector.map_models]
        key = f"{zlib.crc32(before.tobytes())} {step.model_dump_json()} {first} {names}"
        prints = {name: model.fingerprint for name, model in detector.map_models.items()}
        known = self.labels.setdefault(key, [])
        for read, labels in known:
            if read.items() <= prints.items():
                return self._unpacked(labels)
        found, used = self._computed(step, before, detector)
        known.append(({name: prints[name] for name in used}, _packed(found)))
        return found

    def _computed(
        self, step: SegmentationStep, before: Labels, detector: Detector
    ) -> tuple[Labels, set[str]]:
        """Return the labels after a step, and the maps that it read; of the first more than it."""
        models, used = detector.map_models, set[str]()

        def map_of(name: str) -> AnomalyMap:
            used.update({name} - {detector.first_name})
            return self._map(name, models[name])

        maps = AnomalyMaps({name: partial(map_of, name) for name in detector.maps(self.scan)})

        def threshold_of(name: str) -> Threshold:
            used.add(name)
            return models[name].rule.threshold(maps[name])

        def state_of(name: str) -> SegmentationState:
            used.add(name)
            return SegmentationState.segmented(maps[name], self._mask(name, models[name]) > 0)

        state = SegmentationState.segmented(maps[detector.first_name], before > 0)
        made = call(
            COMBINATION_STEPS, step.step, state, StepMap(step.map, maps, threshold_of, state_of)
        )
        return _labels(made), used

    def _mask(self, name: str, model: MapModel) -> Labels:
        """Return the segmentation of one map."""
        key = f"{name} {model.fingerprint}"
        if key not in self.masks:
            anomaly = self._map(name, model)
            made = model.segment(anomaly, model.rule.threshold(anomaly))
            self.masks[key] = _packed(made.mask.astype(np.uint8))
        return self._unpacked(self.masks[key])

    def _map(self, name: str, model: MapModel) -> AnomalyMap:
        """Return a map, made anew where it was not used for long."""
        key = _key(name, model)
        made = self.maps.pop(key, None) or model.score(self.scan)
        self.maps[key] = made
        if len(self.maps) > KEPT_MAPS:
            self.maps.pop(next(iter(self.maps)))
        return made

    def _unpacked(self, labels: bytes) -> Labels:
        flat = np.frombuffer(zlib.decompress(labels), np.uint8)
        return flat.reshape(self.scan.grid.shape)

    def outcome(self, detector: Detector) -> Outcome:
        """Return the figures of a detector's labels."""
        labels = self.segment(detector)
        found, truth = labels > 0, self._truth(WHOLE)
        named = any(step.step.name == "name_regions" for step in detector.steps)
        named &= "t1ce" in self.scan.contrasts
        core, enhancing = (
            dice(np.isin(labels, region), self._truth(region)) if named else None
            for region in (CORE, ENHANCING)
        )
        outside = float(np.count_nonzero(found & ~truth) * self.scan.grid.voxel_ml)
        return Outcome(dice(found, truth), core, enhancing, outside)

    def _truth(self, labels: tuple[int, ...]) -> Mask:
        return np.isin(self.scan.truth if self.scan.truth is not None else 0, labels)


def _labels(made: Segmentation) -> Labels:
    return made.mask.astype(np.uint8) if made.regions is None else made.regions


def _packed(labels: Labels) -> bytes:
    return zlib.compress(np.ascontiguousarray(labels, np.uint8).tobytes(), 1)


def _key(name: str, model: MapModel) -> str:
    section = model.recipe.detection
    return f"{name} {model.weights_hash} {section.score} {section.clean}"


def dice(mask: Mask, truth: Mask) -> float:
    total = float(mask.sum() + truth.sum())
    return 2 * float((mask & truth).sum()) / total if total else 1.0


Figures = dict[str, Outcome]  # of a scan, by the fingerprint of the detector


@dataclass(frozen=True)
class Measurement:
    """The figures of one scan; can be pickled for a worker.

    Attributes:
        variants: to be measured.
        contrasts: to be used; all where empty.
        cache: folder of the figures, a file for each scan.
    """

    variants: tuple[Variant, ...]
    contrasts: tuple[str, ...]
    cache: Path | None

    def __call__(self, files: ScanFiles) -> Figures:
        """Return the figures by fingerprint; nothing if the scan cannot be used."""
        detectors = {one.fingerprint: one for one in (v.detector() for v in self.variants)}
        done = self._cached(files)
        missing = {key: one for key, one in detectors.items() if key not in done}
        if missing and (case := self._case(files)):
            for key, detector in missing.items():
                done[key] = case.outcome(detector)
                self._keep(files, done)
        return {key: done[key] for key in detectors if key in done}

    def _case(self, files: ScanFiles) -> Case | None:
        try:
            scan = DEFAULT.prepare(files)
        except ScanError as error:
            print(error, flush=True)
            return None
        if scan.truth is None:
            return None
        return Case(scan.select(self.contrasts) if self.contrasts else scan)

    def _keep(self, files: ScanFiles, figures: Figures) -> None:
        if self.cache:
            text = json.dumps({key: asdict(one) for key, one in figures.items()}, indent=0)
            write_text(self._file(self.cache, files), text)

    def _cached(self, files: ScanFiles) -> Figures:
        if self.cache is None or not self._file(self.cache, files).exists():
            return {}
        kept = json.loads(self._file(self.cache, files).read_text(encoding="utf-8"))
        return {key: Outcome(**figures) for key, figures in kept.items()}

    def _file(self, cache: Path, files: ScanFiles) -> Path:
        return cache / f"{'_'.join((files.label, *self.contrasts))}.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--split-file", type=Path)
    parser.add_argument("--only", default="", help="regular expression of lines")
    parser.add_argument("--cache", type=Path, help="folder in which figures are kept")
    parser.add_argument("--workers", type=int, default=1)
    words = parser.parse_args()
    chosen = Selection.of_split(words.split_file or words.data / "splits.tsv", "train")
    tumours, elderly = (scans(words.data / name, chosen) for name in ("brats2018", "nichart"))
    print(f"{len(tumours)} gliomas, {len(elderly)} scans with white-matter lesions", flush=True)
    built, left_out, moved = (
        tuple(one for one in lines if re.search(words.only, one.name))
        for lines in (parts(), without_one(), constants())
    )
    every = (UNCHANGED, *built, *left_out, *moved)
    run = partial(measure, workers=words.workers)
    whole = run([*tumours, *elderly], Measurement(every, (), words.cache))
    pair = run(tumours, Measurement((UNCHANGED, *built), PAIR, words.cache))
    of_tumours, of_elderly = whole[: len(tumours)], whole[len(tumours) :]
    print_table("Parts, all contrasts", built, of_tumours, of_elderly)
    print_table("Parts, FLAIR and T1CE alone", built, pair, [])
    print_table("`default` without one part", (UNCHANGED, *left_out), of_tumours, of_elderly)
    print_table("Constants", (UNCHANGED, *moved), of_tumours, of_elderly)


def scans(folder: Path, chosen: Selection) -> list[ScanFiles]:
    """Return the chosen scans of a folder."""
    return [files for files in find(folder).scans if files in chosen]


def measure(files: list[ScanFiles], task: Measurement, *, workers: int) -> list[Figures]:
    """Return the figures of each scan."""
    if workers == 1:
        return [task(one) for one in files]
    with get_context("spawn").Pool(workers) as pool:
        return pool.map(task, files, chunksize=1)


def print_table(
    title: str, lines: Sequence[Variant], tumours: list[Figures], elderly: list[Figures]
) -> None:
    """Print a line for each variant, with what differs from the default."""
    before = column(UNCHANGED, tumours), column(UNCHANGED, elderly)
    print(f"\n{title}\n{'':52}{'whole':>7}{'lowest':>8}{'core':>7}{'enh.':>7}{'WML':>7}", end="")
    print(f"{'ml out':>8}   {'whole':>6}{'core':>6}{'enh.':>6}{'WML':>6}  (higher/lower)")
    for line in lines:
        found = column(line, tumours), column(line, elderly)
        print(f"{line.name:52}{means(*found)}   {differences(found, before)}", flush=True)


def column(variant: Variant, scans: list[Figures]) -> list[Outcome]:
    """Return the figures of a variant in each scan that could be used."""
    key = variant.detector().fingerprint
    return [figures[key] for figures in scans if figures]


def means(tumours: list[Outcome], elderly: list[Outcome]) -> str:
    """Return the mean figures as cells."""
    cells = [f"{mean_of(tumours, 'whole'):>7}"]
    cells += [f"{min(one.whole for one in tumours):8.2f}" if tumours else f"{'-':>8}"]
    cells += [f"{mean_of(tumours, region):>7}" for region in ("core", "enhancing")]
    cells += [f"{mean_of(elderly, 'whole'):>7}"]
    outside = [one.outside_ml for one in elderly]
    cells += [f"{np.median(outside):8.1f}" if outside else f"{'-':>8}"]
    return "".join(cells)


def mean_of(outcomes: list[Outcome], region: str) -> str:
    values = [getattr(one, region) for one in outcomes]
    return f"{np.mean(values):.3f}" if values and None not in values else "-"


def differences(
    found: tuple[list[Outcome], list[Outcome]], before: tuple[list[Outcome], list[Outcome]]
) -> str:
    """Return how many scans are better and worse, by region, as cells."""
    (tumours, elderly), (tumours_before, elderly_before) = found, before
    cells = [counted(tumours, tumours_before, region) for region in ("whole", "core", "enhancing")]
    cells.append(counted(elderly, elderly_before, "whole"))
    return "".join(f"{cell:>6}" for cell in cells)


def counted(found: list[Outcome], before: list[Outcome], region: str) -> str:
    pairs = [(getattr(a, region), getattr(b, region)) for a, b in zip(found, before, strict=True)]
    changes = [a - b for a, b in pairs if a is not None and b is not None]
    if not changes:
        return "-"
    return f"{sum(c > CHANGED for c in changes)}/{sum(c < -CHANGED for c in changes)}"


if __name__ == "__main__":
    main()
