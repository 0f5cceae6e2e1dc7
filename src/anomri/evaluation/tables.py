"""Tables of results: one row per subject, and summaries over subjects.

On disk (:mod:`anomri.files.tsv`) ``n/a`` is a measure that does not apply, ``nan`` one that is
undefined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.evaluation.intervals import bootstrap
from anomri.files import NOTHING, write_tsv

Rows = Sequence[Mapping[str, Any]]


def summarise(rows: Rows, *, seed: int = 0) -> list[dict[str, Any]]:
    """Summarise each measure over all subjects.

    Args:
        rows: one per subject; text entries, such as its name, are ignored. A measure may be
            missing in some rows.
        seed: seed of the bootstrap.

    Returns:
        Rows with ``metric``; ``mean``, ``median`` and ``sd`` (n - 1); ``lower`` and ``upper`` end
        of the bootstrap 95 % interval of the mean; ``n``, the number of subjects of these;
        ``undefined``, the number of subjects excluded because of NaN; and ``absent``, the number
        of subjects to which the measure does not apply, such as Dice to a healthy subject.
    """
    names = dict.fromkeys(name for row in rows for name, value in row.items() if _is_number(value))
    return [{"metric": name, **_summary(column(rows, name), len(rows), seed)} for name in names]


def column(rows: Rows, name: str) -> NDArray[np.float64]:
    """Return a measure of the subjects that have it, in order; cells may be text from a file."""
    cells = [row[name] for row in rows if name in row]
    return np.asarray([float(cell) for cell in cells if cell not in (None, NOTHING, "")])


def write_table(path: Path, rows: Rows) -> None:
    """Write rows as TSV, with all names as columns in order of appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_tsv(path, columns, ([row.get(name) for name in columns] for row in rows))


def _summary(values: NDArray[np.float64], subjects: int, seed: int) -> dict[str, Any]:
    defined = values[~np.isnan(values)]
    counts = {
        "n": defined.size,
        "undefined": values.size - defined.size,
        "absent": subjects - values.size,
    }
    if not defined.size:
        return dict.fromkeys(("mean", "lower", "upper", "median", "sd"), float("nan")) | counts
    mean = bootstrap(defined, seed=seed)
    return {
        "mean": mean.estimate,
        "lower": mean.lower,
        "upper": mean.upper,
        "median": float(np.median(defined)),
        "sd": float(defined.std(ddof=1)) if defined.size > 1 else float("nan"),
        **counts,
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
