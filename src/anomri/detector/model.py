"""A model that is ready to look at scans: a recipe, its network and its thresholds, on a device.

This is what :func:`anomri.load` returns. It knows nothing of folders full of scans, progress or
tables; :mod:`anomri.pipeline` does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from anomri.detector.beside import (
    add_small_lesions,
    lacks_contrast_medium,
    name_regions,
    of_contrasts,
    without_healthy_slices,
)
from anomri.detector.result import Result
from anomri.errors import ScanError, UsageError
from anomri.models import Network, Reconstructor
from anomri.postprocessing import (
    TO_BE_FITTED,
    clean,
    decide,
    decide_nearby,
    findings,
    largest_inscribed_radius_mm,
    nested_labels,
    threshold_of_scan,
    together,
)
from anomri.preprocessing import (
    ImageSource,
    check_mask_grid,
    check_orientation,
    prepare_images,
    prepare_scan,
    with_unclear_noted,
)
from anomri.recipe import Recipe, Step, call
from anomri.scan import (
    ADD_IF_NO_MASS,
    NAME_REGIONS,
    AnomalyMap,
    Detection,
    FalsePositiveVolume,
    MapProvenance,
    Mask,
    Provenance,
    Scan,
    ScanFiles,
    StepFacts,
    Threshold,
)
from anomri.scoring import (
    MAHALANOBIS,
    MEAN_RESIDUAL,
    SEGMENTATIONS,
    CodeStatistics,
    code_distances,
    score_scan,
    slice_scores,
    tumour_map,
)

Regions = NDArray[np.float32] | None  # (R, I, J, K)
Seen = tuple[Scan, AnomalyMap, Regions]  # of a model's own contrasts, 0 where one is missing
SliceScores = Mapping[str, NDArray[np.float64]]  # name -> (K,)

WHOLE, ENHANCING, SMALL = "whole", "enhancing", "small"  # parts of models that work together


def joint_contrasts(parts: Mapping[str, Recipe]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the contrasts that models look at together, and which of them a scan may lack."""
    names = tuple(dict.fromkeys(chain.from_iterable(one.contrasts for one in parts.values())))
    whole, small = parts[WHOLE], parts.get(SMALL)
    wanted = {*whole.contrasts, *(parts[ENHANCING].contrasts if ENHANCING in parts else ())}
    only_small = frozenset(small.optional if small else ()) - wanted
    return names, only_small | frozenset(whole.optional)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What calibration left in a run folder.

    Attributes:
        thresholds: by rule; those of slice scores by the score's name.
        codes: what codes of healthy slices look like.
    """

    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    codes: CodeStatistics | None = None

    def unmeasured(self) -> Fitted:
        """Return the same without what was marked on healthy scans."""
        thresholds = {name: replace(one, marked=None) for name, one in self.thresholds.items()}
        return replace(self, thresholds=thresholds)


class Detector:
    """A recipe, its network and its thresholds, and perhaps a model of another contrast beside it.

    Args:
        recipe: what to do.
        networks: with their weights; one family, or segmenters to be averaged.
        fitted: thresholds and statistics from calibration.
        device: where the network runs.
        weights_hash: first 16 hex digits of the weights' SHA-256; empty without weights.
        beside: a model that shows the enhancing tumour, where this one shows the whole; the two
            name its regions together.
        small: a model of small lesions, which adds to what this one finds where that is no mass.
    """

    def __init__(
        self,
        recipe: Recipe,
        networks: Sequence[Network],
        *,
        fitted: Fitted | None = None,
        device: torch.device | None = None,
        weights_hash: str = "",
        beside: Detector | None = None,
        small: Detector | None = None,
    ) -> None:
        self.recipe = recipe
        self.device = device or torch.device("cpu")
        self.networks = [network.to(self.device).eval() for network in networks]
        self.fitted = fitted or Fitted()
        self.weights_hash = weights_hash
        self.beside = beside
        self.small = small

    @property
    def thresholds(self) -> dict[str, Threshold]:
        """Fitted thresholds by rule."""
        return dict(self.fitted.thresholds)

    @property
    def contrasts(self) -> tuple[str, ...]:
        """What is looked at: the recipe's contrasts, then those of the models that work with it."""
        return self._contrasts[0]

    @property
    def optional(self) -> frozenset[str]:
        """Those of them that a scan may lack."""
        return self._contrasts[1]

    @property
    def _contrasts(self) -> tuple[tuple[str, ...], frozenset[str]]:
        return joint_contrasts({part: one.recipe for part, one in self.members.items()})

    @property
    def members(self) -> dict[str, Detector]:
        """This model and those that work with it, by the part that each has."""
        parts = {WHOLE: self, ENHANCING: self.beside, SMALL: self.small}
        return {part: one for part, one in parts.items() if one is not None}

    @property
    def fixed_value(self) -> float | None:
        """The threshold's value where it is the same for every scan; else None."""
        rule = self.recipe.detection.threshold
        if rule.name in TO_BE_FITTED:
            return self.thresholds[rule.name].value if rule.name in self.thresholds else None
        value = rule.options.get("value")
        return float(value) if isinstance(value, int | float) else None

    @property
    def fingerprint(self) -> str:
        """Return 16 hex digits that change with recipes, weights and what was fitted."""
        codes = self.fitted.codes
        facts = [self.recipe.to_yaml(), self.weights_hash, repr(self.thresholds)]
        facts += [] if codes is None else [codes.digest]
        facts += [other.fingerprint for other in (self.beside, self.small) if other]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]

    def with_beside(self, beside: Detector) -> Detector:
        """Return the same model with one that shows the enhancing tumour beside it."""
        return self._with(self.recipe, beside, self.small)

    def with_small(self, small: Detector) -> Detector:
        """Return the same model with one that adds small lesions where this one finds no mass."""
        return self._with(self.recipe, self.beside, small)

    def with_detection(
        self,
        *,
        threshold: str | None = None,
        decide: str | None = None,
        blank_slices: str | None = None,
    ) -> Detector:
        """Return the same model with another threshold rule, decision or slice score, by name.

        The threshold rule and the decision are those of a model beside it too. Where one of them
        is named, no model of small lesions adds to what it finds, unless the rule was fitted to
        all of them together.

        Raises:
            RecipeError: there is no such slice score.
        """
        steps = {"threshold": threshold, "decide": decide}
        changes: dict[str, Any] = {name: Step(name=to) for name, to in steps.items() if to}
        if blank_slices:
            changes["blank_slices"] = blank_slices
        beside = self.beside and self.beside.with_detection(threshold=threshold, decide=decide)
        fitted = self.small is not None and threshold in self.small.thresholds
        small = self.small if not decide and (fitted or not threshold) else None
        small = small and small.with_detection(threshold=threshold)
        found = self._with(self.recipe.with_detection(**changes), beside, small)
        if decide:  # what another decision marked on healthy scans says nothing of this one
            found.fitted = self.fitted.unmeasured()
        return found

    def with_brain(self, method: str) -> Detector:
        """Return the same model with another way to the brain mask; see ``Preparation.brain``."""
        return self._with(self.recipe.with_brain(method), self.beside, self.small)

    def with_orientation(self, orientation: str) -> Detector:
        """Return the same model for scans whose headers do not say how the head lies.

        Args:
            orientation: where their axes point, such as ``RAS`` or ``LPS``.

        Raises:
            UsageError: the letters name no orientation.
        """
        recipe = self.recipe.with_orientation(check_orientation(orientation))
        return self._with(recipe, self.beside, self.small)

    def with_mask_grid(self, mask_grid: str) -> Detector:
        """Return the same model for masks of the scan's shape that lost their headers.

        Args:
            mask_grid: ``header``, ``scan`` or ``auto``.

        Raises:
            UsageError: it is none of these.
        """
        check_mask_grid(mask_grid)
        return self._with(self.recipe.with_mask_grid(mask_grid), self.beside, self.small)

    def in_template(self) -> Detector:
        """Return the same model that writes results in the template's space too."""
        return self._with(self.recipe.in_template(), self.beside, self.small)

    def _with(self, recipe: Recipe, beside: Detector | None, small: Detector | None) -> Detector:
        return Detector(
            recipe,
            self.networks,
            fitted=self.fitted,
            device=self.device,
            weights_hash=self.weights_hash,
            beside=beside,
            small=small,
        )

    def prepare(self, files: ScanFiles) -> Scan:
        """Read one scan as the recipe wants it."""
        noted = with_unclear_noted(files, self.contrasts)
        return prepare_scan(noted, self.recipe.preparation, self.held(files.contrasts))

    def held(self, available: Container[str]) -> tuple[str, ...]:
        """Return the contrasts to read: all, without the optional ones that are not there."""
        return tuple(c for c in self.contrasts if c in available or c not in self.optional)

    def own(self, scan: Scan) -> Scan:
        """Return the scan with the contrasts of this model alone."""
        return of_contrasts(scan, self.recipe.contrasts, self.recipe.optional)

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the cleaned map: what thresholds are compared with."""
        return self._look(self.own(scan))[0]

    def _look(self, scan: Scan) -> tuple[AnomalyMap, Regions]:
        """Return the cleaned map and, from segmenters, the probabilities of the regions."""
        section, network = self.recipe.detection, self.networks[0]
        if isinstance(network, Reconstructor):
            raw, regions = score_scan(network, scan, section.score, device=self.device), None
        else:
            regions = call(SEGMENTATIONS, section.score, self.networks, scan, self.device)
            raw = tumour_map(scan, regions)
        shows = (section.shows,) * len(raw.values)
        return replace(clean(raw, section.clean), shows=shows), regions

    def threshold(self, anomaly: AnomalyMap) -> Threshold:
        """Return the recipe's threshold for this map, fitted before or found in the map itself.

        Raises:
            UsageError: the rule has to be fitted first and has not been.
        """
        rule = self.recipe.detection.threshold
        if rule.name in TO_BE_FITTED:
            return self._fitted_threshold(rule.name)
        return replace(threshold_of_scan(anomaly, rule), marked=self.expected)

    @property
    def expected(self) -> FalsePositiveVolume | None:
        """What this model marked on healthy scans; None where that was not measured."""
        rule = self.recipe.detection.threshold
        known = self.thresholds.get(rule.name)
        if known is None or rule.options.get("value", known.value) != known.value:
            return None  # another number was written into the recipe since
        return known.marked

    def _fitted_threshold(self, name: str) -> Threshold:
        if name in self.thresholds:
            return self.thresholds[name]
        raise UsageError(
            f"{self.recipe.name}: the threshold rule '{name}' has not been fitted. "
            "Next: run `anomri calibrate` on the run folder, or choose another: "
            "`--threshold robust` for the map, no slice score for slices."
        )

    def slice_scores(self, scan: Scan, anomaly: AnomalyMap) -> SliceScores:
        """Return each score of axial slices that the model has, by name."""
        scores = {MEAN_RESIDUAL: slice_scores(anomaly)}
        network, codes = self.networks[0], self.fitted.codes
        if isinstance(network, Reconstructor) and codes is not None:
            distances = code_distances(network, scan, codes, device=self.device)
            if distances is not None:
                scores[MAHALANOBIS] = distances
        return scores

    def detect_scan(self, scan: Scan) -> Detection:
        """Look at a prepared scan."""
        beside, mine = self.beside_for(scan), self._seen(scan)
        if beside is None:
            return self._small_added(self._decided(mine), scan)
        theirs = beside._seen(scan)
        found, enhancing = together(lambda: self._decided(mine), lambda: beside._decided(theirs))
        both = of_contrasts(scan, (*self.recipe.contrasts, *beside.contrasts))
        whole = self._small_added(found, scan)
        return name_regions(whole, enhancing, both, self.recipe.detection.regions)

    def beside_for(self, scan: Scan) -> Detector | None:
        """Return the model beside this one; None where the scan lacks its optional contrasts."""
        missing = set(self.beside.contrasts if self.beside else ()) - set(scan.contrasts)
        return None if missing and missing <= set(self.recipe.optional) else self.beside

    def _small_added(self, found: Detection, scan: Scan) -> Detection:
        """Add small lesions where no mass was found."""
        if self.small is None:
            return found
        if (
            largest_inscribed_radius_mm(found.mask, scan.grid.spacing)
            >= self.recipe.detection.mass_mm
        ):
            return found
        return add_small_lesions(found, self.small.detect_scan(scan), found.anomaly.scan)

    def _seen(self, scan: Scan) -> Seen:
        """Look, without deciding, at this model's contrasts."""
        own = self.own(scan)
        return own, *self._look(own)

    def _decided(self, seen: Seen) -> Detection:
        """Decide on what was seen, without the models that work with this one."""
        scan, anomaly, regions = seen
        threshold = self.threshold(anomaly)
        scores = self.slice_scores(scan, anomaly)
        section = self.recipe.detection
        masks = decide(anomaly, threshold, section), *decide_nearby(anomaly, threshold, section)
        mask, *nearby = (self._blanked(one, scores) for one in masks)
        labels = None
        if regions is not None and not lacks_contrast_medium(scan):
            labels = nested_labels(regions, threshold.value, mask)
        return Detection(
            anomaly=anomaly,
            mask=mask,
            threshold=threshold,
            slice_scores=scores[MEAN_RESIDUAL],
            scan_score=float(mask.sum() * scan.grid.voxel_ml),
            findings=findings(mask, anomaly, nearby),
            regions=labels,
            nearby=tuple(nearby),
            code_distances=scores.get(MAHALANOBIS),
            provenance=self.provenance(reconstruction_mae=self._error(anomaly)),
        )

    def _error(self, anomaly: AnomalyMap) -> float | None:
        """Mean absolute error of the reconstruction in the brain, in prepared intensity units.

        None where nothing is reconstructed: by a segmenter, without a network, in no brain.
        """
        scan, network = anomaly.scan, self.networks[0]
        if not (isinstance(network, Reconstructor) and network.has_parameters and scan.brain.any()):
            return None
        return float(np.abs(scan.image - anomaly.reconstruction)[:, scan.brain].mean())

    def _blanked(self, mask: Mask, scores: SliceScores) -> Mask:
        """Empty the slices that the recipe's slice score calls healthy."""
        name = self.recipe.detection.blank_slices
        if name is None:
            return mask
        return without_healthy_slices(mask, scores.get(name), self._fitted_threshold(name))

    def detect(
        self,
        images: Mapping[str, ImageSource],
        *,
        brain: ImageSource | None = None,
        name: str = "scan",
        orientation: str = "",
    ) -> Result:
        """Look at one subject.

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
            preparation = self.with_orientation(orientation).recipe.preparation
        scan = prepare_images(images, preparation, self.held(images), brain=brain, name=name)
        return Result(self.detect_scan(scan))

    def detect_many(
        self,
        subjects: Iterable[Mapping[str, Any]],
        *,
        on_error: Literal["raise", "collect"] = "raise",
    ) -> Iterator[Result | ScanError]:
        """Look at one subject after another; memory stays that of one.

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

    def provenance(self, *, reconstruction_mae: float | None = None) -> Provenance:
        """Return what a sidecar says about this model, and how well it reconstructed a scan."""
        steps = {
            SMALL: StepFacts(
                name=ADD_IF_NO_MASS,
                options={"map": SMALL, "min_mass_radius_mm": self.recipe.detection.mass_mm},
            ),
            ENHANCING: StepFacts(name=NAME_REGIONS, options={"map": ENHANCING}),
        }
        return Provenance(
            anomri_version=version("anomri"),
            recipe=self.recipe.name,
            maps=tuple(member._map_provenance(name) for name, member in self.members.items()),
            segmentation=tuple(step for name, step in steps.items() if name in self.members),
            reconstruction_mae=reconstruction_mae,
        )

    def _map_provenance(self, name: str) -> MapProvenance:
        facts = {
            "name": name,
            "recipe": self.recipe.name,
            "family": self.recipe.family.name,
            "weights_sha256": self.weights_hash,
            "optional": self.recipe.optional,
            "preparation": self.recipe.preparation.model_dump(mode="json"),
            "detection": self.recipe.detection.model_dump(mode="json"),
        }
        return MapProvenance.model_validate(facts)


def _name_of(images: Mapping[str, Any], number: int) -> str:
    """Name a subject after its first file, or by its place in the sequence."""
    first = next(iter(images.values()), None)
    if isinstance(first, str | Path):
        return Path(first).name.split(".")[0]
    return f"scan{number:04d}"
