"""Commands that look at scans and show the result: detect, evaluate, report, view, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from anomri import pipeline
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
    Part,
    ParticipantLabel,
    Scheduler,
    SeriesChoice,
    Source,
    Split,
    SplitFile,
    Subjects,
    Workers,
    choices,
    chosen_subjects,
    crew_of,
    needed,
)
from anomri.cli.terminal import console, finish, healthy_volume, show, track
from anomri.datasets import Found
from anomri.errors import ScanError, UsageError
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
    part: Part = "1/1",
    engine: Engine = pipeline.PROCESSES,
    scheduler: Scheduler = "",
    dry_run: DryRun = False,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
) -> None:
    """Find what does not look healthy: maps, masks, tables and a page."""
    crew, mine = crew_of(workers, engine, scheduler), pipeline.Part.parse(part)
    found = pipeline.survey(
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
        track=track,
        command=_typed(source, found),
        crew=crew,
        part=mine,
    )
    if detector.expected is not None:
        volume = healthy_volume(detector.expected)
        console.print(f"expected false positives, ml per healthy scan: {volume}", highlight=False)
    if report and pipeline.all_there(out, "detect", mine):
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
    dry_run: DryRun = False,
) -> None:
    """Run as a BIDS App: detect in each participant, or finish tables and page of the group."""
    labels = [*(participant_label or ()), *context.args]
    if analysis_level not in ("participant", "group"):
        raise UsageError(f"analysis level '{analysis_level}': expected participant or group")
    if analysis_level == "group" and not dry_run:
        outcome = pipeline.gather(_members(bids_dir), output_dir)
        typer.echo(pipeline.report(output_dir))
        finish(outcome, output_dir)
        return
    selection = pipeline.Selection.of_labels(labels) if labels else None
    found = pipeline.survey(bids_dir, layout="bids", selection=selection)
    if dry_run:
        asked = pipeline.load_detector(model, device=device)
        show(found, contrasts=asked.contrasts, optional=asked.optional)
        return
    show(found)
    detector = pipeline.load_detector(model, device=device)
    command, crew = ["anomri", *sys.argv[1:]], pipeline.Crew(workers)
    outcome = pipeline.detect(found, detector, output_dir, track=track, command=command, crew=crew)
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
    part: Part = "1/1",
    engine: Engine = pipeline.PROCESSES,
    scheduler: Scheduler = "",
) -> None:
    """Measure detections against expert masks, on the scans' own grid."""
    crew = crew_of(workers, engine, scheduler)
    found = pipeline.survey(truth, layout=layout)
    summary, outcome = pipeline.evaluate(
        detections,
        found,
        out or detections,
        region=region,
        mask_grid=mask_grid,
        track=track,
        crew=crew,
        part=pipeline.Part.parse(part),
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
    typer.echo(pipeline.report(folder, scores=scores))
    if pipeline.has_damaged_results(folder):
        raise typer.Exit(ScanError.exit_code)


def view(
    scan: Annotated[Path, typer.Argument(help="One scan: a file or its folder.", exists=True)],
    result: Annotated[
        Path | None, typer.Argument(help="Folder written by `anomri detect`.", exists=True)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file to write.")] = None,
    orientation: Orientation = "",
    mask_grid: MaskGrid = "auto",
) -> None:
    """Write a page with an interactive viewer of one scan and of what was found in it."""
    page = pipeline.view(scan, result=result, out=out, orientation=orientation, mask_grid=mask_grid)
    typer.echo(page)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to.")] = Path("demo"),
    device: Device = "auto",
) -> None:
    """Run the whole path on a cohort of digital phantoms, from files to page."""
    typer.echo(pipeline.demo(out, device=device, track=track))


def _members(bids_dir: Path) -> Found | None:
    """List who belongs to a data set; None where its images are not there any more."""
    try:
        return pipeline.survey(bids_dir, layout="bids")
    except UsageError as error:
        console.print(f"the tables are made from the results alone: {error}", markup=False)
        return None


def _typed(source: Path, found: Found) -> list[str]:
    """Return the words of the command; a folder of DICOM files may be called after a patient."""
    private = found.layout == "dicom"
    words = ("DICOM" if private and Path(word) == source else word for word in sys.argv[1:])
    return ["anomri", *words]
