"""The run folder of an adapted model: the default model, and the networks that correct its mask.

::

    run/
    ├── recipe.yaml        the maps of `default`, the map `adapted`, and the steps
    ├── brightness/ ...    the maps of `default`
    └── adapted/
        ├── first/         recipe and weights of the network trained on the first half
        └── second/        likewise; later scans see the mean of both
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from anomri.detector import Detector, MapModel
from anomri.evaluation import confusion, dice
from anomri.files import RECIPE, WEIGHTS, write_bytes, write_text
from anomri.models import FoldedSegmenter, build_recipe_network, load_weights, trained_networks
from anomri.pipeline.model_copies import copy_model
from anomri.recipe import (
    CombinedRecipe,
    MapEntry,
    MapSource,
    Recipe,
    SegmentationStep,
    Step,
    load_recipe,
)
from anomri.scan import CORRECT, NAME_REGIONS
from anomri.training import Example

BASE, ADAPTED = "default", "adapted"  # the model that is adapted; the map of its networks
HALVES = ("first", "second")
THRESHOLDS = tuple(round(0.3 + 0.05 * n, 2) for n in range(9))  # of the probability, to choose from
ABOUT = "the model `default`, its mask corrected by networks that were trained on your own scans"


def start_network(device: torch.device) -> FoldedSegmenter:
    """Return the shipped network `lesions`, from which training starts."""
    ((network, _),) = trained_networks({"lesions": MapSource(Recipe.load("lesions"))})["lesions"]
    if not isinstance(network, FoldedSegmenter):
        raise TypeError(f"lesions: expected a FoldedSegmenter, got {type(network).__name__}")
    return network.to(device)


def adapted_recipe(base: Detector, spacing_mm: float, threshold: float) -> Recipe:
    """Return the recipe of the networks: that of `lesions`, on scans prepared as for the base."""
    return (
        Recipe.load("lesions")
        .model_copy(update={"name": ADAPTED, "about": "a network trained on unlabelled scans"})
        .with_changes(
            preparation=dict(base.recipe.preparation),
            score=Step(name="segment_coarsely", options={"spacing_mm": spacing_mm}),
            threshold=Step(name="fixed", options={"value": threshold}),
        )
    )


def steps_with_correction(steps: Sequence[SegmentationStep]) -> tuple[SegmentationStep, ...]:
    """Return the steps of a model with a correction, before regions are named."""
    correction = SegmentationStep(step=Step(name=CORRECT), map=ADAPTED)
    names = [step.step.name for step in steps]
    place = names.index(NAME_REGIONS) if NAME_REGIONS in names else len(names)
    return (*steps[:place], correction, *steps[place:])


def with_one_network(base: Detector, weights: Path, recipe: Recipe) -> Detector:
    """Return the adapted model with one network alone, which has not seen the scans to judge."""
    network = build_recipe_network(recipe)
    load_weights(network, weights)
    adapted = MapModel(recipe, [network], device=base.device)
    maps = {**base.map_models, ADAPTED: adapted}
    return Detector(maps, steps_with_correction(base.steps), name=ADAPTED)


def best_threshold(pairs: Sequence[tuple[np.ndarray, Example]], *, otherwise: float) -> float:
    """Return the probability above which networks agree best with masks that they did not see.

    Args:
        pairs: probability (I, J, K) by the other half's network, and the example.
        otherwise: returned where no example has a lesion.
    """
    scans = [(values, one) for values, one in pairs if one.lesions.any()]
    if not scans:
        return otherwise
    weights = [one.weight for _, one in scans]
    means = [
        np.average(
            [dice(confusion(values > level, one.lesions, one.brain)) for values, one in scans],
            weights=weights,
        )
        for level in THRESHOLDS
    ]
    return THRESHOLDS[int(np.argmax(means))]


def write_model(folder: Path, weights: Sequence[Path], recipe: Recipe) -> None:
    """Write the model into an empty folder.

    Args:
        folder: to write to.
        weights: of the networks of both halves.
        recipe: of both.
    """
    copy_model(BASE, folder)
    for half, file in zip(HALVES, weights, strict=True):
        write_bytes(folder / ADAPTED / half / WEIGHTS, file.read_bytes())
        write_text(folder / ADAPTED / half / RECIPE, recipe.to_yaml())
    copied = load_recipe(folder / RECIPE)
    if not isinstance(copied, CombinedRecipe):
        raise TypeError(f"{BASE}: expected a recipe of several maps")
    combined = copied.model_copy(
        update={
            "name": ADAPTED,
            "about": ABOUT,
            "maps": {**copied.maps, ADAPTED: MapEntry(recipe=ADAPTED)},
            "segmentation": steps_with_correction(copied.segmentation),
        }
    )
    write_text(folder / RECIPE, combined.to_yaml())
