"""Atomic writing of files and folders.

Everything that anomri keeps is written through :func:`replacing` or :func:`replacing_folder`: first
as a draft in the same folder (a rename is atomic within one file system only), then renamed. A
killed process leaves the old file or the new one, and perhaps a draft. The name of a draft
identifies the process that wrote it::

    .writing-<machine>-<process>-<start>-<random>

so that :func:`remove_stale_drafts` removes only drafts of processes that no longer run.
"""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import multiprocessing.util
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO
from uuid import uuid4

from anomri.errors import DiskFull, NotWritable, OutputGone
from anomri.files.output_places import DISK_FULL, make_folder
from anomri.files.processes import is_alive, machine_id, start_time_ms

DRAFT = ".writing-"
PENDING = "pending"  # folder of files that are about to replace others together
SCRATCH = "anomri-"  # prefix of folders for temporary files
RANDOM_DIGITS = {SCRATCH: 4}  # a process creates few of them, and their paths must be short
TEMPORARY_VARIABLES = ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR")  # torch derives the second
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
DAY_SECONDS = 24 * 3600
# The path of a socket has at most 103 bytes (macOS; 107 on Linux), and multiprocessing adds 32 to
# the folder for temporary files: pymp-xxxxxxxx/listener-xxxxxxxx.
MAX_SOCKET_FOLDER_BYTES = 103 - 32
SHORT_TEMPORARY = Path("/tmp")  # noqa: S108 - only a private folder in it is used
RENAME_ATTEMPTS = 20
CHUNK_BYTES = 1 << 20


def draft_name(prefix: str = DRAFT) -> str:
    """Return a new name for a draft of this process."""
    process, random = os.getpid(), uuid4().hex[: RANDOM_DIGITS.get(prefix, 12)]
    return f"{prefix}{machine_id()}-{process}-{start_time_ms(process) or 0}-{random}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft that replaces ``path`` when the block succeeds.

    Missing parent folders are created. The draft is removed when the block raises. Permissions
    follow the user's umask.

    Raises:
        DiskFull: no space or quota is left.
        NotWritable: the folder is read-only or owned by another user.
        OutputGone: the folder was removed in the meantime.
    """
    draft = path.with_name(draft_name())
    make_folder(path.parent, name=path)
    with storage_errors(path):
        try:
            yield draft
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise


@contextmanager
def replacing_text(path: Path) -> Iterator[TextIO]:
    """Yield a UTF-8 stream to a draft that replaces ``path``; see :func:`replacing`.

    File names that are not valid UTF-8 are escaped, so that one of them does not lose a table.
    """
    with (
        replacing(path) as draft,
        draft.open("x", encoding="utf-8", errors="backslashreplace", newline="\n") as stream,
    ):
        yield stream


def write_text(path: Path, text: str) -> None:
    """Write a text file; errors as for :func:`replacing`."""
    with replacing_text(path) as stream:
        stream.write(text)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file; errors as for :func:`replacing`."""
    with replacing(path) as draft:
        draft.write_bytes(content)


