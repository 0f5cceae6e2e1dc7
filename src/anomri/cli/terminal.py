"""Terminal output: the scans found, the progress of a batch and its outcome."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

from anomri import batch, pipeline
from anomri.cli.json_output import batch_summary, print_json, scans_found
from anomri.cli.messages import console, failure, information, is_quiet, warning
from anomri.datasets import Found
from anomri.errors import Failure, ScanError
from anomri.files import FAILURES
from anomri.scan import FalsePositiveVolume, Threshold

PLAIN: dict[str, Any] = {"box": None, "padding": (0, 2, 0, 0)}
"""Look of a table: without lines, so that all of it fits into 80 characters."""
WIDE = 1000
"""Characters that no line of a table has."""


def show_scans(
    found: Found, *, contrasts: Sequence[str] = (), optional: Collection[str] = ()
) -> None:
    """List the scans found and what was left out, with the reason.

    Args:
        found: scans of a source.
        contrasts: contrasts of the model; scans that lack one are listed as refused.
        optional: contrasts of these that a scan may lack.
    """
    scans = "1 scan" if len(found.scans) == 1 else f"{len(found.scans)} scans"
    if found.left_out:
        total = len(found.scans) + len(found.left_out)
        scans = f"{len(found.scans)} of {total} scans, {len(found.left_out)} left out,"
    information(f"{scans} found (layout: {found.layout})")
    for files in found.scans:
        masks = [name for name in ("brain", "truth") if getattr(files, name)]
        information(f"  {files.label}: {', '.join([*files.contrasts, *masks])}")
    for row in pipeline.refused(found, contrasts, optional):
        warning(f"  {row.label}: will be refused; {row.reason}. Next: {row.next_step}")
    for subject in found.left_out:
        warning(f"  {subject.label}: left out; {subject.reason}")
    _show_series(found)


def list_scans(
    found: Found, contrasts: Sequence[str], optional: Collection[str], *, as_json: bool
) -> None:
    """List the scans and what each lacks of a model's contrasts, for people or for programs."""
    if as_json:
        print_json(scans_found(found, contrasts, optional))
    else:
        show_scans(found, contrasts=contrasts, optional=optional)


def _show_series(found: Found) -> None:
    """Show which contrast each DICOM series was recognised as, and what else was left out."""
    if found.recognised:
        table = Table("scan", "series", "description", "images", "contrast", "reason")
        for item in found.recognised:
            cells = [item.scan, item.number, item.description, str(item.images)]
            table.add_row(*(escape(cell) for cell in (*cells, item.taken_for, item.reason)))
        console.print(table)
    listed = {item.reason for item in found.recognised}
    for skipped in found.skipped:
        if skipped.reason not in listed:
            warning(f"  left out {skipped.name}: {skipped.reason}")


def show_table(
    headings: Iterable[str], rows: Iterable[Iterable[str]], *, title: str | None = None
) -> None:
    """Print a table to standard output: a paragraph for each row where lines would not fit."""
    names, lines = list(headings), [list(cells) for cells in rows]
    table = Table(*names, title=title, title_justify="left", **PLAIN)
    for cells in lines:
        table.add_row(*map(escape, cells))
    out = Console(highlight=False)
    if not out.is_terminal or natural_width(table) <= out.width:
        _print(table)
        return
    if title:
        out.print(title, style="italic", markup=False)
    for first, *others in lines:
        facts = (f"{name} {cell}" for name, cell in zip(names[1:], others, strict=True))
        out.print(first, style="bold", markup=False)
        out.print(Padding(escape(", ".join(facts)), (0, 0, 0, 2)))


def natural_width(table: Table) -> int:
    """Return the width at which no cell of a table is wrapped."""
    return Console(width=WIDE).measure(table).maximum


def _print(table: Table) -> None:
    """Print a table to standard output; where that is no terminal, each row on one line."""
    out = Console()
    if not out.is_terminal:
        out.width = max(out.width, natural_width(table))
    out.print(table)


def show_thresholds(thresholds: Iterable[Threshold]) -> None:
    """Print the rule and value of each threshold, and what it was fitted to."""
    headings = ("value", "scans", "fitted to, ml", "false positives on held-out scans, ml")
    table = Table(Column("rule", min_width=16), *headings)
    for threshold in thresholds:
        target, measured = threshold.false_positive_ml, threshold.false_positives
        table.add_row(
            threshold.rule,
            f"{threshold.value:.4g}",
            str(len(threshold.fitted_on)),
            "unknown" if target is None else f"{target:.2f}",
            "not measured" if measured is None else false_positives(measured),
        )
    _print(table)


