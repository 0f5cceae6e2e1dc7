"""The tables of a run, written from its sidecars.

See :mod:`anomri.files.tsv` for how they are written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anomri.datasets import write_dataset_description
from anomri.errors import Failure
from anomri.files import (
    FAILURES,
    FINDINGS,
    REGION_SUMS,
    SUMMARY,
    Cell,
    write_tsv,
)
from anomri.postprocessing import REGION_COUNTS, sum_by_place
from anomri.reporting.derivatives.sidecar import Record, read_sound_records
from anomri.scan import Detection

if TYPE_CHECKING:
    import pandas

log = logging.getLogger(__name__)

FINISHED = "finished"


def write_tables(folder: Path, failures: Sequence[Failure] | None = None) -> None:
    """Write the tables of findings, regions, scans and failures, and the data set's description.

    Args:
        folder: of the results; all finished scans in it are listed, whichever run they are from.
        failures: scans of this run that could not be used; None keeps the table of the last run.
            Results that they have from an earlier run are kept, and the table of scans says so.
    """
    records, damaged = read_sound_records(folder)
    done = {record.label for record in records}
    unused = [_unused_row(item) for item in failures or () if item.label not in done]
    earlier = {item.label: item for item in failures or () if item.label in done}
    for label in earlier:
        log.warning("%s: its results are those of an earlier run", label)
    models = sorted({record.provenance.recipe for record in records})
    if len(models) > 1:
        log.warning("%s: results of several models: %s", folder.resolve().name, ", ".join(models))
    rows = [*(_summary_row(record, earlier.get(record.label)) for record in records), *unused]
    write_tsv(folder / SUMMARY, list(SUMMARY_COLUMNS), rows)
    findings = [row for record in records for row in _finding_rows(record)]
    write_tsv(folder / FINDINGS, FINDING_COLUMNS, findings)
    regions = [row for record in records for row in _region_rows(record)]
    write_tsv(folder / REGION_SUMS, REGION_COLUMNS, regions)
    if failures is not None or not (folder / FAILURES).exists():
        unread = [
            Failure.of(error, subject=label.partition("_")[0], label=label)
            for label, error in damaged.items()
        ]
        write_failures(folder, [*(failures or ()), *unread])
    write_dataset_description(folder)


def write_failures(folder: Path, failures: Sequence[Failure], *, name: str = FAILURES) -> None:
    """Write only the table of failures, for commands that detect nothing, such as ``prepare``.

    Args:
        folder: must exist.
        failures: scans that could not be used; may be empty.
        name: file name of the table.
    """
    rows = [
        (item.subject, item.file, item.reason, item.next_step, item.status) for item in failures
    ]
    write_tsv(folder / name, FAILURE_COLUMNS, rows)


def _count(record: Record, name: str) -> Cell:
    number = getattr(record.region_counts, name, None)
    return str(number).lower() if isinstance(number, bool) else number


SUMMARY_COLUMNS: dict[str, Callable[[Record], Cell]] = {
    "subject": lambda record: record.subject,
    "label": lambda record: record.label,
    "status": lambda _: FINISHED,
    "model": lambda record: record.provenance.recipe,
    "lesion_volume_ml": lambda record: record.lesion_volume_ml,
    "lesion_volume_least_ml": lambda record: (record.lesion_volume_range_ml or (None,))[0],
    "lesion_volume_most_ml": lambda record: (record.lesion_volume_range_ml or (None,))[-1],
    "lesion_count": lambda record: len(record.findings),
    "scan_score": lambda record: record.scan_score,
    "highest_slice_score": lambda record: record.highest_slice_score,
    **{name: partial(_count, name=name) for name in REGION_COUNTS},
    "threshold": lambda record: record.threshold.value,
    "threshold_rule": lambda record: record.threshold.rule,
    "brain_volume_ml": lambda record: record.brain_volume_ml,
    "healthy": lambda record: None if record.healthy is None else str(record.healthy).lower(),
    "truth_volume_ml": lambda record: record.truth_volume_ml,
    "seconds": lambda record: record.seconds,
    "notes": lambda record: "; ".join(note.text for note in record.notes),
}
"""Name of each column and its cell for a finished scan."""
FINDING_COLUMNS = (
    "subject",
    "label",
    "lesion",
    "volume_ml",
    "volume_least_ml",
    "volume_most_ml",
    "threshold_stability",
    "probability_real",
    "long_axis_mm",
    "centre_x_mm",
    "centre_y_mm",
    "centre_z_mm",
    "peak",
    "position",
    "side",
    "zone",
    "template_x_mm",
    "template_y_mm",
    "template_z_mm",
    "template_tissue",
)
REGION_COLUMNS = ("subject", "label", "side", "zone", "lesion_count", "volume_ml")
FAILURE_COLUMNS = ("subject", "file", "reason", "next_step", "status")


def findings_frame(detection: Detection) -> pandas.DataFrame:
    """Return a row per lesion, with the columns of ``findings.tsv``."""
    import pandas

    return pandas.DataFrame(_finding_rows(Record.of(detection)), columns=list(FINDING_COLUMNS))


def _summary_row(record: Record, failure: Failure | None) -> list[Cell]:
    """Return the row of a result, with the reason why it is not of the last run."""
    row = {name: cell(record) for name, cell in SUMMARY_COLUMNS.items()}
    if failure is not None:
        earlier = f"result of an earlier run; {failure.status} now: {failure.reason}"
        row["notes"] = "; ".join(filter(None, [earlier, str(row["notes"])]))
    return list(row.values())


def _unused_row(failure: Failure) -> list[Cell]:
    """Return the row of a subject without a result: name, status and reason."""
    known = {
        "subject": failure.subject,
        "label": failure.label,
        "status": failure.status,
        "notes": failure.reason,
    }
    return [known.get(column) for column in SUMMARY_COLUMNS]


def _finding_rows(record: Record) -> list[tuple[Cell, ...]]:
    whose = record.subject, record.label
    return [
        (
            *(*whose, item.number, item.volume_ml),
            *(item.volume_range_ml or (None, None)),
            *(item.threshold_stability, item.probability_real, item.long_axis_mm),
            *(*item.centre_mm, item.peak, item.position),
            *(item.side or None, item.zone or None),
            *(item.template_mm or (None, None, None)),
            item.template_tissue or None,
        )
        for item in record.findings
    ]


def _region_rows(record: Record) -> list[tuple[Cell, ...]]:
    """Return number and volume of a scan's lesions by side and zone."""
    return [
        (record.subject, record.label, p.side or None, p.zone or None, p.count, p.volume_ml)
        for p in sum_by_place(record.findings)
    ]
