"""The command bids-app: anomri with the arguments of a BIDS App."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from anomri import batch, datasets, pipeline
from anomri.cli.bids_app_arguments import LEVELS, show_notes
from anomri.cli.messages import information
from anomri.cli.options import (
    AsJson,
    DryRun,
    FilterFile,
    ModelOptions,
    Select,
    bids_filter,
    limit_threads,
    writable_folder,
)
from anomri.cli.scan_commands import command_line
from anomri.cli.settings import BRAIN, THREADS, WORKERS
from anomri.cli.signals import load_exports
from anomri.cli.terminal import finish, list_scans, progress, show_scans
from anomri.errors import UsageError
from anomri.files import make_folder
from anomri.recipe import ModelLayout, Overrides

if TYPE_CHECKING:
    from anomri.datasets import Found
    from anomri.detector import Detector


def _print_version(value: bool) -> None:
    if value:
        typer.echo(version("anomri"))
        raise typer.Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Participants:
    """The participants, sessions and files that a BIDS App processes, or only lists."""

    PANEL: ClassVar = "Scans"

    participant_label: Annotated[
        list[str] | None,
        typer.Option(
            "--participant-label",
            metavar="LABEL...",
            help="Process only these participants, with or without `sub-`.",
        ),
    ] = None
    session_label: Annotated[
        list[str] | None,
        typer.Option(
            "--session-label",
            metavar="LABEL...",
            help="Process only these sessions, with or without `ses-`.",
        ),
    ] = None
    bids_filter_file: FilterFile = None
    select: Select = None
    derivatives: Annotated[
        list[str] | None,
        typer.Option(
            *("--derivatives", "-d"),
            metavar="NAME=FOLDER...",
            help="Results of another pipeline whose brain or lesion masks to use.",
        ),
    ] = None
    skip_bids_validation: Annotated[
        bool,
        typer.Option(
            "--skip-bids-validation",
            help="Accepted; the validator is never run.",
        ),
    ] = False
    dry_run: DryRun = False
    as_json: AsJson = False

    def show(self, bids_dir: Path, layout: ModelLayout | Detector) -> None:
        """List the scans, and those that the model would refuse."""
        found = self.find(bids_dir)
        list_scans(found, layout.contrasts, layout.optional, as_json=self.as_json)

    def find(self, bids_dir: Path) -> Found:
        """Find the scans of the participants; of all where none is named.

        Raises:
            UsageError: nothing was found.
        """
        labels, sessions = self.participant_label or [], self.session_label or []
        chosen = pipeline.Selection.of_labels(labels).in_sessions(sessions)
        return pipeline.find_scans(
            bids_dir,
            layout="bids",
            selection=chosen if labels or sessions else None,
            choice=bids_filter(self.bids_filter_file, self.select),
            derivatives=datasets.parse_sources(self.derivatives or []),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Processes, threads and temporary files."""

    PANEL: ClassVar = "Execution"

    workers: Annotated[
        int,
        typer.Option(
            "--nprocs",
            metavar="N",
            help="Number of worker processes, one scan each.",
            min=1,
            envvar=WORKERS,
        ),
    ] = 1
    threads: Annotated[
        int | None,
        typer.Option(
            "--omp-nthreads",
            metavar="N",
            help="Threads of each process.",
            min=1,
            envvar=THREADS,
        ),
    ] = None
    brain: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Brain extraction: auto, given, deepbet, hdbet or stripped.",
            envvar=BRAIN,
        ),
    ] = None
    mem: Annotated[
        str | None,
        typer.Option(
            "--mem",
            metavar="SIZE",
            help="Accepted; each process needs the memory of one scan.",
        ),
    ] = None
    work_dir: Annotated[
        Path | None,
        typer.Option(
            *("--work-dir", "-w"),
            metavar="FOLDER",
            help="Folder for temporary files.",
            callback=writable_folder,
        ),
    ] = None
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False

    def use_work_dir(self) -> None:
        """Keep temporary files in the folder that was named, if any."""
        if self.work_dir is not None:
            make_folder(self.work_dir)
            tempfile.tempdir = os.environ["TMPDIR"] = str(self.work_dir.resolve())

    def execution(self) -> batch.Execution:
        """Return how to run the batch, and limit the threads."""
        limit_threads(self.threads)
        return batch.Execution(batch.Executor(self.workers), progress=progress)


def bids_app(
    context: typer.Context,
    bids_dir: Annotated[Path, typer.Argument(metavar="BIDS_DIR", help="A BIDS data set.")],
    output_dir: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT_DIR", help="Folder to write to.", callback=writable_folder),
    ],
    analysis_level: Annotated[
        list[str], typer.Argument(metavar="LEVEL", help="participant, group, or both.")
    ],
    *,
    participants: Participants,
    model: ModelOptions,
    resources: Resources,
) -> None:
    """Run as a BIDS App: for participants, the group or both.

    The level participant detects anomalies in each participant; the level group writes the tables
    and the report of all.
    """
    for level in analysis_level:
        if level not in LEVELS:
            raise UsageError(
                f"analysis level '{level}': expected participant or group. Next: write the "
                "options with several values, such as --participant-label, after the levels."
            )
    show_notes(context)
    _show_unused(participants, resources)
    overrides = Overrides(brain=resources.brain)
    if participants.dry_run:
        participants.show(bids_dir, model.layout(overrides))
        return
    resources.use_work_dir()
    load_exports(pipeline)
    outcome, chosen = batch.Outcome(), False
    if "participant" in analysis_level:
        run, found = resources.execution(), participants.find(bids_dir)
        show_scans(found)
        detector, command = model.load(overrides), command_line(bids_dir, found)
        outcome = pipeline.detect(found, detector, output_dir, execution=run, command=command)
        chosen = found.chosen
    if "group" in analysis_level:
        # Participants that were not chosen in this call are not missing.
        outcome = outcome if chosen else _gathered(bids_dir, output_dir, outcome)
        page = pipeline.report(output_dir)
        if not participants.as_json:
            typer.echo(page)
    finish(outcome, output_dir, as_json=participants.as_json)


def _gathered(bids_dir: Path, output_dir: Path, before: batch.Outcome) -> batch.Outcome:
    """Write the tables of all participants; return the outcome, with failures of this call."""
    outcome = pipeline.gather(_members(bids_dir), output_dir)
    if before.failures:  # a quality check's refusal has an exit code of its own
        outcome.exit_codes = before.exit_codes
    return outcome


def _show_unused(participants: Participants, resources: Resources) -> None:
    if participants.skip_bids_validation:
        information("--skip-bids-validation has no effect: the validator is never run")
    if resources.mem:
        information(
            "--mem has no effect: each process needs the memory of one scan; lower --nprocs, or "
            "see `anomri --max-image-gb`"
        )


def _members(bids_dir: Path) -> Found | None:
    """List the participants of a data set; None if its images are no longer there."""
    try:
        return pipeline.find_scans(bids_dir, layout="bids")
    except UsageError as error:
        information(f"the tables are written from the results alone: {error}")
        return None
