"""What the page says, worked out before any HTML is written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from anomri.reporting.methods import citations, methods_text
from anomri.reporting.record import RESEARCH_USE, Record
from anomri.reporting.tables import FAILURES, NOTHING, RUN, read_table

EVALUATION = "evaluation.tsv"
EVALUATION_SUMMARY = "evaluation_summary.tsv"
MINUS = "\N{MINUS SIGN}"

Table = Sequence[Mapping[str, str]]


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


def contents(out: Path, scores: Path, records: Sequence[Record]) -> dict[str, Any]:
    """Gather everything that the template shows.

    Args:
        out: the folder of the run.
        scores: the folder of its evaluation.
        records: its finished scans.
    """
    evaluation = read_table(scores / EVALUATION)
    failures = read_table(out / FAILURES)
    summary = read_table(scores / EVALUATION_SUMMARY)
    return {
        "notice": RESEARCH_USE,
        "tiles": _tiles(records, failures, evaluation),
        "facts": _facts(_run(out), records),
        "oracle": any(record.threshold.rule == "oracle" for record in records),
        "cases": _cases(records, evaluation),
        "failures": failures,
        "evaluation": evaluation,
        "evaluation_summary": summary,
        "methods": methods_text(records),
        "citations": citations(records),
    }


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
    tiles = [
        Tile(str(len(records)), "", "scan finished" if len(records) == 1 else "scans finished"),
        Tile(str(len(with_lesions)), "", "with a lesion found"),
    ]
    if with_lesions:
        tiles.append(Tile(millilitres(median(with_lesions)), "ml", "median volume, where found"))
    values = [value for row in evaluation for _, value in _dice(row)[:1]]
    if values:
        tiles.append(Tile(f"{sum(values) / len(values):.2f}", "", "mean Dice against the expert"))
    tiles.append(Tile(str(len(failures)), "", "could not be used"))
    return tiles


def _facts(run: Mapping[str, Any], records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return name and value of everything that says what was run."""
    source = records[0].provenance if records else {}
    versions = run.get("versions", {})
    pairs = [
        ("Command", run.get("command")),
        ("Started", run.get("started")),
        ("Device", run.get("device")),
        ("Recipe", source.get("recipe")),
        ("Model", source.get("family")),
        ("Weights SHA-256", source.get("weights_sha256")),
        ("Threshold", _threshold(records)),
        ("anomri", source.get("anomri_version")),
        ("Python", run.get("python")),
        ("Libraries", ", ".join(f"{k} {v}" for k, v in versions.items() if k != "anomri")),
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
        words.append(f"{number(first.expected_false_positive_ml)} ml expected on a healthy scan")
    return "; ".join(words)


def _in_words(record: Record) -> str:
    contrasts = " and ".join(contrast.upper() for contrast in record.contrasts)
    count = len(record.findings)
    found = f"{count} lesion{'s' if count != 1 else ''}, {millilitres(record.lesion_volume_ml)} ml"
    return (
        f"Five axial, one coronal and one sagittal slice of {record.label}: {contrasts}, anomaly "
        f"map and outlines. {found if count else 'No lesion'} found."
    )


def _run(out: Path) -> dict[str, Any]:
    path = out / RUN
    if not path.is_file():
        return {}
    run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return run


def number(value: float | None, digits: int = 3) -> str:
    """Write a number for reading: ``digits`` significant ones, a true minus sign.

    >>> number(0.012345), number(1234.5), number(-3.14159)
    ('0.0123', '1234', '−3.14')
    """
    if value is None:
        return "–"
    text = f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
    return text.replace("-", MINUS)


def millilitres(value: float | None) -> str:
    """Write a volume to the tenth of a millilitre; a dash where there is none."""
    return "–" if value is None else f"{value:.1f}"


def millimetres(value: float) -> str:
    """Write a position to the tenth of a millimetre, signs and points aligned."""
    return f"{value:.1f}".replace("-", MINUS)


def capitalise(text: str) -> str:
    """Begin with a capital and leave the rest, which may hold names, as it is."""
    return text[:1].upper() + text[1:]


def as_number(text: str) -> float | None:
    """Return the number in a cell of a table; None where there is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None


def cell(text: str, *names: str) -> str:
    """Write a cell of a table that was read back.

    Args:
        text: the cell.
        names: its column, and its row where that names a metric: mm and ml get one decimal,
            scores three.

    >>> cell("0.51", "dice"), cell("8.12", "hd95_mm"), cell("12"), cell("n/a"), cell("scan_3")
    ('0.510', '8.1', '12', '–', 'scan_3')
    """
    value = as_number(text)
    if value is None:
        return "–" if text in (NOTHING, "", "nan") else text
    if re.fullmatch(r"[-+]?\d+", text):
        return text.replace("-", MINUS)
    digits = 1 if any(name.endswith(("_mm", "_ml")) for name in names) else 3
    return f"{value:.{digits}f}".replace("-", MINUS)


def heading(column: str) -> str:
    """Turn a column's name into words: ``volume_ml`` becomes ``volume (ml)``.

    >>> heading("hd95_mm"), heading("lesion_count")
    ('HD95 (mm)', 'lesion count')
    """
    short = {"auprc": "AUPRC", "auroc": "AUROC", "hd95": "HD95", "mae": "MAE", "dice": "Dice"}
    words = column.split("_")
    unit = f" ({words.pop()})" if len(words) > 1 and words[-1] in ("ml", "mm") else ""
    return " ".join(short.get(word, word) for word in words) + unit


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "millilitres": millilitres,
    "millimetres": millimetres,
    "capitalise": capitalise,
    "as_number": as_number,
    "cell": cell,
    "heading": heading,
}
