"""A model's recipes and weights, copied into a run folder of their own."""

from __future__ import annotations

import json
from pathlib import Path

from anomri.detector.loading import (
    CODES,
    RECIPE,
    THRESHOLDS,
    TOGETHER,
    WEIGHTS,
    builtin_models,
    builtin_parts,
    builtin_weights,
    is_complete,
    load,
    runs_of,
)
from anomri.detector.model import Detector
from anomri.errors import UsageError
from anomri.files import newest, write_bytes, write_text
from anomri.recipe import Recipe


def copy_model(model: str | Path, run: Path) -> None:
    """Give a run folder what a model is made of; nothing where it is that model already.

    The parts of models that work together get a folder each.

    Args:
        model: run folder, or a built-in name.
        run: folder to write.

    Raises:
        UsageError: the folder holds another model.
    """
    if run == Path(model):
        return
    if is_complete(run):
        _check_same(load(model), load(run), run)
    elif str(model) in builtin_models() and not Path(model).is_dir():
        _copy_builtin(str(model), run)
    else:
        _copy_runs(Path(model), run)


def _copy_builtin(model: str, run: Path) -> None:
    parts = builtin_parts(model)
    if len(parts) > 1:  # says which part each of them has, before anything was fitted
        write_text(run / TOGETHER, json.dumps({part: {} for part in parts}) + "\n")
    for part, name in parts.items():
        home = run / part if len(parts) > 1 else run
        weights = builtin_weights(name)
        if weights.is_file():
            write_bytes(home / WEIGHTS, weights.read_bytes())
        write_text(home / RECIPE, Recipe.load(name).to_yaml())


def _copy_runs(model: Path, run: Path) -> None:
    # The folder around several runs too: it holds what was fitted to all of them.
    for one in dict.fromkeys([model, *runs_of(model)]):
        home = run / one.relative_to(model)
        # A folder without a recipe is no model yet, so that a kill before the last file shows.
        for name in (TOGETHER, WEIGHTS, THRESHOLDS, CODES, RECIPE):
            if (source := newest(one / name)).is_file():
                write_bytes(home / name, source.read_bytes())


def _check_same(wanted: Detector, there: Detector, run: Path) -> None:
    if _facts(wanted) != _facts(there):
        raise UsageError(
            f"{run.name}: expected an empty folder or one of the model '{wanted.recipe.name}', "
            f"got one of '{there.recipe.name}'. Next: choose another folder with -o."
        )


def _facts(detector: Detector) -> list[tuple[str, str]]:
    return [(one.recipe.to_yaml(), one.weights_hash) for one in detector.members.values()]