@contextmanager
def replacing_folder(folder: Path, *, draft_parent: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder that replaces ``folder`` and its contents when the block succeeds.

    If several processes replace the same folder, the last one wins. A process killed between the
    two renames of a replacement leaves no folder, never a mixture.

    Args:
        folder: the folder to write.
        draft_parent: an existing or new folder on the same file system that holds the draft;
            default: the parent of ``folder``.

    Raises:
        DiskFull: no space or quota is left.
        NotWritable: the folder is read-only or owned by another user.
        OutputGone: the folder was removed in the meantime.
    """
    scratch = (draft_parent or folder.parent) / draft_name()
    try:
        make_folder(draft := scratch / "new", name=folder)
        # A denied access in the block may concern a file that it reads.
        with storage_errors(folder, draft=scratch, writing=False):
            yield draft
        with storage_errors(folder, draft=scratch):
            make_folder(folder.parent, name=folder)
            _move(draft, folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _move(draft: Path, folder: Path, scratch: Path) -> None:
    """Rename the draft, moving away an existing folder even if another process recreates it."""
    for _ in range(RENAME_ATTEMPTS):
        try:
            draft.rename(folder)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) and os.name != "nt":
                raise
        with suppress(FileNotFoundError):
            folder.rename(scratch / uuid4().hex)
    draft.rename(folder)


@contextmanager
def replacing_together(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of ``folder`` when the block succeeds.

    They appear together, in a subfolder ``pending``, and are then moved to their places one by
    one. Readers that use :func:`newest` see all of the old files or all of the new ones. The next
    call moves what a killed process left in ``pending``.

    Args:
        folder: the folder to write to.

    Raises:
        DiskFull: no space or quota is left.
        NotWritable: the folder is read-only or owned by another user.
        OutputGone: the folder was removed in the meantime.
    """
    _move_pending(folder)
    with replacing_folder(folder / PENDING, draft_parent=folder) as draft:
        yield draft
    _move_pending(folder)


def _move_pending(folder: Path) -> None:
    with storage_errors(folder):
        for path in sorted((folder / PENDING).glob("*")):
            with suppress(FileNotFoundError):  # moved by another process in the meantime
                path.replace(folder / path.name)
    with suppress(OSError):  # missing, or filled again by another process
        (folder / PENDING).rmdir()


def newest(path: Path) -> Path:
    """Return the path of the newest version of a file written by :func:`replacing_together`."""
    pending = path.parent / PENDING / path.name
    return pending if pending.is_file() else path


@contextmanager
def storage_errors(
    path: Path, *, draft: Path | None = None, writing: bool = True
) -> Iterator[None]:
    """Turn operating system errors about the output folder into errors that name ``path``.

    Args:
        path: the file or folder being written.
        draft: folder of the draft; default: the parent of ``path``.
        writing: whether a denied access must concern the output folder.

    Raises:
        DiskFull: no space or quota is left.
        NotWritable: the folder is read-only or owned by another user.
        OutputGone: the folder was removed in the meantime.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFull(str(path), error.strerror or "") from error
        if error.errno in READ_ONLY and writing:
            raise NotWritable(str(path), error.strerror or "") from error
        if error.errno == errno.ENOENT and not (draft or path.parent).is_dir():
            raise OutputGone(str(path)) from error
        raise


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a private folder for temporary files, removed at the end.

    Folders left by killed processes are removed first: they may hold a patient's scan.

    Args:
        parent: folder that holds it; default: the system's folder for temporary files.
    """
    top = parent or Path(tempfile.gettempdir())
    remove_stale_drafts(top, prefix=SCRATCH, recursive=False)
    folder = top / draft_name(SCRATCH)
    with storage_errors(folder):
        folder.mkdir(mode=0o700)
    try:
        with storage_errors(folder, writing=False):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def private_temporary_files() -> Iterator[None]:
    """Keep temporary files of this process and its children in a folder removed at the end.

    Killed processes leave theirs behind, and torch creates a folder for its compiler as soon as
    some of its modules are imported. Import those in this block.
    """
    before = {name: os.environ.get(name) for name in TEMPORARY_VARIABLES}
    folder_before, existing = tempfile.tempdir, _multiprocessing_folder()
    with scratch_folder(_parent_for_sockets()) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            if not existing:  # else its removal at exit would warn of a missing folder
                _forget_multiprocessing_folder()
            tempfile.tempdir = folder_before
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ.update({} if value is None else {name: value})


def _parent_for_sockets() -> Path:
    """Return the folder for temporary files, or a shorter one if its name is too long for sockets.

    Without sockets, images read by another process never arrive, and nothing reports it.
    """
    top = Path(tempfile.gettempdir())
    fits = len(os.fsencode(top / draft_name(SCRATCH))) <= MAX_SOCKET_FOLDER_BYTES
    return top if fits or not os.access(SHORT_TEMPORARY, os.W_OK | os.X_OK) else SHORT_TEMPORARY


def _multiprocessing_folder() -> object:
    """Return the folder of multiprocessing's sockets, for which there is no public function."""
    return getattr(multiprocessing.current_process(), "_config", {}).get("tempdir")


def _forget_multiprocessing_folder() -> None:
    for finalizer in list(getattr(multiprocessing.util, "_finalizer_registry", {}).values()):
        if getattr(finalizer, "_callback", None) is getattr(
            multiprocessing.util, "_remove_temp_dir", ""
        ):
            finalizer()


def remove_stale_drafts(folder: Path, *, prefix: str = DRAFT, recursive: bool = True) -> None:
    """Remove drafts whose process no longer runs.

    Processes of other machines cannot be checked: their drafts are removed a day after their last
    change. Symbolic links are not followed.

    Args:
        folder: where to look; may be missing.
        prefix: first letters of the drafts' names.
        recursive: also look into subfolders.
    """
    for draft in list(_drafts(folder, prefix, recursive)):
        if not _may_be_in_use(draft, prefix):
            _remove(draft)


def _drafts(folder: Path, prefix: str, recursive: bool) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        drafts = [name for name in (*folders, *files) if name.startswith(prefix)]
        yield from (Path(parent) / name for name in drafts)
        folders[:] = [name for name in folders if name not in drafts] if recursive else []


def _may_be_in_use(draft: Path, prefix: str) -> bool:
    machine, _, owner = draft.name.removeprefix(prefix).partition("-")
    process, _, rest = owner.partition("-")
    start = rest.partition("-")[0]
    if not (process.isdigit() and start.isdigit()):
        return True  # a foreign file with such a name
    if machine == machine_id():
        return is_alive(int(process), int(start))
    return _age_seconds(draft) < DAY_SECONDS


def _age_seconds(draft: Path) -> float:
    """Return the time since the last change of a draft or its contents."""
    latest = 0.0
    for path in (draft, *draft.rglob("*")):
        with suppress(OSError):
            latest = max(latest, path.lstat().st_mtime)
    return time.time() - latest


def _remove(draft: Path) -> None:
    if draft.is_dir() and not draft.is_symlink():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        with suppress(OSError):
            draft.unlink()


def content_digest(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of file names and contents, as 64 hex digits.

    Every byte is read. A digest of samples would be faster and would miss a lesion painted into an
    otherwise equal scan.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode(errors="surrogateescape"))
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def unchanged_stamp(paths: Iterable[Path]) -> str:
    """Return a stamp that stays the same as long as none of the files changes.

    It costs one `stat` per file. Size and modification time can be equal in another file (`cp -p`,
    `rsync -t`, `touch -r`), but the time of the last status change (ctime) cannot be set, and a
    replaced file has another inode. Windows has no ctime: there, and for files without an inode,
    the stamp is empty, which must count as changed.
    """
    digest = hashlib.sha256()
    for path in paths:
        status = path.stat()
        if os.name == "nt" or not status.st_ino or not stat.S_ISREG(status.st_mode):
            return ""
        facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        digest.update(f"{path.name}\0{facts}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
