"""The tables of a run of ``follow``, with their data dictionary."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anomri.files import EVOLUTION, EVOLUTION_DICTIONARY, TIME_POINTS, Cell, write_text, write_tsv
from anomri.longitudinal.change import ChangeClass
from anomri.longitudinal.interval import LesionChange
from anomri.longitudinal.record import EvolutionRecord, PointFacts

Row = tuple[EvolutionRecord, LesionChange]
ML = {"Units": "ml"}
CLASSES = {
    ChangeClass.NEW: "absent at the earlier time point",
    ChangeClass.ENLARGED: "larger by more than the error of both volumes, and brighter there",
    ChangeClass.STABLE: "no change beyond the error of both volumes, or none of its brightness",
    ChangeClass.SHRUNKEN: "smaller by more than the error of both volumes, and less bright there",
    ChangeClass.RESOLVED: "absent at the later time point",
    ChangeClass.MERGED: "several lesions became one, or fewer, and changed beyond their error",
    ChangeClass.SPLIT: "a lesion split into several and changed beyond its error",
}


def _days(record: EvolutionRecord, change: LesionChange) -> int | None:
    before, after = (record.points[change.to_point - n].days for n in (2, 1))
    return None if before is None or after is None else after - before


EVOLUTION_COLUMNS: dict[str, tuple[Callable[[EvolutionRecord, LesionChange], Cell], Any]] = {
    "subject": (lambda r, _: r.subject, "name in the data set"),
    "label": (lambda r, _: r.label, "BIDS label of the subject"),
    "from_point": (lambda _, c: c.to_point - 1, "number of the earlier time point, from 1"),
    "to_point": (lambda _, c: c.to_point, "number of the later time point"),
    "interval_days": (_days, {"Description": "between the two; n/a without dates", "Units": "d"}),
    "identity": (lambda _, c: c.identity, "of the lesion, the same in all rows and label images"),
    "class": (
        lambda _, c: c.kind.value,
        {"Description": "class of the change", "Levels": {k.value: v for k, v in CLASSES.items()}},
    ),
    "within_error": (
        lambda _, c: str(c.within_error).lower(),
        "whether the volumes differ by no more than their errors",
    ),
    "volume_before_ml": (
        lambda _, c: c.before.ml if c.before else None,
        {"Description": "at the earlier time point; n/a where it was not found", **ML},
    ),
    "volume_before_least_ml": (
        lambda _, c: c.before.least_ml if c.before else None,
        {"Description": "lower end of its error", **ML},
    ),
    "volume_before_most_ml": (
        lambda _, c: c.before.most_ml if c.before else None,
        {"Description": "upper end of its error", **ML},
    ),
    "volume_after_ml": (
        lambda _, c: c.after.ml if c.after else None,
        {"Description": "at the later time point; n/a where it was not found", **ML},
    ),
    "volume_after_least_ml": (
        lambda _, c: c.after.least_ml if c.after else None,
        {"Description": "lower end of its error", **ML},
    ),
    "volume_after_most_ml": (
        lambda _, c: c.after.most_ml if c.after else None,
        {"Description": "upper end of its error", **ML},
    ),
    "change_ml": (
        lambda _, c: c.change_ml,
        {"Description": "of the lesion with those of `related`; n/a in their rows", **ML},
    ),
    "ml_per_year": (
        lambda _, c: c.ml_per_year,
        {"Description": "the change by time; n/a without dates", "Units": "ml/a"},
    ),
    "contrast_before": (
        lambda _, c: c.contrast_before,
        "brightness where the masks differ, against the tissue around it, in robust standard "
        "deviations of healthy tissue, at the earlier time point",
    ),
    "contrast_after": (lambda _, c: c.contrast_after, "likewise, at the later time point"),
    "lesion_before": (
        lambda _, c: c.number_before,
        "number in findings.tsv of the earlier time point",
    ),
    "lesion_after": (lambda _, c: c.number_after, "number in findings.tsv of the later time point"),
    "related": (
        lambda _, c: " ".join(map(str, c.related)),
        "identities that it was joined to or split into",
    ),
    "centre_x_mm": (
        lambda _, c: c.centre_mm[0],
        {"Description": "centre in the halfway space, to the right", "Units": "mm"},
    ),
    "centre_y_mm": (lambda _, c: c.centre_mm[1], {"Description": "to the front", "Units": "mm"}),
    "centre_z_mm": (lambda _, c: c.centre_mm[2], {"Description": "upwards", "Units": "mm"}),
}
"""Cell and description of each column of ``evolution.tsv``."""


def write_evolution_tables(folder: Path, records: Sequence[EvolutionRecord]) -> None:
    """Write ``evolution.tsv``, its data dictionary ``evolution.json``, and ``time_points.tsv``."""
    rows = [
        [cell(record, change) for cell, _ in EVOLUTION_COLUMNS.values()]
        for record in records
        for change in record.changes
    ]
    write_tsv(folder / EVOLUTION, list(EVOLUTION_COLUMNS), rows)
    described = {
        name: {"Description": about} if isinstance(about, str) else about
        for name, (_, about) in EVOLUTION_COLUMNS.items()
    }
    write_text(folder / EVOLUTION_DICTIONARY, json.dumps(described, indent=2) + "\n")
    columns = ["subject", "label", *PointFacts.model_fields]
    points = [
        [record.subject, record.label, *_point_cells(point)]
        for record in records
        for point in record.points
    ]
    write_tsv(folder / TIME_POINTS, columns, points)


def _point_cells(point: PointFacts) -> list[Cell]:
    facts = point.model_dump()
    ends = facts.pop("lesion_volume_range_ml")
    text = " to ".join(f"{end:.6g}" for end in ends) if ends else None
    return [
        text if name == "lesion_volume_range_ml" else facts[name]
        for name in type(point).model_fields
    ]
