"""The command line.

This module imports only what loads quickly, so that signals are handled from the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anomri.cli.collection import no_collection
from anomri.cli.signals import handled_at_exit, handled_signals
from anomri.cli.streams import tolerant_errors

if TYPE_CHECKING:
    from anomri.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; see :func:`anomri.cli.commands.run`."""
    with tolerant_errors(), handled_at_exit(), handled_signals() as handler:
        with no_collection():
            from anomri.cli.commands import run

        handler.interrupts = True
        try:
            run()
        except KeyboardInterrupt:  # while an error was written: nothing is left to remove
            handler.end_at_once()
        finally:
            handler.interrupts = False


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from anomri.cli.commands import app

    return app
