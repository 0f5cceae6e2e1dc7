"""A model that is ready to look at scans: a recipe, its network and its thresholds, on a device.

This is what :func:`anomri.load` returns. It knows nothing of folders full of scans, progress or
tables; :mod:`anomri.pipeline` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import torch

from anomri.errors import ScanError, UsageError
from anomri.family import Family
from anomri.models import build, load_weights
from anomri.postprocessing import clean, decide, findings, threshold_of_scan
from anomri.preprocessing import prepare_images, prepare_scan
from anomri.recipe import Recipe, Step, builtin_names
from anomri.reporting import native_images, write_detection
from anomri.scan import AnomalyMap, Detection, Finding, Scan, ScanFiles, Threshold
from anomri.scoring import score_scan, slice_scores

RECIPE = "recipe.yaml"
WEIGHTS = "weights.safetensors"
THRESHOLDS = "thresholds.json"

FITTED_RULES = ("healthy", "labelled", "oracle")


@dataclass(frozen=True, slots=True)
class Result:
    """What a model found in one scan, as images on the scan's own grid.

    Attributes:
        detection: everything, on the model's working grid.
    """

    detection: Detection

    @property
    def anomaly(self) -> nib.Nifti1Image:
        """How abnormal each voxel looks, float32, the first contrast of the model."""
        contrast = self.detection.anomaly.scan.contrasts[0]
        return native_images(self.detection)[f"anomaly_{contrast}"]

    @property
    def mask(self) -> nib.Nifti1Image:
        """Lesions, uint8."""
        return native_images(self.detection)["mask"]

    @property
    def labels(self) -> nib.Nifti1Image | None:
        """Regions with BraTS numbers, uint8, where the model names regions."""
        return native_images(self.detection).get("regions")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One entry per lesion, largest first, volume in ml."""
        return self.detection.findings

    def save(self, out: str | Path) -> Path:
        """Write the images, tables and picture of this scan below ``out``; return its folder."""
        return write_detection(self.detection, Path(out))


