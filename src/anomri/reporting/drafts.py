"""Folders that appear on disk all at once, and the drafts that a killed process leaves."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DRAFT = ".writing-"


@contextmanager
def all_or_nothing(home: Path, folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``home`` when the block ends well."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"{DRAFT}{_machine()}-{os.getpid()}-"
    # Beside its place, because a rename is atomic within one file system only.
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as name:
        draft, old = Path(name) / "new", Path(name) / "old"
        draft.mkdir()
        yield draft
        home.parent.mkdir(parents=True, exist_ok=True)
        if home.exists():
            home.rename(old)
        try:
            draft.rename(home)
        except OSError:
            if old.exists():
                old.rename(home)
            raise
        shutil.rmtree(old, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove the drafts of this machine's processes that live no more."""
    for draft in folder.glob(f"{DRAFT}{_machine()}-*"):
        process = draft.name.split("-")[2]
        if process.isdigit() and not _lives(int(process)):
            shutil.rmtree(draft, ignore_errors=True)


def _machine() -> str:
    """Name this machine without telling its name."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _lives(process: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 means something else there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
