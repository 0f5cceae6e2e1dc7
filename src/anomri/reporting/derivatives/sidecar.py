"""The sidecar of a result: all facts that tables and pages need, without voxels.

Tables and pages are written from these files alone, so that they are complete even after a batch
that skipped finished scans or was interrupted.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, computed_field
from pydantic.alias_generators import to_pascal

from anomri.errors import DamagedFile
from anomri.files import RECORD, StoredNote, derivative, read_json
from anomri.postprocessing import Places, RegionCounts, count_by_region
from anomri.preprocessing import slice_scores_to_native, template_tissue_at
from anomri.reporting.figures.region_colours import REGION_NAMES
from anomri.scan import PROBABILITY, RESEARCH_USE, Detection, Finding, NoteKind, Provenance, Scan

TOP = 3.0
"""The colour scale of an anomaly map ends at this multiple of the threshold."""
DETECT_AGAIN = "delete this scan's folder and run `anomri detect` again"
MEAN_RESIDUAL, MAHALANOBIS = "mean_residual", "mahalanobis"
MULTIPLES = tuple(quarter / 4 for quarter in range(1, 13))
"""Multiples of the threshold at which the volume above is recorded, for the page's charts."""

LARGEST = 1e12  # larger numbers are damage; sums of smaller ones stay finite


def _plausible(number: float) -> float:
    """Return a number if a detection can have it; NaN stands for an undefined value."""
    if LARGEST < abs(number) < math.inf:
        raise ValueError(f"a number beyond {LARGEST:g}")
    return number


Number = Annotated[float, AfterValidator(_plausible)]
Millilitres = Annotated[float, Field(ge=0, le=LARGEST)]
Millimetres = Annotated[float, Field(gt=0, le=LARGEST)]


class _Entry(BaseModel):
    """Frozen, with keys in the sidecar spelt as in BIDS."""

    model_config = ConfigDict(frozen=True, alias_generator=to_pascal, populate_by_name=True)


class FindingEntry(_Entry):
    """A lesion, see :class:`anomri.scan.Finding`, with its position as in :class:`Places`.

    ``volume_range_ml`` and ``threshold_stability`` say how its volume depends on the threshold.
    ``probability_real`` is None for models that it was not calibrated for.
    ``long_axis_mm`` is its longest diameter, in the slice where slices are thick.
    ``side`` and ``zone`` are its :class:`anomri.scan.Location`, empty where that is not known.
    ``template_mm`` is its centre in the MNI152 template, if the scan was registered to it, and
    ``template_tissue`` the tissue of the template there.
    """

    number: int
    volume_ml: Millilitres
    volume_range_ml: tuple[Millilitres, Millilitres] | None = None
    threshold_stability: Number | None = Field(
        None,
        validation_alias=AliasChoices("ThresholdStability", "Firmness"),  # until 0.1
    )
    probability_real: Annotated[float, Field(ge=0, le=1)] | None = None
    long_axis_mm: Millimetres | None = None
    centre_mm: tuple[Number, Number, Number]
    peak: Number
    position: str = ""
    side: str = ""
    zone: str = ""
    template_mm: tuple[Number, Number, Number] | None = None
    template_tissue: str = ""


class HealthyEntry(_Entry):
    """Volumes in healthy scans, see :class:`anomri.scan.FalsePositiveVolume`."""

    mean_ml: Millilitres
    median_ml: Millilitres
    upper_ml: Millilitres
    scans: int


class ThresholdEntry(_Entry):
    """See :class:`anomri.scan.Threshold`; ``fitted_on`` is the number of subjects."""

    value: Number
    rule: str
    fitted_on: int
    expected_false_positive_ml: float | None
    marked_on_healthy: HealthyEntry | None = None


