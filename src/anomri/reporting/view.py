"""What the page says, worked out before any HTML is written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from pydantic import BaseModel

from anomri.documents import read_json
from anomri.errors import DamagedFile
from anomri.reporting.citations import citations
from anomri.reporting.methods import methods_text, model_names
from anomri.reporting.plots import cohort_charts, curve_charts
from anomri.reporting.position import GEOMETRIC
from anomri.reporting.record import Record
from anomri.reporting.summary import lead, trust
from anomri.reporting.tables import FAILURES, LEFT_OUT, NOT_EVALUATED, RUN
from anomri.reporting.words import as_number, capitalise, millilitres, number
from anomri.tsv import NOTHING, read_tsv

EVALUATION = "evaluation.tsv"
EVALUATION_SUMMARY = "evaluation_summary.tsv"
EVALUATION_CURVES = "evaluation_curves.tsv"
MEASURES = (
    "subject",
    "dice",
    "sensitivity",
    "precision",
    "specificity",
    "auprc",
    "auroc",
    "oracle_dice",
    "hd95_mm",
    "lesion_sensitivity",
    "lesion_f1",
    "volume_ml",
    "truth_volume_ml",
    "volume_error_ml",
    "false_positive_ml",
)
"""Columns of an evaluation that the page shows; the table on disk has all."""

T = TypeVar("T")
Table = Sequence[Mapping[str, str]]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Case:
    """One scan on the page.

    Attributes:
        record: what was found.
        share: its lesion volume relative to the largest in the cohort, in per cent.
        dice: agreement with the expert as written in the evaluation, where there is one.
        alternative: the picture in words.
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
        damaged: files of other scans that cannot be read; they stand among the failures.
    """
    unread = list(damaged)
    evaluation = _readable(read_tsv, scores / EVALUATION, unread) or []
    listed = _readable(read_tsv, out / FAILURES, unread) or []
    summary = _readable(read_tsv, scores / EVALUATION_SUMMARY, unread) or []
    curves = _readable(read_tsv, scores / EVALUATION_CURVES, unread) or []
    run = _readable(_run, out / RUN, unread) or {}
    unmeasured = _readable(read_tsv, scores / NOT_EVALUATED, unread) or []
    failures = [*listed, *_not_listed(unread, listed)]
    best, rest = _best_known_first(summary)
    return {
        "lead": lead(records),
        "trust": trust(records, evaluation, summary),
        "tiles": _tiles(records, failures, evaluation),
        "facts": _facts(run, records),
        "oracle": any(record.threshold.rule == "oracle" for record in records),
        "cases": _cases(records, evaluation),
        "failures": failures,
        "evaluation": [_chosen(row) for row in evaluation],
        "evaluation_summary": best,
        "evaluation_rest": rest,
        "not_evaluated": [row for row in unmeasured if row not in listed],
        "scan_score_apart": any(r.scan_score != r.lesion_volume_ml for r in records),
        "with_expert": any(record.truth_volume_ml is not None for record in records),
        "charts": cohort_charts(records),
        "curves": curve_charts(curves),
        "geometric": GEOMETRIC,
        "registered": any(item.template_mm for record in records for item in record.findings),
        "methods": methods_text(records),
        "citations": citations(records),
    }


def _best_known_first(summary: Table) -> tuple[Table, Table]:
    """Return the measures that a reader looks for, in order, and the others, which keep theirs."""
    order = {name: place for place, name in enumerate(MEASURES)}
    best = [row for row in summary if row.get("metric") in order]
    rest = [row for row in summary if row.get("metric") not in order]
    best.sort(key=lambda row: order[row["metric"]])
    return (best, rest) if best else (rest, [])


def _chosen(row: Mapping[str, str]) -> Mapping[str, str]:
    chosen = {name: row[name] for name in MEASURES if name in row}
    return chosen if len(chosen) > 1 else row


def _cases(records: Sequence[Record], evaluation: Table) -> list[Case]:
    largest = max((record.lesion_volume_ml for record in records), default=0.0) or 1.0
    dice = {name: value for row in evaluation for name, value in _dice(row)}
    return [
        Case(
            record=record,
            share=100 * record.lesion_volume_ml / largest,
            dice=dice.get(record.label, dice.get(record.subject)),
            alternative=_in_words(record),
        )
        for record in records
    ]


def _dice(row: Mapping[str, str]) -> list[tuple[str, float]]:
    value = as_number(row.get("dice", ""))
    names = [row[column] for column in ("subject", "label") if row.get(column)]
    return [] if value is None else [(name, value) for name in names]


def _tiles(records: Sequence[Record], failures: Table, evaluation: Table) -> list[Tile]:
    with_lesions = [r.lesion_volume_ml for r in records if r.lesion_volume_ml > 0]
    tiles = (
        []
        if evaluation and not records
        else [
            _finished(len(records), failures),
            Tile(str(len(with_lesions)), "", "with a lesion found"),
        ]
    )
    if with_lesions:
        tiles.append(Tile(millilitres(median(with_lesions)), "ml", "median volume, where found"))
    values = [value for row in evaluation for _, value in _dice(row)[:1]]
    if values:
        tiles.append(Tile(f"{sum(values) / len(values):.2f}", "", "mean Dice against the expert"))
    left_out = sum(row.get("status") == LEFT_OUT for row in failures)
    tiles.append(Tile(str(len(failures) - left_out), "", "could not be used"))
    if left_out:
        tiles.append(Tile(str(left_out), "", "left out"))
    return tiles


def _finished(done: int, failures: Table) -> Tile:
    """Say how many scans were finished, and of how many where some were not."""
    everybody = done + len(failures)
    if failures:
        return Tile(f"{done} of {everybody}", "", "scans finished")
    return Tile(str(done), "", "scan finished" if done == 1 else "scans finished")


def _facts(run: Mapping[str, Any], records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return name and value of everything that says what was run."""
    source = records[0].provenance if records else {}
    versions = {"anomri": source.get("anomri_version"), **run.get("versions", {})}
    versions["Python"] = run.get("python")
    pairs = [
        ("Command", run.get("command")),
        ("Started", run.get("started")),
        ("Device", run.get("device")),
        ("Model", capitalise(model_names(records[0])) if records else None),
        ("Threshold", _threshold(records)),
        (
            "Versions",
            ", ".join(f"{name} {v}" for name, v in versions.items() if v and v != NOTHING),
        ),
    ]
    return [(name, str(value)) for name, value in pairs if value]


