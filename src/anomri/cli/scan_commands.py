"""Commands that look at scans and show the result: detect, evaluate, report, view, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from anomri import batch, pipeline
from anomri.cli.options import (
    Brain,
    Device,
    DryRun,
    Engine,
    Layout,
    MaskGrid,
    Model,
    Orientation,
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
)
from anomri.cli.terminal import console, finish, healthy_volume, progress, show
from anomri.datasets import Found
from anomri.errors import ScanError, UsageError
from anomri.experiments import comparison, reproduction
from anomri.reporting import NOT_EVALUATED


def detect(
    source: Source,
    out: OutOrNone = None,
    model: Model = "default",
    layout: Layout = "auto",
    series: SeriesChoice = None,
    subjects: Subjects = "",
    participant_label: ParticipantLabel = None,
    split_file: SplitFile = None,
    split: Split = "",
    brain_mask: Annotated[
        Path | None, typer.Option(help="Brain mask of a single scan.", exists=True)
    ] = None,
    threshold: Annotated[str, typer.Option(help="Another threshold rule, by name.")] = "",
    decide: Annotated[str, typer.Option(help="Another decision, by name.")] = "",
    blank_slices: Annotated[
        str, typer.Option(help="Empty healthy slices: mean_residual or mahalanobis.")
    ] = "",
    brain: Brain = "",
    orientation: Orientation = "",
    mask_grid: MaskGrid = "auto",
    space: Annotated[
        str, typer.Option(help="template: write results on the MNI152 grid too, beside native.")
    ] = "native",
    device: Device = "auto",
    workers: Workers = 1,
    part: Shard = "1/1",
    engine: Engine = batch.PROCESSES,
    scheduler: Scheduler = "",
    dry_run: DryRun = False,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Find what does not look healthy: maps, masks, tables and a page."""
    executor, mine = executor_of(workers, engine, scheduler), batch.Shard.parse(part)
    found = pipeline.find_scans(
        source,
        layout=layout,
        selection=chosen_subjects(subjects, split_file, split, participant_label, usual="test"),
        series=choices(series),
    )
    instead = pipeline.Instead(
        threshold=threshold,
        decide=decide,
        blank_slices=blank_slices,
        space=space,
        brain=brain,
        orientation=orientation,
        mask_grid=mask_grid,
    )
    if dry_run:
        asked = pipeline.load_detector(model, device=device, instead=instead)
        show(mine.found(found), contrasts=asked.contrasts, optional=asked.optional)
        return
    show(mine.found(found))
    out = needed(out, source)
    if brain_mask is not None:
        found = pipeline.with_brain_mask(found, brain_mask)
    detector = pipeline.load_detector(model, device=device, instead=instead)
    outcome = pipeline.detect(
        found,
        detector,
        out,
        progress=progress,
        command=_typed(source, found),
        executor=executor,
        shard=mine,
    )
    if detector.expected is not None:
        volume = healthy_volume(detector.expected)
        console.print(f"expected false positives, ml per healthy scan: {volume}", highlight=False)
    if report and batch.all_there(out, "detect", mine):
        typer.echo(pipeline.report(out))
    finish(outcome, out)


def bids_app(
    context: typer.Context,
    bids_dir: Annotated[Path, typer.Argument(help="A BIDS data set.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder to write to.")],
    analysis_level: Annotated[str, typer.Argument(help="participant or group.")],
    participant_label: Annotated[
        list[str] | None,
        typer.Option("--participant-label", "--participant_label", help="Only these; repeatable."),
    ] = None,
    model: Model = "default",
    device: Device = "auto",
    workers: Workers = 1,
) -> None:
    """Run as a BIDS App: detect in each participant, or finish tables and page of the group."""
    labels = [*(participant_label or ()), *context.args]
    if analysis_level == "group":
        outcome = pipeline.gather(_members(bids_dir), output_dir)
        typer.echo(pipeline.report(output_dir))
    elif analysis_level == "participant":
        selection = pipeline.Selection.of_labels(labels) if labels else None
        found = pipeline.find_scans(bids_dir, layout="bids", selection=selection)
        show(found)
        detector = pipeline.load_detector(model, device=device)
        command = ["anomri", *sys.argv[1:]]
        executor = batch.Executor(workers)
        outcome = pipeline.detect(
            found, detector, output_dir, progress=progress, command=command, executor=executor
        )
    else:
        raise UsageError(f"analysis level '{analysis_level}': expected participant or group")
    finish(outcome, output_dir)


