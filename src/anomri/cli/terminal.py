"""What is said on the terminal: what was found, how far a batch is, what became of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from anomri import batch, pipeline
from anomri.datasets import Found
from anomri.files import FAILURES
from anomri.scan import FalsePositiveVolume

console = Console(stderr=True)


def show(found: Found, *, contrasts: Sequence[str] = (), optional: Collection[str] = ()) -> None:
    """Name the scans found and what was left out, with the reason.

    Args:
        found: what was found.
        contrasts: what will be looked at; scans that lack one are named as refused.
        optional: those of them that a scan may lack.
    """
    scans = "1 scan" if len(found.scans) == 1 else f"{len(found.scans)} scans"
    if found.left_out:
        everybody = len(found.scans) + len(found.left_out)
        scans = f"{len(found.scans)} of {everybody} scans, {len(found.left_out)} left out,"
    console.print(f"{scans} found (layout: {found.layout})", highlight=False)
    for files in found.scans:
        extras = [name for name in ("brain", "truth") if getattr(files, name)]
        what = ", ".join([*files.contrasts, *extras])
        console.print(f"  {files.label}: {what}", markup=False, highlight=False)
    for row in pipeline.refused(found, contrasts, optional):
        said = f"  {row.label}: will be refused; {row.reason}. Next: {row.next_step}"
        console.print(said, markup=False, highlight=False, style="yellow")
    for subject in found.left_out:
        said = f"  {subject.label}: left out; {subject.reason}"
        console.print(said, markup=False, highlight=False, style="yellow")
    _show_series(found)


def _show_series(found: Found) -> None:
    """Show what was made of each DICOM series, and what else was left out."""
    if found.recognised:
        table = Table("scan", "series", "description", "images", "contrast", "reason")
        for item in found.recognised:
            cells = [item.scan, item.number, item.description, str(item.images)]
            table.add_row(*(escape(cell) for cell in (*cells, item.taken_for, item.reason)))
        console.print(table)
    listed = {item.reason for item in found.recognised}
    for skipped in found.skipped:
        if skipped.reason in listed:
            continue
        console.print(f"  left out {skipped.name}: {skipped.reason}", markup=False, style="yellow")


def healthy_volume(volume: FalsePositiveVolume) -> str:
    """Write what a model marked on healthy scans.

    >>> healthy_volume(FalsePositiveVolume(mean_ml=2.0, median_ml=1.0, upper_ml=4.6, scans=3))
    'median 1.0 (mean 2.0, 95th percentile 4.6; n = 3)'
    """
    spread = f"mean {volume.mean_ml:.1f}, 95th percentile {volume.upper_ml:.1f}"
    return f"median {volume.median_ml:.1f} ({spread}; n = {volume.scans})"


def finish(outcome: batch.Outcome, out: Path, *, table: str = FAILURES) -> None:
    """Say what became of the batch and end with its exit code.

    Args:
        outcome: of the batch.
        out: folder of the results.
        table: in this folder, of the scans without a result.
    """
    console.print(
        f"{len(outcome.done)} done, {len(outcome.unchanged)} unchanged, "
        f"{len(outcome.failures)} failed"
        + (f", {len(outcome.left_out)} left out" if outcome.left_out else "")
        + (f", {len(outcome.not_detected)} not detected" if outcome.not_detected else ""),
        highlight=False,
    )
    unused = [*outcome.failures, *outcome.left_out, *outcome.not_detected]
    for failure in unused:
        # The file at fault may be the scan as a whole, or none that is known.
        where = ": ".join(dict.fromkeys(name for name in (failure.subject, failure.file) if name))
        text = f"  {where}: {failure.reason}. Next: {failure.next_step}"
        console.print(text, markup=False, style="red", highlight=False)
    if unused:
        console.print(f"They are listed in {out.name}/{table}", highlight=False)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        yield progress


def progress(items: Sequence[Any], what: str) -> Iterable[Any]:
    """Go through ``items`` behind a progress bar with the time left."""
    with _bar() as progress:
        yield from progress.track(items, description=what)
