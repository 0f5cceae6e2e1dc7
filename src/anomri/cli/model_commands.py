"""Commands that make a model: prepare, train, calibrate, reproduce; and list what there is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from anomri import batch, pipeline
from anomri.cli.options import (
    Brain,
    Contrasts,
    Device,
    DryRun,
    Engine,
    Layout,
    MaskGrid,
    Orientation,
    Out,
    OutOrNone,
    ParticipantLabel,
    Scheduler,
    SeriesChoice,
    Shard,
    Source,
    Split,
    SplitFile,
    Subjects,
    Workers,
    choices,
    chosen_subjects,
    executor_of,
    needed,
    with_contrasts,
    words,
)
from anomri.cli.terminal import finish, healthy_volume, progress, show
from anomri.detector import recipe_to_prepare
from anomri.errors import UsageError
from anomri.experiments import (
    LesionTrainingSchedule,
    catalogue,
    comparison,
    pretraining,
    reproduction,
)
from anomri.files import SPLITS
from anomri.recipe import Overrides, Recipe, builtin_names


def prepare(
    source: Source,
    out: OutOrNone = None,
    recipe: Annotated[str, typer.Option(help="Whose preparation: a file or a name.")] = "intensity",
    contrasts: Contrasts = "",
    brain: Brain = "",
    orientation: Orientation = "",
    mask_grid: MaskGrid = "auto",
    layout: Layout = "auto",
    series: SeriesChoice = None,
    subjects: Subjects = "",
    participant_label: ParticipantLabel = None,
    split_file: SplitFile = None,
    split: Split = "",
    workers: Workers = 1,
    part: Shard = "1/1",
    engine: Engine = batch.PROCESSES,
    scheduler: Scheduler = "",
    dry_run: DryRun = False,
) -> None:
    """Read, orient, crop, resample and scale scans into a folder that training reads from."""
    executor, mine = executor_of(workers, engine, scheduler), batch.Shard.parse(part)
    found = pipeline.find_scans(
        source,
        layout=layout,
        selection=chosen_subjects(subjects, split_file, split, participant_label, usual="train"),
        series=choices(series),
    )
    chosen = with_contrasts(recipe_to_prepare(recipe), contrasts)
    show(mine.found(found), contrasts=chosen.contrasts, optional=chosen.optional)
    if not dry_run:
        out = needed(out, source)
        overrides = Overrides(brain=brain, orientation=orientation, mask_grid=mask_grid)
        chosen = overrides.applied(chosen)
        outcome = pipeline.prepare(
            found, out, recipe=chosen, progress=progress, executor=executor, shard=mine
        )
        finish(outcome, out)


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file.")],
    data: Annotated[Path, typer.Option(help="Folder written by `anomri prepare`.")],
    out: Out,
    contrasts: Contrasts = "",
    device: Device = "auto",
    processes: Annotated[
        int, typer.Option(help="Processes that train together, each with a device of its own.")
    ] = 1,
    workers: Annotated[int, typer.Option(help="Processes that read images.")] = 0,
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16, or auto: bfloat16 where the device has it.")
    ] = "auto",
    max_steps: Annotated[int | None, typer.Option(help="Stop after so many steps.")] = None,
) -> None:
    """Train a model on prepared scans, healthy or labelled; resumes where it was stopped."""
    chosen = with_contrasts(Recipe.load(recipe), contrasts)
    run = pipeline.train(
        chosen,
        data,
        out,
        device=device,
        processes=processes,
        workers=workers,
        precision=precision,
        max_steps=max_steps,
        progress=True,
    )
    typer.echo(run)


Heads = Annotated[
    Path, typer.Argument(help="Folder with t1/ and dlmuse_seg/, as IXI's.", exists=True)
]


def train_lesions(
    heads: Heads,
    out: Out,
    steps: Annotated[
        int, typer.Option(help="Steps of two patients each.")
    ] = LesionTrainingSchedule().steps,
    workers: Annotated[int, typer.Option(help="Processes that draw patients.")] = 1,
) -> None:
    """Train the network that finds lesions, on patients drawn at random; resumes likewise."""
    schedule = LesionTrainingSchedule(steps=steps)
    typer.echo(pretraining.train_lesions(heads, out, schedule, workers=workers, progress=progress))


def calibrate(
    model: Annotated[str, typer.Argument(help="Run folder, or a built-in name.")],
    data: Annotated[Path, typer.Option(help="Folder written by `anomri prepare`.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder to write.")] = None,
    false_positive_ml: Annotated[
        float, typer.Option(help="False-positive volume allowed per healthy scan, in ml.")
    ] = 5.0,
    device: Device = "auto",
) -> None:
    """Fit thresholds on scans that the model has not been judged on."""
    if out is None and not Path(model).is_dir():
        raise UsageError(f"{model}: built-in models are read-only. Next: give a folder with -o.")
    fitted = pipeline.calibrate(
        model,
        data,
        out or Path(model),
        false_positive_ml=false_positive_ml,
        device=device,
        progress=progress,
    )
    headings = ("value", "fitted on, scans", "fitted to, ml", "marked on scans left out, ml")
    table = Table(Column("rule", min_width=16), *headings)
    for threshold in fitted.values():
        expected, marked = threshold.false_positive_ml, threshold.marked
        table.add_row(
            threshold.rule,
            f"{threshold.value:.4g}",
            str(len(threshold.fitted_on)),
            "not known" if expected is None else f"{expected:.2f}",
            "not measured" if marked is None else healthy_volume(marked),
        )
    Console().print(table)


def reproduce(
    recipes: Annotated[Path, typer.Argument(help="Folder of a paper: rows/*.yaml, protocol.yaml.")],
    out: Out,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data sets that the protocol names.")
    ] = None,
    split_file: SplitFile = None,
    size: Annotated[str, typer.Option(help="A size of the protocol.")] = "full",
    smoke: Annotated[bool, typer.Option(help="A few steps per row, on phantoms.")] = False,
    rows: Annotated[str, typer.Option(help="Only these rows, separated by commas.")] = "",
    device: Device = "auto",
) -> None:
    """Measure every row of a paper beside its figures; resumes where it was stopped."""
    if smoke:
        plan = reproduction.trial(recipes, out)
    elif data is None:
        raise UsageError("reproduce: expected --data, or --smoke")
    else:
        plan = reproduction.Plan(
            reproduction.Protocol.load(recipes),
            reproduction.Data(data, split_file or data / SPLITS),
            reproduction.Work(out / size),
            size=size,
        )
    work = replace(plan.work, device=device, progress=progress)
    plan = replace(plan, work=work, rows=words(rows))
    table = reproduction.reproduce(recipes, plan)
    typer.echo(table)
    if not smoke:
        _show_tables(recipes, plan.protocol)
        typer.echo(reproduction.write_page(recipes, plan.protocol))


def compare(
    folder: Annotated[Path, typer.Argument(help="Folder of a comparison: comparison.yaml.")],
    out: Out,
    data: Annotated[Path, typer.Option(help="Folder of the data sets that it names.")],
    split_file: SplitFile = None,
    runs: Annotated[
        Path | None,
        typer.Option(help="Where trained networks lie, beside those of --out.", exists=True),
    ] = None,
    rows: Annotated[str, typer.Option(help="Only these rows, separated by commas.")] = "",
    train: Annotated[
        bool, typer.Option(help="Train networks that nobody has trained; or leave them out.")
    ] = True,
    again: Annotated[
        bool, typer.Option("--again", help="Measure what has not changed too.")
    ] = False,
    device: Device = "auto",
    workers: Workers = 1,
) -> None:
    """Measure all families and built-in models on the same scans; does only what has changed."""
    plan = comparison.Plan(
        comparison.Definition.load(folder),
        reproduction.Data(data, split_file or data / SPLITS),
        reproduction.Work(out, device=device, progress=progress),
        runs=runs,
        rows=words(rows),
        trains=train,
        executor=batch.Executor(workers),
        again=again,
    )
    report = comparison.compare(folder, plan)
    typer.echo(comparison.write_page(folder, plan.definition))
    said = f"{len(report.measured)} tables measured, {len(report.kept)} unchanged"
    untrained = f"; not trained: {', '.join(report.untrained)}" if report.untrained else ""
    typer.echo(said + untrained)


def _show_tables(folder: Path, protocol: reproduction.Protocol) -> None:
    for one in reproduction.tables_of(folder, protocol):
        table = Table(*one.headings, title=one.title)
        for cells in one.rows:
            table.add_row(*cells)
        Console().print(table)


def models(
    recipes: Annotated[
        Path | None, typer.Argument(help="Folder of papers: list their rows.", exists=True)
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page of the documentation.")
    ] = False,
) -> None:
    """List the model families, or the rows of papers, with what each of them costs."""
    if markdown:
        typer.echo(catalogue.markdown(recipes or Path("recipes")), nl=False)
        return
    table = Table(*catalogue.HEADINGS)
    for entry in catalogue.rows(recipes) if recipes else catalogue.families():
        table.add_row(*entry.cells())
    Console().print(table)
    typer.echo("ready to use, without training: " + ", ".join(builtin_names()))
