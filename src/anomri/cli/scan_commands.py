"""Commands that process scans and show the results: detect, evaluate, report, view, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from anomri import batch, experiments, pipeline
from anomri.cli.json_output import evaluation, print_json
from anomri.cli.options import (
    DetectionOutput,
    DetectionOverrides,
    DetectionScans,
    Device,
    EvaluationOptions,
    ExecutionOptions,
    MaskGrid,
    ModelOptions,
    Orientation,
    Out,
    Source,
    TruthSelection,
    writable_file,
    writable_folder,
)
from anomri.cli.signals import load_exports
from anomri.cli.terminal import (
    finish,
    list_scans,
    progress,
    show_expected_volume,
    show_recall,
    show_scans,
    show_summary,
)
from anomri.datasets import Found
from anomri.errors import ScanError
from anomri.files import EVALUATION_FAILURES, EVALUATION_SIZES, read_tsv

Detections = Annotated[
    Path, typer.Argument(metavar="RESULTS", help="Folder written by `anomri detect`.")
]


def detect(
    source: Source,
    *,
    model: ModelOptions,
    output: DetectionOutput,
    scans: DetectionScans,
    overrides: DetectionOverrides,
    execution: ExecutionOptions,
) -> None:
    """Detect anomalies: maps, masks, tables and a report."""
    run, dicom = execution.execution(), output.dicom_objects()
    found = scans.find(source)
    shown = run.shard.found(found)
    if output.dry_run:
        layout = model.layout(overrides.overrides())
        list_scans(shown, layout.contrasts, layout.optional, as_json=output.as_json)
        return
    show_scans(shown)
    out = output.folder(source)
    load_exports(pipeline)
    found = scans.with_brain_mask(found)
    detector = model.load(overrides.overrides())
    outcome = pipeline.detect(
        found,
        detector,
        out,
        execution=run,
        command=command_line(source, found),
        dicom=dicom,
    )
    show_expected_volume(detector.first.rule.expected)
    if output.report and batch.all_there(out, "detect", run.shard):
        page = pipeline.report(out)
        if not output.as_json:
            typer.echo(page)
    finish(outcome, out, as_json=output.as_json)


def evaluate(
    detections: Detections,
    *,
    truth: Annotated[Path, typer.Option(metavar="SOURCE", help="The scans, with expert masks.")],
    out: Annotated[
        Path | None,
        typer.Option(
            *("--out", "-o"),
            metavar="FOLDER",
            help="Folder for the tables; RESULTS if omitted.",
            callback=writable_folder,
        ),
    ] = None,
    selection: TruthSelection,
    options: EvaluationOptions,
    execution: ExecutionOptions,
) -> None:
    """Evaluate detections against expert masks.

    Everything is measured on the scans' own grid.
    """
    run = execution.execution()
    found = selection.find(truth)
    load_exports(pipeline)
    summary, outcome = pipeline.evaluate(
        detections,
        found,
        out or detections,
        region=options.region,
        mask_grid=options.mask_grid,
        execution=run,
    )
    recall = read_tsv((out or detections) / EVALUATION_SIZES)
    if options.as_json:
        print_json(evaluation(summary, outcome, recall))
    else:
        show_summary(summary)
        show_recall(recall)
    finish(outcome, out or detections, table=EVALUATION_FAILURES)


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder of detections, an evaluation, a run or a paper."
        ),
    ],
    *,
    scores: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the evaluation, if not the same."),
    ] = None,
    ratings: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Ratings saved from the report of FOLDER, to add to its ratings.tsv; repeatable.",
        ),
    ] = None,
) -> None:
    """Write an HTML report of a folder that anomri wrote.

    In a report of detections a reader rates scans and judges findings; both are saved as
    `ratings.tsv`.
    """
    load_exports(pipeline, experiments.reproduction, experiments.comparison)
    pages = (experiments.reproduction.write_html_page, experiments.comparison.write_html_page)
    of_detections = scores is not None or bool(ratings)
    experiment = None if of_detections else next(filter(None, (w(folder) for w in pages)), None)
    typer.echo(experiment or pipeline.report(folder, scores=scores, ratings=ratings or ()))
    if pipeline.has_damaged_results(folder):
        raise typer.Exit(ScanError.exit_code)


def view(
    scan: Annotated[
        Path,
        typer.Argument(metavar="SCAN", help="One scan: a file or its folder.", exists=True),
    ],
    result: Annotated[
        Path | None,
        typer.Argument(metavar="RESULTS", help="Folder written by `anomri detect`.", exists=True),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="HTML file to write.", callback=writable_file
        ),
    ] = None,
    orientation: Orientation = None,
    mask_grid: MaskGrid = "auto",
) -> None:
    """Write an interactive viewer of one scan and its result."""
    load_exports(pipeline)
    page = pipeline.view(scan, result=result, out=out, orientation=orientation, mask_grid=mask_grid)
    typer.echo(page)


def demo(
    *,
    out: Out = Path("demo"),
    device: Device = "auto",
) -> None:
    """Run the whole pipeline on digital phantoms."""
    load_exports(pipeline)
    typer.echo(pipeline.demo(out, device=device, progress=progress))


def command_line(source: Path, found: Found) -> list[str]:
    """Return the command line, without the name of a DICOM folder: it may be a patient's."""
    private = found.layout == "dicom"
    words = ("DICOM" if private and Path(word) == source else word for word in sys.argv[1:])
    return ["anomri", *words]
