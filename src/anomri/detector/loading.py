"""Run folders and built-in names to models."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import torch

from anomri.detector.model import ENHANCING, SMALL, WHOLE, Detector, Fitted, joint_contrasts
from anomri.devices import choose_device
from anomri.documents import read_thresholds, read_thresholds_by_part
from anomri.errors import UsageError
from anomri.family import Family, Network
from anomri.files import newest
from anomri.models import build_network, load_weights
from anomri.recipe import Recipe, builtin_names
from anomri.scan import Threshold
from anomri.scoring import CodeStatistics

ByPart = Mapping[str, Mapping[str, Threshold]]  # part -> rule -> threshold

RECIPE = "recipe.yaml"
WEIGHTS = "weights.safetensors"
THRESHOLDS = "thresholds.json"
CODES = "codes.safetensors"
TOGETHER = "together.json"  # what was fitted to models that work together

SHIPPED = resources.files("anomri") / "weights"

# Built-in models of several recipes, by the part that each has.
SEVERAL: Mapping[str, Mapping[str, str]] = {
    "default": {WHOLE: "default", ENHANCING: "intensity_t1ce", SMALL: "lesions_bright"},
    "intensity_regions": {WHOLE: "intensity", ENHANCING: "intensity_t1ce"},
}
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
        parts = {part: _builtin(one, chosen) for part, one in builtin_parts(str(model)).items()}
        small = parts.pop(SMALL, None)
        return _together(list(parts.values()), small, {})
    folder = Path(model)
    fitted, runs = load_together(folder), runs_of(folder)
    if not _has_all_parts(folder, runs):
        raise UsageError(
            f"{folder.name}: expected runs for the parts {', '.join(fitted)}, found {len(runs)}. "
            "Next: run the command that wrote it again, or copy the folder again."
        )
    added = [run for run in runs if SMALL in fitted and run == folder / SMALL]
    groups: dict[tuple[str, ...], list[Path]] = {}
    for run in runs:
        if run not in added:
            groups.setdefault(Recipe.load(run / RECIPE).contrasts, []).append(run)
    models = [_of_runs(group, folder, chosen) for group in groups.values()]
    return _together(models, _of_runs(added, folder, chosen) if added else None, fitted)


def builtin_models() -> list[str]:
    """Names of the models that ship with anomri: of one recipe, or of several."""
    return sorted({*builtin_names(), *SEVERAL})


def builtin_parts(name: str) -> dict[str, str]:
    """Return the names of the recipes of a model that ships with anomri, by their part."""
    return dict(SEVERAL.get(name, {WHOLE: name}))


def recipe_to_prepare(name: str) -> Recipe:
    """Return a recipe, by name or file, with the contrasts of all models that work with it.

    Raises:
        RecipeError: there is none.
    """
    parts = {part: Recipe.load(one) for part, one in builtin_parts(name).items()}
    contrasts, optional = joint_contrasts(parts)
    chosen = {"contrasts": contrasts, "optional": tuple(c for c in contrasts if c in optional)}
    return parts[WHOLE].model_copy(update=chosen)


def builtin_weights(name: str) -> Traversable:
    """Return where the weights of a recipe that ships with anomri would be."""
    return SHIPPED / f"{WEIGHTS_OF.get(name, name)}.safetensors"


def _builtin(name: str, device: torch.device) -> Detector:
    """Load a recipe that ships with anomri, with its weights if it has a network."""
    recipe = Recipe.load(name)
    network = build_family(recipe)
    with resources.as_file(builtin_weights(name)) as path:
        digest = _load_weights(network, path)
    return Detector(recipe, [network], device=device, weights_hash=digest)


def _together(models: Sequence[Detector], small: Detector | None, fitted: ByPart) -> Detector:
    """Join the models; what was measured of one alone says nothing of several."""
    found = _beside(models)
    found = found.with_small(small) if small else found
    for part, member in found.members.items() if len(found.members) > 1 else ():
        alone = member.fitted.unmeasured()
        member.fitted = replace(alone, thresholds={**alone.thresholds, **fitted.get(part, {})})
    return found


def _of_runs(runs: Sequence[Path], folder: Path, device: torch.device) -> Detector:
    """Load the runs of one contrast; several share the thresholds of the folder around them."""
    recipe = Recipe.load(runs[0] / RECIPE)
    loaded = [_load(run, recipe, alone=len(runs) == 1) for run in runs]
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


def load_thresholds(run: Path) -> dict[str, Threshold]:
    """Read the fitted thresholds of a run folder; none where it was never calibrated.

    Raises:
        DamagedFile: the file does not hold fitted thresholds.
    """
    return read_thresholds(run / THRESHOLDS)


def load_together(folder: Path) -> ByPart:
    """Read what was fitted to models that work together, by part; nothing where nothing was.

    Raises:
        DamagedFile: the file does not hold fitted thresholds.
    """
    return read_thresholds_by_part(folder / TOGETHER)


def _load_codes(run: Path) -> CodeStatistics | None:
    path = newest(run / CODES)
    return CodeStatistics.load(path) if path.is_file() else None


def runs_of(folder: Path) -> list[Path]:
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


def is_complete(folder: Path) -> bool:
    """Tell whether a folder holds a model with all of its parts."""
    runs = [folder] if (folder / RECIPE).is_file() else list(folder.glob(f"*/{RECIPE}"))
    return bool(runs) and _has_all_parts(folder, runs)


def _has_all_parts(folder: Path, runs: Sequence[Path]) -> bool:
    """Tell whether there is a run for each part that was, or is to be, fitted with the others.

    A copy that was killed has fewer. Their names say nothing: a user may have chosen them.
    """
    return len(runs) >= len(load_together(folder)) or (folder / RECIPE).is_file()


def _load(run: Path, first: Recipe, *, alone: bool) -> tuple[Network, str]:
    """Load one member of a model; return it and the hash of its weights."""
    recipe = Recipe.load(run / RECIPE)
    network = build_family(recipe)
    alike = (recipe.preparation, recipe.contrasts) == (first.preparation, first.contrasts)
    if not alike or (isinstance(network, Family) and not alone):
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
