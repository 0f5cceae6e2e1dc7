"""What a user types. One command is one call of :mod:`anomri.pipeline`; nothing is decided here."""

from __future__ import annotations

import errno
import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from rich.logging import RichHandler

from anomri.cli import model_commands, scan_commands
from anomri.cli.signals import INTERRUPTED, STOPPED
from anomri.cli.terminal import console
from anomri.errors import AnomriError, DiskFull, NotWritable
from anomri.files import DEFAULT_LIMIT_GB, DISK_FULL, LIMIT_VARIABLE, limit_bytes

# What a path can do wrong, and its user can mend; a full disk is nobody's usage error.
WRONG_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
NOTICE = "For research only; not a medical device."
EXIT_CODES = (
    "Exit codes: 0 all is well, 1 something else failed (a full disk, a killed worker), 2 wrong "
    "usage or a folder that cannot be written to, 3 some scans failed, 4 a package or download is "
    "missing, 5 a quality gate refused, 130 stopped by Ctrl-C or SIGTERM. After a stop, a kill or "
    "a full disk, run the same command again: it goes on."
)

app = typer.Typer(
    name="anomri",
    help=f"Finds what does not look healthy in a brain MRI. {NOTICE}",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# The order is the order of the help page.
for command in (
    model_commands.prepare,
    model_commands.train,
    model_commands.train_lesions,
    model_commands.calibrate,
    scan_commands.detect,
    scan_commands.evaluate,
    scan_commands.report,
    scan_commands.view,
    model_commands.reproduce,
    model_commands.compare,
    scan_commands.demo,
    model_commands.models,
):
    app.command()(command)
# Labels may follow one option in a row, as the convention of BIDS Apps has it.
app.command("bids-app", context_settings={"allow_extra_args": True})(scan_commands.bids_app)


@app.callback(invoke_without_command=True)
def start(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Verbose output.")] = False,
    max_image_gb: Annotated[
        float | None,
        typer.Option(
            "--max-image-gb",
            envvar=LIMIT_VARIABLE,
            help=f"Memory that one image may take, in GB; {DEFAULT_LIMIT_GB:g} if left out.",
        ),
    ] = None,
) -> None:
    """Set up what every command shares."""
    level = logging.DEBUG if verbose else logging.WARNING
    handler = RichHandler(console=console, show_path=False, show_time=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("anomri").setLevel(level)
    if max_image_gb is not None:
        os.environ[LIMIT_VARIABLE] = f"{max_image_gb}"  # worker processes inherit it
        limit_bytes()
    if show_version:
        typer.echo(version("anomri"))
        raise typer.Exit


def run() -> None:
    """Run a command; errors meant for people end it with their own exit code.

    A polite kill, as job schedulers send it, is an interruption: what is half written goes.
    """
    try:
        app()
    except AnomriError as error:
        _fail(error)
    except OSError as error:
        if error.errno in DISK_FULL:
            _fail(DiskFull(_name(error), error.strerror or ""))
        if error.errno not in WRONG_PLACE or not error.filename:
            raise
        _fail(NotWritable(_name(error), error.strerror or ""))
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer turns an interruption into an exit of its own, without a word.
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        console.print(STOPPED)
        sys.exit(INTERRUPTED)


def _fail(error: AnomriError) -> NoReturn:
    console.print(f"anomri: {error}", style="red", markup=False, highlight=False)
    sys.exit(error.exit_code)


def _name(error: OSError) -> str:
    # A rename has two: of the draft, which the user never named, and of what it was to become.
    return str(error.filename2 or error.filename or "the disk")
