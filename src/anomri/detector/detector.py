"""A model that is ready for scans: named anomaly maps, and a function from maps to a segmentation.

::

    Scan --maps--> {name: AnomalyMap} --segment--> Segmentation --detect_scan--> Detection

Maps are costly and made once for each scan; a segmentation is cheap and repeated with every
threshold times a factor, for the ranges of volumes and for calibration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from anomri.detector.map_model import Fitted, MapModel
from anomri.detector.result import Result
from anomri.errors import ScanError, UsageError
from anomri.models import Network
from anomri.postprocessing import (
    ADD,
    COMBINATION_STEPS,
    Segmentation,
    SegmentationState,
    findings,
    run_in_parallel,
)
from anomri.preprocessing import (
    ImageSource,
    check_orientation,
    note_ambiguous_files,
    prepare_images,
    prepare_scan,
)
from anomri.recipe import Recipe, SegmentationStep, Step, call, joint_contrasts, optional_contrasts
from anomri.scan import (
    ADD_IF_NO_MASS,
    NAME_REGIONS,
    AnomalyMap,
    Detection,
    Mask,
    Note,
    Provenance,
    Scan,
    ScanFiles,
    StepFacts,
    Threshold,
)
from anomri.scoring import slice_scores

if TYPE_CHECKING:
    from anomri.detector.loading import Source

NEARBY = (0.8, 1.2)  # times the thresholds, for the range of a lesion's volume


class AnomalyMaps(Mapping[str, AnomalyMap]):
    """The maps of one scan by name; each is made when it is asked for, once.

    Args:
        makers: functions that make the maps.
    """

    def __init__(self, makers: Mapping[str, Callable[[], AnomalyMap]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, AnomalyMap] = {}
        self._lock = RLock()

    def __getitem__(self, name: str) -> AnomalyMap:
        """Return a map, made now if it was not asked for before."""
        with self._lock:
            if name not in self._made:
                self._made[name] = self._makers[name]()
            return self._made[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a map, without making it."""
        return name in self._makers

    @property
    def made(self) -> tuple[str, ...]:
        """Names of the maps that were asked for."""
        return tuple(self._made)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._makers)

    def __len__(self) -> int:
        """Return the number of maps."""
        return len(self._makers)


