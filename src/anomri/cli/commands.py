"""The command line; each command is one call of :mod:`anomri.pipeline` or `anomri.experiments`."""

from __future__ import annotations

import errno
import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from anomri.cli import (
    bids_app,
    data_commands,
    experiment_commands,
    follow_up_command,
    model_commands,
    scan_commands,
    serve_command,
)
from anomri.cli.bids_app_arguments import BidsAppCommand
from anomri.cli.messages import (
    LogFile,
    Quiet,
    Verbose,
    console,
    failure,
    set_up,
    with_messages,
)
from anomri.cli.option_objects import GroupedHelp, ListByDefault, expand_options
from anomri.cli.settings import PRECEDENCE, default_map
from anomri.cli.signals import INTERRUPTED, STOPPED
from anomri.errors import AnomriError, DiskFull, NotWritable, UsageError
from anomri.files import DEFAULT_LIMIT_GB, DISK_FULL, LIMIT_VARIABLE, limit_bytes

# Errors of a path that the user can correct; a full disk is not a usage error.
WRONG_PLACE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR),
    *(errno.ELOOP, errno.ENAMETOOLONG),
}
# What users name is looked for before a command begins.
GONE = (
    "{}: was removed or moved while the command ran. Finished results are kept. "
    "Next: put it back if it was an input, and run the same command again."
)
NOTICE = "Research use only; not a medical device."
EXIT_CODES = (
    "Exit codes: 0 success, 1 other failure (full disk, killed worker), 2 wrong usage or a folder "
    "that cannot be written to, 3 some scans failed, 4 a package or a download is missing, 5 "
    "quality checks refused scans or an audit found something wrong, 130 stopped by Ctrl-C or "
    "SIGTERM. To resume after an interruption, run the same command again."
)

log = logging.getLogger(__name__)

app = typer.Typer(
    name="anomri",
    help=f"Detects anomalies in brain MRI. {NOTICE}",
    epilog=f"{EXIT_CODES}\n\n{PRECEDENCE}",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# The order is the order of the help page.
for command in (
    data_commands.audit,
    model_commands.prepare,
    model_commands.train,
    model_commands.train_lesions,
    model_commands.adapt,
    model_commands.calibrate,
    scan_commands.detect,
    follow_up_command.follow,
    serve_command.serve,
    scan_commands.evaluate,
    scan_commands.report,
    scan_commands.view,
    data_commands.export,
    experiment_commands.reproduce,
    experiment_commands.compare,
    scan_commands.demo,
):
    app.command(cls=GroupedHelp)(expand_options(with_messages(command)))
models = typer.Typer(
    cls=ListByDefault, help="List models and their costs, or pack one.", rich_markup_mode=None
)
models.command("list", cls=GroupedHelp)(expand_options(with_messages(experiment_commands.models)))
models.command(cls=GroupedHelp)(expand_options(with_messages(model_commands.pack)))
app.add_typer(models, name="models")
app.command("bids-app", cls=BidsAppCommand)(expand_options(with_messages(bids_app.bids_app)))


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    log_file: LogFile = None,
    max_image_gb: Annotated[
        float | None,
        typer.Option(
            "--max-image-gb",
            metavar="GB",
            envvar=LIMIT_VARIABLE,
            help=f"Maximum memory for one image, in GB; {DEFAULT_LIMIT_GB:g} if omitted.",
        ),
    ] = None,
) -> None:
    """Set up logging and the memory limit."""
    set_up(verbose=verbose, quiet=quiet, log_file=log_file, anew=True)
    if max_image_gb is not None:
        os.environ[LIMIT_VARIABLE] = f"{max_image_gb}"  # worker processes inherit it
        limit_bytes()
    if show_version:
        typer.echo(version("anomri"))
        raise typer.Exit
    context.default_map = default_map([*typer.main.get_command(app).commands])  # type: ignore[attr-defined]


def run() -> None:
    """Run a command; errors of anomri end it with a message and their exit code.

    SIGTERM, as job schedulers send it, is an interruption: half-written files are removed.
    """
    try:
        _run()
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer turns an interruption into an exit without a message.
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        console.print(STOPPED)
        sys.exit(INTERRUPTED)


def _run() -> None:
    try:
        app()
    except AnomriError as error:
        _fail(error)
    except OSError as error:
        if error.errno in DISK_FULL:
            _fail(DiskFull(_name(error), error.strerror or ""))
        if error.errno == errno.ENOENT and error.filename:
            log.debug("a file is missing", exc_info=True)
            _fail(UsageError(GONE.format(_name(error))))
        if error.errno not in WRONG_PLACE or not error.filename:
            raise
        _fail(NotWritable(_name(error), error.strerror or ""))


def _fail(error: AnomriError) -> NoReturn:
    failure(f"anomri: {error}")
    sys.exit(error.exit_code)


def _name(error: OSError) -> str:
    # A rename has two names; the first is a draft's, which the user does not know.
    name = error.filename2 or error.filename
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "the disk"
