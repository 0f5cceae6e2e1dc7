"""The nouns: what flows through anomri, from files on disk to a detection.

Axes are ``I J K`` and point right, anterior and superior (RAS+) after loading; distances are
millimetres, volumes millilitres. Arrays are NumPy arrays; tensors begin where networks begin.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]  # (4, 4), index -> world mm
Volume = NDArray[np.float32]  # (I, J, K)
Image = NDArray[np.float32]  # (C, I, J, K)
Mask = NDArray[np.bool_]  # (I, J, K)
Labels = NDArray[np.uint8]  # (I, J, K), 0 = nothing; BraTS: 1 necrosis, 2 edema, 4 enhancing

# Label numbers of each nested region. Enhancing tumour is 4 in BraTS until 2021 and 3 since 2023.
REGIONS: Mapping[str, tuple[int, ...]] = {
    "whole": tuple(range(1, 256)),
    "core": (1, 3, 4),
    "enhancing": (3, 4),
}

ML_PER_MM3 = 1e-3


def bids_label(text: str) -> str:
    """Keep the letters and digits of ``text``: what BIDS allows in a label.

    >>> bids_label("Brats18_2013_2_1")
    'Brats18201321'
    """
    return re.sub(r"[^0-9A-Za-z]", "", text)


MAX_LABEL = 64  # letters; file names end at 255 bytes, and a label is only their beginning


def distinct_label(text: str) -> str:
    """Return a BIDS label that no other name has: letters and digits, then a hash of the name.

    >>> distinct_label("p-1"), distinct_label("患者")
    ('p1x1dee6e', 'x9db4a3')
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"{bids_label(text)[: MAX_LABEL - 7]}x{digest}"


