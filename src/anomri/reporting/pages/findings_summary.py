"""The sentences at the head of a page: what was found in which scans, and how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median

from anomri.reporting.derivatives.sidecar import Record
from anomri.reporting.formatting import as_number, millilitres, number

Table = Sequence[Mapping[str, str]]


def lead(records: Sequence[Record]) -> str:
    """Say what was found; empty without scans."""
    if not records:
        return ""
    contrasts = ", ".join(contrast.upper() for contrast in records[0].contrasts)
    if len(records) == 1:
        return f"{records[0].subject} ({contrasts}): {_one(records[0])}"
    begin = f"{len(records)} scans ({contrasts}): "
    healthy = [record for record in records if record.healthy]
    others = [record for record in records if not record.healthy]
    found = sorted(record.lesion_volume_ml for record in others if record.findings)
    end = f"; in {_marked(healthy)} of {len(healthy)} healthy ones" if healthy else ""
    if not found:
        return f"{begin}a lesion was found in none{end if _marked(healthy) else ''}."
    who = f"{len(found)} of {len(others)}{' patients' if healthy else ''}"
    span = f"{millilitres(found[0])} to {millilitres(found[-1])} ml"
    return f"{begin}a lesion was found in {who}, {span}, median {median(found):.1f} ml{end}."


def _marked(records: Sequence[Record]) -> int:
    return sum(bool(record.findings) for record in records)


def trust(records: Sequence[Record], evaluation: Table, summary: Table) -> list[str]:
    """Say what speaks for the results and against them, measured where it was.

    Args:
        records: the scans.
        evaluation: a row per scan that was compared with an expert's mask.
        summary: the means over these scans.
    """
    if not (records or evaluation or summary):
        return []
    sentences = [_agreement(evaluation, summary), _false_alarms(records), _gates(records)]
    return [sentence for sentence in sentences if sentence]


def _one(record: Record) -> str:
    if not record.findings:
        return "no lesion was found."
    first, many = record.findings[0], len(record.findings)
    place = f" It lies {first.position}." if first.position else ""
    if many == 1:
        return f"one lesion of {millilitres(record.lesion_volume_ml)} ml was found.{place}"
    place = f", and lies {first.position}" if first.position else ""
    return (
        f"{many} lesions were found, {millilitres(record.lesion_volume_ml)} ml together; the "
        f"largest has {millilitres(first.volume_ml)} ml{place}."
    )


def _agreement(evaluation: Table, summary: Table) -> str:
    told = [(as_number(row.get("dice", "")), row.get("subject", "")) for row in evaluation]
    values = [(value, name) for value, name in told if value is not None]
    row = next((row for row in summary if row.get("metric") == "dice"), {})
    low, high = (as_number(row.get(end, "")) for end in ("lower", "upper"))
    mean = fmean(value for value, _ in values) if values else as_number(row.get("mean", ""))
    if mean is None:
        return "No expert's mask was compared, so how right these lesions are is not known."
    text = f"Against the expert's masks the mean Dice is {mean:.2f}"
    if low is not None and high is not None and low < high:
        text += f" (95 % interval {low:.2f} to {high:.2f})"
    if len(values) > 1:
        worst, name = min(values)
        text += f"; the worst of {len(values)}, scan {name}, has {worst:.2f}"
    return f"{text}."


def _false_alarms(records: Sequence[Record]) -> str:
    """Say what healthy tissue costs: measured here, expected of the threshold, or not known."""
    if not records:
        return ""
    healthy = [record for record in records if record.healthy]
    if healthy:
        marked = _marked(healthy)
        most = max(record.lesion_volume_ml for record in healthy)
        worst = f", at most {millilitres(most)} ml" if marked else ""
        return f"Something was marked in {marked} of {len(healthy)} healthy scans{worst}."
    held = records[0].threshold.marked_on_healthy
    if held is not None:
        return (
            f"On healthy tissue of {held.scans} scans that had no part in its threshold, this "
            f"model marked {millilitres(held.median_ml)} ml (median; mean "
            f"{millilitres(held.mean_ml)}, 95th percentile {millilitres(held.upper_ml)})."
        )
    expected = records[0].threshold.expected_false_positive_ml
    if expected is not None:
        return f"In a healthy scan {number(expected)} ml are expected to lie above this threshold."
    return "The threshold saw no healthy scan, so how much it marks in one is not known."


def _gates(records: Sequence[Record]) -> str:
    doubted = [record.subject for record in records if record.doubted]
    if doubted:
        first = f"{doubted[0]}{' and others' if len(doubted) > 1 else ''}"
        return (
            f"Check {len(doubted)} of {len(records)} scans ({first}) before using their results: "
            "their images do not look like the contrast or orientation they were given as; see "
            "the remarks."
        )
    noted = sum(bool(record.notes) for record in records)
    if not noted:
        return ""
    return (
        f"Read the remarks: {noted} of {len(records)} scans {'has' if noted == 1 else 'have'} one."
    )
