"""Figures as text."""

from __future__ import annotations

from math import isnan

from anomri.evaluation import Interval
from anomri.experiments.comparison.score_table import Values
from anomri.experiments.comparison.statistics import Paired

NONE = "–"
MINUS = "\N{MINUS SIGN}"


def interval(mean: Interval | None) -> str:
    """Return a mean with its interval.

    >>> interval(Interval(0.5, 0.25, 0.75))
    '0.500 (0.25 to 0.75)'
    """
    if mean is None:
        return NONE
    span = "" if isnan(mean.lower) else f" ({mean.lower:.2f} to {mean.upper:.2f})"
    return f"{mean.estimate:.3f}{span}"


def change(one: Paired | None) -> str:
    """Return a difference with its interval, bold where that leaves zero out.

    >>> change(Paired(Interval(-0.1, -0.2, -0.05), scans=6, left_out=1))
    '**−0.100 (−0.20 to −0.05)**, of 6 common scans'
    """
    if one is None:
        return NONE
    mean, mark = one.difference, "**" if one.sign else ""
    span = "" if isnan(mean.lower) else f" ({signed(mean.lower, 2)} to {signed(mean.upper, 2)})"
    common = f", of {one.scans} common scans" if one.left_out else ""
    return f"{mark}{signed(mean.estimate, 3)}{span}{mark}{common}"


def millilitres(median: Interval | None) -> str:
    """Return a volume with its interval, to the tenth.

    >>> millilitres(Interval(5.04, 1.0, 9.96))
    '5.0 (1.0 to 10.0)'
    """
    if median is None:
        return NONE
    span = "" if isnan(median.lower) else f" ({median.lower:.1f} to {median.upper:.1f})"
    return f"{plain(median)}{span}"


def plain(mean: Interval | None) -> str:
    """Return an estimate alone, to the tenth."""
    return NONE if mean is None else f"{mean.estimate:.1f}"


def signed(value: float, digits: int) -> str:
    """Return a number with its sign; zero has none.

    >>> signed(-0.001, 2), signed(0.26, 1)
    ('0.00', '+0.3')
    """
    text = f"{value:+.{digits}f}"
    return text.replace("-", MINUS) if float(text) else text[1:]


def lowest(values: Values) -> str:
    """Return the lowest value with its scan.

    >>> lowest({("set", "a"): 0.5, ("set", "b"): 0.25})
    '0.25 (b)'
    """
    (_, subject), value = min(values.items(), key=lambda item: item[1])
    return f"{value:.2f} ({subject})"
