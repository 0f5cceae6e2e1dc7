"""The tables of a run, made from what its sidecars say.

See :mod:`anomri.files.tsv` for how they are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from platform import python_version
from typing import Any

from anomri.errors import DamagedFile, ScanError, UsageError
from anomri.files import NOTHING, Cell, write_text, write_tsv
from anomri.reporting.derivatives.sidecar import RESEARCH_USE, Record, read_sound_records

FINDINGS = "findings.tsv"
SUMMARY = "summary.tsv"
FAILURES = "failures.tsv"
NOT_EVALUATED = "evaluation_failures.tsv"
RUN = "run.json"
DATASET = "dataset_description.json"
IGNORE = ".bidsignore"
NOT_BIDS = (
    "/*.tsv",
    "/*.html",
    "/report/",
    f"/{RUN}",
    "*_desc-anomaly_*",
    "*_desc-reconstruction_*",
    "*_desc-qc.png",
    "*_desc-refused_qc.png",
    "*_desc-preview.json",
    "*_seg.dcm",
)
"""What BIDS has no name for: tables of the whole, pages, pictures, maps, DICOM. The masks have."""

FINISHED, FAILED, LEFT_OUT = "finished", "failed", "left out"
NOT_DETECTED = "not detected"
LIBRARIES = ("torch", "numpy", "scipy", "nibabel", "SimpleITK")


@dataclass(frozen=True, slots=True)
class Failure:
    """One scan that could not be used.

    Attributes:
        subject: the name the data set gives it.
        file: name of the file at fault, without its folder.
        reason: what was expected and what was found.
        next_step: one sentence on how to go on.
        status: ``failed``, ``left out`` before anything was computed, or ``not detected``.
        label: BIDS prefix of the scan, where it is known.
    """

    subject: str
    file: str
    reason: str
    next_step: str
    status: str = FAILED
    label: str = ""

    @classmethod
    def of(cls, subject: str, error: ScanError) -> Failure:
        """Turn the error that a scan raised into its row."""
        return cls(subject, error.file, error.reason, error.next_step)

    @classmethod
    def of_damaged(cls, error: DamagedFile) -> Failure:
        """Turn a sidecar that cannot be read back into the row of its scan."""
        return cls(error.file.partition("_")[0], error.file, error.reason, error.next_step)


def write_tables(folder: Path, failures: Sequence[Failure] | None = None) -> None:
    """Write ``findings.tsv``, ``summary.tsv``, ``failures.tsv`` and the data set's description.

    Args:
        folder: where detections were written; every finished scan in it gets its rows, whichever
            run finished it.
        failures: scans of this run that could not be used; without it the table of the last run
            stays.
    """
    records, damaged = read_sound_records(folder)
    done = {record.label for record in records}
    others = [_unused_row(item) for item in failures or () if item.label not in done]
    rows = [*(_summary_row(record) for record in records), *others]
    write_tsv(folder / SUMMARY, SUMMARY_COLUMNS, rows)
    findings = [row for record in records for row in _finding_rows(record)]
    write_tsv(folder / FINDINGS, FINDING_COLUMNS, findings)
    if failures is not None or not (folder / FAILURES).exists():
        unread = [Failure.of_damaged(error) for error in damaged]
        write_failures(folder, [*(failures or ()), *unread])
    describe(folder)


def describe(folder: Path) -> None:
    """Say of a folder that anomri writes it, so that nobody takes a result in it for a scan.

    Raises:
        UsageError: it is another data set, which keeps its own description.
    """
    _refuse_other_data_set(folder)
    write_text(folder / DATASET, _json(_dataset_description()))
    write_text(folder / IGNORE, "".join(f"{pattern}\n" for pattern in NOT_BIDS))


def write_failures(folder: Path, failures: Sequence[Failure], *, name: str = FAILURES) -> None:
    """Write ``failures.tsv`` alone, for work that finds no lesions, such as preparing scans.

    Args:
        folder: must be there.
        failures: scans that could not be used; none leaves a table without rows.
        name: of the table.
    """
    rows = [
        (item.subject, item.file, item.reason, item.next_step, item.status) for item in failures
    ]
    write_tsv(folder / name, FAILURE_COLUMNS, rows)


def write_run(folder: Path, command: Sequence[str], **facts: Any) -> None:
    """Write ``run.json``: what was run, with which versions.

    Args:
        folder: where detections were written.
        command: the words of the command line; of a path only the last part is kept, so that no
            folder of the user's machine reaches a page.
        facts: anything else worth telling that JSON can hold, such as ``started`` or ``device``.
    """
    run = {
        "command": " ".join(_without_folders(word) for word in command),
        **facts,
        "python": python_version(),
        "versions": {name: _version(name) for name in ("anomri", *LIBRARIES)},
        "research_use": RESEARCH_USE,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / RUN, _json(run))


SUMMARY_COLUMNS = (
    "subject",
    "label",
    "status",
    "lesion_volume_ml",
    "lesion_volume_least_ml",
    "lesion_volume_most_ml",
    "lesion_count",
    "scan_score",
    "highest_slice_score",
    "threshold",
    "threshold_rule",
    "brain_volume_ml",
    "healthy",
    "truth_volume_ml",
    "seconds",
    "notes",
)
FINDING_COLUMNS = (
    "subject",
    "label",
    "lesion",
    "volume_ml",
    "volume_least_ml",
    "volume_most_ml",
    "threshold_stability",
    "centre_x_mm",
    "centre_y_mm",
    "centre_z_mm",
    "peak",
    "position",
    "template_x_mm",
    "template_y_mm",
    "template_z_mm",
    "template_tissue",
)
FAILURE_COLUMNS = ("subject", "file", "reason", "next_step", "status")


def _summary_row(record: Record) -> tuple[Cell, ...]:
    return (
        record.subject,
        record.label,
        FINISHED,
        record.lesion_volume_ml,
        *(record.lesion_volume_range_ml or (None, None)),
        len(record.findings),
        record.scan_score,
        record.highest_slice_score,
        record.threshold.value,
        record.threshold.rule,
        record.brain_volume_ml,
        None if record.healthy is None else str(record.healthy).lower(),
        record.truth_volume_ml,
        record.seconds,
        "; ".join(record.notes),
    )


def _unused_row(failure: Failure) -> tuple[Cell, ...]:
    """Return the row of a subject without a result: its name, what became of it, and why."""
    begin = failure.subject, failure.label or None, failure.status
    empty = (None,) * (len(SUMMARY_COLUMNS) - len(begin) - 1)
    return (*begin, *empty, failure.reason)


def _finding_rows(record: Record) -> list[tuple[Cell, ...]]:
    whose = record.subject, record.label
    return [
        (
            *(*whose, item.number, item.volume_ml),
            *(item.volume_range_ml or (None, None)),
            *(item.threshold_stability, *item.centre_mm, item.peak, item.position),
            *(item.template_mm or (None, None, None)),
            item.template_tissue or None,
        )
        for item in record.findings
    ]


def _dataset_description() -> dict[str, Any]:
    return {
        "Name": "Abnormal tissue found by anomri",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "anomri", "Version": _version("anomri")}],
        "ResearchUse": RESEARCH_USE,
    }


def _refuse_other_data_set(folder: Path) -> None:
    path = folder / DATASET
    if path.is_file() and '"anomri"' not in path.read_text("utf-8", errors="replace"):
        raise UsageError(
            f"{folder.resolve().name}: expected a folder for results, found a data set with a "
            f"{DATASET} of its own. Next: write to another folder, such as its derivatives/anomri."
        )


def _without_folders(word: str) -> str:
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{PurePath(value.replace(chr(92), '/')).name or value}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return NOTHING


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, default=str) + "\n"
