"""Text of numbers, names and table cells on a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

from markupsafe import Markup

from anomri.files import NOTHING
from anomri.reporting.derivatives.sidecar import is_probability

MINUS = "\N{MINUS SIGN}"
PIECE = 20  # letters of a name that stay on one line
STABLE = 0.6  # from here on most findings in the training scans hit a lesion: docs/report.md
ABBREVIATIONS = ("AUPRC", "AUROC", "Dice", "F1", "HD95", "KL", "MAE", "SD")
NAMES = {"n": "scans", **{name.lower(): name for name in ABBREVIATIONS}}
"""Words of a column's name that are spelt differently in its heading."""
STATISTICS = ("mean", "lower", "upper", "median", "sd")
"""Columns whose whole numbers get the decimals of the numbers below and above them."""


def number(value: float | None, digits: int = 3) -> str:
    """Format a number with ``digits`` significant digits and a true minus sign.

    >>> number(0.012345), number(1234.5), number(-3.14159)
    ('0.0123', '1234', '−3.14')
    """
    if value is None:
        return "–"
    text = f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
    return text.replace("-", MINUS)


def millilitres(value: float | None) -> str:
    """Format a volume to the tenth of a millilitre; a dash for none."""
    return "–" if value is None else f"{value:.1f}"


def volume_range(ends: Sequence[float] | None) -> str:
    """Format the range of a volume in brackets; empty for none.

    >>> volume_range((9.84, 15.1)), volume_range(None)
    ('(9.8 to 15.1)', '')
    """
    return "" if ends is None else f"({millilitres(ends[0])} to {millilitres(ends[1])})"


def threshold_stability(value: float | None) -> str:
    """Format the threshold stability of a lesion: a number and its class; a dash for none.

    >>> threshold_stability(0.94), threshold_stability(0.31), threshold_stability(None)
    ('0.94 stable', '0.31 sensitive', '–')
    >>> threshold_stability(0.0)
    '0.00 vanishing'
    """
    if value is None:
        return "–"
    word = "stable" if value >= STABLE else "sensitive" if value > 0 else "vanishing"
    return f"{value:.2f} {word}"


def millimetre_point(point: Sequence[float] | None) -> str:
    """Format the coordinates of a point to the tenth of a millimetre; a dash for none.

    >>> millimetre_point((-31.04, 12.0, 8.25)), millimetre_point(None)
    ('−31.0, 12.0, 8.2', '–')
    """
    return "–" if point is None else ", ".join(f"{x:.1f}".replace("-", MINUS) for x in point)


def noun(count: int, name: str) -> str:
    """Return a noun in the singular or the plural."""
    return name if count == 1 else f"{name}s"


def counted(count: int, name: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "lesion"), counted(3, "lesion")
    ('1 lesion', '3 lesions')
    """
    return f"{count} {noun(count, name)}"


def scale_end(units: str) -> str:
    """Describe the upper end of the colour scale of an anomaly map.

    >>> scale_end("tumour probability"), scale_end("robust standard deviations of the scan")
    ('1', 'three times the threshold')
    """
    return "1" if is_probability(units) else "three times the threshold"


def capitalise(text: str) -> str:
    """Capitalise the first letter and leave the rest, which may hold names, as it is."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Format a message as a sentence, with a capital and a full stop.

    >>> sentence("expected numbers, got NaN"), sentence("Look at it.")
    ('Expected numbers, got NaN.', 'Look at it.')
    """
    text = capitalise(text.strip())
    return text if text.endswith((".", "!", "?")) or not text else f"{text}."


def as_number(text: str) -> float | None:
    """Return the number in a cell of a table; None for other text."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) else None


def is_words(text: str) -> bool:
    """Whether a cell holds words, which are left-aligned: neither a number nor nothing."""
    return as_number(text) is None and text not in (NOTHING, "", "nan")


def cell(text: str, column: str = "", metric: str = "") -> str:
    """Format a cell of a table that was read back: mm and ml with one decimal, scores with three.

    Args:
        text: the cell.
        column: its column.
        metric: its row, where that names a metric.

    >>> cell("0.51", "dice"), cell("8.12", "hd95_mm"), cell("12"), cell("n/a"), cell("scan_3")
    ('0.510', '8.1', '12', '–', 'scan_3')
    >>> cell("1", "mean", "lesion_f1"), cell("1", "mean", "lesion_count"), cell("1", "n")
    ('1.000', '1.0', '1')
    """
    value = as_number(text)
    if value is None:
        words = heading(text) if column == "metric" else text
        return words if is_words(text) else "–"
    if column == "table":  # of a paper: its name, not a number
        return text
    if re.fullmatch(r"[-+]?\d+", text) and column not in STATISTICS:
        return text.replace("-", MINUS)
    coarse = ("_mm", "_ml", "_count")
    digits = 1 if column.endswith(coarse) or metric.endswith(coarse) else 3
    return f"{value:.{digits}f}".replace("-", MINUS)


def heading(column: str) -> str:
    """Turn a column's name into words: ``volume_ml`` becomes ``volume (ml)``.

    >>> heading("hd95_mm"), heading("lesion_count")
    ('HD95 (mm)', 'lesion count')
    """
    words = column.split("_")
    unit = f" ({words.pop()})" if len(words) > 1 and words[-1] in ("ml", "mm") else ""
    return " ".join(NAMES.get(word, word) for word in words) + unit


def breakable(name: str) -> Markup:
    """Escape a name, and let it break behind its underscores or, in a long piece, anywhere.

    >>> print(breakable("a_<b>"))
    a_<wbr>&lt;b&gt;
    """
    return Markup("<wbr>").join(re.findall(rf"[^_]{{1,{PIECE}}}_?|_", name))


def interval(text: str) -> tuple[str, str]:
    """Split ``0.5 (0.4 to 0.6)`` into the value and its interval, which may be empty."""
    parts = re.fullmatch(r"([\d.\N{MINUS SIGN}]+) (\(.+ to .+\))", text)
    return (parts[1], parts[2]) if parts else (text, "")


FILTERS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(number, millilitres, volume_range, millimetre_point, threshold_stability, counted),
        *(scale_end, breakable, interval, capitalise, sentence, cell, heading, is_words),
    )
}
