"""What a sidecar says about one scan: everything that tables and the page need, and no voxel.

Tables and page are made from these files alone, so that a batch that skipped finished scans, or
stopped half way, still yields complete ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from anomri.documents import read_json
from anomri.errors import DamagedFile
from anomri.files import write_text
from anomri.preprocessing import DOUBT, slices_to_native, tissue_at
from anomri.reporting.naming import RECORD, derivative
from anomri.reporting.position import Places
from anomri.reporting.provenance import checked_provenance
from anomri.reporting.regions import REGION_NAMES
from anomri.scan import Detection, Finding, Scan

RESEARCH_USE = (
    "Research use only. Not a medical device, not for diagnosis or for decisions about treatment."
)
STANDARDISE = "standardise"
PROBABILITY = "probability"  # the end of the name of a score that is one, and its own unit
TOP = 3.0
"""The colour scale of an anomaly map ends at this multiple of the threshold."""
DETECT_AGAIN = "delete this scan's folder and run `anomri detect` again"
MEAN_RESIDUAL, MAHALANOBIS = "mean_residual", "mahalanobis"
MULTIPLES = tuple(quarter / 4 for quarter in range(1, 13))
"""Of the threshold: where the volume above it is told, to show what another one would have cost."""


LARGEST = 1e12  # no number of a result comes near it, and sums of these stay finite


def _plausible(number: float) -> float:
    """Return a number that a detection can have written; NaN where nothing is defined."""
    if LARGEST < abs(number) < math.inf:
        raise ValueError(f"a number beyond {LARGEST:g}")
    return number


Number = Annotated[float, AfterValidator(_plausible)]
Millilitres = Annotated[float, Field(ge=0, le=LARGEST)]
Millimetres = Annotated[float, Field(gt=0, le=LARGEST)]


class _Entry(BaseModel):
    """Frozen, and spelt in a sidecar the way BIDS spells its keys."""

    model_config = ConfigDict(frozen=True, alias_generator=to_pascal, populate_by_name=True)


class FindingEntry(_Entry):
    """One lesion, see :class:`anomri.scan.Finding`; its position as in :class:`Places`.

    ``volume_range_ml`` and ``firmness`` say how much its volume depends on the threshold.
    ``template_mm`` is its centre in the MNI152 template, where the scan was registered to it, and
    ``template_tissue`` the tissue that the template has there.
    """

    number: int
    volume_ml: Millilitres
    volume_range_ml: tuple[Millilitres, Millilitres] | None = None
    firmness: Number | None = None
    centre_mm: tuple[Number, Number, Number]
    peak: Number
    position: str = ""
    template_mm: tuple[Number, Number, Number] | None = None
    template_tissue: str = ""


class HealthyEntry(_Entry):
    """What was marked on healthy scans, see :class:`anomri.scan.HealthyVolume`."""

    mean_ml: Millilitres
    median_ml: Millilitres
    upper_ml: Millilitres
    scans: int


class ThresholdEntry(_Entry):
    """The cut, see :class:`anomri.scan.Threshold`; of the subjects only their number is told."""

    value: Number
    rule: str
    fitted_on: int
    expected_false_positive_ml: float | None
    marked_on_healthy: HealthyEntry | None = None


class Record(_Entry):
    """One scan's result without its voxels.

    Attributes:
        subject: the name the data set gives it: untrusted text.
        label: BIDS prefix of its files.
        contrasts: what was looked at.
        shows: the region that each contrast's map shows, a name of ``REGIONS``; the whole lesion
            where empty.
        units: of the anomaly map, the threshold and the peaks.
        threshold: the cut.
        lesion_volume_ml: all lesions together.
        lesion_volume_range_ml: the smallest and the largest volume with the threshold a fifth
            lower and higher; None where the decision needs no threshold.
        scan_score: one number for the scan.
        highest_slice_score: the most abnormal axial slice.
        slice_scores: each score of the input's axial slices, along its axis from feet to head or
            head to feet; None where a slice was not looked at.
        volume_above_ml: of the map above each of :data:`MULTIPLES` of the threshold; empty where
            the threshold is not above 0.
        findings: lesions, largest first.
        healthy: what the data set says.
        truth_volume_ml: the expert's lesions, on the model's grid.
        brain_volume_ml: the brain that was looked at.
        spacing_mm: of the input's own grid.
        regions: whether the lesion's regions were named.
        region_volumes_ml: BraTS number of each region to its volume; empty without regions.
        notes: what a reader must know.
        seconds: how long the scan took, where the caller measured it.
        provenance: model, recipe and version.
        research_use: the notice that goes with every result.
        description: what the file beside it holds.
        type: of the mask, a word of BIDS.
        spatial_reference: the grid, a word of BIDS: that of the input file.
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
    notes: tuple[str, ...] = ()
    seconds: Number | None = None
    provenance: Annotated[dict[str, Any], AfterValidator(checked_provenance)] = {}
    research_use: str = RESEARCH_USE
    description: str = "lesions"
    type: str = "Lesion"
    spatial_reference: str = "orig"

    @classmethod
    def of(cls, detection: Detection) -> Record:
        """Take from a detection what can be told without voxels."""
        scan = detection.anomaly.scan
        places = Places.of(scan.brain, scan.grid)
        provenance = dict(detection.provenance)
        return cls(
            subject=scan.subject,
            label=scan.label,
            contrasts=scan.contrasts,
            shows=detection.anomaly.shows,
            units=unit_of(detection),
            threshold=_threshold_entry(detection),
            lesion_volume_ml=float(detection.mask.sum() * scan.grid.voxel_ml),
            lesion_volume_range_ml=_range_ml(detection),
            scan_score=detection.scan_score,
            highest_slice_score=float(detection.slice_scores.max(initial=0.0)),
            slice_scores=_slice_scores(detection),
            volume_above_ml=_volume_above_ml(detection),
            findings=tuple(_finding_entry(finding, places, scan) for finding in detection.findings),
            healthy=scan.healthy,
            truth_volume_ml=_truth_ml(scan),
            brain_volume_ml=float(scan.brain.sum() * scan.grid.voxel_ml),
            spacing_mm=scan.native.spacing,
            regions=detection.regions is not None,
            region_volumes_ml=_region_volumes_ml(detection),
            notes=scan.notes,
            seconds=provenance.pop("seconds", None),
            provenance=provenance,
        )

    @property
    def doubted(self) -> bool:
        """Whether the scan does not look like what it was given as."""
        return any(DOUBT in note for note in self.notes)

    def to_json(self) -> str:
        """Return the text of the sidecar."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2) + "\n"


def read_record(folder: Path, label: str) -> Record | None:
    """Read back what was found in a scan; None where it has not been finished.

    Args:
        folder: where detections were written.
        label: BIDS prefix of the scan.

    Raises:
        DamagedFile: the sidecar is damaged.
    """
    path = derivative(folder, label, RECORD)
    return _parse(path) if path.is_file() else None


def write_stamp(folder: Path, record: Record, stamp: str) -> None:
    """Write down the new stamp of files whose content is that of a finished scan.

    Args:
        folder: where detections were written.
        record: of the scan, as it was read back.
        stamp: see :func:`anomri.files.unchanged_stamp`.
    """
    renewed = record.model_copy(update={"provenance": {**record.provenance, "stamp": stamp}})
    write_text(derivative(folder, record.label, RECORD), renewed.to_json())


def read_records(folder: Path) -> list[Record]:
    """Read back every finished scan below ``folder``, by label.

    Raises:
        DamagedFile: a sidecar is damaged.
    """
    records, damaged = read_sound_records(folder)
    if damaged:
        raise damaged[0]
    return records


def read_sound_records(folder: Path) -> tuple[list[Record], list[DamagedFile]]:
    """Read back every finished scan below ``folder``; say which sidecars cannot be read."""
    # Hidden folders are scans that are being written.
    paths = [*folder.glob(f"sub-*/anat/*_{RECORD}"), *folder.glob(f"sub-*/ses-*/anat/*_{RECORD}")]
    # The template's images have sidecars of their own, which hold the same.
    records: list[Record] = []
    damaged: list[DamagedFile] = []
    for path in sorted(path for path in paths if "_space-" not in path.name):
        try:
            records.append(_parse(path))
        except DamagedFile as error:
            damaged.append(error)
    return records, damaged


def unit_of(detection: Detection) -> str:
    """Name the unit of the map that the threshold was compared with."""
    return unit_from(detection.provenance, detection.anomaly.score)


def unit_from(provenance: Mapping[str, Any], score: str) -> str:
    """Name the unit of a map from the steps that cleaned it.

    Args:
        provenance: may hold the recipe's ``detection`` section.
        score: function that made the map.
    """
    steps = provenance.get("detection", {}).get("clean", [])
    if any(step.get("name") == STANDARDISE for step in steps):
        return "robust standard deviations of the scan"
    if score.endswith(PROBABILITY):
        return score
    return f"{score}, prepared intensity units"


def is_probability(units: str) -> bool:
    """Tell whether a map in these units ends at 1."""
    return units.endswith(PROBABILITY)


def scale_top(threshold: float, units: str) -> float | None:
    """Return where the colour scale of a map ends: a probability at 1, others at :data:`TOP` cuts.

    Args:
        threshold: the cut; one that is not above 0 cannot span a scale.
        units: of the map.

    Returns:
        None where map and threshold do not say it.
    """
    if is_probability(units):
        return 1.0
    return TOP * threshold if threshold > 0 else None


def cut_through(
    source: Mapping[str, Any], threshold: float, shows: Sequence[str], channel: int
) -> float:
    """Return the threshold through the map of one contrast: a model beside has its own.

    Args:
        source: the provenance.
        threshold: of the first model.
        shows: the region that each contrast's map shows.
        channel: of the contrast.
    """
    beside = source.get("beside", {})
    first, second = (s.get("detection", {}).get("shows") for s in (source, beside))
    if first != second and channel < len(shows) and shows[channel] == second:
        return float(beside.get("threshold", {}).get("value", threshold))
    return threshold


def _parse(path: Path) -> Record:
    record = read_json(path, Record, what="a sidecar written by anomri", next_step=DETECT_AGAIN)
    if not path.name.startswith(f"{record.label}_"):  # the label leads to its other files
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
        if threshold.marked is None
        else HealthyEntry(**asdict(threshold.marked)),
    )


def _range_ml(detection: Detection) -> tuple[float, float] | None:
    if not detection.nearby:
        return None
    voxel_ml = detection.anomaly.scan.grid.voxel_ml
    masks = detection.mask, *detection.nearby
    volumes = [float(np.count_nonzero(mask) * voxel_ml) for mask in masks]
    return min(volumes), max(volumes)


def _slice_scores(detection: Detection) -> dict[str, tuple[float | None, ...]]:
    """Return the scores of the slices that hold brain, on the input's own slices."""
    scan = detection.anomaly.scan
    scores = {MEAN_RESIDUAL: detection.slice_scores}
    if detection.code_distances is not None:
        scores[MAHALANOBIS] = detection.code_distances
    held = scan.brain.any(axis=(0, 1))
    return {
        name: tuple(
            None if np.isnan(score) else float(score)
            for score in slices_to_native(np.where(held, row, np.nan), scan)
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
        firmness=finding.firmness,
        centre_mm=finding.centre_mm,
        peak=finding.peak,
        position=places.name(finding.centre_mm),
        template_mm=there,
        template_tissue=tissue_at(there) if there else "",
    )


def _truth_ml(scan: Scan) -> float | None:
    return None if scan.truth is None else float((scan.truth > 0).sum() * scan.grid.voxel_ml)
