"""Messages: how much is printed, lines for logs where there is no terminal, and the log file."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from rich.console import Console
from rich.logging import RichHandler

from anomri.errors import NotWritable
from anomri.files import make_folder

console = Console(stderr=True)
RESULTS = "anomri.batch.runner"
"""Logger with a line for each scan."""
PRINTED = "anomri.cli.printed"
"""Logger of what the commands print: for the log file alone."""
FORMAT = "%(asctime)s %(levelname)s %(message)s"

printed = logging.getLogger(PRINTED)


class TerminalHandler(RichHandler):
    """Messages on standard error: coloured in a terminal, elsewhere one line each.

    Attributes:
        verbose: show messages for developers.
        quiet: show errors only.
    """

    def __init__(self) -> None:
        super().__init__(console=console, show_path=False, show_time=False)
        self.verbose, self.quiet = False, False

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a message; the lines of scans stand for the bar of a terminal."""
        if record.name == PRINTED:
            return False
        if self.quiet:
            return record.levelno >= logging.ERROR
        if record.name == RESULTS and record.levelno == logging.INFO:
            return self.verbose or not console.is_terminal
        return record.levelno >= (logging.DEBUG if self.verbose else logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Show a message."""
        if console.is_terminal:
            super().emit(record)
        else:
            console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)


class LogFileHandler(logging.FileHandler):
    """A log file that is given up, with a warning, once a write fails: the results are more."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging calls it
        """Detach the file, such as on a full disk."""
        logging.getLogger("anomri").removeHandler(self)
        with suppress(OSError):  # what is still in the buffer
            self.close()
        warning(f"{Path(self.baseFilename).name}: cannot be written; no messages are added to it")


_handler = TerminalHandler()


def set_up(
    *, verbose: bool = False, quiet: bool = False, log_file: Path | None = None, anew: bool = False
) -> None:
    """Show messages on standard error and, if asked for, write them to a file.

    Args:
        verbose: messages for developers, too.
        quiet: errors only.
        log_file: file to append to.
        anew: forget what an earlier call asked for; its file is closed.

    Raises:
        NotWritable: the file cannot be opened.
    """
    root, package = logging.getLogger(), logging.getLogger("anomri")
    if anew:
        _handler.verbose = _handler.quiet = False
        for handler in [h for h in package.handlers if isinstance(h, logging.FileHandler)]:
            package.removeHandler(handler)
            handler.close()
    if _handler not in root.handlers:
        root.addHandler(_handler)
    _handler.verbose |= verbose
    _handler.quiet |= quiet
    package.setLevel(logging.DEBUG if _handler.verbose else logging.INFO)
    if log_file is not None:
        package.addHandler(_file_handler(log_file))


def _file_handler(log_file: Path) -> LogFileHandler:
    make_folder(log_file.parent, name=log_file)
    try:
        handler = LogFileHandler(log_file, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise NotWritable(str(log_file), error.strerror or "") from error
    handler.setFormatter(logging.Formatter(FORMAT))
    return handler


def is_quiet() -> bool:
    """Whether only errors are to be shown."""
    return _handler.quiet


def information(text: str) -> None:
    """Print a line about what is done, unless the user asked for errors only."""
    printed.info(text)
    if not is_quiet():
        console.print(text, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def warning(text: str) -> None:
    """Print a line that the user should read, in yellow."""
    printed.warning(text)
    if not is_quiet():
        soft = not console.is_terminal
        console.print(text, markup=False, highlight=False, style="yellow", soft_wrap=soft)


def failure(text: str) -> None:
    """Print an error, in red."""
    printed.error(text)
    soft = not console.is_terminal
    console.print(text, markup=False, highlight=False, style="red", soft_wrap=soft)


Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Verbose output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and results only.")]
LogFile = Annotated[
    Path | None,
    typer.Option("--log-file", metavar="FILE", help="Also append all messages to this file."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageOptions:
    """How much is printed, for options after the command."""

    PANEL: ClassVar = "Messages"

    verbose: Verbose = False
    quiet: Quiet = False
    log_file: LogFile = None

    def set_up(self) -> None:
        """Apply the options, in addition to those before the command."""
        set_up(verbose=self.verbose, quiet=self.quiet, log_file=self.log_file)


def with_messages(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that also takes :class:`MessageOptions`."""

    @wraps(command)
    def wrapped(*, messages: MessageOptions, **values: Any) -> None:
        messages.set_up()
        command(**values)

    own = inspect.signature(command, eval_str=True).parameters.values()
    keywords = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in own]
    option = Parameter("messages", Parameter.KEYWORD_ONLY, annotation=MessageOptions)
    wrapped.__signature__ = inspect.Signature([*keywords, option])  # type: ignore[attr-defined]
    return wrapped
