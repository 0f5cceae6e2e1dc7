"""A model's recipes and weights, copied into a run folder of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anomri.detector import Detector, load
from anomri.errors import AnomriError, UsageError
from anomri.files import CODES, RECIPE, THRESHOLDS, WEIGHTS, newest, write_bytes, write_text
from anomri.models import shipped_weights
from anomri.pipeline.threshold_calibration import write_map_thresholds
from anomri.recipe import CombinedRecipe, MapEntry, MapSource, model_layout, opened_model


def copy_model(model: str | Path, run: Path) -> None:
    """Copy what a model is made of into a run folder; nothing where it is that model already.

    Each of several maps gets a folder. Within it the recipe is written last, so that a folder that
    a kill left half copied is no model.

    Args:
        model: run folder, recipe file, or a built-in name.
        run: folder to write.

    Raises:
        UsageError: the folder holds another model.
    """
    with opened_model(model) as opened:
        itself = Path(opened).resolve() == run.resolve()
        _copy_opened(opened, run, itself=itself)


def _copy_opened(model: str | Path, run: Path, *, itself: bool) -> None:
    layout = model_layout(model)
    if not itself and _is_complete(run):
        _check_same(load(model, device="cpu"), load(run, device="cpu"), run)
        return
    if layout.recipe and not (run / RECIPE).is_file():
        # First, since it names the maps: without all of them the folder is no model.
        write_text(run / RECIPE, _recipe(layout.recipe, own_names=itself).to_yaml())
    if layout.thresholds:
        write_map_thresholds(run, layout.thresholds)
    if not itself:
        for name, source in layout.maps.items():
            _copy_map(source, run / name if layout.recipe else run)


def _is_complete(run: Path) -> bool:
    try:
        model_layout(run)
    except AnomriError:
        return False
    return True


def _recipe(recipe: CombinedRecipe, *, own_names: bool) -> CombinedRecipe:
    """Return the recipe for a run folder whose maps lie in folders of their names."""
    entries = {
        name: entry if own_names else MapEntry(recipe=name, optional=entry.optional)
        for name, entry in recipe.maps.items()
    }
    return recipe.model_copy(update={"maps": entries})


def _copy_map(source: MapSource, folder: Path) -> None:
    for run in source.runs:
        _copy(run, folder if run == source.home else folder / run.name, [WEIGHTS])
    if source.home:
        _copy(source.home, folder, [THRESHOLDS, CODES])
    for run in source.runs:
        _copy(run, folder if run == source.home else folder / run.name, [RECIPE])
    if not source.runs:
        if shipped_weights(source.recipe).is_file():
            write_bytes(folder / WEIGHTS, shipped_weights(source.recipe).read_bytes())
        write_text(folder / RECIPE, source.recipe.to_yaml())


def _copy(source: Path, folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if (file := newest(source / name)).is_file():
            write_bytes(folder / name, file.read_bytes())


def _check_same(wanted: Detector, there: Detector, run: Path) -> None:
    if _facts(wanted) != _facts(there):
        raise UsageError(
            f"{run.resolve().name}: expected an empty folder or one of the model '{wanted.name}', "
            f"got one of '{there.name}'. Next: choose another folder with -o."
        )


def _facts(detector: Detector) -> list[tuple[str, str, str]]:
    models = detector.map_models.items()
    return [(name, model.recipe.to_yaml(), model.weights_hash) for name, model in models]
