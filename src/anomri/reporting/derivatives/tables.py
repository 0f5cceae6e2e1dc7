"""The tables of a run, written from its sidecars.

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
from anomri.files import (
    BIDSIGNORE,
    DATASET_DESCRIPTION,
    FAILURES,
    FINDINGS,
    NOTHING,
    PICTURE,
    PREVIEW,
    REFUSAL_PICTURE,
    REPORT_FOLDER,
    RUN,
    SUMMARY,
    Cell,
    write_text,
    write_tsv,
)
from anomri.reporting.derivatives.sidecar import RESEARCH_USE, Record, read_sound_records

NOT_BIDS = (
    "/*.tsv",
    "/*.html",
    f"/{REPORT_FOLDER}/",
    f"/{RUN}",
    "*_desc-anomaly_*",
    "*_desc-reconstruction_*",
    f"*_{PICTURE}",
    f"*_{REFUSAL_PICTURE}",
    f"*_{PREVIEW}",
    "*_seg.dcm",
)
"""Files that BIDS does not define: tables of the run, pages, pictures, maps and DICOM."""

FINISHED, FAILED, LEFT_OUT = "finished", "failed", "left out"
NOT_DETECTED = "not detected"
LIBRARIES = ("torch", "numpy", "scipy", "nibabel", "SimpleITK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A scan that could not be used.

    Attributes:
        subject: name in the data set.
        label: BIDS prefix of the scan.
        file: name of the faulty file, without its folder; empty if no file is to blame.
        reason: what was expected and what was found.
        next_step: what the user can do, in one sentence.
        status: ``failed``, ``left out`` before anything was computed, or ``not detected``.
    """

    subject: str
    label: str
    file: str = ""
    reason: str
    next_step: str
    status: str = FAILED

    @classmethod
    def of(cls, error: ScanError | DamagedFile, *, subject: str, label: str) -> Failure:
        """Return the failure that an error of a scan amounts to."""
        return cls(
            subject=subject,
            label=label,
            file=error.file,
            reason=error.reason,
            next_step=error.next_step,
        )


def write_tables(folder: Path, failures: Sequence[Failure] | None = None) -> None:
    """Write ``findings.tsv``, ``summary.tsv``, ``failures.tsv`` and the data set's description.

    Args:
        folder: of the results; all finished scans in it are listed, whichever run they are from.
        failures: scans of this run that could not be used; None keeps the table of the last run.
    """
    records, damaged = read_sound_records(folder)
    done = {record.label for record in records}
    unused = [_unused_row(item) for item in failures or () if item.label not in done]
    rows = [*(_summary_row(record) for record in records), *unused]
    write_tsv(folder / SUMMARY, SUMMARY_COLUMNS, rows)
    findings = [row for record in records for row in _finding_rows(record)]
    write_tsv(folder / FINDINGS, FINDING_COLUMNS, findings)
    if failures is not None or not (folder / FAILURES).exists():
        unread = [
            Failure.of(error, subject=label.partition("_")[0], label=label)
            for label, error in damaged.items()
        ]
        write_failures(folder, [*(failures or ()), *unread])
    write_dataset_description(folder)


def write_dataset_description(folder: Path) -> None:
    """Write the description that marks a folder as results, so that they are not taken for scans.

    Raises:
        UsageError: the folder is another data set, whose description is kept.
    """
    _refuse_other_data_set(folder)
    write_text(folder / DATASET_DESCRIPTION, _json(_dataset_description()))
    write_text(folder / BIDSIGNORE, "".join(f"{pattern}\n" for pattern in NOT_BIDS))


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


def write_run(folder: Path, command: Sequence[str], **facts: Any) -> None:
    """Write ``run.json``: the command and the versions of all libraries.

    Args:
        folder: of the results.
        command: words of the command line; of each path only the last part is kept, so that no
            folder of the user's machine appears on a page.
        facts: further facts for JSON, such as ``started`` or ``device``.
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
        "; ".join(note.text for note in record.notes),
    )


def _unused_row(failure: Failure) -> tuple[Cell, ...]:
    """Return the row of a subject without a result: name, status and reason."""
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
    path = folder / DATASET_DESCRIPTION
    if path.is_file() and '"anomri"' not in path.read_text("utf-8", errors="replace"):
        raise UsageError(
            f"{folder.resolve().name}: expected a folder for results, found a data set with its "
            f"own {DATASET_DESCRIPTION}. "
            "Next: write to another folder, such as its derivatives/anomri."
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
