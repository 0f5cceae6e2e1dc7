"""Commands on data sets and results that compute no map: audit, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anomri import pipeline
from anomri.cli.messages import failure, information
from anomri.cli.options import Layout, Out, Source, SplitFile, WorkerOptions
from anomri.cli.signals import load_exports
from anomri.cli.terminal import finish, show_scans
from anomri.errors import QualityRefused
from anomri.files import AUDIT, AUDIT_PAGE, FAILURES
from anomri.recipe import recipe_to_prepare

RECIPE = "intensity"  # whose preparation is that of the default model
SHOWN = 20  # problems that are printed
# Named here because the module of these functions loads slowly; a test compares the names.
PROGRAMS = "fmriprep, fastsurfer, itksnap, slicer, nnunet"


def audit(
    source: Source,
    *,
    out: Out,
    layout: Layout = "auto",
    split_file: SplitFile = None,
    execution: WorkerOptions,
) -> None:
    """Check a data set for problems that make results wrong.

    It looks for one image under two subjects, one brain in two splits, masks that are flipped or do
    not fit, mislabelled contrasts, Hounsfield units and missing geometry. The exit code is 5 if
    there is a problem.
    """
    found = pipeline.find_scans(source, layout=layout)
    show_scans(found)
    load_exports(pipeline)
    splits = pipeline.read_splits(split_file) if split_file else {}
    preparation = recipe_to_prepare(RECIPE).preparation
    problems = pipeline.audit(
        found, out, preparation=preparation, splits=splits, execution=execution.execution()
    )
    wrong = [problem for problem in problems if problem.severity == "wrong"]
    for problem in wrong[:SHOWN]:
        failure(f"  {problem.subject}: {problem.check}: {problem.finding}")
    typer.echo(out / AUDIT_PAGE)
    information(
        f"problems: {len(wrong)}, remarks: {len(problems) - len(wrong)}; see "
        f"{out.resolve().name}/{AUDIT}"
    )
    if wrong:
        raise typer.Exit(QualityRefused.exit_code)


def export(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="Folder written by `anomri detect`.")
    ],
    *,
    program: Annotated[str, typer.Option("--for", metavar="PROGRAM", help=f"{PROGRAMS}.")],
    out: Out,
    scans: Annotated[
        Path | None,
        typer.Option(
            metavar="SOURCE",
            help="The scans; required for fmriprep, fastsurfer (T1) and nnunet (all contrasts).",
            exists=True,
        ),
    ] = None,
    layout: Layout = "auto",
) -> None:
    """Write results for another program.

    The lesion mask on the T1's grid for fMRIPrep and FastSurfer, numbered lesions with colours for
    ITK-SNAP and 3D Slicer, training cases for nnU-Net. Lesion masks that you corrected are used as
    they are now; the numbered lesions are those that were detected.
    """
    found = pipeline.find_scans(scans, layout=layout) if scans else None
    load_exports(pipeline)
    outcome = pipeline.export(results, out, program, found=found)
    finish(outcome, out, table=FAILURES if pipeline.has_failure_table(program) else "")
