"""All measures of one scan, as a row of a table.

=============================================== ==================================================
column                                          meaning
=============================================== ==================================================
dice, sensitivity, specificity, precision       voxel-wise, of the mask
slice_dice_all, slice_dice_lesion               mean over slices; lesion-free ones 0, or skipped
slice_dice_empty                                lesion-free ones 1 if nothing is marked, else 0
auprc, auroc                                    of the map, without a threshold
oracle_dice, oracle_threshold                   best Dice of any threshold of the map; not a result
hd95_mm, surface_distance_mm                    between the surfaces
lesion_sensitivity, lesion_precision, lesion_f1 lesion-wise
..._lesion_count                                in the truth, detected, predicted, false
volume_ml, truth_volume_ml, volume_error_ml     predicted, true, and predicted minus true
false_positive_ml                               marked volume outside lesions
mae_intensity                                   error of the reconstruction in the brain
=============================================== ==================================================
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anomri.evaluation.lesion_detection import count_lesions
from anomri.evaluation.ranking import Ranking, rank
from anomri.evaluation.scans import false_positive_ml, mean_absolute_error, volume_ml
from anomri.evaluation.surfaces import Spacing, diagonal_mm, surface_distance
from anomri.evaluation.voxels import (
    confusion,
    dice,
    precision,
    sensitivity,
    slice_dice,
    specificity,
)
from anomri.scan import Mask, Volume

Row = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """The arrays of one case; attributes as the arguments of :func:`case_metrics`."""

    mask: Mask
    values: Volume
    truth: Mask
    brain: Mask
    voxel_ml: float
    spacing: Spacing
    missed_mm: float

    @property
    def has_lesion(self) -> bool:
        """Whether the truth contains a lesion."""
        return bool(self.truth.any())

    @property
    def region(self) -> Mask:
        """The voxels that are counted: the brain, and truth and mask outside it."""
        region: Mask = self.brain | self.truth | self.mask
        return region

    def cropped(self) -> _Case:
        """Crop the arrays to the bounding box of the region, which no measure depends on."""
        objects = ndimage.find_objects(self.region.astype(np.uint8))
        box = objects[0] if objects else (slice(0, 0),) * 3
        names = ("mask", "values", "truth", "brain")
        return replace(self, **{name: getattr(self, name)[box] for name in names})


def case_metrics(  # noqa: PLR0913 - the arrays of a case
    *,
    mask: Mask,
    values: Volume,
    truth: NDArray[Any] | None,
    brain: Mask,
    spacing: Spacing,
    voxel_ml: float,
    image: NDArray[np.float32] | None = None,
    reconstruction: NDArray[np.float32] | None = None,
) -> dict[str, float]:
    """Compute all measures of one case, by name.

    Voxels of the brain are counted. Lesion outside the brain mask is counted as missed and has the
    lowest rank, and marked voxels outside it are false, so that errors of the brain mask show.

    For a case without lesion, or without truth and therefore assumed to be healthy, only volumes,
    specificity, the number of false lesions and the error of the reconstruction are defined. If
    only the mask is empty, Dice, sensitivity and precision are 0 and the surface distances the
    diagonal of the arrays, so that missed lesions enter every mean.

    Args:
        mask: (I, J, K) segmentation; K is the axial axis.
        values: (I, J, K) anomaly map of the segmentation.
        truth: (I, J, K) reference, lesions above 0; None without one.
        brain: (I, J, K).
        spacing: mm along I, J, K.
        voxel_ml: volume of a voxel in ml.
        image: (I, J, K) or (C, I, J, K); with ``reconstruction`` for ``mae_intensity``.
        reconstruction: same shape as ``image``.

    Raises:
        ValueError: the arrays differ in shape, or a value inside the brain is NaN.
    """
    lesion = np.zeros(np.shape(mask), dtype=bool) if truth is None else np.asarray(truth) > 0
    case = _Case(
        mask=np.asarray(mask) > 0,
        values=values,
        truth=lesion,
        brain=np.asarray(brain) > 0,
        voxel_ml=voxel_ml,
        spacing=spacing,
        missed_mm=diagonal_mm(lesion.shape, spacing),
    )
    _check_shapes(mask=mask, values=values, truth=lesion, brain=brain)
    case = case.cropped()
    row = {**_voxels(case), **_ranking(case), **_surfaces(case), **_lesions(case), **_volumes(case)}
    if image is not None and reconstruction is not None:
        row["mae_intensity"] = mean_absolute_error(image, reconstruction, np.asarray(brain) > 0)
    return row


def _voxels(case: _Case) -> Row:
    arrays = case.mask, case.truth, case.region
    counts = confusion(*arrays)
    row = {"specificity": specificity(counts)}
    if not case.has_lesion:
        return row
    return {
        "dice": dice(counts),
        "slice_dice_all": slice_dice(*arrays, lesion_free="zero"),
        "slice_dice_lesion": slice_dice(*arrays, lesion_free="skip"),
        "slice_dice_empty": slice_dice(*arrays, lesion_free="empty"),
        "sensitivity": sensitivity(counts),
        **row,
        "precision": precision(counts),
    }


def _ranking(case: _Case) -> Row:
    if not case.has_lesion:
        return {}
    if not case.brain.any():
        return asdict(Ranking(float("nan"), float("nan"), 0.0, float("nan")))
    lowest = case.values.min(where=case.brain, initial=np.inf)
    values = np.where(case.brain, case.values, lowest)
    return asdict(rank(values, case.truth, case.region))


def _surfaces(case: _Case) -> Row:
    if not case.has_lesion:
        return {}
    distance = surface_distance(case.mask, case.truth, case.spacing, missed_mm=case.missed_mm)
    return {"hd95_mm": distance.hd95_mm, "surface_distance_mm": distance.mean_mm}


def _lesions(case: _Case) -> Row:
    counts = count_lesions(case.mask, case.truth)
    row: Row = {"predicted_lesion_count": counts.predicted, "false_lesion_count": counts.false}
    if not case.has_lesion:
        return row
    return {
        "lesion_sensitivity": counts.sensitivity(),
        "lesion_precision": counts.precision(),
        "lesion_f1": counts.f1(),
        "true_lesion_count": counts.true,
        "detected_lesion_count": counts.detected,
        **row,
    }


def _volumes(case: _Case) -> Row:
    marked = volume_ml(case.mask, case.voxel_ml)
    row = {
        "volume_ml": marked,
        "false_positive_ml": false_positive_ml(case.mask, case.truth, case.voxel_ml),
    }
    if case.has_lesion:
        row["truth_volume_ml"] = volume_ml(case.truth, case.voxel_ml)
        row["volume_error_ml"] = marked - row["truth_volume_ml"]
    return row


def _check_shapes(**arrays: NDArray[Any]) -> None:
    shapes = {name: np.shape(array) for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"expected arrays on one grid, got {found}")
