"""Data set, subject, session and raw or derivative from the folders of a BIDS source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from anomri.datasets.file_names import folder_role
from anomri.datasets.file_tree import Tree

DERIVATIVES = "derivatives"
SOURCES = "sourcedata"
SUBJECT, SESSION = "sub-", "ses-"
MODALITIES = frozenset({"anat", "data", "images", "mri", "nifti", "scans"})


def is_derived(tree: Tree, path: Path) -> bool:
    """Whether a path is below a folder ``derivatives``."""
    return DERIVATIVES in path.relative_to(tree.root).parts


def dataset_of(tree: Tree, path: Path) -> Path:
    """Return the data set of a raw file: the parent of its ``sub-`` folder.

    Without a ``sub-`` folder it is the closest folder not named ``anat/``, ``FLAIR/`` or the like.
    """
    inside = [folder for folder in path.parents if folder.is_relative_to(tree.root)]
    for folder in reversed(inside):
        if folder.name.startswith(SUBJECT) and folder != tree.root:
            return folder.parent
    folder = path.parent
    while folder != tree.root and _holds_files_only(folder.name):
        folder = folder.parent
    return folder


def _holds_files_only(name: str) -> bool:
    return name.lower() in MODALITIES or name.startswith(SESSION) or folder_role(name) is not None


def session_of(tree: Tree, path: Path, entities: Mapping[str, str]) -> str | None:
    """Return the session in the file name, or else in the folder ``ses-<label>``."""
    if "ses" in entities:
        return entities["ses"]
    names = path.parent.relative_to(tree.root).parts
    return next((name[len(SESSION) :] for name in names if name.startswith(SESSION)), None)


def source_datasets(tree: Tree, mask: Path, datasets: Iterable[Path]) -> list[Path]:
    """Return the data sets that a derived mask may belong to; one if it is unambiguous.

    This is the parent folder of ``derivatives`` if it is a data set, or else those below it.
    """
    above = [folder.parent for folder in mask.parents if folder.name == DERIVATIVES]
    origin = next((folder for folder in above[::-1] if folder.is_relative_to(tree.root)), tree.root)
    below = [dataset for dataset in datasets if dataset.is_relative_to(origin)]
    return [origin] if origin in below else below


def subject_folders(tree: Tree) -> Iterator[tuple[Path, str, str | None]]:
    """Yield the raw folders of subjects and sessions with their names, including links.

    The folder of a subject is yielded if it has no sessions.
    """
    broken = (tree.root / item.name for item in tree.skipped)
    folders = {*tree.folders, *(path for path in broken if "." not in path.name)}
    raw = sorted(folder for folder in folders if _is_raw(tree, folder))
    with_sessions = {folder.parent for folder in raw if folder.name.startswith(SESSION)}
    for folder in raw:
        above = folder.parent.name
        if folder.name.startswith(SESSION) and above.startswith(SUBJECT):
            yield folder, above[len(SUBJECT) :], folder.name[len(SESSION) :]
        elif folder.name.startswith(SUBJECT) and folder not in with_sessions:
            yield folder, folder.name[len(SUBJECT) :], None


def _is_raw(tree: Tree, folder: Path) -> bool:
    return not {DERIVATIVES, SOURCES} & set(folder.relative_to(tree.root).parts)
