"""Contents of the report of a results folder, gathered before any HTML is written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, TypeVar

from anomri.errors import LEFT_OUT, DamagedFile
from anomri.files import (
    EVALUATION,
    EVALUATION_CURVES,
    EVALUATION_FAILURES,
    EVALUATION_SIZES,
    EVALUATION_SUMMARY,
    FAILURES,
    NOTHING,
    RUN,
    RunEntry,
    read_run,
    read_tsv,
)
from anomri.postprocessing import GEOMETRIC
from anomri.reporting.derivatives.methods import citations, methods_text, model_names
from anomri.reporting.derivatives.sidecar import Record
from anomri.reporting.formatting import as_number, capitalise, counted, millilitres, number
from anomri.reporting.pages.cohort_charts import cohort_charts, curve_charts
from anomri.reporting.pages.findings_summary import lead, lesions_found, trust
from anomri.scan import Provenance

MEASURES = (
    *("subject", "dice", "sensitivity", "precision", "specificity", "auprc", "auroc"),
    *("oracle_dice", "hd95_mm", "lesion_sensitivity", "lesion_f1", "volume_ml"),
    *("truth_volume_ml", "volume_error_ml", "false_positive_ml"),
)
"""Columns of an evaluation that the page shows; the table on disk has all."""

TABLES = (EVALUATION, EVALUATION_SUMMARY, EVALUATION_CURVES, EVALUATION_SIZES, EVALUATION_FAILURES)
T = TypeVar("T")
Table = Sequence[Mapping[str, str]]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Case:
    """One scan on the page.

    Attributes:
        record: what was found.
        share: its lesion volume relative to the largest in the cohort, in per cent.
        dice: agreement with the expert, where it was evaluated.
        alternative: description of the picture for those who do not see it.
    """

    record: Record
    share: float
    dice: float | None
    alternative: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure at the head of the page."""

    value: str
    unit: str
    meaning: str


def contents(
    out: Path, scores: Path, records: Sequence[Record], damaged: Sequence[DamagedFile] = ()
) -> dict[str, Any]:
    """Gather everything that the template shows.

    Args:
        out: the folder of the run.
        scores: the folder of its evaluation.
        records: its finished scans.
        damaged: files of other scans that cannot be read; listed among the failures.
    """
    unread = list(damaged)
    tables = {name: _readable(read_tsv, scores / name, unread) or [] for name in TABLES}
    listed = _readable(read_tsv, out / FAILURES, unread) or []
    run = _readable(read_run, out / RUN, unread) or RunEntry()
    failures = [*listed, *_not_listed(unread, listed)]
    evaluation = tables[EVALUATION]
    return {
        **_evaluation(tables, listed),
        "lead": lead(records),
        "trust": trust(records, evaluation, tables[EVALUATION_SUMMARY]),
        "tiles": list(_tiles(records, failures, evaluation)),
        "facts": _facts(run, records),
        "oracle": any(record.threshold.rule == "oracle" for record in records),
        "cases": _cases(records, evaluation),
        "failures": failures,
        "scan_score_apart": any(r.scan_score != r.lesion_volume_ml for r in records),
        "with_expert": any(record.truth_volume_ml is not None for record in records),
        "charts": cohort_charts(records),
        "geometric": GEOMETRIC,
        "registered": any(item.template_mm for record in records for item in record.findings),
        "methods": methods_text(records),
        "citations": citations(records),
    }


def _evaluation(tables: Mapping[str, Table], listed: Table) -> dict[str, Any]:
    """Return what the page shows of an evaluation; scans listed as failures are left out."""
    best, rest = _best_known_first(tables[EVALUATION_SUMMARY])
    return {
        "evaluation": [_chosen(row) for row in tables[EVALUATION]],
        "evaluation_summary": best,
        "evaluation_rest": rest,
        "sizes": [row for row in tables[EVALUATION_SIZES] if row.get("n") != "0"],
        "not_evaluated": [row for row in tables[EVALUATION_FAILURES] if row not in listed],
        "curves": curve_charts(tables[EVALUATION_CURVES]),
    }


def _best_known_first(summary: Table) -> tuple[Table, Table]:
    """Return the rows of :data:`MEASURES` in their order, and the others."""
    best = [row for row in summary if row.get("metric") in MEASURES]
    rest = [row for row in summary if row.get("metric") not in MEASURES]
    best.sort(key=lambda row: MEASURES.index(row["metric"]))
    return (best, rest) if best else (rest, [])