def _threshold(records: Sequence[Record]) -> str:
    """Say the threshold, its rule and what it costs on healthy scans."""
    if not records:
        return ""
    values = [record.threshold.value for record in records]
    first, units = records[0].threshold, records[0].units
    span = number(min(values))
    if max(values) > min(values):
        span = f"{span} to {number(max(values))}, each scan its own,"
    words = [f"{span} ({units}), rule: {first.rule}"]
    if first.fitted_on:
        words.append(f"fitted on {first.fitted_on} subject{'s' if first.fitted_on > 1 else ''}")
    if first.expected_false_positive_ml is not None:
        expected = number(first.expected_false_positive_ml)
        words.append(f"{expected} ml expected above it in a healthy scan")
    if held := first.marked_on_healthy:
        words.append(f"{millilitres(held.median_ml)} ml marked on healthy scans (median)")
    return "; ".join(words)


def _in_words(record: Record) -> str:
    contrasts = " and ".join(contrast.upper() for contrast in record.contrasts)
    count = len(record.findings)
    found = f"{count} lesion{'s' if count != 1 else ''}, {millilitres(record.lesion_volume_ml)} ml"
    return (
        f"Five axial, one coronal and one sagittal slice of {record.label}: {contrasts}, anomaly "
        f"map and outlines. {found if count else 'No lesion'} found."
    )


def _readable(read: Callable[[Path], T], path: Path, unread: list[DamagedFile]) -> T | None:
    """Return what is in a file; where it is damaged note that, so that the rest is shown."""
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
            yield {
                "subject": error.file.partition("_")[0],
                "file": error.file,
                "reason": error.reason,
                "next_step": error.next_step,
            }


def _run(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    step = "delete it; the next `anomri detect` writes it again"
    run = read_json(path, _Run, what="what was run", next_step=step)
    return run.model_dump()


class _Run(BaseModel):
    """What a page tells of ``run.json``."""

    command: str | None = None
    started: str | None = None
    device: str | None = None
    python: str | None = None
    versions: dict[str, str] = {}
