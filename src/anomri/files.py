"""Files and folders that appear on disk complete or not at all.

Everything that anomri keeps is written through :func:`replacing` or :func:`replacing_folder`: first
as a draft in the same folder (a rename is atomic within one file system only), then moved to its
place. A killed process leaves the old file or the new one, and perhaps a draft. The name of a draft
tells whose it is::

    .writing-<machine>-<process>-<start>-<random>

so that :func:`remove_stale_drafts` removes drafts of processes that no longer run, and no others.
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
from anomri.processes import lives, machine, started

DRAFT = ".writing-"
PENDING = "pending"  # folder of files that are about to replace others together
SCRATCH = "anomri-"  # prefix of folders for temporary files
RANDOM_DIGITS = {SCRATCH: 4}  # a process makes few of them, and their paths must be short
TEMPORARY = ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR")  # torch sets the second after the first
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # the last one: `ulimit -f`
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
DAY_SECONDS = 24 * 3600
# A socket's path has at most 103 bytes (104 on macOS with the end, 108 on Linux), and those of
# multiprocessing add 32 to the folder for temporary files: pymp-xxxxxxxx/listener-xxxxxxxx.
SOCKETS_FOLDER_BYTES = 103 - 32
SHORT = Path("/tmp")  # noqa: S108 - only a private folder in it is used
ATTEMPTS = 20
CHUNK = 1 << 20


def draft_name(prefix: str = DRAFT) -> str:
    """Return a new name for a draft of this process."""
    process, random = os.getpid(), uuid4().hex[: RANDOM_DIGITS.get(prefix, 12)]
    return f"{prefix}{machine()}-{process}-{started(process) or 0}-{random}"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a draft that replaces ``path`` when the block ends well.

    Folders above it are made. The draft vanishes when the block raises. Permissions follow the
    user's umask.

    Raises:
        DiskFull: there is no space, or no quota, left.
        NotWritable: the place is read-only or belongs to somebody else.
        OutputGone: somebody has removed the folder meanwhile.
    """
    draft = path.with_name(draft_name())
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise


@contextmanager
def replacing_text(path: Path) -> Iterator[TextIO]:
    """Yield a UTF-8 stream into a draft that replaces ``path``; see :func:`replacing`.

    A file name that is not UTF-8 is escaped, so that one such name does not cost a whole table.
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
def replacing_folder(home: Path, *, beside: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder that replaces ``home``, with all it holds, when the block ends well.

    Of several processes that replace one folder at the same time the last one wins. A kill between
    the two renames of a replacement leaves no folder, never a mixture.

    Args:
        home: the folder to write.
        beside: an existing or new folder on the same file system, where the draft is kept; the
            parent of ``home`` where None.

    Raises:
        DiskFull: there is no space, or no quota, left.
        NotWritable: the place is read-only or belongs to somebody else.
        OutputGone: somebody has removed the folder meanwhile.
    """
    around = (beside or home.parent) / draft_name()
    try:
        with storage_errors(home, draft=around):
            (draft := around / "new").mkdir(parents=True)
        # What the block reads may be forbidden to it, which says nothing of the place.
        with storage_errors(home, draft=around, writing=False):
            yield draft
        with storage_errors(home, draft=around):
            home.parent.mkdir(parents=True, exist_ok=True)
            _put(draft, home, around)
    finally:
        shutil.rmtree(around, ignore_errors=True)


def _put(draft: Path, home: Path, around: Path) -> None:
    """Rename the draft to its place, moving away what is there, whoever put it there meanwhile."""
    for _ in range(ATTEMPTS):
        try:
            draft.rename(home)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) and os.name != "nt":
                raise
        with suppress(FileNotFoundError):
            home.rename(around / uuid4().hex)
    draft.rename(home)


