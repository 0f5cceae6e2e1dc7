"""What the folders of a BIDS source say: data set, subject, session, raw or derivative."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from anomri.datasets.file_names import folder_role
from anomri.datasets.tree import Tree

DERIVATIVES = "derivatives"
SOURCES = "sourcedata"
SUBJECT, SESSION = "sub-", "ses-"
MODALITIES = frozenset({"anat", "data", "images", "mri", "nifti", "scans"})


def is_derived(tree: Tree, path: Path) -> bool:
    """Whether a path lies below a folder ``derivatives``."""
    return DERIVATIVES in path.relative_to(tree.root).parts


def home_of(tree: Tree, path: Path) -> Path:
    """Return the data set of a raw file: the folder above its ``sub-`` folder.

    A file outside such a folder is of the data set it lies in; ``anat/`` or ``FLAIR/`` are none.
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
    """Return the session that the name says, or else the folder ``ses-<label>``."""
    if "ses" in entities:
        return entities["ses"]
    names = path.parent.relative_to(tree.root).parts
    return next((name[len(SESSION) :] for name in names if name.startswith(SESSION)), None)


def source_of(tree: Tree, mask: Path, homes: Iterable[Path]) -> list[Path]:
    """Return the data sets that a derived mask may be of: one where it is clear.

    That is the folder above ``derivatives`` where it is a data set, and else those below it.
    """
    above = [folder.parent for folder in mask.parents if folder.name == DERIVATIVES]
    origin = next((folder for folder in above[::-1] if folder.is_relative_to(tree.root)), tree.root)
    below = [home for home in homes if home.is_relative_to(origin)]
    return [origin] if origin in below else below


def named_folders(tree: Tree) -> Iterator[tuple[Path, str, str | None]]:
    """Yield the raw folders that name a subject or a session, with its name; links too.

    A subject's own folder is yielded where it holds no sessions.
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
