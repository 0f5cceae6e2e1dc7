"""The share of the findings that a reader judged to be real."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from anomri.evaluation import pooled_share
from anomri.pipeline.rating.ratings import Rating
from anomri.reporting import Record

SAME_ML = 0.006
"""Volumes in a report are rounded to 0.01 ml; nearer ones are the same."""


def reader_precision(ratings: Sequence[Rating], records: Sequence[Record]) -> str:
    """Return the share of judged findings that are real, in a sentence; empty without any.

    Args:
        ratings: of a reader; judgements of findings that the results no longer hold are left out.
        records: the results.
    """
    judged = [rating for rating in ratings if rating.judgement]
    current = [rating for rating in judged if _is_found(rating, records)]
    older = len(judged) - len(current)
    left_out = f" Judgements of earlier results, {older}, are left out." if older else ""
    if not current:
        return left_out.strip()
    share = pooled_share(_counts(current))
    real = sum(rating.judgement == "real" for rating in current)
    interval = ""
    if np.isfinite(share.lower):
        interval = f", 95 % interval over scans {share.lower:.2f} to {share.upper:.2f}"
    total = sum(len(record.findings) for record in records)
    return (
        f"Of {len(current)} findings that were judged (of {total}), {real} are real "
        f"(precision {share.estimate:.2f}{interval}).{left_out}"
    )


def _is_found(rating: Rating, records: Iterable[Record]) -> bool:
    return any(
        finding.number == rating.lesion and abs(finding.volume_ml - rating.volume_ml) < SAME_ML
        for record in records
        if record.label == rating.label
        for finding in record.findings
    )


def _counts(judged: Sequence[Rating]) -> list[tuple[int, int]]:
    """Count judged and real findings of each scan."""
    labels = dict.fromkeys(rating.label for rating in judged)
    of_scan = [[r.judgement == "real" for r in judged if r.label == label] for label in labels]
    return [(len(real), sum(real)) for real in of_scan]