def show_summary(summary: Iterable[Mapping[str, Any]]) -> None:
    """Print the summary of an evaluation, one measure a line."""
    # In a narrow terminal only the intervals are wrapped: names are looked up in the tables.
    columns = ("mean", "95 % interval", "median", "scans", "undefined")
    table = Table(Column("measure", no_wrap=True), *columns, **PLAIN)
    for row in summary:
        interval = f"{row['lower']:.3f} to {row['upper']:.3f}"
        mean, median = f"{row['mean']:.3f}", f"{row['median']:.3f}"
        table.add_row(row["metric"], mean, interval, median, str(row["n"]), str(row["undefined"]))
    _print(table)


def show_recall(rows: Iterable[Mapping[str, str]]) -> None:
    """Print the share of the expert's lesions that were found, by their volume.

    Args:
        rows: of ``evaluation_sizes.tsv``.
    """
    columns = ("found", "recall", "95 % interval", "scans")
    table = Table(Column("lesions of", no_wrap=True), *columns, **PLAIN)
    for row in rows:
        if int(row["n"]):
            found = f"{row['detected_lesion_count']} of {row['true_lesion_count']}"
            recall, *ends = (float(row[name]) for name in ("lesion_sensitivity", "lower", "upper"))
            interval = f"{ends[0]:.3f} to {ends[1]:.3f}"
            table.add_row(row["size_class"], found, f"{recall:.3f}", interval, row["n"])
    if table.rows:
        _print(table)


def show_expected_volume(expected: FalsePositiveVolume | None) -> None:
    """Print the false positives to expect of a model; nothing where they were not measured."""
    if expected is not None:
        information(f"expected false positives, ml per healthy scan: {false_positives(expected)}")


def false_positives(volume: FalsePositiveVolume) -> str:
    """Return the false positives measured on healthy scans, in words.

    >>> false_positives(FalsePositiveVolume(mean_ml=2.0, median_ml=1.0, upper_ml=4.6, scans=3))
    'median 1.0 (mean 2.0, 95th percentile 4.6; n = 3)'
    """
    spread = f"mean {volume.mean_ml:.1f}, 95th percentile {volume.upper_ml:.1f}"
    return f"median {volume.median_ml:.1f} ({spread}; n = {volume.scans})"


def finish(
    outcome: batch.Outcome, out: Path, *, table: str = FAILURES, as_json: bool = False
) -> None:
    """Print the outcome of a batch and exit with its code.

    Args:
        outcome: of the batch.
        out: folder of the results.
        table: file in this folder that lists the scans without a result.
        as_json: print it on standard output, too, for programs.
    """
    show_outcome(outcome, out, table=table)
    if as_json:
        print_json(batch_summary(outcome, out))
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def show_outcome(outcome: batch.Outcome, out: Path, *, table: str = FAILURES) -> None:
    """Print the outcome of a batch.

    Args:
        outcome: of the batch.
        out: folder of the results.
        table: file in this folder that lists the scans without a result; empty for none.
    """
    counts = {"left out": outcome.left_out, "not detected": outcome.not_detected}
    information(
        f"{len(outcome.done)} done, {len(outcome.unchanged)} unchanged, "
        f"{len(outcome.failures)} failed"
        + "".join(f", {len(rows)} {status}" for status, rows in counts.items() if rows)
    )
    unused = [*outcome.failures, *outcome.left_out, *outcome.not_detected]
    show_failures(unused)
    if unused and table:
        information(f"These scans are listed in {out.resolve().name}/{table}")


def show_failures(failures: Iterable[Failure]) -> None:
    """Print the scans that could not be used, with the reason and the next step."""
    for row in failures:
        # The file at fault may be the scan as a whole, or unknown.
        names = dict.fromkeys(name for name in (row.subject, row.file) if name)
        failure(f"  {': '.join(names)}: {row.reason}. Next: {row.next_step}")


def finish_experiment(failures: Sequence[Failure]) -> None:
    """Print the scans that an experiment could not use, and exit with 3 if there are any."""
    if failures:
        information(f"{len(failures)} failures; the figures are those of the other scans")
        show_failures(failures)
        raise typer.Exit(ScanError.exit_code)


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Without a terminal the log has a line for each scan instead.
    hidden = is_quiet() or not console.is_terminal
    with Progress(*columns, console=console, transient=False, disable=hidden) as progress:
        yield progress


def progress(items: Sequence[Any], description: str) -> Iterable[Any]:
    """Iterate over ``items`` with a progress bar that shows the time left."""
    with _bar() as progress:
        yield from progress.track(items, description=description)
