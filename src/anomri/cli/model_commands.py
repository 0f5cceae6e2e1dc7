"""Commands that make a model: prepare, train, train-lesions, adapt, calibrate."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from anomri import experiments, pipeline
from anomri.cli.options import (
    AdaptationOptions,
    Contrasts,
    Data,
    Device,
    Out,
    OutputOptions,
    PreparationExecution,
    PreparationOverrides,
    ScanSelection,
    Source,
    TrainingOptions,
    WorkerOptions,
    with_contrasts,
    writable_file,
    writable_folder,
)
from anomri.cli.scan_commands import command_line
from anomri.cli.signals import load_exports
from anomri.cli.terminal import finish, list_scans, progress, show_thresholds
from anomri.errors import UsageError
from anomri.recipe import Recipe, layout_of, recipe_to_prepare


def prepare(
    source: Source,
    *,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="RECIPE",
            help="Recipe whose preprocessing to use: a file or a built-in name.",
        ),
    ] = "intensity",
    contrasts: Contrasts = None,
    output: OutputOptions,
    scans: ScanSelection,
    overrides: PreparationOverrides,
    execution: PreparationExecution,
) -> None:
    """Prepare scans for training and calibration.

    Reads, reorients, crops, resamples and normalises each scan once, into a folder that
    `anomri train` and `anomri calibrate` read.
    """
    batch = execution.execution()
    found = scans.find(source)
    chosen = with_contrasts(recipe_to_prepare(recipe), contrasts)
    shown = batch.shard.found(found)
    list_scans(shown, chosen.contrasts, chosen.optional, as_json=output.lists_json)
    if output.dry_run:
        return
    out = output.folder(source)
    load_exports(pipeline)
    prepared = overrides.apply(chosen)
    outcome = pipeline.prepare(
        found, out, recipe=prepared, execution=batch, device=execution.device
    )
    finish(outcome, out, as_json=output.as_json)


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file.")],
    *,
    data: Data,
    out: Out,
    contrasts: Contrasts = None,
    machine: TrainingOptions,
) -> None:
    """Train a model on prepared scans.

    The scans are healthy or labelled, as the recipe requires. If training was interrupted, the
    same command resumes it.
    """
    chosen = with_contrasts(Recipe.load(recipe), contrasts)
    load_exports(pipeline)
    typer.echo(pipeline.train(chosen, data, out, **asdict(machine), progress=True))


def train_lesions(
    heads: Annotated[
        Path,
        typer.Argument(
            metavar="HEADS", help="Folder with t1/ and dlmuse_seg/, such as IXI's.", exists=True
        ),
    ],
    *,
    out: Out,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Training steps, two patients each; as for the shipped network if omitted.",
            min=1,
        ),
    ] = None,
    flair_heads: Annotated[
        Path | None,
        typer.Option(
            metavar="STUDY",
            help="Scans whose FLAIR, lesions filled in, is used for three in ten patients.",
            exists=True,
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights to start from; random if omitted.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    device: Device = "auto",
    workers: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="CPU processes that generate patients; 0 to generate them on the device.",
            min=0,
        ),
    ] = 0,
) -> None:
    """Train the lesion network on synthetic patients.

    If training was interrupted, the same command resumes it.
    """
    load_exports(experiments.pretraining)
    schedule = replace(experiments.LesionTrainingSchedule(), start=start, flair_heads=flair_heads)
    if steps is not None:
        schedule = replace(schedule, steps=steps)
    typer.echo(
        experiments.pretraining.train_lesions(
            heads,
            out,
            schedule,
            device=device,
            workers=workers,
            progress=progress,
        )
    )


def adapt(
    source: Source,
    *,
    output: OutputOptions,
    scans: ScanSelection,
    training: AdaptationOptions,
    execution: WorkerOptions,
) -> None:
    """Adapt the model `default` to your own scans, without labels.

    A network is trained on what `default` finds in one half of the scans and applied to the other
    half, and vice versa. Writes a run folder for `anomri detect --model` and a table of what has
    changed in each scan. At least six subjects with a finding are needed. If interrupted, the same
    command resumes.
    """
    batch = execution.execution()
    found, wanted = scans.find(source), layout_of("default")
    list_scans(found, wanted.contrasts, wanted.optional, as_json=output.lists_json)
    if output.dry_run:
        return
    out = output.folder(source)
    load_exports(pipeline)
    options = training.adaptation(batch, command_line(source, found))
    outcome = pipeline.adapt(found, out, options)
    if not output.as_json:
        typer.echo(out)
    finish(outcome, out, as_json=output.as_json)


def pack(
    model: Annotated[str, typer.Argument(metavar="RUN", help="Run folder or built-in model.")],
    archive: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="File to write: MODEL.zip.", callback=writable_file),
    ],
    *,
    licence: Annotated[
        str,
        typer.Option(
            metavar="SPDX",
            help="Licence under which others may use the model, such as CC-BY-4.0.",
        ),
    ] = "",
) -> None:
    """Pack a model into one file, which `--model` takes.

    It holds weights, recipe, thresholds, a card, the licence and the hashes of all of them.
    """
    load_exports(pipeline)
    typer.echo(pipeline.pack(model, archive, licence=licence))


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Run folder or built-in model.")],
    *,
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(
            *("--out", "-o"),
            metavar="FOLDER",
            help="Run folder to write; that of MODEL if omitted.",
            callback=writable_folder,
        ),
    ] = None,
    false_positive_ml: Annotated[
        float,
        typer.Option(
            "--false-positive-ml",
            metavar="ML",
            help="False-positive volume to allow per healthy scan, in ml.",
            min=0,
        ),
    ] = 5.0,
    device: Device = "auto",
) -> None:
    """Fit a model's thresholds on prepared scans.

    Use scans that the model is not evaluated on.
    """
    if out is None and not Path(model).is_dir():
        raise UsageError(f"{model}: built-in models are read-only. Next: add -o FOLDER.")
    load_exports(pipeline)
    thresholds = pipeline.calibrate(
        model,
        data,
        out or Path(model),
        false_positive_ml=false_positive_ml,
        device=device,
        progress=progress,
    )
    show_thresholds(thresholds.values())
