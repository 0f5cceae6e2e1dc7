"""Sentences at the head of a page: what was found in which scans, and how reliable it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median

from anomri.postprocessing import in_words
from anomri.reporting.derivatives.sidecar import Record
from anomri.reporting.formatting import as_number, counted, millilitres, number

Table = Sequence[Mapping[str, str]]


def lead(records: Sequence[Record]) -> str:
    """Summarise what was found; empty without scans."""
    if not records:
        return ""
    contrasts = ", ".join(contrast.upper() for contrast in records[0].contrasts)
    if len(records) == 1:
        return f"{records[0].subject} ({contrasts}): {_of_one_scan(records[0])}"
    begin = f"{len(records)} scans ({contrasts}): "
    healthy = [record for record in records if record.healthy]
    others = [record for record in records if not record.healthy]
    found = sorted(record.lesion_volume_ml for record in others if record.findings)
    marked = _with_findings(healthy)
    end = f"; in {marked} of {len(healthy)} healthy ones" if healthy else ""
    if not found:
        return f"{begin}a lesion was found in none{end if marked else ''}."
    count = f"{len(found)} of {len(others)}{' patients' if healthy else ''}"
    span = f"{millilitres(found[0])} to {millilitres(found[-1])} ml"
    return f"{begin}a lesion was found in {count}, {span}, median {median(found):.1f} ml{end}."


def trust(records: Sequence[Record], evaluation: Table, summary: Table) -> list[str]:
    """Summarise the evidence for and against the results, measured where it was.

    Args:
        records: the scans.
        evaluation: a row per scan that was compared with an expert's mask.
        summary: the means over these scans.
    """
    if not (records or evaluation or summary):
        return []
    sentences = [_agreement(evaluation, summary), _false_positives(records), _checks(records)]
    return [sentence for sentence in sentences if sentence]


def _with_findings(records: Sequence[Record]) -> int:
    return sum(bool(record.findings) for record in records)


def _of_one_scan(record: Record) -> str:
    if not record.findings:
        return "no lesion was found."
    first = record.findings[0]
    largest = f"the largest lies {first.position}" if first.position else ""
    places = in_words(record.findings) or largest
    return f"{lesions_found(record)}{': ' if places else ''}{places}."


def lesions_found(record: Record) -> str:
    """Return number and volume of the lesions of a scan."""
    count, volume = len(record.findings), millilitres(record.lesion_volume_ml)
    return f"{counted(count, 'lesion')}, {volume} ml"


def _agreement(evaluation: Table, summary: Table) -> str:
    cells = [(as_number(row.get("dice", "")), row.get("subject", "")) for row in evaluation]
    values = [(value, name) for value, name in cells if value is not None]
    row = next((row for row in summary if row.get("metric") == "dice"), {})
    low, high = (as_number(row.get(end, "")) for end in ("lower", "upper"))
    mean = fmean(value for value, _ in values) if values else as_number(row.get("mean", ""))
    if mean is None:
        return "No expert's mask was compared, so the accuracy of these lesions is not known."
    text = f"Against the expert's masks the mean Dice is {mean:.2f}"
    if low is not None and high is not None and low < high:
        text += f" (95 % interval {low:.2f} to {high:.2f})"
    if len(values) > 1:
        worst, name = min(values)
        text += f"; the worst of {len(values)}, scan {name}, has {worst:.2f}"
    return f"{text}."


def _false_positives(records: Sequence[Record]) -> str:
    """Return what is marked in healthy tissue: measured here, expected, or not known."""
    if not records:
        return ""
    threshold = records[0].threshold
    healthy = [record for record in records if record.healthy]
    if healthy:
        marked = _with_findings(healthy)
        most = max(record.lesion_volume_ml for record in healthy)
        worst = f", at most {millilitres(most)} ml" if marked else ""
        return f"Something was marked in {marked} of {len(healthy)} healthy scans{worst}."
    if measured := threshold.marked_on_healthy:
        return (
            f"On healthy tissue of {measured.scans} scans that were not used to fit the threshold, "
            f"this model marked {millilitres(measured.median_ml)} ml (median; mean "
            f"{millilitres(measured.mean_ml)}, 95th percentile {millilitres(measured.upper_ml)})."
        )
    if threshold.expected_false_positive_ml is not None:
        expected = number(threshold.expected_false_positive_ml)
        return f"In a healthy scan {expected} ml are expected above this threshold."
    return "The threshold was not fitted on healthy scans, so its false positives are not known."


def _checks(records: Sequence[Record]) -> str:
    doubted = [record.subject for record in records if record.doubted]
    if doubted:
        first = f"{doubted[0]}{' and others' if len(doubted) > 1 else ''}"
        return (
            f"Check {len(doubted)} of {len(records)} scans ({first}) before using their results: "
            "their images do not look like the contrasts that they were given as; see the remarks."
        )
    noted = sum(bool(record.notes) for record in records)
    verb = "has" if noted == 1 else "have"
    return f"Read the remarks: {noted} of {len(records)} scans {verb} one." if noted else ""
