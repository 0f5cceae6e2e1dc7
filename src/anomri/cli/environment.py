"""What libraries expect of the machine, where a container or a cluster does not give it."""

from __future__ import annotations

import getpass
import os
import tempfile

from anomri.errors import UsageError
from anomri.files import keep_freed_memory


def prepare_environment() -> None:
    """Name a user who has no name, keep freed memory, and find a place for temporary files.

    Containers are started with user ids that the image does not know: MONAI asks for the name.

    Raises:
        UsageError: no folder for temporary files can be written to.
    """
    keep_freed_memory()
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError since Python 3.13
        os.environ["LOGNAME"] = f"user-{os.getuid()}"
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UsageError(
            "expected a folder for temporary files, found none that can be written to. "
            "Next: set TMPDIR to one, or mount /tmp in the container."
        ) from error