class Detector:
    """A recipe, its network and its thresholds.

    Args:
        recipe: what to do.
        family: the network, with its weights.
        thresholds: fitted thresholds by rule.
        device: where the network runs.
        weights_hash: first 16 hex digits of the weights' SHA-256; empty without weights.
    """

    def __init__(
        self,
        recipe: Recipe,
        family: Family,
        *,
        thresholds: Mapping[str, Threshold] | None = None,
        device: torch.device | None = None,
        weights_hash: str = "",
    ) -> None:
        self.recipe = recipe
        self.device = device or torch.device("cpu")
        self.family = family.to(self.device).eval()
        self.thresholds = dict(thresholds or {})
        self.weights_hash = weights_hash

    def with_detection(self, *, threshold: str | None, decide: str | None) -> Detector:
        """Return the same model with another threshold rule or decision, each by name."""
        changes: dict[str, Step] = {}
        if threshold:
            changes["threshold"] = Step(name=threshold)
        if decide:
            changes["decide"] = Step(name=decide)
        section = self.recipe.detection.model_copy(update=changes)
        recipe = self.recipe.model_copy(update={"detection": section})
        return Detector(
            recipe,
            self.family,
            thresholds=self.thresholds,
            device=self.device,
            weights_hash=self.weights_hash,
        )

    def prepare(self, files: ScanFiles) -> Scan:
        """Read one scan as the recipe wants it."""
        return prepare_scan(files, self.recipe.preparation, self.recipe.contrasts)

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the cleaned map: what thresholds are compared with."""
        section = self.recipe.detection
        raw = score_scan(self.family, scan, section.score, device=self.device)
        return clean(raw, section.clean)

    def threshold(self, anomaly: AnomalyMap) -> Threshold:
        """Return the recipe's threshold for this map, fitted before or found in the map itself.

        Raises:
            UsageError: the rule has to be fitted first and has not been.
        """
        rule = self.recipe.detection.threshold
        if rule.name not in FITTED_RULES:
            return threshold_of_scan(anomaly, rule)
        if rule.name in self.thresholds:
            return self.thresholds[rule.name]
        raise UsageError(
            f"{self.recipe.name}: the threshold rule '{rule.name}' has not been fitted. "
            "Next: run `anomri calibrate` on the run folder, or choose `--threshold robust`."
        )

    def detect_scan(self, scan: Scan) -> Detection:
        """Look at a prepared scan."""
        anomaly = self.score(scan)
        threshold = self.threshold(anomaly)
        mask = decide(anomaly, threshold, self.recipe.detection)
        return Detection(
            anomaly=anomaly,
            mask=mask,
            threshold=threshold,
            slice_scores=slice_scores(anomaly),
            scan_score=float(mask.sum() * scan.grid.voxel_ml),
            findings=findings(mask, anomaly),
            provenance=self.provenance() | {"reconstruction_mae": _error(anomaly)},
        )

    def detect(self, images: Mapping[str, Any], *, brain: Any = None, name: str = "scan") -> Result:
        """Look at one subject.

        Args:
            images: contrast name to a path or a nibabel image.
            brain: brain mask, a path or a nibabel image; found from the background if left out.
            name: what to call the subject.

        Raises:
            ScanError: an image cannot be used.
        """
        scan = prepare_images(
            images, self.recipe.preparation, self.recipe.contrasts, brain=brain, name=name
        )
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

    def provenance(self) -> dict[str, Any]:
        """Return what a sidecar says about this model."""
        return {
            "anomri_version": version("anomri"),
            "recipe": self.recipe.name,
            "family": self.recipe.family.name,
            "weights_sha256": self.weights_hash,
            "detection": self.recipe.detection.model_dump(mode="json"),
        }


def load(model: str | Path, *, device: str = "auto") -> Detector:
    """Load a run folder, or a model that ships with anomri by its name.

    Args:
        model: folder written by ``anomri train``, or a name such as ``intensity``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        UsageError: there is no such model, or its weights are missing.
    """
    folder = Path(model)
    if not folder.is_dir() and str(model) not in builtin_names():
        raise UsageError(
            f"{folder.name}: expected a run folder or one of {', '.join(builtin_names())}. "
            "Next: check the spelling, or train a model with `anomri train`."
        )
    recipe = Recipe.load(folder / RECIPE if folder.is_dir() else model)
    family = build_family(recipe)
    digest = _load_weights(family, folder / WEIGHTS)
    thresholds = load_thresholds(folder)
    return Detector(
        recipe,
        family,
        thresholds=thresholds,
        device=choose_device(device),
        weights_hash=digest,
    )


def build_family(recipe: Recipe) -> Family:
    """Build the recipe's network, untrained."""
    return build(recipe.family, channels=len(recipe.contrasts), size=recipe.size)


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
        rule: Threshold(**{**entry, "fitted_on": tuple(entry["fitted_on"])})
        for rule, entry in entries.items()
    }


def _error(anomaly: AnomalyMap) -> float:
    """Mean absolute error of the reconstruction in the brain, in prepared intensity units."""
    scan = anomaly.scan
    difference = np.abs(scan.image - anomaly.reconstruction)[:, scan.brain]
    return float(difference.mean()) if difference.size else float("nan")


def _named_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device '{name}': expected one that this machine has; {error}. Next: use `auto`."
        ) from error
    return device


def _load_weights(family: Family, path: Path) -> str:
    if not any(True for _ in family.parameters()):
        return ""
    if not path.is_file():
        raise UsageError(
            f"{path.parent.name}: expected {path.name}, found none. "
            "Next: finish the training with `anomri train`."
        )
    load_weights(family, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _name_of(images: Mapping[str, Any], number: int) -> str:
    """Name a subject after its first file, or by its place in the sequence."""
    first = next(iter(images.values()), None)
    if isinstance(first, str | Path):
        return Path(first).name.split(".")[0]
    return f"scan{number:04d}"