class Detector:
    """Named anomaly maps and the steps that make one segmentation of them.

    Args:
        map_models: by name; the first one's recipe says how scans are prepared.
        steps: from the maps to a segmentation; without any, the first map is segmented.
        name: of the model; the first recipe's where empty.
        source: what the model was loaded from, by which it travels to other processes.
    """

    def __init__(
        self,
        map_models: Mapping[str, MapModel],
        steps: Sequence[SegmentationStep] = (),
        *,
        name: str = "",
        source: Source | None = None,
    ) -> None:
        self.map_models = dict(map_models)
        self.steps = tuple(steps)
        self.name = name or self.first.recipe.name
        self.source = source

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        networks: Sequence[Network],
        *,
        fitted: Fitted | None = None,
        device: torch.device | None = None,
        weights_hash: str = "",
    ) -> Detector:
        """Return a detector of one map; for its arguments see :class:`MapModel`."""
        model = MapModel(recipe, networks, fitted=fitted, device=device, weights_hash=weights_hash)
        return cls({recipe.name: model})

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the weights, where they can be loaded there."""
        if self.source is None:
            return _rebuilt, (self.map_models, self.steps, self.name)
        return self.source.load_again, (self.fingerprint,)

    @property
    def first_name(self) -> str:
        """Name of the map that is segmented first."""
        return self.steps[0].map if self.steps else next(iter(self.map_models))

    @property
    def first(self) -> MapModel:
        """The map that is segmented first."""
        return self.map_models[self.first_name]

    @property
    def recipe(self) -> Recipe:
        """The first map's recipe, whose preparation is that of all maps."""
        return self.first.recipe

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        return self.first.device

    @property
    def weights_hash(self) -> str:
        """The hashes of all maps' weights, joined."""
        return "+".join(m.weights_hash for m in self.map_models.values() if m.weights_hash)

    @property
    def contrasts(self) -> tuple[str, ...]:
        """Contrasts of all maps, in order."""
        return joint_contrasts(model.recipe for model in self.map_models.values())

    @property
    def optional(self) -> frozenset[str]:
        """Contrasts that a scan may lack."""
        return optional_contrasts((m.recipe, m.optional) for m in self.map_models.values())

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with recipes, weights, steps and what was fitted."""
        facts = [f"{name} {m.optional} {m.fingerprint}" for name, m in self.map_models.items()]
        facts += [step.model_dump_json() for step in self.steps]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]

    # from files to a detection

    def prepare(self, files: ScanFiles) -> Scan:
        """Read one scan as the recipe wants it."""
        noted = note_ambiguous_files(files, self.contrasts)
        return prepare_scan(noted, self.recipe.preparation, self.available(files.contrasts))

    def available(self, contrasts: Container[str]) -> tuple[str, ...]:
        """Return the contrasts to read: all, without the optional ones that are not there."""
        return tuple(c for c in self.contrasts if c in contrasts or c not in self.optional)

    def maps(self, scan: Scan) -> AnomalyMaps:
        """Return the anomaly maps of a prepared scan, without optional ones that it cannot have."""
        return AnomalyMaps(
            {
                name: partial(model.score, scan)
                for name, model in self.map_models.items()
                if not model.optional or model.required <= set(scan.contrasts)
            }
        )

    def segment(
        self,
        maps: Mapping[str, AnomalyMap],
        *,
        scale: float = 1.0,
        thresholds: Mapping[str, Threshold] | None = None,
        steps: Sequence[SegmentationStep] | None = None,
    ) -> Segmentation:
        """Segment a scan from its maps.

        Args:
            maps: from :meth:`maps`.
            scale: every threshold is multiplied by it.
            thresholds: by map, in place of the models' own.
            steps: in place of the detector's own.
        """
        steps = self.steps if steps is None else steps
        chosen = _Thresholds(self.map_models, maps, scale, thresholds or {})
        if not steps:
            ((name, model),) = self.map_models.items()
            mask = chosen.mask(name)
            return Segmentation(mask, model.regions(maps[name], mask, chosen.threshold(name)))
        first, *others = (step for step in steps if step.map in maps)
        made = Segmentation(chosen.mask(first.map))
        notes: tuple[Note, ...] = ()
        for step in others:
            state = state_of(maps[first.map], made.mask)
            made = call(COMBINATION_STEPS, step.step, state, partial(chosen.state, step.map))
            notes = (*notes, *made.notes)
        return replace(made, notes=notes, maps=chosen.used)

    def detect_scan(self, scan: Scan) -> Detection:
        """Detect lesions in a prepared scan."""
        maps = self.maps(scan)
        made = self.segment(maps)
        nearby = self._nearby(maps, made)
        first = maps[self.first_name]
        anomaly = self._shown(maps, scan, made.notes)
        return Detection(
            anomaly=anomaly,
            mask=made.mask,
            threshold=self.first.threshold(first),
            slice_scores=slice_scores(first),
            scan_score=float(made.mask.sum() * scan.grid.voxel_ml),
            findings=findings(made.mask, anomaly, nearby),
            regions=made.regions,
            nearby=nearby,
            code_distances=first.latent_distances,
            provenance=self.provenance(maps, made.maps),
        )

    def _nearby(self, maps: Mapping[str, AnomalyMap], made: Segmentation) -> tuple[Mask, ...]:
        """Return the masks of lower and higher thresholds, by the steps that ``made`` took.

        None where a factor means nothing to a map.
        """
        if not all(self.map_models[name].scales(maps[name]) for name in self._names(maps)):
            return ()
        taken = tuple(_unconditional(step) for step in self.steps if step.map in made.maps)
        lower, higher = (partial(self.segment, maps, scale=s, steps=taken) for s in NEARBY)
        return tuple(found.mask for found in run_in_parallel(lower, higher))

    def _names(self, maps: Mapping[str, AnomalyMap]) -> list[str]:
        """Return the maps that a result shows: the first, and the one that names regions."""
        named = (one.map for one in self.steps if one.step.name == NAME_REGIONS)
        return [self.first_name, *(name for name in named if name in maps)]

    def _shown(
        self, maps: Mapping[str, AnomalyMap], scan: Scan, notes: tuple[Note, ...]
    ) -> AnomalyMap:
        """Return the maps that a result shows as one map of several contrasts."""
        shown = [maps[name] for name in self._names(maps)]
        first = shown[0]
        if len(shown) > 1:
            contrasts = tuple(chain.from_iterable(one.scan.contrasts for one in shown))
            scan = scan.select(contrasts)
        else:
            scan = first.scan
        return replace(
            first,
            scan=replace(scan, notes=(*first.scan.notes, *notes)),
            values=np.concatenate([one.values for one in shown]),
            reconstruction=np.concatenate([one.reconstruction for one in shown]),
            shows=tuple(chain.from_iterable(one.shows for one in shown)),
        )

    def provenance(
        self, maps: Mapping[str, AnomalyMap] | None = None, used: Container[str] = ()
    ) -> Provenance:
        """Return what a sidecar says about this model.

        Args:
            maps: of a scan; None says nothing of one.
            used: names of the maps that its segmentation was made of.
        """
        facts = tuple(
            model.provenance(name, maps[name] if maps and name in used else None)
            for name, model in self.map_models.items()
        )
        steps = (
            {"name": one.step.name, "options": {"map": one.map, **one.step.options}}
            for one in self.steps
        )
        first = maps[self.first_name] if maps else None
        return Provenance(
            anomri_version=version("anomri"),
            recipe=self.name,
            maps=facts,
            segmentation=tuple(StepFacts.model_validate(step) for step in steps),
            reconstruction_mae=None if first is None else self.first.reconstruction_error(first),
        )

    def detect(
        self,
        images: Mapping[str, ImageSource],
        *,
        brain: ImageSource | None = None,
        name: str = "scan",
        orientation: str = "",
    ) -> Result:
        """Detect lesions in one subject.

        Args:
            images: contrast name to a path, a nibabel image, a SimpleITK image or a pair of an
                array (NumPy or torch) and its (4, 4) affine from voxel index to RAS+ mm.
            brain: brain mask, likewise; found from the background if left out.
            name: what to call the subject.
            orientation: where the axes of images point whose headers do not say so, such as
                ``RAS``.

        Raises:
            UsageError: ``images`` names no contrasts, or ``orientation`` no orientation.
            ScanError: an image cannot be used.
        """
        if not isinstance(images, Mapping):
            raise UsageError(
                f"detect: expected images by contrast, such as {{'{self.contrasts[0]}': image}}, "
                f"got {type(images).__name__}. Next: name the contrast of the image."
            )
        preparation = self.recipe.preparation
        if orientation:
            known = {"orientation": check_orientation(orientation)}
            preparation = preparation.model_copy(update=known)
        scan = prepare_images(images, preparation, self.available(images), brain=brain, name=name)
        return Result(self.detect_scan(scan))

    def detect_many(
        self,
        subjects: Iterable[Mapping[str, Any]],
        *,
        on_error: Literal["raise", "collect"] = "raise",
    ) -> Iterator[Result | ScanError]:
        """Detect lesions in one subject after another; memory stays that of one.

        Args:
            subjects: one mapping of contrasts per subject, as for :meth:`detect`.
            on_error: ``collect`` yields the error in the place of the result.
        """
        for number, images in enumerate(subjects, start=1):
            try:
                yield self.detect(images, name=_name_of(images, number))
            except ScanError as error:
                if on_error == "raise":
                    raise
                yield error


class _Thresholds:
    """Masks of one scan's maps with every threshold times a factor; each is made once.

    Args:
        models: of the maps, by name.
        maps: of the scan.
        scale: the factor.
        thresholds: by map, in place of the models' own.
    """

    def __init__(
        self,
        models: Mapping[str, MapModel],
        maps: Mapping[str, AnomalyMap],
        scale: float,
        thresholds: Mapping[str, Threshold],
    ) -> None:
        self._models, self._maps = models, maps
        self._scale, self._thresholds = scale, thresholds
        self.used: tuple[str, ...] = ()

    def threshold(self, name: str) -> Threshold:
        own = self._thresholds.get(name) or self._models[name].threshold(self._maps[name])
        return replace(own, value=own.value * self._scale)

    def mask(self, name: str) -> Mask:
        self.used = (*self.used, name)
        return self._models[name].segment(self._maps[name], self.threshold(name))

    def state(self, name: str) -> SegmentationState:
        return state_of(self._maps[name], self.mask(name))


def state_of(anomaly: AnomalyMap, mask: Mask) -> SegmentationState:
    """Return map and mask on the whole brain: the mask may reach to its rim, the map is 0 there."""
    return SegmentationState.of(anomaly).with_brain(anomaly.scan.brain).with_mask(mask)


def _unconditional(step: SegmentationStep) -> SegmentationStep:
    """Return a step that does what it did before, whatever the thresholds are now."""
    if step.step.name != ADD_IF_NO_MASS:
        return step
    return step.model_copy(update={"step": Step(name=ADD)})


def _rebuilt(
    map_models: Mapping[str, MapModel], steps: Sequence[SegmentationStep], name: str
) -> Detector:
    return Detector(map_models, steps, name=name)


def _name_of(images: Mapping[str, Any], number: int) -> str:
    """Name a subject after its first file, or by its place in the sequence."""
    first = next(iter(images.values()), None)
    if isinstance(first, str | Path):
        return Path(first).name.split(".")[0]
    return f"scan{number:04d}"
