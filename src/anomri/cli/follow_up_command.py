"""The command that compares several time points."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from anomri import pipeline
from anomri.cli.options import (
    ModelOptions,
    Out,
    PreparationOverrides,
    ScanSelection,
    WorkerOptions,
    refuse_source,
    split_names,
)
from anomri.cli.signals import load_exports
from anomri.cli.terminal import finish
from anomri.datasets import Found


def follow(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="TIME_POINT",
            help="One source for each time point, or one folder with several sessions: scans, or "
            "results of `anomri detect`.",
            exists=True,
        ),
    ],
    *,
    out: Out,
    model: ModelOptions,
    dates: Annotated[
        str | None,
        typer.Option(
            metavar="DATES",
            help="Dates of the time points, comma-separated; taken from DICOM or BIDS if omitted. "
            "Only the days between them are written.",
        ),
    ] = None,
    selection: ScanSelection,
    overrides: PreparationOverrides,
    execution: WorkerOptions,
) -> None:
    """Compare several scans of a subject.

    Each lesion is new, enlarged, stable, shrunken, resolved, merged or split.
    """
    for source in sources:
        refuse_source(out, source)
    load_exports(pipeline)
    scans = [
        source if pipeline.is_results(source) else selection.find(source) for source in sources
    ]
    detector = (
        None
        if all(isinstance(source, Path) for source in scans)
        else model.load(overrides.overrides())
    )
    outcome = pipeline.follow_up(
        scans,
        out,
        detector=detector,
        dates=split_names(dates),
        selection=selection.selection() or pipeline.Selection(),
        execution=execution.execution(),
        command=_without_dates(sources, scans),
    )
    finish(outcome, out)


def _without_dates(sources: list[Path], scans: list[Path | Found]) -> list[str]:
    """Return the command line without dates, and without names of DICOM folders."""
    private = {
        source
        for source, found in zip(sources, scans, strict=True)
        if isinstance(found, Found) and found.layout == "dicom"
    }
    words = ["DICOM" if Path(word) in private else word for word in sys.argv[1:]]
    hidden = (
        "DATES" if before == "--dates" else word
        for before, word in zip(["", *words], words, strict=False)
    )
    return [
        "anomri",
        *("--dates=DATES" if word.startswith("--dates=") else word for word in hidden),
    ]
