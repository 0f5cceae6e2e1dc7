"""Run folders and built-in names to models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from anomri.detector.model import Detector, Fitted
from anomri.errors import UsageError
from anomri.family import Family, Network
from anomri.models import build_network, load_weights
from anomri.recipe import Recipe, builtin_names
from anomri.scan import HealthyVolume, Threshold
from anomri.scoring import CodeStatistics

RECIPE = "recipe.yaml"
WEIGHTS = "weights.safetensors"
THRESHOLDS = "thresholds.json"
CODES = "codes.safetensors"

SHIPPED = resources.files("anomri") / "weights"

WHOLE, ENHANCING = "whole", "enhancing"

# Built-in models of several contrasts: the recipes that work beside each other.
SEVERAL: Mapping[str, tuple[str, ...]] = {
    "default": ("default", "intensity_t1ce"),
    "intensity_regions": ("intensity", "intensity_t1ce"),
}
# And the one that adds small lesions where the first finds no mass.
SMALL: Mapping[str, str] = {"default": "lesions_bright"}
# Recipes that use the weights of another.
WEIGHTS_OF: Mapping[str, str] = {"lesions_bright": "lesions"}


def load(model: str | Path, *, device: str = "auto") -> Detector:
    """Load a run folder, or a model that ships with anomri by its name.

    Args:
        model: folder written by ``anomri train``; a folder that holds several such folders, of
            segmenters to be averaged or of models of different contrasts that work beside each
            other; or a name such as ``intensity``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        UsageError: there is no such model, its weights are missing, or its members do not agree.
    """
    chosen = choose_device(device)
    if str(model) in builtin_models() and not Path(model).is_dir():
        recipes = [Recipe.load(name) for name in SEVERAL.get(str(model), (str(model),))]
        found = _beside([_builtin(recipe, chosen) for recipe in recipes])
        small = SMALL.get(str(model))
        return found.with_small(_builtin(Recipe.load(small), chosen)) if small else found
    folder = Path(model)
    groups: dict[tuple[str, ...], list[Path]] = {}
    for run in _runs(folder):
        groups.setdefault(Recipe.load(run / RECIPE).contrasts, []).append(run)
    return _beside([_of_runs(runs, folder, chosen) for runs in groups.values()])


def builtin_models() -> list[str]:
    """Names of the models that ship with anomri: of one recipe, or of several."""
    return sorted({*builtin_names(), *SEVERAL})


def _builtin(recipe: Recipe, device: torch.device) -> Detector:
    """Load a recipe that ships with anomri, with its weights if it has a network."""
    network = build_family(recipe)
    name = WEIGHTS_OF.get(recipe.name, recipe.name)
    with resources.as_file(SHIPPED / f"{name}.safetensors") as path:
        digest = _load_weights(network, path)
    return Detector(recipe, [network], device=device, weights_hash=digest)


def _of_runs(runs: Sequence[Path], folder: Path, device: torch.device) -> Detector:
    """Load the runs of one contrast; several share the thresholds of the folder around them."""
    recipe = Recipe.load(runs[0] / RECIPE)
    loaded = [_load(run, recipe) for run in runs]
    home = runs[0] if len(runs) == 1 else folder
    return Detector(
        recipe,
        [network for network, _ in loaded],
        fitted=Fitted(load_thresholds(home), _load_codes(home)),
        device=device,
        weights_hash="+".join(digest for _, digest in loaded),
    )


def _beside(models: Sequence[Detector]) -> Detector:
    """Return the one model, or the one of the whole tumour with that of its enhancement beside it.

    Raises:
        UsageError: they are not two such models with one preparation.
    """
    if len(models) == 1:
        return models[0]
    by_region: dict[str, Detector] = {one.recipe.detection.shows: one for one in models}
    preparations = {model.recipe.preparation.key() for model in models}
    if len(models) != 2 or set(by_region) != {WHOLE, ENHANCING} or len(preparations) > 1:
        found = ", ".join(
            f"{model.recipe.name} of {'+'.join(model.recipe.contrasts)} shows "
            f"'{model.recipe.detection.shows}'"
            for model in models
        )
        raise UsageError(
            "models of different contrasts cannot be averaged; to work beside each other, "
            "expected two with one preparation, one that shows the whole tumour and one that "
            f"shows the enhancing tumour; got {found}. "
            "Next: set `detection.shows` in their recipe.yaml, or name one run folder."
        )
    return by_region[WHOLE].with_beside(by_region[ENHANCING])


def build_family(recipe: Recipe) -> Network:
    """Build the recipe's network, untrained."""
    return build_network(recipe.family, channels=len(recipe.contrasts), size=recipe.size)


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` takes the fastest that is there."""
    if name != "auto":
        return _named_device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def load_thresholds(run: Path) -> dict[str, Threshold]:
    """Read the fitted thresholds of a run folder; none where it was never calibrated."""
    path = run / THRESHOLDS
    if not path.is_file():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {
        rule: Threshold(
            **{**entry, "fitted_on": tuple(entry["fitted_on"]), "marked": _marked(entry)}
        )
        for rule, entry in entries.items()
    }


def _marked(entry: Mapping[str, Any]) -> HealthyVolume | None:
    held = entry.get("marked")
    return HealthyVolume(**held) if held else None


def _load_codes(run: Path) -> CodeStatistics | None:
    return CodeStatistics.load(run / CODES) if (run / CODES).is_file() else None


def _named_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device '{name}': expected one that this machine has; {error}. Next: use `auto`."
        ) from error
    return device


def _runs(folder: Path) -> list[Path]:
    """Return the run folders that make up a model: the folder itself, or those within it.

    Raises:
        UsageError: there are none.
    """
    if (folder / RECIPE).is_file():
        return [folder]
    members = sorted(path.parent for path in folder.glob(f"*/{RECIPE}"))
    if not members:
        raise UsageError(
            f"{folder.name}: expected a run folder, a folder of them, or one of "
            f"{', '.join(builtin_models())}. Next: check the spelling, or train a model with "
            "`anomri train`."
        )
    return members


def _load(run: Path, first: Recipe) -> tuple[Network, str]:
    """Load one member of a model; return it and the hash of its weights."""
    recipe = Recipe.load(run / RECIPE)
    network = build_family(recipe)
    alike = (recipe.preparation, recipe.contrasts) == (first.preparation, first.contrasts)
    if not alike or (recipe != first and isinstance(network, Family)):
        raise UsageError(
            f"{run.name}: cannot be averaged with the runs beside it: expected segmenters with "
            "one preparation and the same contrasts. Next: name one run folder."
        )
    return network, _load_weights(network, run / WEIGHTS)


def _load_weights(network: Network, path: Path) -> str:
    if not any(True for _ in network.parameters()):
        return ""
    if not path.is_file():
        raise UsageError(
            f"{path.parent.name}: expected {path.name}, found none. "
            "Next: finish the training with `anomri train`."
        )
    load_weights(network, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
