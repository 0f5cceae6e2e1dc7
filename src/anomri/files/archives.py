"""Zip archives of scans, unpacked within limits into a private folder.

The names, sizes and kinds in an archive are not trusted: nothing is written outside the folder, no
link is made, and the bytes that are written are counted.
"""

from __future__ import annotations

import atexit
import errno
import stat
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from anomri.errors import UnreadableScan
from anomri.files.atomic import scratch_folder
from anomri.files.input_files import COPY_AGAIN, LIMIT_VARIABLE, limit_bytes

ENDING = ".zip"
MAX_ENTRIES = 200_000
TIMES_LIMIT = 16  # an archive may take this many times the memory limit of one image on disk
CHUNK_BYTES = 1 << 20
# Python inflates other methods without a limit: a megabyte of bzip2 may take gigabytes of memory.
BOUNDED_COMPRESSION = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
IMPOSSIBLE_NAME = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG})
NEXT = "unpack it yourself, and check what is in it"

_unpacked = ExitStack()
atexit.register(_unpacked.close)


def is_archive(path: Path) -> bool:
    """Whether a file has the ending of a zip archive, in upper or lower case."""
    return path.suffix.lower() == ENDING and path.is_file()


def unpack(archives: Iterable[Path], name: str) -> Path:
    """Return a new folder with the files of archives, each in a subfolder with its name.

    The folder is removed when this process ends; what a killed process leaves is removed by the
    next one that unpacks.

    Args:
        archives: zip files.
        name: of the folder, for messages.

    Raises:
        UnreadableScan: damaged, encrypted, too large, or with a name that leads out of it.
    """
    folder = _unpacked.enter_context(scratch_folder()) / _folder_name(name)
    folder.mkdir()
    left = TIMES_LIMIT * limit_bytes()
    for number, archive in enumerate(archives):
        place = folder / _folder_name(archive.stem)
        if place.exists():
            place = folder / f"{place.name}-{number}"
        left -= _unpack(archive, place, left)
    return folder


def _folder_name(name: str) -> str:
    """Return a name that is neither empty nor that of a folder above: `...zip` has the stem `..`.

    >>> _folder_name("study"), _folder_name("..")
    ('study', 'archive')
    """
    return name if name.strip(".") else "archive"


def _unpack(archive: Path, folder: Path, limit: int) -> int:
    """Unpack an archive and return the number of bytes written."""
    written = 0
    try:
        with zipfile.ZipFile(archive) as content:
            entries = [entry for entry in content.infolist() if not entry.is_dir()]
            _check(archive, entries, limit)
            for entry in entries:
                path = folder / PurePosixPath(entry.filename)
                path.parent.mkdir(parents=True, exist_ok=True)
                written += _write(content, entry, path, limit - written, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise UnreadableScan(
            archive,
            expected="a complete zip archive",
            got=f"a damaged one ({type(error).__name__})",
            next_step=COPY_AGAIN,
        ) from error
    except OSError as error:
        if error.errno not in IMPOSSIBLE_NAME:
            raise
        got = f"others ({error.strerror})"
        raise _refusal(archive, "file names that this file system can hold", got) from error
    return written


def _check(archive: Path, entries: list[zipfile.ZipInfo], limit: int) -> None:
    if len(entries) > MAX_ENTRIES:
        raise _refusal(archive, f"at most {MAX_ENTRIES} files", f"{len(entries)}")
    if sum(entry.file_size for entry in entries) > limit:
        raise _too_large(archive)
    for entry in entries:
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        inside = name.parts and not name.is_absolute() and ".." not in name.parts
        if not inside or ":" in name.parts[0]:
            raise _refusal(archive, "names within the archive", "a path that leads out of it")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _refusal(archive, "only files and folders", "a symbolic link")
        if entry.flag_bits & 1:
            raise _refusal(archive, "an archive without a password", "an encrypted one")
        if entry.compress_type not in BOUNDED_COMPRESSION:
            raise _refusal(archive, "files compressed with deflate", "another compression")


def _write(
    content: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, limit: int, archive: Path
) -> int:
    """Write a file and return its size, which its header may understate."""
    size = 0
    with content.open(entry) as source, path.open("xb") as target:
        while piece := source.read(CHUNK_BYTES):
            size += len(piece)
            if size > limit:
                raise _too_large(archive)
            target.write(piece)
    return size


def _too_large(archive: Path) -> UnreadableScan:
    gigabytes = TIMES_LIMIT * limit_bytes() / (1 << 30)
    return UnreadableScan(
        archive,
        expected=f"at most {gigabytes:.3g} GB when unpacked",
        got="more",
        next_step=f"{NEXT}; if the archive is in order, raise {LIMIT_VARIABLE}: the limit is "
        f"{TIMES_LIMIT} times its value",
    )


def _refusal(archive: Path, expected: str, got: str) -> UnreadableScan:
    return UnreadableScan(archive, expected=expected, got=got, next_step=NEXT)
