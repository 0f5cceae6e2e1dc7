"""Models by name, recipe file or run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from anomri.detector.detector import Detector
from anomri.detector.map_model import MapModel
from anomri.errors import UsageError
from anomri.models import SEGMENTERS, choose_device, trained_networks
from anomri.postprocessing import check_method, check_rule
from anomri.preprocessing import check_mask_grid, check_orientation
from anomri.recipe import (
    NO_OVERRIDES,
    MapSource,
    ModelLayout,
    Overrides,
    model_layout,
    opened_model,
)
from anomri.scan import COMPETE
from anomri.scoring import Fitted


@dataclass(frozen=True, slots=True)
class Source:
    """What a detector was loaded from: another process loads it again from here.

    Attributes:
        model: absolute path, or the name of a built-in model.
        device: as the user named it.
        overrides: entries in place of the recipe's own.
    """

    model: str
    device: str
    overrides: Overrides

    def load_again(self, fingerprint: str) -> Detector:
        """Load the model in another process; the last one stays loaded.

        Raises:
            UsageError: the model is not there any more, or is another one.
        """
        if self._loaded().fingerprint != fingerprint:
            _load.cache_clear()
        detector = self._loaded()
        if detector.fingerprint != fingerprint:
            raise self._changed()
        return detector

    def _loaded(self) -> Detector:
        try:
            return _load(self)
        except (UsageError, OSError) as error:  # it could be loaded when the batch began
            raise self._changed() from error

    def _changed(self) -> UsageError:
        return UsageError(
            f"{Path(self.model).name}: the model was changed or removed while it was in use; "
            "finished results are kept. Next: put it back, or name another model, and run the "
            "command again."
        )


def load(
    model: str | Path, *, device: str = "auto", overrides: Overrides = NO_OVERRIDES
) -> Detector:
    """Load a model: a run folder, a recipe file, or one that ships with anomri by its name.

    Args:
        model: folder written by ``anomri train``; a folder of several such folders of segmenters,
            which are averaged; a recipe of several maps; or a name such as ``intensity``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        overrides: entries in place of the recipe's own.

    >>> load("default", device="cpu").contrasts
    ('flair', 't1ce', 't1', 't2')

    Raises:
        UsageError: there is no such model, its weights are missing, or its maps do not agree.
    """
    path = Path(model)
    place = str(path.resolve()) if path.exists() else str(model)
    return _built(Source(place, device, overrides))


@lru_cache(maxsize=1)
def _load(source: Source) -> Detector:
    return _built(source)


def _built(source: Source) -> Detector:
    with opened_model(source.model) as model:
        return _of_layout(source, model_layout(model))


def _of_layout(source: Source, layout: ModelLayout) -> Detector:
    overrides, first = source.overrides, next(iter(layout.maps))
    fitted = {name: _fitted(one, layout, name) for name, one in layout.maps.items()}
    _check(overrides, layout.name, fitted[first])
    device = choose_device(source.device)
    models = {
        name: MapModel(
            overrides.applied(layout.maps[name].recipe, first=name == first),
            [network for network, _ in trained],
            # False positives of another method say nothing of this one.
            fitted=fitted[name].unmeasured() if overrides.decide else fitted[name],
            device=device,
            weights_hash="+".join(digest for _, digest in trained),
            optional=layout.maps[name].optional,
        )
        for name, trained in trained_networks(_used(layout, overrides, fitted)).items()
    }
    steps = [step for step in layout.steps if step.map in models]
    return Detector(models, steps, name=layout.name, source=source.load_again)


def _used(
    layout: ModelLayout, overrides: Overrides, fitted: Mapping[str, Fitted]
) -> dict[str, MapSource]:
    """Return the maps that are made under these overrides; the first one always is."""
    grown = {step.map for step in layout.steps if step.step.name == COMPETE}
    return {
        name: one
        for number, (name, one) in enumerate(layout.maps.items())
        if number == 0
        or overrides.keeps(fitted[name].thresholds)
        or not (name in grown or one.recipe.family.name in SEGMENTERS)
    }


def _check(overrides: Overrides, name: str, fitted: Fitted) -> None:
    """Refuse unknown entries before the first scan is read."""
    check_orientation(overrides.orientation or "")
    check_mask_grid(overrides.mask_grid or "auto")
    check_method(overrides.decide)
    check_rule(overrides.threshold, fitted.thresholds, name)


def _fitted(source: MapSource, layout: ModelLayout, name: str) -> Fitted:
    """Return what was fitted to a map; what was measured of one alone says nothing of several."""
    own = Fitted() if source.home is None else Fitted.load(source.home)
    if layout.recipe is None:
        return own
    alone = own.unmeasured()
    return replace(alone, thresholds={**alone.thresholds, **layout.thresholds.get(name, {})})
