"""A model that is ready to look at scans: a recipe, its network and its thresholds, on a device.

This is what :func:`anomri.load` returns. It knows nothing of folders full of scans, progress or
tables; :mod:`anomri.pipeline` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from anomri.errors import ScanError, UsageError
from anomri.family import Family, Network
from anomri.models import build_network, load_weights
from anomri.options import call
from anomri.postprocessing import clean, decide, findings, nested_labels, threshold_of_scan
from anomri.preprocessing import prepare_images, prepare_scan
from anomri.recipe import Recipe, Step, builtin_names
from anomri.reporting import native_images, write_detection
from anomri.scan import AnomalyMap, Detection, Finding, Scan, ScanFiles, Threshold
from anomri.scoring import SEGMENTATIONS, score_scan, slice_scores, tumour_map

RECIPE = "recipe.yaml"
WEIGHTS = "weights.safetensors"
THRESHOLDS = "thresholds.json"

Regions = NDArray[np.float32] | None  # (R, I, J, K)

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
        networks: with their weights; one family, or segmenters to be averaged.
        thresholds: fitted thresholds by rule.
        device: where the network runs.
        weights_hash: first 16 hex digits of the weights' SHA-256; empty without weights.
    """

    def __init__(
        self,
        recipe: Recipe,
        networks: Sequence[Network],
        *,
        thresholds: Mapping[str, Threshold] | None = None,
        device: torch.device | None = None,
        weights_hash: str = "",
    ) -> None:
        self.recipe = recipe
        self.device = device or torch.device("cpu")
        self.networks = [network.to(self.device).eval() for network in networks]
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
            self.networks,
            thresholds=self.thresholds,
            device=self.device,
            weights_hash=self.weights_hash,
        )

    def prepare(self, files: ScanFiles) -> Scan:
        """Read one scan as the recipe wants it."""
        return prepare_scan(files, self.recipe.preparation, self.recipe.contrasts)

    def score(self, scan: Scan) -> AnomalyMap:
        """Return the cleaned map: what thresholds are compared with."""
        return self._look(scan)[0]

    def _look(self, scan: Scan) -> tuple[AnomalyMap, Regions]:
        """Return the cleaned map and, from segmenters, the probabilities of the regions."""
        section, network = self.recipe.detection, self.networks[0]
        if isinstance(network, Family):
            raw = score_scan(network, scan, section.score, device=self.device)
            return clean(raw, section.clean), None
        regions = call(SEGMENTATIONS, section.score, self.networks, scan, self.device)
        return clean(tumour_map(scan, regions), section.clean), regions

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
        anomaly, regions = self._look(scan)
        threshold = self.threshold(anomaly)
        mask = decide(anomaly, threshold, self.recipe.detection)
        labels = None if regions is None else nested_labels(regions, threshold.value, mask)
        return Detection(
            anomaly=anomaly,
            mask=mask,
            threshold=threshold,
            slice_scores=slice_scores(anomaly),
            scan_score=float(mask.sum() * scan.grid.voxel_ml),
            findings=findings(mask, anomaly),
            regions=labels,
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
        model: folder written by ``anomri train``, a folder that holds several such folders of
            segmenters (an ensemble), or a name such as ``intensity``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        UsageError: there is no such model, its weights are missing, or its members do not agree.
    """
    if str(model) in builtin_names() and not Path(model).is_dir():
        recipe = Recipe.load(model)
        return Detector(recipe, [build_family(recipe)], device=choose_device(device))
    runs = _runs(Path(model))
    recipe = Recipe.load(runs[0] / RECIPE)
    loaded = [_load(run, recipe) for run in runs]
    return Detector(
        recipe,
        [network for network, _ in loaded],
        thresholds=load_thresholds(Path(model)),
        device=choose_device(device),
        weights_hash="+".join(digest for _, digest in loaded),
    )


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
            f"{', '.join(builtin_names())}. Next: check the spelling, or train a model with "
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


def _name_of(images: Mapping[str, Any], number: int) -> str:
    """Name a subject after its first file, or by its place in the sequence."""
    first = next(iter(images.values()), None)
    if isinstance(first, str | Path):
        return Path(first).name.split(".")[0]
    return f"scan{number:04d}"
