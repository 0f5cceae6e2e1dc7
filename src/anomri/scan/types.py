"""Scans on disk and in memory, anomaly maps, thresholds, findings and detections.

Axes are ``I J K`` and point right, anterior and superior (RAS+) after loading; distances are
millimetres, volumes millilitres. Arrays are NumPy arrays; only networks see tensors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anomri.errors import UsageError
from anomri.scan.location import Location
from anomri.scan.notes import Note
from anomri.scan.provenance import Provenance

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
WITH_MEDIUM = ("t1ce",)  # contrasts after contrast medium


def bids_label(text: str) -> str:
    """Return the letters and digits of ``text``, which is all that BIDS allows in a label.

    >>> bids_label("Brats18_2013_2_1")
    'Brats18201321'
    """
    return re.sub(r"[^0-9A-Za-z]", "", text)


MAX_LABEL = 64  # letters; a file name may have 255 bytes, and begins with the label


def distinct_label(text: str) -> str:
    """Return a BIDS label unique to the name: its letters and digits, then a hash of it.

    >>> distinct_label("p-1"), distinct_label("患者")
    ('p1x1dee6e', 'x9db4a3')
    """
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"{bids_label(text)[: MAX_LABEL - 7]}x{digest}"


def usual_label(text: str) -> str:
    """Return the letters and digits of a name, or a distinct label if these do not suffice."""
    plain = bids_label(text)
    return plain if 0 < len(plain) <= MAX_LABEL else distinct_label(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFiles:
    """The files of one subject, or of one session of a subject.

    Attributes:
        subject: name in the data set, unchanged.
        contrasts: file by contrast (``flair``, ``t1``, ``t1ce``, ``t2``); a folder of TIFF slices
            counts as a file.
        layout: name of the layout that was recognised.
        session: name of the session, if the subject has several.
        brain: brain mask; voxels above zero are brain.
        truth: expert lesion labels.
        healthy: whether the subject is healthy; None if the data set does not say.
        slices: DICOM files by contrast, to be converted first; the entry in ``contrasts`` is then
            the folder of the first of them.
        notes: what a reader must know of how the files were made.
        own_label: BIDS label to use if the one made from ``subject`` is taken.
        unclear: by contrast, ``brain`` or ``truth``: the reason why no file was chosen; by
            ``healthy``: the reason why that is not known.
        entities: by contrast: the BIDS entities of its file that results keep in their names,
            such as ``acq-3D_run-1``.
        uris: by contrast, ``brain`` or ``truth``: BIDS URI of the file, for sidecars.
    """

    subject: str
    contrasts: Mapping[str, Path]
    layout: str
    session: str | None = None
    brain: Path | None = None
    truth: Path | None = None
    healthy: bool | None = None
    slices: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    own_label: str = ""
    unclear: Mapping[str, str] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)
    uris: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """BIDS prefix of all results of this scan: ``sub-<label>[_ses-<label>]``."""
        prefix = f"sub-{self.own_label or usual_label(self.subject)}"
        return f"{prefix}_ses-{usual_label(self.session)}" if self.session else prefix

    @property
    def name(self) -> str:
        """Name in tables of scans: the subject, or the label if there are sessions."""
        return self.label if self.session else self.subject


@dataclass(frozen=True, kw_only=True)  # without slots, which cached properties rule out
class Grid:
    """Position of the voxels of an array in world coordinates.

    Attributes:
        shape: ``(I, J, K)`` voxels.
        affine: (4, 4) voxel index to world mm; may rotate, flip and shear.
        sform_code: NIfTI code of ``affine``.
        qform_code: NIfTI code of ``qform``.
        qform: qform of the header if it differs from the affine.
    """

    shape: tuple[int, int, int]
    affine: Affine
    sform_code: int = 1
    qform_code: int = 0
    qform: Affine | None = None

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along I, J and K."""
        i, j, k = (float(np.linalg.norm(self.affine[:3, axis])) for axis in range(3))
        return i, j, k

    @cached_property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml; from the determinant, so that sheared grids are right too."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) * ML_PER_MM3

    @property
    def axial_last(self) -> tuple[int, int, int]:
        """Order of the axes that puts the one from feet to head last."""
        direction = np.abs(self.affine[2, :3]) / np.linalg.norm(self.affine[:3, :3], axis=0)
        axial = int(np.argmax(direction))
        first, second = (axis for axis in range(3) if axis != axial)
        return first, second, axial

    def to_world(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map voxel indices ``(..., 3)`` to world mm ``(..., 3)``."""
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Images of one subject on one grid: oriented, cropped, resampled and intensity-scaled.

    Attributes:
        subject: name in the data set.
        label: BIDS prefix, see :attr:`ScanFiles.label`.
        image: (C, I, J, K) float32, 0 outside the brain.
        contrasts: names of the C channels.
        brain: (I, J, K) bool.
        grid: position of the voxels in native world mm.
        native: grid of the input file, on which results are returned.
        truth: (I, J, K) expert labels on this grid, if any.
        healthy: whether the subject is healthy; None if the data set does not say.
        notes: what a reader must know, such as "the file has no voxel size".
        to_template: (4, 4) native world mm to mm of the MNI152 template; None if the scan was not
            registered to it.
        entities: BIDS entities of the first contrast's file that results keep in their names.
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
    notes: tuple[Note, ...] = ()
    to_template: Affine | None = None
    entities: str = ""

    def template_mm(self, point_mm: Sequence[float]) -> tuple[float, float, float] | None:
        """Return the template mm of a point in native world mm; None for an unregistered scan."""
        if self.to_template is None:
            return None
        i, j, k = self.to_template[:3, :3] @ np.asarray(point_mm) + self.to_template[:3, 3]
        return float(i), float(j), float(k)

    @property
    def affine(self) -> Affine:
        """(4, 4) voxel index to native world mm."""
        return self.grid.affine

    def select(self, contrasts: tuple[str, ...], optional: Sequence[str] = ()) -> Scan:
        """Return the scan with these contrasts, in this order; 0 where an optional one is missing.

        Raises:
            UsageError: it lacks one that is not optional.
        """
        if self.contrasts == contrasts:
            return self
        if not set(contrasts) <= {*self.contrasts, *optional}:
            raise UsageError(
                f"{self.subject}: expected the contrasts {', '.join(contrasts)}, got "
                f"{', '.join(self.contrasts)}. Next: prepare the scan with the model's recipe."
            )
        volumes = dict(zip(self.contrasts, self.image, strict=True))
        nothing = np.zeros(self.brain.shape, np.float32)
        image = np.stack([volumes.get(name, nothing) for name in contrasts])
        return replace(self, image=image, contrasts=contrasts)

    @property
    def lacks_contrast_medium(self) -> bool:
        """Whether the contrast that shows enhancing tumour is one of the scan's and is empty."""
        volumes = dict(zip(self.contrasts, self.image, strict=True))
        return any(name in volumes and not volumes[name].any() for name in WITH_MEDIUM)

    @property
    def lesions(self) -> Mask | None:
        """(I, J, K) bool, the expert's lesions; None without expert labels."""
        return None if self.truth is None else self.truth > 0

    @property
    def truth_ml(self) -> float | None:
        """Volume of the expert's lesions; None without expert labels."""
        lesions = self.lesions
        return None if lesions is None else float(lesions.sum() * self.grid.voxel_ml)

    @property
    def lesions_unknown(self) -> bool:
        """Whether the subject has lesions, and no expert labels show where."""
        return self.truth is None and self.healthy is False


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyMap:
    """Abnormality of each voxel, per contrast; higher is more abnormal.

    Attributes:
        scan: the scan that was scored.
        values: (C, I, J, K) float32, 0 outside the brain.
        reconstruction: (C, I, J, K) float32, the model's healthy version of the scan.
        score: name of the score, as in ``SCORES``.
        eroded_brain: (I, J, K) bool, the scan's brain after the erosion of a cleaning step.
        shows: the region of the lesion that each contrast shows, a name of ``REGIONS``; the
            whole lesion where empty.
        region_probabilities: (R, I, J, K) float32, of the nested regions, from a segmenter.
        latent_distances: (K,) how far each axial slice's latents lie from those of healthy slices;
            None without latents or before calibration.
    """

    scan: Scan
    values: Image
    reconstruction: Image
    score: str
    eroded_brain: Mask | None = None
    shows: tuple[str, ...] = ()
    region_probabilities: Image | None = None
    latent_distances: NDArray[np.float64] | None = None

    @classmethod
    def joined(cls, maps: Sequence[AnomalyMap], scan: Scan) -> AnomalyMap:
        """Return several maps as one of all their contrasts, which are those of ``scan``."""
        return replace(
            maps[0],
            scan=scan,
            values=np.concatenate([anomaly.values for anomaly in maps]),
            reconstruction=np.concatenate([anomaly.reconstruction for anomaly in maps]),
            shows=tuple(region for anomaly in maps for region in anomaly.shows),
        )

    @property
    def shown(self) -> str:
        """Region that the first contrast shows; thresholds and masks are of this region."""
        return self.shows[0] if self.shows else "whole"

    @property
    def highest(self) -> Volume:
        """(I, J, K) maximum over the contrasts, which thresholds are compared with.

        Only contrasts that show the same region as the first one count.
        """
        shows = self.shows or (self.shown,) * len(self.values)
        counted = [number for number, region in enumerate(shows) if region == self.shown]
        if len(counted) == 1:
            only: Volume = self.values[counted[0]]
            return only
        highest: Volume = self.values[counted].max(axis=0)
        return highest

    @property
    def brain(self) -> Mask:
        """(I, J, K) bool, where the values count: the eroded brain if there is one."""
        return self.scan.brain if self.eroded_brain is None else self.eroded_brain


@dataclass(frozen=True, slots=True, kw_only=True)
class FalsePositiveVolume:
    """Volume that a model segmented in healthy tissue, in ml per scan.

    Attributes:
        mean_ml: over the scans.
        median_ml: of the scans.
        upper_ml: 95th percentile.
        scans: number of scans; the threshold used on each was fitted without it.
    """

    mean_ml: float
    median_ml: float
    upper_ml: float
    scans: int

    @classmethod
    def of(cls, volumes_ml: Sequence[float]) -> FalsePositiveVolume:
        """Summarise the volumes of at least one scan.

        >>> FalsePositiveVolume.of([0.0, 1.0, 5.0])
        FalsePositiveVolume(mean_ml=2.0, median_ml=1.0, upper_ml=4.6, scans=3)
        """
        return cls(
            mean_ml=float(np.mean(volumes_ml)),
            median_ml=float(np.median(volumes_ml)),
            upper_ml=float(np.percentile(volumes_ml, 95)),
            scans=len(volumes_ml),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """The threshold of an anomaly map, and how it was found.

    >>> Threshold(value=4.0, rule="fixed").fitted_on
    ()

    Attributes:
        value: voxels above it are abnormal; in the units of the map.
        rule: name of the rule, as in ``RULES``.
        fitted_on: subjects that it was fitted on; empty for a given number.
        false_positive_ml: mean volume above it in the healthy tissue that it was fitted on, in ml
            per scan; None if it was not fitted on healthy tissue.
        false_positives: volume of the final mask in healthy tissue; None if not measured.
    """

    value: float
    rule: str
    fitted_on: tuple[str, ...] = ()
    false_positive_ml: float | None = None
    false_positives: FalsePositiveVolume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A connected lesion.

    >>> lesion = Finding(
    ...     number=1, volume_ml=10.0, centre_mm=(0, 0, 0), peak=6.0, range_ml=(6.0, 12.0)
    ... )
    >>> lesion.threshold_stability
    0.5

    Attributes:
        number: 1 is the largest.
        volume_ml: its volume.
        centre_mm: centre of mass in native world mm.
        peak: highest value of the anomaly map inside it.
        range_ml: smallest and largest volume of the lesion, or of what overlaps with it, if the
            threshold is a fifth lower or higher; None for a segmentation without a threshold.
        location: its side and zone; None where they were not determined.
        probability_real: that it is real, from 0 to 1; None where the model does not say.
        long_axis_mm: its longest diameter, in the slice where slices are thick; None where it was
            not measured.
    """

    number: int
    volume_ml: float
    centre_mm: tuple[float, float, float]
    peak: float
    range_ml: tuple[float, float] | None = None
    location: Location | None = None
    probability_real: float | None = None
    long_axis_mm: float | None = None

    @property
    def threshold_stability(self) -> float | None:
        """Smallest over largest volume of its range: 1 is stable, 0 vanishes at the higher one."""
        return None if self.range_ml is None else self.range_ml[0] / self.range_ml[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Result of one scan, on its working grid.

    Attributes:
        anomaly: map after the cleaning steps, which ``threshold`` was compared with.
        mask: (I, J, K) bool, lesions.
        threshold: of the map.
        slice_scores: (K,) mean map value over the brain of each axial slice.
        nearby: (I, J, K) bool each, the mask with the threshold a fifth lower and a fifth higher;
            empty where the segmentation method has no threshold.
        latent_distances: (K,) Mahalanobis distance of each axial slice's latents from those of
            healthy slices; None where the model has no latents, or was not calibrated.
        scan_score: one number for the scan: the abnormal volume in ml.
        findings: lesions, largest first.
        regions: (I, J, K) BraTS labels where regions were named.
        provenance: model, recipes and version, as the sidecar stores them.
        margin: (I, J, K) float32, how much brighter than the border of its lesion a voxel is, by
            which the mask is resampled; None where the segmentation method does not say.
    """

    anomaly: AnomalyMap
    mask: Mask
    threshold: Threshold
    slice_scores: NDArray[np.float64]
    scan_score: float
    findings: tuple[Finding, ...]
    regions: Labels | None = None
    nearby: tuple[Mask, ...] = ()
    latent_distances: NDArray[np.float64] | None = None
    provenance: Provenance = field(default_factory=Provenance)
    margin: Volume | None = None

    @property
    def volume_ml(self) -> float:
        """Volume of the mask."""
        return float(self.mask.sum() * self.anomaly.scan.grid.voxel_ml)

    @property
    def volume_range_ml(self) -> tuple[float, float] | None:
        """Smallest and largest volume with nearby thresholds; None where there are none."""
        if not self.nearby:
            return None
        voxel_ml = self.anomaly.scan.grid.voxel_ml
        volumes = [float(mask.sum() * voxel_ml) for mask in (self.mask, *self.nearby)]
        return min(volumes), max(volumes)

    @property
    def units(self) -> str:
        """Unit of the map that the threshold was compared with."""
        return self.provenance.first.units(self.anomaly.score)