@contextmanager
def replacing_together(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of ``folder`` when the block ends well.

    They appear together, in a folder ``pending``, and are then moved to their places one by one.
    Who reads one of them by :func:`newest` meets all of the old ones or all of the new ones; what a
    kill has left there is moved by the next call. Errors as for :func:`replacing_folder`.
    """
    _move_pending(folder)
    with replacing_folder(folder / PENDING, beside=folder) as draft:
        yield draft
    _move_pending(folder)


def _move_pending(folder: Path) -> None:
    with storage_errors(folder):
        for path in sorted((folder / PENDING).glob("*")):
            with suppress(FileNotFoundError):  # another process has moved it meanwhile
                path.replace(folder / path.name)
    with suppress(OSError):  # not there, or filled again by another process
        (folder / PENDING).rmdir()


def newest(path: Path) -> Path:
    """Return where the newest version of a file that is replaced with others lies."""
    pending = path.parent / PENDING / path.name
    return pending if pending.is_file() else path


@contextmanager
def storage_errors(
    path: Path, *, draft: Path | None = None, writing: bool = True
) -> Iterator[None]:
    """Name ``path`` in errors that concern the place and not what is written there.

    Args:
        path: what is being written.
        draft: folder of the draft; the parent of ``path`` where None.
        writing: whether a denied access must be to the place.

    Raises:
        DiskFull: there is no space, or no quota, left.
        NotWritable: the place is read-only or belongs to somebody else.
        OutputGone: somebody has removed the folder meanwhile.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(str(path), error.strerror or "") from error
        if error.errno in READ_ONLY and writing:
            raise NotWritable(str(path), error.strerror or "") from error
        if error.errno == errno.ENOENT and not (draft or path.parent).is_dir():
            raise OutputGone(str(path)) from error
        raise


@contextmanager
def scratch_folder(top: Path | None = None) -> Iterator[Path]:
    """Yield a private folder for temporary files, removed at the end.

    What killed processes have left of theirs is removed first: it may be the scan of a patient.

    Args:
        top: where it is made; the user's own folder for temporary files where None.
    """
    top = top or Path(tempfile.gettempdir())
    remove_stale_drafts(top, prefix=SCRATCH, below=False)
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
    """Keep temporary files of this process and of those it starts in a folder removed at the end.

    Killed processes leave theirs behind, and torch makes a folder for its compiler as soon as some
    of its modules are imported. Those must therefore be imported in this block.
    """
    before = {name: os.environ.get(name) for name in TEMPORARY}
    folder_before, own = tempfile.tempdir, _multiprocessing_folder()
    with scratch_folder(_top_for_sockets()) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            if not own:  # or its removal at the end of the process would find nothing, and say so
                _forget_multiprocessing_folder()
            tempfile.tempdir = folder_before
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ.update({} if value is None else {name: value})


def _top_for_sockets() -> Path:
    """Return the folder for temporary files, or a shorter one where no socket could lie in it.

    Without a socket the images that another process has read never arrive, and nobody says so.
    """
    top = Path(tempfile.gettempdir())
    fits = len(os.fsencode(top / draft_name(SCRATCH))) <= SOCKETS_FOLDER_BYTES
    return top if fits or not os.access(SHORT, os.W_OK | os.X_OK) else SHORT


def _multiprocessing_folder() -> object:
    """Return the folder that multiprocessing has made for its sockets; it has no public name."""
    return getattr(multiprocessing.current_process(), "_config", {}).get("tempdir")


def _forget_multiprocessing_folder() -> None:
    for finalizer in list(getattr(multiprocessing.util, "_finalizer_registry", {}).values()):
        if getattr(finalizer, "_callback", None) is getattr(
            multiprocessing.util, "_remove_temp_dir", ""
        ):
            finalizer()


def remove_stale_drafts(folder: Path, *, prefix: str = DRAFT, below: bool = True) -> None:
    """Remove drafts whose process no longer runs; never those of a living one.

    Whether a process of another machine lives cannot be known: its drafts go a day after their last
    change. Symbolic links are not followed.

    Args:
        folder: nothing happens where it is missing.
        prefix: with which the drafts' names begin.
        below: look into the folders in it too.
    """
    for draft in list(_drafts(folder, prefix, below)):
        if not _may_live(draft, prefix):
            _remove(draft)


def _drafts(folder: Path, prefix: str, below: bool) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        found = [name for name in (*folders, *files) if name.startswith(prefix)]
        yield from (Path(place) / name for name in found)
        folders[:] = [name for name in folders if name not in found] if below else []


def _may_live(draft: Path, prefix: str) -> bool:
    where, _, owner = draft.name.removeprefix(prefix).partition("-")
    process, _, rest = owner.partition("-")
    start = rest.partition("-")[0]
    if not (process.isdigit() and start.isdigit()):
        return True  # a file of somebody else with such a name
    if where == machine():
        return lives(int(process), int(start))
    return _age_seconds(draft) < DAY_SECONDS


def _age_seconds(draft: Path) -> float:
    """Return the time since the last change of a draft or of anything in it."""
    newest = 0.0
    for path in (draft, *draft.rglob("*")):
        with suppress(OSError):
            newest = max(newest, path.lstat().st_mtime)
    return time.time() - newest


def _remove(draft: Path) -> None:
    if draft.is_dir() and not draft.is_symlink():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        with suppress(OSError):
            draft.unlink()


def content_digest(paths: Iterable[Path]) -> str:
    """Return the SHA-256 of the names and bytes of files, as 64 hex digits.

    Every byte is read. A digest of samples would be faster and would miss a lesion that was painted
    into an otherwise equal scan.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode(errors="surrogateescape"))
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def unchanged_stamp(paths: Iterable[Path]) -> str:
    """Return a stamp of files; where it is the same as before, none of them has changed since.

    It costs one look at the file system for each file and reads none. Size and time of change can
    both be the same in another file (`cp -p`, `rsync -t`, `touch -r`), but the time of the last
    change of status (ctime) cannot be set, and a replaced file has another inode. Windows has no
    such time: there, and for an unlikely file without an inode, the stamp is empty, which must
    count as changed.
    """
    digest = hashlib.sha256()
    for path in paths:
        found = path.stat()
        if os.name == "nt" or not found.st_ino or not stat.S_ISREG(found.st_mode):
            return ""
        facts = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        digest.update(f"{path.name}\0{facts}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