class Record(_Entry):
    """The result of a scan without its voxels.

    Attributes:
        subject: name in the data set: untrusted text.
        label: BIDS prefix of its files.
        contrasts: contrasts that were analysed.
        shows: region that the map of each contrast shows, a name of ``REGIONS``; empty for the
            whole lesion.
        units: of the anomaly map, the threshold and the peaks.
        threshold: of the anomaly map.
        lesion_volume_ml: of all lesions.
        lesion_volume_range_ml: smallest and largest volume with the threshold a fifth lower and
            higher; None for a segmentation without a threshold.
        scan_score: one number for the scan.
        highest_slice_score: score of the most abnormal axial slice.
        slice_scores: by name, the scores of the input's axial slices in the order of the file;
            None for a slice without brain.
        volume_above_ml: of the map above each of :data:`MULTIPLES` of the threshold; empty if the
            threshold is not above 0.
        findings: lesions, largest first.
        healthy: whether the subject is healthy; None if the data set does not say.
        truth_volume_ml: of the expert's lesions, on the model's grid.
        brain_volume_ml: of the brain that was analysed.
        spacing_mm: voxel size of the input file.
        regions: whether the regions of the lesion were named.
        to_template: (4, 4) world mm of the scan to mm of the MNI152 template, row by row; None for
            an unregistered scan.
        region_volumes_ml: by BraTS number of the region; empty without regions.
        notes: what a reader must know.
        seconds: duration, if the caller measured it.
        provenance: model, recipes and version.
        sources: BIDS URIs of the files that the result was made from, where they have any.
        research_use: notice that accompanies every result.
        description: content of the image that the sidecar belongs to.
        type: of the mask, a term of BIDS.
        spatial_reference: grid of the image, a term of BIDS.
    """

    subject: str
    label: str
    contrasts: tuple[str, ...]
    shows: tuple[str, ...] = ()
    units: str
    threshold: ThresholdEntry
    lesion_volume_ml: Millilitres
    lesion_volume_range_ml: tuple[Millilitres, Millilitres] | None = None
    scan_score: Number
    highest_slice_score: Number
    slice_scores: dict[str, tuple[Number | None, ...]] = {}
    volume_above_ml: tuple[Millilitres, ...] = ()
    findings: tuple[FindingEntry, ...]
    healthy: bool | None = None
    truth_volume_ml: Millilitres | None = None
    brain_volume_ml: Millilitres
    spacing_mm: tuple[Millimetres, Millimetres, Millimetres]
    regions: bool = False
    region_volumes_ml: dict[int, Millilitres] = {}
    to_template: tuple[tuple[Number, Number, Number, Number], ...] | None = None
    notes: tuple[StoredNote, ...] = ()
    seconds: Number | None = None
    provenance: Provenance = Provenance()
    sources: tuple[str, ...] = ()
    research_use: str = RESEARCH_USE
    description: str = "lesions"
    type: str = "Lesion"
    spatial_reference: str = "orig"

    @classmethod
    def of(cls, detection: Detection, *, seconds: float | None = None) -> Record:
        """Return the record of a detection."""
        scan = detection.anomaly.scan
        places = Places.of(scan.brain, scan.grid)
        return cls(
            subject=scan.subject,
            label=scan.label,
            contrasts=scan.contrasts,
            shows=detection.anomaly.shows,
            units=detection.units,
            threshold=_threshold_entry(detection),
            lesion_volume_ml=detection.volume_ml,
            lesion_volume_range_ml=detection.volume_range_ml,
            scan_score=detection.scan_score,
            highest_slice_score=float(detection.slice_scores.max(initial=0.0)),
            slice_scores=_slice_scores(detection),
            volume_above_ml=_volume_above_ml(detection),
            findings=tuple(_finding_entry(finding, places, scan) for finding in detection.findings),
            healthy=scan.healthy,
            truth_volume_ml=scan.truth_ml,
            brain_volume_ml=float(scan.brain.sum() * scan.grid.voxel_ml),
            spacing_mm=scan.native.spacing,
            regions=detection.regions is not None,
            region_volumes_ml=_region_volumes_ml(detection),
            to_template=None if scan.to_template is None else scan.to_template.tolist(),
            notes=scan.notes,
            seconds=seconds,
            provenance=detection.provenance,
            sources=detection.provenance.sources,
        )

    @property
    def doubted(self) -> bool:
        """Whether the scan does not look like the contrast that it was given as."""
        return self.has_note(NoteKind.IMPLAUSIBLE)

    @property
    def region_counts(self) -> RegionCounts | None:
        """Lesions by region of the McDonald criteria; None with a mass, or without zones."""
        return count_by_region(self.findings) if self.has_note(NoteKind.NO_MASS) else None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def mcdonald_regions(self) -> dict[str, int] | None:
        """The same for the sidecar."""
        facts = asdict(self.region_counts) if self.region_counts else {}
        return {to_pascal(name): number for name, number in facts.items()} or None

    def has_note(self, kind: NoteKind) -> bool:
        """Return whether one of the notes is of a kind."""
        return any(note.kind is kind for note in self.notes)

    def to_json(self) -> str:
        """Return the record as JSON, the content of the sidecar."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def read_record(folder: Path, label: str) -> Record | None:
    """Read the record of a scan; None if it has no result.

    Args:
        folder: of the results.
        label: BIDS prefix of the scan.

    Raises:
        DamagedFile: the sidecar is damaged.
    """
    path = derivative(folder, label, RECORD)
    return _parse(path) if path.is_file() else None


def read_sound_records(folder: Path) -> tuple[list[Record], dict[str, DamagedFile]]:
    """Read every finished scan in a folder.

    Returns:
        The records, sorted by label, and the errors of damaged sidecars, by label.
    """
    # Hidden folders are unfinished results.
    paths = [*folder.glob(f"sub-*/anat/*_{RECORD}"), *folder.glob(f"sub-*/ses-*/anat/*_{RECORD}")]
    # Images in template space have sidecars of their own with the same facts.
    records: list[Record] = []
    damaged: dict[str, DamagedFile] = {}
    for path in sorted(path for path in paths if "_space-" not in path.name):
        try:
            records.append(_parse(path))
        except DamagedFile as error:
            damaged["_".join(path.relative_to(folder).parts[:-2])] = error
    return records, damaged


def is_probability(units: str) -> bool:
    """Return whether a map in these units is a probability."""
    return units.endswith(PROBABILITY)


def scale_top(threshold: float, units: str) -> float | None:
    """Return the upper end of a map's colour scale: 1 or :data:`TOP` times the threshold.

    Args:
        threshold: of the map.
        units: of the map; a probability ends at 1.

    Returns:
        None if the map is no probability and the threshold is not above 0.
    """
    if is_probability(units):
        return 1.0
    return TOP * threshold if threshold > 0 else None


def _parse(path: Path) -> Record:
    record = read_json(path, Record, what="a sidecar written by anomri", next_step=DETECT_AGAIN)
    if not path.name.startswith(f"{record.label}_"):  # the label is used to find other files
        raise DamagedFile(
            path,
            expected="the label of its own scan",
            got=f"'{record.label[:80]}'",
            next_step=DETECT_AGAIN,
        )
    return record


def _threshold_entry(detection: Detection) -> ThresholdEntry:
    threshold = detection.threshold
    return ThresholdEntry(
        value=threshold.value,
        rule=threshold.rule,
        fitted_on=len(threshold.fitted_on),
        expected_false_positive_ml=threshold.false_positive_ml,
        marked_on_healthy=None
        if threshold.false_positives is None
        else HealthyEntry(**asdict(threshold.false_positives)),
    )


def _slice_scores(detection: Detection) -> dict[str, tuple[float | None, ...]]:
    """Return the scores of the slices that hold brain, on the slices of the input file."""
    scan = detection.anomaly.scan
    scores = {MEAN_RESIDUAL: detection.slice_scores}
    if detection.latent_distances is not None:
        scores[MAHALANOBIS] = detection.latent_distances
    with_brain = scan.brain.any(axis=(0, 1))
    return {
        name: tuple(
            None if np.isnan(score) else float(score)
            for score in slice_scores_to_native(np.where(with_brain, row, np.nan), scan)
        )
        for name, row in scores.items()
    }


def _region_volumes_ml(detection: Detection) -> dict[int, float]:
    if detection.regions is None:
        return {}
    voxel_ml = detection.anomaly.scan.grid.voxel_ml
    numbers = [number for number, *_ in REGION_NAMES]
    return {k: float(np.count_nonzero(detection.regions == k) * voxel_ml) for k in numbers}


def _volume_above_ml(detection: Detection) -> tuple[float, ...]:
    if detection.threshold.value <= 0:
        return ()
    highest = detection.anomaly.highest
    cuts = [multiple * detection.threshold.value for multiple in MULTIPLES]
    voxel_ml = detection.anomaly.scan.grid.voxel_ml
    return tuple(float(np.count_nonzero(highest > cut) * voxel_ml) for cut in cuts)


def _finding_entry(finding: Finding, places: Places, scan: Scan) -> FindingEntry:
    there = scan.template_mm(finding.centre_mm)
    return FindingEntry(
        number=finding.number,
        volume_ml=finding.volume_ml,
        volume_range_ml=finding.range_ml,
        threshold_stability=finding.threshold_stability,
        probability_real=finding.probability_real,
        long_axis_mm=finding.long_axis_mm,
        centre_mm=finding.centre_mm,
        peak=finding.peak,
        position=places.name(finding.centre_mm),
        side=str(finding.location.side) if finding.location else "",
        zone=str(finding.location.zone or "") if finding.location else "",
        template_mm=there,
        template_tissue=template_tissue_at(there) if there else "",
    )
