"""DICOM files in a source whose images are read: they must not disappear without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from anomri.datasets.dicom import has_dicom_ending, is_dicom
from anomri.datasets.file_tree import Tree

ORIGINALS = frozenset({"dicom", "dicoms", "raw", "sourcedata"})  # before conversion
UNCONVERTED = "DICOM"
REASON = (
    "DICOM files next to images, possibly of another scan: name their folder as the source, or, "
    "if the images were converted from them, move them to a folder named dicom"
)


def unconverted_folders(tree: Tree) -> list[Path]:
    """Return the folders with DICOM files that were not converted, apart from :data:`ORIGINALS`.

    A folder stands for those below it if there is no image in any of them. Whether images beside
    DICOM files were made of them is not known without a look at all headers.
    """
    used = (*tree.images(), *(tree.root / item.name for item in tree.skipped))
    with_images = {parent for path in used for parent in path.parents}
    folders = {folder for folder in _dicom_folders(tree) if not _originals(tree, folder)}
    return sorted({_topmost(tree, folder, with_images) for folder in folders})


def is_originals(folder: Path) -> bool:
    """Whether a folder is named as one of files before conversion."""
    return folder.name.lower() in ORIGINALS


def _originals(tree: Tree, folder: Path) -> bool:
    parents = (folder, *folder.parents)
    return any(is_originals(parent) for parent in parents[: parents.index(tree.root)])


def _topmost(tree: Tree, folder: Path, with_images: set[Path]) -> Path:
    while folder != tree.root and folder.parent not in with_images:
        folder = folder.parent
    return folder


def _dicom_folders(tree: Tree) -> Iterator[Path]:
    """Yield folders with DICOM files; of files without a usual ending, one per folder is opened."""
    opened: set[Path] = set()
    for path in tree.files:
        if has_dicom_ending(path):
            yield path.parent
        elif not path.suffix[1:].isalpha() and path.parent not in opened:
            opened.add(path.parent)
            if is_dicom(path):
                yield path.parent