def usual_label(text: str) -> str:
    """Return the label of a name: its letters and digits; distinct where these do not suffice."""
    plain = bids_label(text)
    return plain if 0 < len(plain) <= MAX_LABEL else distinct_label(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFiles:
    """One subject (or one session of a subject) as it lies on disk.

    Attributes:
        subject: the name the data set gives it, unchanged.
        contrasts: contrast name (``flair``, ``t1``, ``t1ce``, ``t2``) to its file; a folder of
            TIFF slices counts as a file.
        layout: the layout that found it.
        session: the session's name where there are several.
        brain: a brain mask, anything above zero is brain.
        truth: expert lesion labels.
        healthy: True or False where the data set says so, None where it does not.
        slices: contrast to the DICOM files that it has to be converted from first; its entry in
            ``contrasts`` is then the folder of the first.
        notes: what a reader must know of how the files were made.
        own_label: BIDS label in place of the one made from ``subject``, where another has that.
        unclear: role (a contrast, ``brain``, ``truth``) to the reason why no file was taken for it;
            ``healthy`` to the reason why a table does not say it.
        entities: contrast to the BIDS entities of its file that the names of results keep, such
            as ``acq-3D_run-1``.
    """

    subject: str
    contrasts: Mapping[str, Path]
    layout: str
    session: str | None = None
    brain: Path | None = None
    truth: Path | None = None
    healthy: bool | None = None
    slices: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    own_label: str = ""
    unclear: Mapping[str, str] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """BIDS prefix of everything written about this scan: ``sub-<label>[_ses-<label>]``."""
        prefix = f"sub-{self.own_label or usual_label(self.subject)}"
        return f"{prefix}_ses-{usual_label(self.session)}" if self.session else prefix

    @property
    def name(self) -> str:
        """What a table of scans calls it: the subject, or the label where there are sessions."""
        return self.label if self.session else self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the voxels of an array lie in the world.

    Attributes:
        shape: ``(I, J, K)`` voxels.
        affine: (4, 4) voxel index to world mm; may rotate, flip and shear.
        sform_code: NIfTI code that the affine is written back with.
        qform_code: NIfTI code of ``qform``.
        qform: the header's own qform where it differs from the affine.
    """

    shape: tuple[int, int, int]
    affine: Affine
    sform_code: int = 1
    qform_code: int = 0
    qform: Affine | None = None

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Length in mm of one step along I, J and K."""
        i, j, k = (float(np.linalg.norm(self.affine[:3, axis])) for axis in range(3))
        return i, j, k

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml, right for sheared grids too (the determinant)."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) * ML_PER_MM3

    @property
    def axial_last(self) -> tuple[int, int, int]:
        """The order of the axes that puts the one running feet to head last."""
        direction = np.abs(self.affine[2, :3]) / np.linalg.norm(self.affine[:3, :3], axis=0)
        axial = int(np.argmax(direction))
        first, second = (axis for axis in range(3) if axis != axial)
        return first, second, axial

    def to_world(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map voxel indices ``(..., 3)`` to world mm ``(..., 3)``."""
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One subject on one grid, oriented, cropped, resampled and intensity-scaled.

    Attributes:
        subject: the name the data set gives it.
        label: BIDS prefix, see :attr:`ScanFiles.label`.
        image: (C, I, J, K) float32, 0 outside the brain.
        contrasts: names of the C channels.
        brain: (I, J, K) bool.
        grid: where the voxels lie; its affine leads to native world mm.
        native: the grid of the input file, on which results are returned.
        truth: (I, J, K) expert labels on this grid, if there are any.
        healthy: what the data set says of the subject.
        notes: what a reader must know, such as "the file holds no voxel size".
        to_template: (4, 4) native world mm to mm of the MNI152 template, where the scan was
            registered to it.
        entities: BIDS entities that the names of results keep, those of the first contrast's file.
    """

    subject: str
    label: str
    image: Image
    contrasts: tuple[str, ...]
    brain: Mask
    grid: Grid
    native: Grid
    truth: Labels | None = None
    healthy: bool | None = None
    notes: tuple[str, ...] = ()
    to_template: Affine | None = None
    entities: str = ""

    def template_mm(self, point_mm: Sequence[float]) -> tuple[float, float, float] | None:
        """Return where a point of native world mm lies in the template; None unregistered."""
        if self.to_template is None:
            return None
        i, j, k = self.to_template[:3, :3] @ np.asarray(point_mm) + self.to_template[:3, 3]
        return float(i), float(j), float(k)

    @property
    def affine(self) -> Affine:
        """(4, 4) index to native world mm."""
        return self.grid.affine


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyMap:
    """How abnormal each voxel looks, per contrast; higher is more abnormal.

    Attributes:
        scan: what was scored.
        values: (C, I, J, K) float32, 0 outside the brain.
        reconstruction: (C, I, J, K) float32, the model's healthy version of the scan.
        score: name of the score that made it, as in ``SCORES``.
        eroded_brain: (I, J, K) bool, what a cleaning step left of the scan's brain.
        shows: the region of the lesion that each contrast shows, a name of ``REGIONS``; the
            whole lesion where empty.
    """

    scan: Scan
    values: Image
    reconstruction: Image
    score: str
    eroded_brain: Mask | None = None
    shows: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The region that the first contrast shows: the one that thresholds and masks are of."""
        return self.shows[0] if self.shows else "whole"

    @property
    def highest(self) -> Volume:
        """(I, J, K), what thresholds are compared with: the maximum over the contrasts.

        Contrasts that show another region than the first one's do not count.
        """
        shows = self.shows or (self.shown,) * len(self.values)
        counted = [region == self.shown for region in shows]
        highest: Volume = self.values[counted].max(axis=0)
        return highest

    @property
    def brain(self) -> Mask:
        """(I, J, K) bool, where the values count: the eroded brain, or all of the scan's."""
        return self.scan.brain if self.eroded_brain is None else self.eroded_brain


@dataclass(frozen=True, slots=True, kw_only=True)
class FalsePositiveVolume:
    """What a model marked on healthy tissue by its own decision, in ml per scan.

    Attributes:
        mean_ml: over the scans.
        median_ml: of the scans.
        upper_ml: 95th percentile.
        scans: how many; each was looked at with a threshold that it had no part in.
    """

    mean_ml: float
    median_ml: float
    upper_ml: float
    scans: int

    @classmethod
    def of(cls, volumes_ml: Sequence[float]) -> FalsePositiveVolume:
        """Sum up the volumes of at least one scan.

        >>> FalsePositiveVolume.of([0.0, 1.0, 5.0])
        HealthyVolume(mean_ml=2.0, median_ml=1.0, upper_ml=4.6, scans=3)
        """
        return cls(
            mean_ml=float(np.mean(volumes_ml)),
            median_ml=float(np.median(volumes_ml)),
            upper_ml=float(np.percentile(volumes_ml, 95)),
            scans=len(volumes_ml),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A cut through an anomaly map, with where it comes from.

    Attributes:
        value: voxels above it are abnormal; in the units of the map.
        rule: the rule that made it, as in ``RULES``.
        fitted_on: subjects whose data decided the value; empty for a number given by hand.
        false_positive_ml: mean volume above it on the healthy tissue it was fitted on, in ml
            per scan; None where the rule saw no healthy tissue.
        marked: what the decision and the steps after it marked on healthy scans; None where that
            was not measured.
    """

    value: float
    rule: str
    fitted_on: tuple[str, ...] = ()
    false_positive_ml: float | None = None
    marked: FalsePositiveVolume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One connected lesion.

    Attributes:
        number: 1 is the largest.
        volume_ml: its volume.
        centre_mm: centre of mass in native world mm.
        peak: highest value of the anomaly map inside it.
        range_ml: the smallest and the largest volume that it has, or what it overlaps has, when
            the threshold is a fifth lower or higher; None where the decision needs no threshold.
    """

    number: int
    volume_ml: float
    centre_mm: tuple[float, float, float]
    peak: float
    range_ml: tuple[float, float] | None = None

    @property
    def threshold_stability(self) -> float | None:
        """Smallest over largest volume of its range: 1 is stable, 0 vanishes at the higher one."""
        return None if self.range_ml is None else self.range_ml[0] / self.range_ml[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The result for one scan, on the scan's working grid.

    Attributes:
        anomaly: the map after its cleaning steps: what ``threshold`` was compared with.
        mask: (I, J, K) bool, the lesions.
        threshold: the cut that was used.
        slice_scores: (K,) mean map value over the brain of each axial slice.
        nearby: (I, J, K) bool each, the mask with the threshold a fifth lower and a fifth higher;
            empty where the decision needs no threshold.
        code_distances: (K,) how far each axial slice's code lies from those of healthy slices;
            None where the model has no codes, or they have not been learnt from.
        scan_score: one number for the scan: the abnormal volume in ml.
        findings: lesions, largest first.
        regions: (I, J, K) BraTS labels where regions were named.
        provenance: model, recipe and version, as they go into the sidecar.
    """

    anomaly: AnomalyMap
    mask: Mask
    threshold: Threshold
    slice_scores: NDArray[np.float64]
    scan_score: float
    findings: tuple[Finding, ...]
    regions: Labels | None = None
    nearby: tuple[Mask, ...] = ()
    code_distances: NDArray[np.float64] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