def evaluate(
    detections: Annotated[Path, typer.Argument(help="Folder written by `anomri detect`.")],
    truth: Annotated[Path, typer.Option(help="Data set with expert masks.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the tables.")] = None,
    layout: Layout = "auto",
    region: Annotated[
        str, typer.Option(help="whole, core or enhancing; what the model shows if left out.")
    ] = "",
    mask_grid: MaskGrid = "auto",
    workers: Workers = 1,
    part: Shard = "1/1",
    engine: Engine = batch.PROCESSES,
    scheduler: Scheduler = "",
) -> None:
    """Measure detections against expert masks, on the scans' own grid."""
    executor = executor_of(workers, engine, scheduler)
    found = pipeline.find_scans(truth, layout=layout)
    summary, outcome = pipeline.evaluate(
        detections,
        found,
        out or detections,
        region=region,
        mask_grid=mask_grid,
        progress=progress,
        executor=executor,
        shard=batch.Shard.parse(part),
    )
    # Where a terminal is narrow the intervals are wrapped: names are looked up in the tables.
    columns = ("mean", "95 % interval", "median", "scans", "undefined")
    table = Table(Column("measure", no_wrap=True), *columns, box=None, padding=(0, 1, 0, 0))
    for row in summary:
        interval = f"{row['lower']:.3f} to {row['upper']:.3f}"
        mean, median = f"{row['mean']:.3f}", f"{row['median']:.3f}"
        table.add_row(row["metric"], mean, interval, median, str(row["n"]), str(row["undefined"]))
    Console().print(table)
    finish(outcome, out or detections, table=NOT_EVALUATED)


def report(
    folder: Annotated[Path, typer.Argument(help="Detections, evaluation, run or paper.")],
    scores: Annotated[
        Path | None, typer.Option(help="Folder of the evaluation, where it is another.")
    ] = None,
) -> None:
    """Write one HTML page that shows everything in a folder that anomri wrote."""
    experiment = reproduction.write_html_page(folder) or comparison.write_html_page(folder)
    typer.echo(experiment or pipeline.report(folder, scores=scores))
    if pipeline.has_damaged_results(folder):
        raise typer.Exit(ScanError.exit_code)


def view(
    scan: Annotated[Path, typer.Argument(help="One scan: a file or its folder.", exists=True)],
    result: Annotated[
        Path | None, typer.Argument(help="Folder written by `anomri detect`.", exists=True)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file to write.")] = None,
    orientation: Orientation = "",
) -> None:
    """Write a page with an interactive viewer of one scan and of what was found in it."""
    typer.echo(pipeline.view(scan, result=result, out=out, orientation=orientation))


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = Path("demo"),
    device: Device = "auto",
) -> None:
    """Run the whole path on a cohort of digital phantoms, from files to page."""
    typer.echo(pipeline.demo(out, device=device, progress=progress))


def _members(bids_dir: Path) -> Found | None:
    """List who belongs to a data set; None where its images are not there any more."""
    try:
        return pipeline.find_scans(bids_dir, layout="bids")
    except UsageError as error:
        console.print(f"the tables are made from the results alone: {error}", markup=False)
        return None


def _typed(source: Path, found: Found) -> list[str]:
    """Return the words of the command; a folder of DICOM files may be called after a patient."""
    private = found.layout == "dicom"
    words = ("DICOM" if private and Path(word) == source else word for word in sys.argv[1:])
    return ["anomri", *words]
