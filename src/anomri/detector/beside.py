"""What two models of one tumour find together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anomri.errors import UsageError
from anomri.postprocessing import REGION_STEPS, Regions, SegmentationState, findings
from anomri.recipe import Step, call
from anomri.scan import AnomalyMap, Detection, Mask, Note, NoteKind, Provenance, Scan, Threshold

NO_MASS = Note(
    NoteKind.NO_MASS, "no mass: lesions that the network and brightness agree on are added"
)
WITH_MEDIUM = ("t1ce",)  # contrasts after contrast medium


def of_contrasts(scan: Scan, contrasts: tuple[str, ...], optional: Sequence[str] = ()) -> Scan:
    """Return the scan with these contrasts, in this order; 0 where an optional one is missing.

    Raises:
        UsageError: it lacks one that is not optional.
    """
    if scan.contrasts == contrasts:
        return scan
    if not set(contrasts) <= {*scan.contrasts, *optional}:
        raise UsageError(
            f"{scan.subject}: expected the contrasts {', '.join(contrasts)}, got "
            f"{', '.join(scan.contrasts)}. Next: prepare the scan with the model's recipe."
        )
    volumes = dict(zip(scan.contrasts, scan.image, strict=True))
    nothing = np.zeros(scan.brain.shape, np.float32)
    image = np.stack([volumes.get(name, nothing) for name in contrasts])
    return replace(scan, image=image, contrasts=contrasts)


def lacks_contrast_medium(scan: Scan) -> bool:
    """Tell whether the contrast that shows enhancing tumour was asked for and is missing."""
    volumes = dict(zip(scan.contrasts, scan.image, strict=True))
    return any(name in volumes and not volumes[name].any() for name in WITH_MEDIUM)


def name_regions(whole: Detection, enhancing: Detection, scan: Scan, step: Step) -> Detection:
    """Put what a model of the whole and one of the enhancing tumour found into one detection.

    Its mask is the tumour whose regions were named, its threshold that of the whole; its map holds
    the contrasts of both.

    Args:
        whole: of the whole tumour.
        enhancing: of the enhancing tumour, on the same grid.
        scan: both models' contrasts, in order.
        step: a name of ``REGION_STEPS`` with its options.
    """
    maps = whole.anomaly, enhancing.anomaly
    pairs = zip(_masks(whole), _masks(enhancing), strict=False)
    regions, *others = (labels_of(maps, pair, step) for pair in pairs)
    notes = (*whole.anomaly.scan.notes, *([regions.note] if regions.note else []))
    noted = replace(scan, notes=notes)
    anomaly = AnomalyMap(
        scan=noted,
        values=np.concatenate([one.values for one in maps]),
        reconstruction=np.concatenate([one.reconstruction for one in maps]),
        score=whole.anomaly.score,
        eroded_brain=whole.anomaly.eroded_brain,
        shows=(*maps[0].shows, *maps[1].shows),
    )
    mask: Mask = regions.labels > 0
    nearby = tuple(other.labels > 0 for other in others)
    return replace(
        whole,
        anomaly=anomaly,
        mask=mask,
        scan_score=float(mask.sum() * scan.grid.voxel_ml),
        findings=findings(mask, anomaly, nearby),
        regions=regions.labels,
        nearby=nearby,
        provenance=_with_threshold(whole, "enhancing", enhancing.threshold),
    )


def labels_of(maps: tuple[AnomalyMap, AnomalyMap], masks: tuple[Mask, Mask], step: Step) -> Regions:
    """Name the regions of what two models marked.

    Args:
        maps: of the whole and of the enhancing tumour.
        masks: (I, J, K), of the same two.
        step: a name of ``REGION_STEPS`` with its options.
    """
    whole, enhancing = (_candidate(*pair) for pair in zip(maps, masks, strict=True))
    regions: Regions = call(REGION_STEPS, step, whole, enhancing)
    return regions


def add_small_lesions(whole: Detection, small: Detection, scan: Scan) -> Detection:
    """Return the detection of the whole with what a model of small lesions found added to it.

    What brightness alone was sure of stays. Map and threshold are those of the whole; the
    provenance names both models.

    Args:
        whole: in which no mass was found.
        small: on the same grid.
        scan: what the first looked at.
    """
    noted = replace(scan, notes=(*scan.notes, NO_MASS))
    anomaly = replace(whole.anomaly, scan=noted)
    mask, *nearby = (w | s for w, s in zip(_masks(whole), _masks(small), strict=False))
    return replace(
        whole,
        anomaly=anomaly,
        mask=mask,
        scan_score=float(mask.sum() * scan.grid.voxel_ml),
        findings=findings(mask, anomaly, nearby),
        nearby=tuple(nearby),
        provenance=_with_threshold(whole, "small", small.threshold),
    )


def without_healthy_slices(
    mask: Mask, scores: NDArray[np.float64] | None, threshold: Threshold
) -> Mask:
    """Return a copy of the mask, empty in the axial slices whose score is not above the threshold.

    Args:
        mask: (I, J, K).
        scores: (K,), NaN where there is none; None where the model has no such score.
        threshold: fitted to healthy slices.

    Raises:
        UsageError: the model has no such score.
    """
    if scores is None:
        raise UsageError(
            f"the slice score '{threshold.rule}' needs a family with codes of slices. "
            "Next: choose `mean_residual`."
        )
    return mask & (scores > threshold.value)


def _masks(detection: Detection) -> tuple[Mask, ...]:
    """Return the mask, then those of nearby thresholds; both models move theirs together."""
    return (detection.mask, *detection.nearby)


def _candidate(anomaly: AnomalyMap, mask: Mask) -> SegmentationState:
    """Return map and mask on the whole brain: the mask may reach to its rim, the map is 0 there."""
    return SegmentationState.of(anomaly).with_brain(anomaly.scan.brain).with_mask(mask)


def _with_threshold(whole: Detection, name: str, threshold: Threshold) -> Provenance:
    """Return the provenance with the threshold that another map was used with."""
    return whole.provenance.with_threshold(name, value=threshold.value, rule=threshold.rule)
