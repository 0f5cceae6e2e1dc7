"""Label-free masks of a cohort: what the default model finds, and how far it can be relied on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.datasets import converted
from anomri.detector import Detector
from anomri.errors import DamagedFile
from anomri.files import replacing, undamaged
from anomri.pipeline.detection import SourceFiles
from anomri.preprocessing import brain_signatures, resample_to_grid, resample_to_isotropic
from anomri.recipe import Recipe
from anomri.scan import REGIONS, Detection, Mask, Provenance, Scan, ScanFiles
from anomri.scoring import network_input
from anomri.training import START_AGAIN, Example, write_example

DOUBTFUL_MM = 4.0  # around all that any threshold marks
SMOOTHING_ML = 1.0  # keeps a few voxels from deciding about the weight of a scan


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelFreeScan:
    """What is kept of a scan of the cohort.

    Attributes:
        subject: name in the data set.
        label: BIDS prefix.
        key: of the files, the model and the version that it was made with.
        mask: (I, J, K) bool, the label-free mask on the scan's working grid.
        volume_ml: of the mask.
        weight: agreement of the masks at thresholds a fifth lower and higher, from 0 to 1.
        contents: digest of the prepared image.
        signature: of the first contrast, see :func:`anomri.preprocessing.brain_signatures`; empty
            without a registration.
    """

    subject: str
    label: str
    key: str
    mask: Mask
    volume_ml: float
    weight: float
    contents: str
    signature: NDArray[np.float32]

    @property
    def has_finding(self) -> bool:
        """Whether anything was found."""
        return self.volume_ml > 0


@dataclass(frozen=True, slots=True)
class LabelFreeTask:
    """The label-free mask of one scan; can be pickled for a worker.

    Attributes:
        detector: the model that finds lesions without labels.
        work: folder of an unfinished adaptation.
        spacing_mm: side of the network's voxels.
    """

    detector: Detector
    work: Path
    spacing_mm: float

    def __call__(self, files: ScanFiles) -> LabelFreeScan:
        """Return what was found, from an earlier run if there was one."""
        unlabelled = replace(files, truth=None)  # an expert's mask has no part in this
        made_from = SourceFiles.of(unlabelled, Provenance()).key(self.detector)
        key = f"{made_from} at {self.spacing_mm:g} mm"
        if (before := self._found_before(files, key)) is not None:
            return before
        with converted(unlabelled) as images:
            scan = self.detector.prepare(images)
        detection = self.detector.detect_scan(scan)
        found = _kept(files, key, scan, detection)
        example = example_of(scan, detection, self.spacing_mm)
        write_example(example_file(self.work, files.label), example)
        _write(_scan_file(self.work, files.label), found)
        return found

    def _found_before(self, files: ScanFiles, key: str) -> LabelFreeScan | None:
        path = _scan_file(self.work, files.label)
        if not path.is_file() or not example_file(self.work, files.label).is_file():
            return None
        try:
            found = _read(path)
        except DamagedFile:
            return None
        return found if found.key == key and found.subject == files.subject else None


def example_of(scan: Scan, detection: Detection, spacing_mm: float) -> Example:
    """Return a prepared scan and its label-free mask as the network learns them."""
    recipe = Recipe.load("lesions")
    coarse = resample_to_isotropic(scan.select(recipe.contrasts, recipe.optional), spacing_mm)
    regions = _nested(detection)
    marked = np.stack([*regions, *detection.nearby]).astype(np.float32)
    marked = resample_to_grid(marked, scan.grid, coarse.grid)
    touched: Mask = np.asarray((marked > 0).any(axis=0))
    margin = ndimage.distance_transform_edt(~touched, sampling=spacing_mm) <= DOUBTFUL_MM
    return Example(
        image=network_input(coarse.image, coarse.brain),
        brain=coarse.brain,
        regions=(marked[: len(regions)] > 0.5) & coarse.brain,
        doubtful=margin & bool(touched.any()),
        weight=weight_of(detection),
    )


def _nested(detection: Detection) -> list[Mask]:
    """Return the masks of the regions; only the whole lesion where none were named."""
    labels = detection.regions
    if labels is None:
        return [detection.mask, *(np.zeros_like(detection.mask) for _ in list(REGIONS)[1:])]
    return [detection.mask, *(np.isin(labels, REGIONS[name]) for name in list(REGIONS)[1:])]


def weight_of(detection: Detection) -> float:
    """Return the Dice of the masks at a lower and a higher threshold; 1 where nothing is found.

    A mask that changes much with its threshold is doubtful. A model without thresholds gives no
    such masks, and every scan then counts the same.
    """
    if not detection.nearby:
        return 1.0
    lower, higher = detection.nearby
    few = SMOOTHING_ML / detection.anomaly.scan.grid.voxel_ml
    both, total = np.count_nonzero(lower & higher), lower.sum() + higher.sum()
    return float((2 * both + few) / (total + few))


def example_file(work: Path, label: str) -> Path:
    """Return the path of a scan's example."""
    return work / f"{label}_example.npz"


def _scan_file(work: Path, label: str) -> Path:
    return work / f"{label}_scan.npz"


def _kept(files: ScanFiles, key: str, scan: Scan, detection: Detection) -> LabelFreeScan:
    contrast = scan.contrasts[0]
    signature = brain_signatures(scan.select((contrast,))).get(contrast)
    return LabelFreeScan(
        subject=files.subject,
        label=files.label,
        key=key,
        mask=detection.mask,
        volume_ml=detection.volume_ml,
        weight=weight_of(detection),
        contents=hashlib.sha256(scan.image.tobytes()).hexdigest()[:16],
        signature=np.zeros(0, np.float32) if signature is None else signature,
    )


def _write(path: Path, found: LabelFreeScan) -> None:
    arrays: dict[str, Any] = {name: np.asarray(getattr(found, name)) for name in found.__slots__}
    with replacing(path) as draft, draft.open("xb") as stream:
        np.savez_compressed(stream, **arrays)


def _read(path: Path) -> LabelFreeScan:
    guard = undamaged(path, what="a label-free mask", next_step=START_AGAIN)
    with guard, path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        entries = {name: file[name] for name in LabelFreeScan.__slots__}
        texts = {name: str(entries[name]) for name in ("subject", "label", "key", "contents")}
        numbers = {name: float(entries[name]) for name in ("volume_ml", "weight")}
        return LabelFreeScan(**{**entries, **texts, **numbers})
