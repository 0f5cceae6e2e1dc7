"""What a user types. One command is one call of :mod:`anomri.pipeline`; nothing is decided here."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.logging import RichHandler

from anomri.cli import models, scans
from anomri.cli.terminal import console
from anomri.errors import AnomriError, UsageError
from anomri.input_files import DEFAULT_GB, LIMIT, limit_bytes

INTERRUPTED = 130
# What a path can do wrong, and its user can mend; a full disk is nobody's usage error.
WRONG_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
FULL = {errno.ENOSPC, errno.EDQUOT}
NOTICE = "For research only; not a medical device."

app = typer.Typer(
    name="anomri",
    help=f"Finds what does not look healthy in a brain MRI. {NOTICE}",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

# The order is the order of the help page.
for command in (
    models.prepare,
    models.train,
    models.train_lesions,
    models.calibrate,
    scans.detect,
    scans.evaluate,
    scans.report,
    scans.view,
    models.reproduce,
    models.compare,
    scans.demo,
    models.models,
):
    app.command()(command)
# Labels may follow one option in a row, as the convention of BIDS Apps has it.
app.command("bids-app", context_settings={"allow_extra_args": True})(scans.bids_app)


@app.callback(invoke_without_command=True)
def start(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    max_image_gb: Annotated[
        float | None,
        typer.Option(
            "--max-image-gb",
            envvar=LIMIT,
            help=f"Memory that one image may take, in GB; {DEFAULT_GB:g} if left out.",
        ),
    ] = None,
) -> None:
    """Set up what every command shares."""
    level = logging.DEBUG if verbose else logging.WARNING
    handler = RichHandler(console=console, show_path=False, show_time=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("anomri").setLevel(level)
    if max_image_gb is not None:
        os.environ[LIMIT] = f"{max_image_gb}"  # worker processes inherit it
        limit_bytes()
    if show_version:
        typer.echo(version("anomri"))
        raise typer.Exit


def main() -> None:
    """Run the command line; errors meant for people end it with their own exit code.

    A polite kill, as job schedulers send it, is an interruption: what is half written goes.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except AnomriError as error:
        console.print(f"anomri: {error}", style="red", markup=False, highlight=False)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in WRONG_PLACE | FULL or not error.filename:
            raise
        # A rename has two: of the draft, which the user never named, and of what it was to become.
        name = error.filename2 or error.filename
        said = f"anomri: {name}: {error.strerror}. Next: {_step(error)}."
        console.print(said, style="red", markup=False, highlight=False)
        sys.exit(1 if error.errno in FULL else UsageError.exit_code)
    except (KeyboardInterrupt, SystemExit) as end:
        # Typer turns an interruption into an exit of its own, without a word.
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        console.print("anomri: stopped; run the same command again to go on.")
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _step(error: OSError) -> str:
    if error.errno in FULL:
        return "free some space and run the same command again"
    return "check the path and who may write there, or choose another"
