"""Recursive listing of a folder, with what could not be listed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anomri.datasets.search_results import Skipped
from anomri.errors import DamagedFile, UsageError
from anomri.files import (
    DATASET_DESCRIPTION,
    PREPARED,
    half_of_pair,
    is_archive,
    partner_of,
    read_json,
)

IMAGE_ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh", ".nrrd", ".hdr", ".img")
VOXELS = ".img"  # the other half of a pair is its header
HALF = "one file of a .hdr/.img pair: put both into one folder"
IN_ARCHIVE = "a zip archive among other files: unpack it, or name it as the source"
_READ = "expected .nii, .nii.gz, .mgz, .nrrd or a pair of .hdr and .img"
NOT_AN_IMAGE = f"{_READ}; convert it first, DICOM with dcm2niix"
PACKED = f"{_READ}; unpack it first, and both files of a pair"
BROKEN_LINK = "a broken link; if the data are in git-annex or datalad, fetch them first"
LINK_LOOP = "a circular link: to itself or to a folder above it"
OWN = "a folder of anomri's own results, which are never read as scans"


def is_image(path: Path) -> bool:
    """Whether a file has the ending of an image, in upper or lower case.

    Of a pair, the header (``.hdr``) stands for both.
    """
    name = path.name.lower()
    return name.endswith(IMAGE_ENDINGS) and not name.endswith(VOXELS)


def stem(path: Path) -> str:
    """Return the name of an image without its ending.

    >>> stem(Path("Subj16_FL.nii.gz"))
    'Subj16_FL'
    """
    name = path.name
    for ending in sorted(IMAGE_ENDINGS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem


def readable(name: str) -> str:
    r"""Return a printable name; bytes that are not UTF-8 are decoded as Windows-1252.

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
    """All visible files of a source, sorted.

    Attributes:
        root: the source, or the parent folder of a single file.
        files: paths below ``root``, without hidden files (``.name``, macOS ``._name``).
        skipped: broken and circular links, unreadable folders, and folders of anomri's own results,
            whose masks and maps must not be taken for ground truth and scans.
        single: whether the source is a single file.
        folders: all folders below ``root`` that could be listed, including empty ones.
    """

    root: Path
    files: tuple[Path, ...]
    skipped: tuple[Skipped, ...] = ()
    single: bool = False
    folders: tuple[Path, ...] = ()

    @classmethod
    def of(cls, source: Path) -> Tree:
        """List a source; only files that describe a folder are opened.

        Raises:
            UsageError: the file or folder does not exist.
        """
        source = Path(source)
        if source.name in {"", ".."}:
            source = source.resolve()  # layouts read folder names, and "." has none
        if source.is_file():
            header = partner_of(source) if source.suffix.lower() == VOXELS else None
            return cls(source.parent, (header or source,), single=True)
        if not source.is_dir():
            raise UsageError(
                f"{readable(str(source))}: expected a scan or a folder of scans; found neither. "
                "Next: check the path."
            )
        entries = list(_walk(source, source, ()))
        files = sorted(entry for entry in entries if isinstance(entry, Path))
        skipped = [entry for entry in entries if isinstance(entry, Skipped)]
        halves = [path for path in files if half_of_pair(path) and _lacks_partner(path)]
        archives = [path for path in files if is_archive(path)]
        alone = len(archives) == len(files)
        skipped += [Skipped(_relative(path, source), HALF) for path in halves]
        skipped += [Skipped(_relative(p, source), IN_ARCHIVE) for p in archives if not alone]
        folders = sorted(entry.path for entry in entries if isinstance(entry, _Listed))
        return cls(
            source,
            tuple(files),
            tuple(sorted(skipped, key=lambda item: item.name)),
            folders=tuple(folders),
        )

    def images(self) -> tuple[Path, ...]:
        """Return the images; of a pair its header, and not of half a pair."""
        return tuple(p for p in self.files if is_image(p) and not _lacks_partner(p))

    def is_own(self) -> bool:
        """Whether the source itself is a folder that anomri wrote its results into."""
        names = {path.name for path in self.files if path.parent == self.root}
        return not self.single and _is_own(self.root, names)

    def archives(self) -> tuple[Path, ...]:
        """Return the zip archives."""
        return tuple(path for path in self.files if is_archive(path))

    def name(self, path: Path) -> str:
        """Return ``path`` relative to the source; for the source, its own name."""
        name = self.root.name if path == self.root else path.relative_to(self.root).as_posix()
        return readable(name)


def _lacks_partner(path: Path) -> bool:
    return half_of_pair(path) and partner_of(path) is None


def _relative(path: Path, source: Path) -> str:
    return readable(path.relative_to(source).as_posix())


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
        yield Skipped(name, f"cannot be read: {error.strerror}")
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
        # `is_dir` raises for links that point to themselves only.
        yield Skipped(name, LINK_LOOP)


def _is_own(folder: Path, names: Set[str]) -> bool:
    """Whether anomri wrote a folder of results or of prepared scans."""
    if PREPARED in names and "anomri_version" in _read_object(folder / PREPARED):
        return True
    description = _read_object(folder / DATASET_DESCRIPTION) if DATASET_DESCRIPTION in names else {}
    tools = description.get("GeneratedBy")
    entries = tools if isinstance(tools, list) else []
    return any(isinstance(tool, dict) and tool.get("Name") == "anomri" for tool in entries)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, dict[str, Any], what="a JSON object")
    except (OSError, DamagedFile):
        return {}
