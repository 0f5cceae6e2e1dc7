"""One walk over a source: its files, and what could not be listed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anomri.datasets.found import Skipped
from anomri.errors import DamagedFile, UsageError
from anomri.files import DATASET_DESCRIPTION, PREPARED, read_json

IMAGE_ENDINGS = (".nii", ".nii.gz")
NOT_NIFTI = "not NIfTI: expected .nii or .nii.gz; convert it first, DICOM with dcm2niix"
BROKEN_LINK = "the link leads nowhere; where git-annex or datalad keeps the data, fetch it first"
LINK_LOOP = "the link leads back to itself or to a folder above it"
OWN = "what anomri wrote itself; nothing in it is looked at again"


def is_image(path: Path) -> bool:
    """Whether the name ends as a NIfTI file's does, in any case."""
    return path.name.lower().endswith(IMAGE_ENDINGS)


def stem(path: Path) -> str:
    """File name without its NIfTI ending.

    >>> stem(Path("Subj16_FL.nii.gz"))
    'Subj16_FL'
    """
    name = path.name
    for ending in sorted(IMAGE_ENDINGS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem


def readable(name: str) -> str:
    r"""Return a name that can be written; bytes that are no UTF-8 are read as Windows' Latin.

    >>> readable("M\udcfcller")
    'Müller'
    """
    content = name.encode("utf-8", "surrogateescape")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


@dataclass(frozen=True, slots=True)
class Tree:
    """Every visible file under a source, listed once and sorted.

    Attributes:
        root: the source, or the folder of a source that is a single file.
        files: paths that begin with ``root``; hidden ones (``.name``, macOS ``._name``) are not
            among them.
        skipped: links that lead nowhere or in circles, folders that may not be read, and folders
            of anomri's own results: a mask in them is no expert's, and a map is no scan.
        single: whether the source is one file.
        folders: every folder below ``root`` that could be listed, empty ones too.
    """

    root: Path
    files: tuple[Path, ...]
    skipped: tuple[Skipped, ...] = ()
    single: bool = False
    folders: tuple[Path, ...] = ()

    @classmethod
    def of(cls, source: Path) -> Tree:
        """List ``source`` in one walk; of files only those that describe a folder are opened.

        Raises:
            UsageError: there is no such file or folder.
        """
        source = Path(source)
        if source.name in {"", ".."}:
            source = source.resolve()  # layouts read folder names, and "." has none
        if source.is_file():
            return cls(source.parent, (source,), single=True)
        if not source.is_dir():
            raise UsageError(
                f"{readable(str(source))}: expected a scan or a folder of scans; found neither. "
                "Next: check the path."
            )
        entries = list(_walk(source, source, ()))
        files = sorted(entry for entry in entries if isinstance(entry, Path))
        skipped = [entry for entry in entries if isinstance(entry, Skipped)]
        folders = sorted(entry.path for entry in entries if isinstance(entry, _Listed))
        return cls(
            source,
            tuple(files),
            tuple(sorted(skipped, key=lambda item: item.name)),
            folders=tuple(folders),
        )

    def images(self) -> tuple[Path, ...]:
        """The NIfTI files."""
        return tuple(path for path in self.files if is_image(path))

    def name(self, path: Path) -> str:
        """``path`` relative to the source, with forward slashes; the source by its own name."""
        own = self.root.name if path == self.root else path.relative_to(self.root).as_posix()
        return readable(own)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A folder whose entries were listed."""

    path: Path


def _walk(
    folder: Path, root: Path, above: tuple[tuple[int, int], ...]
) -> Iterator[Path | Skipped | _Listed]:
    name = readable(folder.relative_to(root).as_posix())
    try:
        status = folder.stat()
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        yield Skipped(name, f"may not be read: {error.strerror}")
        return
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        yield Skipped(name, LINK_LOOP)
        return
    if folder != root and _is_own(folder, {entry.name for entry in entries}):
        yield Skipped(name, OWN)
        return
    if folder != root:
        yield _Listed(folder)
    for entry in entries:
        yield from _visit(Path(folder, entry.name), entry, root, (*above, identity))


def _visit(
    path: Path, entry: os.DirEntry[str], root: Path, above: tuple[tuple[int, int], ...]
) -> Iterator[Path | Skipped | _Listed]:
    name = readable(path.relative_to(root).as_posix())
    try:
        if entry.is_dir():
            yield from _walk(path, root, above)
        elif entry.is_file():
            yield path
        else:
            yield Skipped(name, BROKEN_LINK if entry.is_symlink() else "not a regular file")
    except OSError:
        # A link that points at itself is the one thing `is_dir` raises for.
        yield Skipped(name, LINK_LOOP)


def _is_own(folder: Path, names: Set[str]) -> bool:
    """Whether anomri wrote a folder: detections say so as BIDS has it, prepared scans by a file."""
    if PREPARED in names and "anomri_version" in _described(folder / PREPARED):
        return True
    described = _described(folder / DATASET_DESCRIPTION) if DATASET_DESCRIPTION in names else {}
    makers = described.get("GeneratedBy")
    entries = makers if isinstance(makers, list) else []
    return any(isinstance(maker, dict) and maker.get("Name") == "anomri" for maker in entries)


def _described(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, dict[str, Any], what="a JSON object")
    except (OSError, DamagedFile):
        return {}
