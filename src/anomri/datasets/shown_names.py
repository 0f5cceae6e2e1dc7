"""Names in messages: a few of many."""

from __future__ import annotations

from collections.abc import Sequence

NAMES_SHOWN = 5


def shown_names(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are.

    >>> shown_names(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
