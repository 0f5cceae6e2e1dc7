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
from functools import cache, partial
from importlib.metadata import version
from itertools import chain
from typing import Any, Literal

import torch

from anomri.detector.map_model import MapModel
from anomri.detector.result import Result
from anomri.errors import ScanError
from anomri.models import Network
from anomri.postprocessing import (
    COMBINATION_STEPS,
    Segmentation,
    SegmentationState,
    StepMap,
    changes_mask,
    coefficients_of,
    located_findings,
    run_in_parallel,
    unconditional,
    with_probabilities,
)
from anomri.preprocessing import (
    ImageSource,
    anatomy_on,
    check_images,
    name_of_images,
    note_ambiguous_files,
    prepare_images,
    prepare_scan,
)
from anomri.recipe import Recipe, SegmentationStep, call, joint_contrasts, optional_contrasts
from anomri.scan import (
    NAME_REGIONS,
    AnomalyMap,
    Detection,
    Mask,
    Note,
    Provenance,
    Scan,
    ScanFiles,
    Threshold,
)
from anomri.scoring import AnomalyMaps, reconstruction_error, slice_scores

NEARBY = (0.8, 1.2)  # times the thresholds, for the range of a lesion's volume


class Detector:
    """Named anomaly maps and the steps that make one segmentation of them.

    >>> from anomri import load
    >>> model = load("intensity_regions", device="cpu")
    >>> list(model.map_models), [step.step.name for step in model.steps]
    (['brightness', 'enhancement'], ['segment', 'name_regions'])

    Args:
        map_models: by name; the first one is segmented first and says how scans are prepared.
        steps: from the maps to a segmentation; without any, the first map is segmented.
        name: of the model; the first recipe's where empty.
        source: loads the model again in another process, by its fingerprint.
    """

    def __init__(
        self,
        map_models: Mapping[str, MapModel],
        steps: Sequence[SegmentationStep] = (),
        *,
        name: str = "",
        source: Callable[[str], Detector] | None = None,
    ) -> None:
        self.map_models = dict(map_models)
        self.steps = tuple(steps)
        self.name = name or self.first.recipe.name
        self.source = source

    @classmethod
    def of(cls, recipe: Recipe, networks: Sequence[Network], **options: Any) -> Detector:
        """Return a detector of one map; for the arguments see :class:`MapModel`."""
        return cls({recipe.name: MapModel(recipe, networks, **options)})

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the weights, where they can be loaded there."""
        if self.source is None:
            return partial(Detector, name=self.name), (self.map_models, self.steps)
        return self.source, (self.fingerprint,)

    @property
    def first_name(self) -> str:
        """Name of the map that is segmented first."""
        return next(iter(self.map_models))

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
        """Where the networks and the brain extraction run."""
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
        facts += [*(step.model_dump_json() for step in self.steps), *coefficients_of(self.name)]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]

    def prepare(self, files: ScanFiles) -> Scan:
        """Read one scan as the recipe wants it."""
        noted, used = note_ambiguous_files(files, self.contrasts), self.available(files.contrasts)
        return prepare_scan(noted, self.recipe.preparation, used, device=self.device)

    def available(self, contrasts: Container[str]) -> tuple[str, ...]:
        """Return the contrasts to read: all, without the optional ones that are not there."""
        return tuple(c for c in self.contrasts if c in contrasts or c not in self.optional)

    def maps(self, scan: Scan) -> AnomalyMaps:
        """Return the anomaly maps of a prepared scan, without optional ones that it cannot have."""
        there, models = set(scan.contrasts), self.map_models.items()
        possible = {name: m for name, m in models if not m.optional or m.required <= there}
        return AnomalyMaps({name: partial(m.score, scan) for name, m in possible.items()})

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
        own, used = thresholds or {}, dict[str, Threshold]()

        def threshold_of(name: str) -> Threshold:
            used[name] = own.get(name) or self.map_models[name].rule.threshold(maps[name])
            return replace(used[name], value=used[name].value * scale)

        def segmentation_of(name: str) -> Segmentation:
            return self.map_models[name].segment(maps[name], threshold_of(name))

        @cache  # several steps ask for the same map
        def state_of(name: str) -> SegmentationState:
            return segmentation_of(name).on(maps[name])

        made, notes = segmentation_of(self.first_name), list[Note]()
        for step in (self.steps if steps is None else steps)[1:]:
            if step.map in maps:
                state = made.on(maps[self.first_name])
                second = StepMap(step.map, maps, threshold_of, state_of)
                made = call(COMBINATION_STEPS, step.step, state, second)
                notes += made.notes
        return replace(made, notes=tuple(notes), thresholds=used)

    def detect_scan(self, scan: Scan) -> Detection:
        """Detect lesions in a prepared scan."""
        maps = self.maps(scan)
        made = self.segment(maps)
        nearby = self._nearby(maps, made)
        first = maps[self.first_name]
        anomaly = self._shown(maps, scan, made.notes)
        anatomy = partial(anatomy_on, scan.grid, scan.to_template)
        detection = Detection(
            anomaly=anomaly,
            mask=made.mask,
            threshold=made.thresholds[self.first_name],
            slice_scores=slice_scores(first),
            scan_score=float(made.mask.sum() * scan.grid.voxel_ml),
            findings=located_findings(made.mask, anomaly, nearby, anatomy),
            regions=made.regions,
            nearby=nearby,
            latent_distances=first.latent_distances,
            provenance=self.provenance(maps, made.thresholds),
            margin=made.margin,
        )
        return with_probabilities(detection)

    def _nearby(self, maps: Mapping[str, AnomalyMap], made: Segmentation) -> tuple[Mask, ...]:
        """Return the masks of other thresholds, by the steps taken; none if they mean nothing."""
        used = made.thresholds
        if not all(self.map_models[name].scales(used[name]) for name in self._names(maps)):
            return ()
        taken = tuple(
            step.model_copy(update={"step": unconditional(step.step)})
            for step in self.steps
            if step.map in used and changes_mask(step.step)
        )
        again = partial(self.segment, maps, thresholds=used, steps=taken)
        return tuple(m.mask for m in run_in_parallel(*(partial(again, scale=n) for n in NEARBY)))

    def _names(self, maps: Mapping[str, AnomalyMap]) -> list[str]:
        """Return the maps that a result shows: the first, and the one that names regions."""
        named = (one.map for one in self.steps if one.step.name == NAME_REGIONS)
        return [self.first_name, *(name for name in named if name in maps)]

    def _shown(
        self, maps: Mapping[str, AnomalyMap], scan: Scan, notes: tuple[Note, ...]
    ) -> AnomalyMap:
        """Return the maps that a result shows as one map of several contrasts."""
        shown = [maps[name] for name in self._names(maps)]
        contrasts = tuple(chain.from_iterable(one.scan.contrasts for one in shown))
        scan = shown[0].scan if len(shown) == 1 else scan.select(contrasts)
        return AnomalyMap.joined(shown, replace(scan, notes=(*shown[0].scan.notes, *notes)))

    def provenance(
        self,
        maps: Mapping[str, AnomalyMap] | None = None,
        thresholds: Mapping[str, Threshold] | None = None,
    ) -> Provenance:
        """Return what a sidecar says about this model.

        Args:
            maps: of a scan; None says nothing of one.
            thresholds: by map that its segmentation was made of.
        """
        facts = tuple(
            model.recipe.provenance(name, model.weights_hash, (thresholds or {}).get(name))
            for name, model in self.map_models.items()
        )
        first = maps[self.first_name] if maps else None
        error = reconstruction_error(self.first.networks[0], first) if first else None
        return Provenance(
            anomri_version=version("anomri"),
            recipe=self.name,
            maps=facts,
            segmentation=tuple(step.facts for step in self.steps),
            reconstruction_mae=error,
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
        check_images(images, self.contrasts)
        prepared = partial(prepare_images, brain=brain, name=name, orientation=orientation)
        used, preparation = self.available(images), self.recipe.preparation
        return Result(self.detect_scan(prepared(images, preparation, used, device=self.device)))

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
                yield self.detect(images, name=name_of_images(images, number))
            except ScanError as error:
                if on_error == "raise":
                    raise
                yield error
