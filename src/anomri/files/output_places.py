"""Places that results are to be written to: folders are made, and the unwritable refused early."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from anomri.errors import DiskFull, NotWritable

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # EFBIG: `ulimit -f`


def make_folder(folder: Path, *, name: Path | None = None) -> None:
    """Create a folder and its parents unless it exists.

    Args:
        folder: to create.
        name: what errors name; default: ``folder``.

    Raises:
        DiskFull: no space or quota is left.
        NotWritable: it cannot be created, for whatever reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = DiskFull if error.errno in DISK_FULL else NotWritable
        raise kind(str(name or folder), error.strerror or "") from error


def refuse_unwritable(path: Path, *, folder: bool) -> None:
    """Refuse a place where nothing can be written, before anything is computed.

    Nothing is written to find out: what only an attempt shows, such as in ``/proc``, is refused
    by :func:`make_folder`.

    Args:
        path: of the file or folder to write; may be missing.
        folder: whether it is a folder.

    Raises:
        NotWritable: it, or the nearest folder that exists, is not a folder or is read-only, or its
            name is too long.
    """
    try:
        existing = next(place for place in (path, *path.absolute().parents) if _exists(place))
        if not folder and existing == path:
            _check(existing.is_file(), errno.EISDIR if existing.is_dir() else errno.EINVAL)
            existing = path.absolute().parent
        _check(existing.is_dir(), errno.ENOTDIR)
        _check(os.access(existing, os.W_OK | os.X_OK), errno.EACCES)
    except OSError as error:
        raise NotWritable(str(path), error.strerror or "") from error


def _exists(path: Path) -> bool:
    """Whether there is anything; unlike ``Path.exists``, raises where that cannot be told."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _check(fits: bool, number: int) -> None:
    if not fits:
        raise OSError(number, os.strerror(number))
