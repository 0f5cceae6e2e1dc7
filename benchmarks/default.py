"""What each part of the default detector adds, and how much its constants matter.

    python benchmarks/default.py DATA [--split-file DATA/splits.tsv]

``DATA`` holds ``brats2018`` and ``nichart``; the subjects of their split ``train`` are measured, on
which the constants were chosen: these are no results, they show what the choices rest on. Each
line changes one thing. Columns: mean whole-tumour Dice and the lowest; with T1CE also core and
enhancing; of ``nichart`` mean lesion Dice and the median volume outside its automatic lesion masks.
Maps are made once, on the prepared grid; masks are measured there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.datasets import find
from anomri.detector import Detector, load
from anomri.detector.beside import of_contrasts
from anomri.errors import ScanError
from anomri.pipeline import Selection
from anomri.postprocessing import (
    MASK_STEPS,
    REGION_STEPS,
    SegmentationState,
    decide,
    largest_inscribed_radius_mm,
)
from anomri.recipe import Recipe, Step, call
from anomri.scan import AnomalyMap, Mask, Scan, Threshold
from anomri.scoring.coarse_segmentation import brightness

WHOLE, CORE, ENHANCING = (1, 2, 4), (1, 4), (4,)
FIFTH = (0.8, 1.2)
GROWN = {
    "fraction": 0.45,
    "min_level": 1.5,
    "fallback": 3.0,
    "smallest_core_ml": 0.675,
    "min_relative_weight": 0.1,
}
REGIONS = {
    "dims": 2,
    "rim_distance_mm": 2.0,
    "smallest_ml": 0.2,
    "min_enhancing_fraction": 0.05,
    "necrosis_sd": 0.5,
    "min_mass_radius_mm": 7,
}
SMALL = {"mass_mm": 7.0, "brighter_than": 2.5, "probability": 0.5, "smallest_ml": 0.03}


@dataclass(frozen=True)
class Case:
    """A scan with the maps of its contrasts, ready to be decided on.

    Attributes:
        scan: prepared.
        maps: of each contrast.
        seen: what the network `lesions` gives each voxel, before brightness is asked.
    """

    scan: Scan
    maps: Mapping[str, AnomalyMap]
    seen: AnomalyMap

    def truth(self, labels: tuple[int, ...]) -> Mask:
        """Return where the reference has one of these labels."""
        return np.isin(self.scan.truth if self.scan.truth is not None else 0, labels)


@dataclass(frozen=True)
class Variant:
    """The default with one thing changed."""

    name: str
    decide: Step
    threshold: float = 4.0
    regions: Step | None = None
    enhancing: float = 1.5
    small: Mapping[str, float] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split-file", type=Path)
    words = parser.parse_args()
    splits = words.split_file or words.data / "splits.tsv"
    chosen = Selection.of_split(splits, "train")
    tumours = list(cases(words.data / "brats2018", chosen, ("flair", "t1ce")))
    elderly = list(cases(words.data / "nichart", chosen, ("flair",)))
    print(f"{len(tumours)} gliomas, {len(elderly)} scans with white-matter lesions")
    print(f"{'':34}{'whole':>7}{'lowest':>8}{'core':>7}{'enh.':>7}{'WML':>7}{'ml out':>8}")
    for variant in variants():
        print(f"{variant.name:34}{figures(variant, tumours, elderly)}", flush=True)


def cases(folder: Path, chosen: Selection, contrasts: tuple[str, ...]) -> Iterator[Case]:
    """Yield the chosen scans of a folder with their cleaned maps."""
    models = {"flair": load("intensity"), "t1ce": load("intensity_t1ce")}
    model = load("intensity_regions" if "t1ce" in contrasts else "intensity")
    network = network_alone()
    for files in find(folder).scans:
        if files in chosen:
            try:
                scan = model.prepare(files)
            except ScanError as error:
                print(error)
                continue
            if scan.truth is not None:
                maps = {c: models[c].score(of_contrasts(scan, (c,))) for c in contrasts}
                yield Case(scan, maps, network.score(scan))


def network_alone() -> Detector:
    """Return `lesions_bright` without its question for brightness."""
    model = load("lesions_bright")
    score = Step(name="segment_coarsely", options={"spacing_mm": 2.0})
    return Detector(model.recipe.with_detection(score=score), model.networks)


def variants() -> Iterator[Variant]:
    """Yield the default taken apart, then with each constant a fifth smaller and larger."""
    hull, whole = Step(name="hull", options=REGIONS), Step(name="grow", options=GROWN)
    yield Variant("above the threshold", Step(name="above"))
    yield Variant("grown: `intensity`", whole)
    papers = Step(name="hull", options={"dims": 3, "smallest_ml": 0.1})
    yield Variant("+ T1CE: `intensity_regions`", whole, regions=papers)
    no_rims = {**REGIONS, "rim_distance_mm": 0.0, "min_enhancing_fraction": 0.0}
    inside = Step(name="hull", options=no_rims)
    yield Variant("+ hulls of slices", whole, regions=inside)
    rims = Step(name="hull", options={**REGIONS, "min_enhancing_fraction": 0.0})
    yield Variant("+ what rims enclose", whole, regions=rims)
    yield Variant("+ a dark core", whole, regions=hull)
    yield Variant("+ small lesions: `default`", whole, regions=hull, small=SMALL)
    base = Variant("", whole, regions=hull, small=SMALL)
    for name, value in SMALL.items():
        for times in FIFTH:
            small = {**SMALL, name: value * times}
            yield replace(base, name=f"small: {name} {small[name]:g}", small=small)
    for name, value in GROWN.items():
        for times in FIFTH:
            grown = Step(name="grow", options={**GROWN, name: value * times})
            yield replace(base, name=f"{name} {value * times:g}", decide=grown)
    for times in FIFTH:
        yield replace(base, name=f"threshold {4 * times:g}", threshold=4 * times)
        yield replace(base, name=f"T1CE threshold {1.5 * times:g}", enhancing=1.5 * times)
        for name in (option for option in REGIONS if option != "dims"):
            options: dict[str, Any] = {**REGIONS, name: REGIONS[name] * times}
            step = Step(name="hull", options=options)
            yield replace(base, name=f"{name} {options[name]:g}", regions=step)


def figures(variant: Variant, tumours: list[Case], elderly: list[Case]) -> str:
    """Return one line of the table."""
    found = [detect(variant, case) for case in tumours]
    whole = [
        dice(labels > 0, case.truth(WHOLE)) for labels, case in zip(found, tumours, strict=True)
    ]
    line = f"{np.mean(whole):7.3f}{min(whole):8.2f}"
    for region in (CORE, ENHANCING):
        each = [
            dice(np.isin(x, region), c.truth(region)) for x, c in zip(found, tumours, strict=True)
        ]
        line += f"{np.mean(each):7.3f}" if variant.regions else f"{'-':>7}"
    masks = [detect(variant, case) > 0 for case in elderly]
    lesions = [dice(mask, case.truth(WHOLE)) for mask, case in zip(masks, elderly, strict=True)]
    outside = [
        float((mask & ~case.truth(WHOLE)).sum() * case.scan.grid.voxel_ml)
        for mask, case in zip(masks, elderly, strict=True)
    ]
    return line + f"{np.mean(lesions):7.3f}{np.median(outside):8.1f}"


def detect(variant: Variant, case: Case) -> NDArray[np.uint8]:
    """Return label numbers; those of the mask alone where nothing names regions."""
    flair = case.maps["flair"]
    section = Recipe.load("default").with_detection(decide=variant.decide).detection
    mask = decide(flair, Threshold(value=variant.threshold, rule="fixed"), section)
    if variant.small is not None:
        mask = mask | small_lesions(case, mask, variant.small)
    if variant.regions is None or "t1ce" not in case.maps:
        return mask.astype(np.uint8)
    whole = SegmentationState.of(flair).with_brain(case.scan.brain).with_mask(mask)
    bright = SegmentationState.of(case.maps["t1ce"])
    bright = bright.with_mask(bright.values > variant.enhancing).with_brain(case.scan.brain)
    return call(REGION_STEPS, variant.regions, whole, bright).labels


def small_lesions(case: Case, mask: Mask, limits: Mapping[str, float]) -> Mask:
    """Return what the network and brightness agree on, nothing where there is a mass."""
    if largest_inscribed_radius_mm(mask, case.scan.grid.spacing) >= limits["mass_mm"]:
        return np.zeros_like(mask)
    bright = brightness(case.scan.image[0], case.scan.brain) > limits["brighter_than"]
    seen = SegmentationState.of(case.seen)
    found = seen.with_mask(bright & (seen.values > limits["probability"]))
    step = Step(name="remove_small", options={"ml": limits["smallest_ml"]})
    return call(MASK_STEPS, step, found).lesion


def dice(one: Mask, other: Mask) -> float:
    total = float(one.sum() + other.sum())
    return 2 * float((one & other).sum()) / total if total else 1.0


if __name__ == "__main__":
    main()
