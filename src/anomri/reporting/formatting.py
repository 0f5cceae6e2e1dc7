"""How numbers, names and cells of tables are written on a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from anomri.files import NOTHING
from anomri.reporting.derivatives.sidecar import is_probability

MINUS = "\N{MINUS SIGN}"
PIECE = 20  # letters of a name that stay together on a line
STABLE = 0.6  # from here on most findings in the training scans hit a lesion: docs/report.md
NAMES = {
    "auprc": "AUPRC",
    "auroc": "AUROC",
    "dice": "Dice",
    "f1": "F1",
    "hd95": "HD95",
    "kl": "KL",
    "mae": "MAE",
    "n": "scans",
    "sd": "SD",
}
"""Words of a column's name that are written otherwise."""
STATISTICS = (("mean",), ("lower",), ("upper",), ("median",), ("sd",))
"""Columns whose whole numbers are written like the others below and above them."""


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


def volume_range(ends: Sequence[float] | None) -> str:
    """Write the range of a volume as it stands behind it; empty where there is none.

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


def millimetres(value: float) -> str:
    """Write a position to the tenth of a millimetre, signs and points aligned."""
    return f"{value:.1f}".replace("-", MINUS)


def millimetre_point(point: Sequence[float] | None) -> str:
    """Write the coordinates of a point; a dash where there is none.

    >>> millimetre_point((-31.04, 12.0, 8.25)), millimetre_point(None)
    ('−31.0, 12.0, 8.2', '–')
    """
    return "–" if point is None else ", ".join(millimetres(value) for value in point)


def scale_end(units: str) -> str:
    """Say where the colours of an anomaly map end.

    >>> scale_end("tumour probability"), scale_end("robust standard deviations of the scan")
    ('1', 'three times the threshold')
    """
    return "1" if is_probability(units) else "three times the threshold"


def capitalise(text: str) -> str:
    """Begin with a capital and leave the rest, which may hold names, as it is."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """Write a message as a sentence: a capital and a full stop.

    >>> sentence("expected numbers, got NaN"), sentence("Look at it.")
    ('Expected numbers, got NaN.', 'Look at it.')
    """
    text = capitalise(text.strip())
    return text if text.endswith((".", "!", "?")) or not text else f"{text}."


def as_number(text: str) -> float | None:
    """Return the number in a cell of a table; None where there is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None


def is_words(text: str) -> bool:
    """Tell whether a cell holds words, which begin at the left, and neither number nor nothing."""
    return as_number(text) is None and text not in (NOTHING, "", "nan")


def cell(text: str, *names: str) -> str:
    """Write a cell of a table that was read back.

    Args:
        text: the cell.
        names: its column, and its row where that names a metric: mm and ml get one decimal,
            scores three.

    >>> cell("0.51", "dice"), cell("8.12", "hd95_mm"), cell("12"), cell("n/a"), cell("scan_3")
    ('0.510', '8.1', '12', '–', 'scan_3')
    >>> cell("1", "mean", "lesion_f1"), cell("1", "mean", "lesion_count"), cell("1", "n")
    ('1.000', '1.0', '1')
    """
    value = as_number(text)
    if value is None:
        return _name(text, *names[:1]) if is_words(text) else "–"
    if names[:1] == ("table",):  # of a paper: its name, not a number
        return text
    if re.fullmatch(r"[-+]?\d+", text) and names[:1] not in STATISTICS:
        return text.replace("-", MINUS)
    digits = 1 if any(name.endswith(("_mm", "_ml", "_count")) for name in names) else 3
    return f"{value:.{digits}f}".replace("-", MINUS)


def _name(text: str, column: str = "") -> str:
    return heading(text) if column == "metric" else text


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
    pieces = [piece[at : at + PIECE] for piece in re.split("(?<=_)", name) for at in _steps(piece)]
    return Markup("<wbr>").join(pieces)


def _steps(piece: str) -> range:
    return range(0, max(len(piece), 1), PIECE)


def interval(text: str) -> tuple[str, str]:
    """Part ``0.5 (0.4 to 0.6)`` into the value and its interval; empty where there is none."""
    parts = re.fullmatch(r"([\d.\N{MINUS SIGN}]+) (\(.+ to .+\))", text)
    return (parts[1], parts[2]) if parts else (text, "")


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "millilitres": millilitres,
    "volume_range": volume_range,
    "threshold_stability": threshold_stability,
    "millimetres": millimetres,
    "millimetre_point": millimetre_point,
    "scale_end": scale_end,
    "breakable": breakable,
    "interval": interval,
    "capitalise": capitalise,
    "sentence": sentence,
    "as_number": as_number,
    "cell": cell,
    "heading": heading,
    "is_words": is_words,
}