def _chosen(row: Mapping[str, str]) -> Mapping[str, str]:
    chosen = {name: row[name] for name in MEASURES if name in row}
    return chosen if len(chosen) > 1 else row


def _cases(records: Sequence[Record], evaluation: Table) -> list[Case]:
    largest = max((record.lesion_volume_ml for record in records), default=0.0) or 1.0
    dice = {
        row[column]: value
        for row in evaluation
        for column in ("subject", "label")
        if row.get(column) and (value := as_number(row.get("dice", ""))) is not None
    }
    return [
        Case(
            record=record,
            share=100 * record.lesion_volume_ml / largest,
            dice=dice.get(record.label, dice.get(record.subject)),
            alternative=_description(record),
        )
        for record in records
    ]


def _tiles(records: Sequence[Record], failures: Table, evaluation: Table) -> Iterator[Tile]:
    volumes = [r.lesion_volume_ml for r in records if r.lesion_volume_ml > 0]
    if records or not evaluation:
        total = f" of {len(records) + len(failures)}" if failures else ""
        meaning = "scan finished" if len(records) == 1 and not failures else "scans finished"
        yield Tile(f"{len(records)}{total}", "", meaning)
        yield Tile(str(len(volumes)), "", "with a lesion found")
    if volumes:
        yield Tile(millilitres(median(volumes)), "ml", "median volume, where found")
    dice = [value for row in evaluation if (value := as_number(row.get("dice", ""))) is not None]
    if dice:
        yield Tile(f"{fmean(dice):.2f}", "", "mean Dice against the expert")
    left_out = sum(row.get("status") == LEFT_OUT for row in failures)
    yield Tile(str(len(failures) - left_out), "", "could not be used")
    if left_out:
        yield Tile(str(left_out), "", "left out")


def _facts(run: RunEntry, records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return name and value of everything that describes the run."""
    source = records[0].provenance if records else Provenance()
    versions = {"anomri": source.anomri_version, **run.versions, "Python": run.python}
    known = (f"{name} {v}" for name, v in versions.items() if v and v != NOTHING)
    facts = {
        "Command": run.command,
        "Started": run.started,
        "Device": run.device,
        "Model": "; ".join(dict.fromkeys(capitalise(model_names(item)) for item in records)),
        "Threshold": _threshold(records),
        "Versions": ", ".join(known),
    }
    return [(name, value) for name, value in facts.items() if value]


def _threshold(records: Sequence[Record]) -> str:
    """Describe the threshold, its rule and its cost on healthy scans."""
    if not records:
        return ""
    values = [record.threshold.value for record in records]
    first, units = records[0].threshold, records[0].units
    value = number(min(values))
    if max(values) > min(values):
        value = f"{value} to {number(max(values))}, each scan its own,"
    parts = [f"{value} ({units}), rule: {first.rule}"]
    if first.fitted_on:
        parts.append(f"fitted on {counted(first.fitted_on, 'subject')}")
    if first.expected_false_positive_ml is not None:
        expected = number(first.expected_false_positive_ml)
        parts.append(f"{expected} ml expected above it in a healthy scan")
    if measured := first.marked_on_healthy:
        parts.append(f"{millilitres(measured.median_ml)} ml marked on healthy scans (median)")
    return "; ".join(parts)


def _description(record: Record) -> str:
    contrasts = " and ".join(contrast.upper() for contrast in record.contrasts)
    found = lesions_found(record) if record.findings else "No lesion"
    return (
        f"Five axial, one coronal and one sagittal slice of {record.label}: {contrasts}, anomaly "
        f"map and outlines. {found} found."
    )


def _readable(read: Callable[[Path], T], path: Path, unread: list[DamagedFile]) -> T | None:
    """Return what is in a file; a damaged one is added to ``unread``, so that the rest is shown."""
    try:
        return read(path)
    except DamagedFile as error:
        log.warning("%s", error)
        unread.append(error)
        return None


def _not_listed(damaged: Sequence[DamagedFile], listed: Table) -> Iterator[dict[str, str]]:
    """Yield a row of the failures for each damaged file that has none yet."""
    known = {row.get("file") for row in listed}
    for error in damaged:
        if error.file not in known:
            row = {"file": error.file, "reason": error.reason, "next_step": error.next_step}
            yield {"subject": error.file.partition("_")[0], **row}
