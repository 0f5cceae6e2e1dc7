"""Commands for the papers' models: reproduce, compare, models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomri import batch, experiments
from anomri.cli.json_output import print_json
from anomri.cli.options import ComparisonOptions, ExperimentOptions, Out, split_names
from anomri.cli.signals import load_exports
from anomri.cli.terminal import finish_experiment, progress, show_table
from anomri.errors import Failure, UsageError
from anomri.files import SPLITS
from anomri.recipe import builtin_names, extensions

if TYPE_CHECKING:
    from anomri.experiments.reproduction import Data


def reproduce(
    recipes: Annotated[
        Path,
        typer.Argument(metavar="PAPER", help="Folder of a paper: rows/*.yaml, protocol.yaml."),
    ],
    *,
    out: Out,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the data sets named in the protocol."),
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="NAME", help="Size of the training, as named in the protocol.")
    ] = "full",
    smoke: Annotated[
        bool, typer.Option(help="Run a few training steps of each row on phantoms.")
    ] = False,
    options: ExperimentOptions,
) -> None:
    """Reproduce a paper's results, row by row.

    Measures each row and writes it next to the published figures. If interrupted, the same command
    resumes.
    """
    load_exports(experiments.reproduction)
    reproduction = experiments.reproduction
    if smoke:
        plan = reproduction.trial(recipes, out)
    else:
        data_sets = _data_sets(data, options)
        protocol, work = reproduction.Protocol.load(recipes), reproduction.Work(out / size)
        plan = reproduction.Plan(protocol, data_sets, work, size=size)
    work = replace(plan.work, device=options.device, progress=progress)
    plan = replace(plan, work=work, rows=frozenset(split_names(options.rows)))
    typer.echo(reproduction.reproduce(recipes, plan))
    if not smoke:
        for table in reproduction.tables_of(recipes, plan.protocol):
            show_table(table.headings, table.rows, title=table.title)
        typer.echo(reproduction.write_page(recipes, plan.protocol))
    finish_experiment(plan.work.failures)


def compare(
    folder: Annotated[
        Path,
        typer.Argument(metavar="COMPARISON", help="Folder of a comparison: comparison.yaml."),
    ],
    *,
    out: Out,
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the data sets named in it.")
    ],
    options: ComparisonOptions,
) -> None:
    """Compare models on the same scans.

    Measures the model families and the built-in models; only what has changed is measured again.
    """
    load_exports(experiments.reproduction, experiments.comparison)
    comparison, reproduction = experiments.comparison, experiments.reproduction
    plan = comparison.Plan(
        comparison.Definition.load(folder),
        _data_sets(data, options),
        reproduction.Work(out, device=options.device, progress=progress),
        runs=options.runs,
        rows=frozenset(split_names(options.rows)),
        trains=options.train,
        executor=batch.Executor(options.workers),
        again=options.again,
    )
    report = comparison.compare(folder, plan)
    typer.echo(comparison.write_page(folder, plan.definition))
    summary = f"{len(report.measured)} tables measured, {len(report.kept)} unchanged"
    untrained = f"; not trained: {', '.join(report.untrained)}" if report.untrained else ""
    typer.echo(summary + untrained)
    finish_experiment([_failure(*entry) for entry in report.failures])


def models(
    recipes: Annotated[
        Path | None,
        typer.Argument(metavar="PAPERS", help="Folder of papers, to list their rows.", exists=True),
    ] = None,
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the documentation page.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List model families, or rows of papers, with their costs."""
    catalogue = experiments.catalogue
    if markdown:
        typer.echo(catalogue.markdown(recipes or Path("recipes")), nl=False)
        return
    entries = catalogue.rows(recipes) if recipes else catalogue.families()
    if as_json:
        rows = [dict(zip(catalogue.HEADINGS, entry.cells(), strict=True)) for entry in entries]
        print_json({"models": rows, "ready_to_use": list(builtin_names())})
        return
    shared, headings, cells = _shared(catalogue.HEADINGS, [entry.cells() for entry in entries])
    show_table(headings, cells)
    for name, cell in shared:
        typer.echo(f"{name}: {cell}")
    typer.echo("built-in models, ready to use: " + ", ".join(builtin_names()))
    for found in extensions():
        typer.echo(f"{found.group}: {found.name} (package {found.package})")


def _shared(
    headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[list[tuple[str, str]], list[str], list[list[str]]]:
    """Take out columns that say the same in all rows, or the same as the first column.

    Returns:
        Heading and cell of those that say the same in all rows; the other headings; their cells.
    """
    columns = [(heading, [row[n] for row in rows]) for n, heading in enumerate(headings)]
    kept = [c for n, c in enumerate(columns) if not n or c[1] != columns[0][1]]
    same = [c for c in kept[1:] if len(rows) > 1 and len(set(c[1])) == 1]
    shown = [c for c in kept if c not in same]
    cells = [list(row) for row in zip(*(cells for _, cells in shown), strict=True)]
    return [(name, cells[0]) for name, cells in same], [name for name, _ in shown], cells


def _failure(row: str, data: str, subject: str, reason: str) -> Failure:
    step = "correct the file and run the same command again"
    return Failure(
        subject=f"{data}, {subject}, {row}", label=subject, reason=reason, next_step=step
    )


def _data_sets(data: Path | None, options: ExperimentOptions) -> Data:
    """Return the data sets below a folder.

    Raises:
        UsageError: no folder was given.
    """
    if data is None:
        raise UsageError(
            "reproduce: expected a folder of data sets. Next: add --data FOLDER, or --smoke."
        )
    return experiments.reproduction.Data(data, options.split_file or data / SPLITS)
