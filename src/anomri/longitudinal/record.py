"""What is kept of a subject's evolution: facts for the tables and the page, without voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from anomri.files import EVOLUTION_RECORD, read_json
from anomri.longitudinal.evolution import Evolution
from anomri.longitudinal.interval import LesionChange
from anomri.scan import RESEARCH_USE

FOLLOW_AGAIN = "delete this subject's folder and run `anomri follow` again"


class PointFacts(BaseModel, frozen=True):
    """One time point.

    Attributes:
        number: from 1.
        session: BIDS label of the session that its files are named by.
        days: since the first time point; None where the dates are not known.
        lesion_volume_ml: of all lesions, as detected.
        lesion_volume_range_ml: its range with the threshold a fifth lower and higher.
        lesions: how many there are.
        rotation_deg: from the scan's position to the halfway space.
        shift_mm: likewise, of the centre of the brain.
        disagreement_mm: between both directions of the registration.
        brain_overlap: with the first time point, Dice coefficient.
        detail_correlation: likewise, of the brains' fine structure.
        brightness_median: of healthy tissue, in units of the image.
        brightness_sd: its robust standard deviation.
    """

    number: int
    session: str
    days: int | None
    lesion_volume_ml: float
    lesion_volume_range_ml: tuple[float, float] | None
    lesions: int
    rotation_deg: float
    shift_mm: float
    disagreement_mm: float
    brain_overlap: float
    detail_correlation: float
    brightness_median: float
    brightness_sd: float


class EvolutionRecord(BaseModel):
    """The evolution of one subject.

    Attributes:
        subject: name in the data set.
        label: BIDS label of the subject, ``sub-<label>``.
        contrast: that brightness was compared in.
        points: the time points.
        changes: of all lesions, by interval.
        key: digest of all that the result depends on.
        research_use: the notice that goes with every result.
    """

    model_config = ConfigDict(frozen=True)

    subject: str
    label: str
    contrast: str
    points: tuple[PointFacts, ...]
    changes: tuple[LesionChange, ...]
    key: str = ""
    research_use: str = RESEARCH_USE

    @classmethod
    def of(
        cls, evolution: Evolution, *, subject: str, label: str, sessions: tuple[str, ...], key: str
    ) -> EvolutionRecord:
        """Return the record of an evolution."""
        numbers = range(len(evolution.points))
        points = tuple(_point_facts(evolution, n, sessions[n]) for n in numbers)
        return cls(
            subject=subject,
            label=label,
            contrast=evolution.points[0].contrast,
            points=points,
            changes=evolution.changes,
            key=key,
        )

    def of_interval(self, to_point: int) -> tuple[LesionChange, ...]:
        """Return the changes to a time point, by its number from 2."""
        return tuple(change for change in self.changes if change.to_point == to_point)


def record_path(folder: Path, label: str) -> Path:
    """Return the path of a subject's record in a folder of results."""
    return folder / label / f"{label}_{EVOLUTION_RECORD}"


def read_evolution(folder: Path, label: str) -> EvolutionRecord | None:
    """Read the record of a subject; None if it has no result.

    Raises:
        DamagedFile: the record is damaged.
    """
    path, what = record_path(folder, label), "the evolution of a subject"
    if not path.is_file():
        return None
    return read_json(path, EvolutionRecord, what=what, next_step=FOLLOW_AGAIN)


def _point_facts(evolution: Evolution, number: int, session: str) -> PointFacts:
    point, matrix = evolution.points[number], evolution.halfway.to_halfway[number]
    centre = point.native.to_world(np.argwhere(point.brain).mean(axis=0))
    moved = matrix[:3, :3] @ centre + matrix[:3, 3] - centre
    cosine = np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1)
    agreement, scale = evolution.agreements[number], evolution.scales[number]
    return PointFacts(
        number=number + 1,
        session=session,
        days=point.days,
        lesion_volume_ml=point.record.lesion_volume_ml,
        lesion_volume_range_ml=point.record.lesion_volume_range_ml,
        lesions=len(point.record.findings),
        rotation_deg=float(np.degrees(np.arccos(cosine))),
        shift_mm=float(np.linalg.norm(moved)),
        disagreement_mm=evolution.halfway.disagreement_mm[number],
        brain_overlap=agreement.overlap,
        detail_correlation=agreement.detail,
        brightness_median=scale.median,
        brightness_sd=scale.sd,
    )
