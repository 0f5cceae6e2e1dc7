"""Formatting of figures for the page."""

from __future__ import annotations

from math import isnan

from anomri.evaluation import Interval
from anomri.experiments.comparison.score_table import Values
from anomri.experiments.comparison.statistics import Paired

NONE = "–"
MINUS = "\N{MINUS SIGN}"


def interval(mean: Interval | None) -> str:
    """Format a mean with its interval.

    >>> interval(Interval(0.5, 0.25, 0.75))
    '0.500 (0.25 to 0.75)'
    """
    if mean is None:
        return NONE
    span = "" if isnan(mean.lower) else f" ({mean.lower:.2f} to {mean.upper:.2f})"
    return f"{mean.estimate:.3f}{span}"


def change(comparison: Paired | None) -> str:
    """Format a difference with its interval, bold if this excludes zero.

    >>> change(Paired(Interval(-0.1, -0.2, -0.05), scans=6, left_out=1))
    '**−0.100 (−0.20 to −0.05)**, of 6 common scans'
    """
    if comparison is None:
        return NONE
    mean, bold = comparison.difference, "**" if comparison.sign else ""
    span = "" if isnan(mean.lower) else f" ({signed(mean.lower, 2)} to {signed(mean.upper, 2)})"
    common = f", of {comparison.scans} common scans" if comparison.left_out else ""
    return f"{bold}{signed(mean.estimate, 3)}{span}{bold}{common}"


def millilitres(median: Interval | None) -> str:
    """Format a volume with its interval, to one decimal place.

    >>> millilitres(Interval(5.04, 1.0, 9.96))
    '5.0 (1.0 to 10.0)'
    """
    if median is None:
        return NONE
    span = "" if isnan(median.lower) else f" ({median.lower:.1f} to {median.upper:.1f})"
    return f"{plain(median)}{span}"


def plain(mean: Interval | None) -> str:
    """Format an estimate without its interval, to one decimal place."""
    return NONE if mean is None else f"{mean.estimate:.1f}"


def signed(value: float, digits: int) -> str:
    """Format a number with its sign; zero has none.

    >>> signed(-0.001, 2), signed(0.26, 1)
    ('0.00', '+0.3')
    """
    text = f"{value:+.{digits}f}"
    return text.replace("-", MINUS) if float(text) else text[1:]


def lowest(values: Values) -> str:
    """Format the lowest value with its scan.

    >>> lowest({("set", "a"): 0.5, ("set", "b"): 0.25})
    '0.25 (b)'
    """
    (_, subject), value = min(values.items(), key=lambda item: item[1])
    return f"{value:.2f} ({subject})"
