"""``measured.tsv``: measurements of a paper's rows, a line per threshold, region and measure."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anomri.evaluation import write_table
from anomri.files import read_tsv

COLUMNS = (
    *("row", "size", "data", "contrasts", "region", "threshold", "metric"),
    *("mean", "lower", "upper", "median", "sd", "n", "undefined", "absent"),
    *("epochs", "best_epoch", "ended", "commit", "anomri", "seed", "weights_sha256"),
)


def replace_lines(path: Path, new_lines: Sequence[Mapping[str, Any]]) -> None:
    """Replace the lines of the same row, size, data, threshold and region."""
    measured = {_key(line) for line in new_lines}
    kept = [line for line in read_tsv(path) if _key(line) not in measured]
    lines = sorted([*kept, *new_lines], key=lambda line: tuple(str(line[k]) for k in COLUMNS[:3]))
    write_table(path, [{name: line.get(name) for name in COLUMNS} for line in lines])


def setting_of(threshold: str) -> str:
    """Return a threshold's name without the description of the data used.

    >>> setting_of("halves swapped (chosen on the labels of the second half)")
    'halves swapped'
    """
    return threshold.split(" (")[0]


def commit() -> str:
    """Return the short commit hash of anomri's checkout; empty outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return ""
    result = subprocess.run(  # a fixed command without external input
        [git, "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip()


def _key(line: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(line["row"]),
        str(line["size"]),
        str(line["data"]),
        setting_of(str(line["threshold"])),
        str(line["region"]),
    )
