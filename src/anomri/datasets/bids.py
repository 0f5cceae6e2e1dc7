"""BIDS: raw anatomical scans, with masks from derivatives.

Entities come from file names. The parent folders distinguish raw files from derivatives, and give
the data set if a source has several, and the session if the file name has none.

=========================================  ==================================================
``*_FLAIR``                                flair
``*_T1w``                                  t1, or t1ce when the name holds ``ce-<label>``
``*_T2w``                                  t2
``derivatives/**/*_desc-brain_mask``       brain mask
``derivatives/**/*_label-lesion_mask``     truth
``participants.tsv``                       healthy, from ``healthy``, ``group``, ``diagnosis``
``.bidsignore``                            files to leave out, in the syntax of .gitignore
=========================================  ==================================================

If a contrast has two files (runs, acquisitions), both are skipped with the filter that would choose
one, and the other contrasts of the subject are kept (:mod:`anomri.datasets.bids_filter`). A mask
without a session is used only for subjects without sessions. Images in another space
(``space-<label>`` other than ``space-orig``) and phase images (``part-phase``) are skipped. A
subject without the contrast that a model needs is listed here and refused by the model. A subject
or session whose folder has no usable scan is reported as left out. No image is opened.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from pathspec import GitIgnoreSpec

from anomri.datasets.bids_choice import choose_files
from anomri.datasets.bids_filter import BidsFilter
from anomri.datasets.bids_folders import (
    SOURCES,
    dataset_of,
    is_derived,
    session_of,
    source_datasets,
    subject_folders,
)
from anomri.datasets.bids_names import CONTRASTS, Name, name_of
from anomri.datasets.cases import Case, Cases, Layout
from anomri.datasets.file_tree import Tree, is_image
from anomri.datasets.participants import Participants, read_healthy
from anomri.files import BIDSIGNORE, PARTICIPANTS

log = logging.getLogger(__name__)

MAGNITUDE = ("mag", "")  # values of the entity `part`
NOT_NAMED = (
    "not named sub-<label>_..._<suffix>, with labels of letters and digits; rename it to use it"
)
NO_SOURCE = "a mask without a raw scan of the same subject and session"
MANY_SOURCES = (
    "it may belong to several data sets; move it to the derivatives folder of the one it belongs to"
)

ALL_FILES = BidsFilter()

Key = tuple[Path, str, str | None]
"""Data set, subject and session of a case."""


def fits(tree: Tree) -> bool:
    """Whether there is a raw file named ``sub-*_FLAIR``, ``_T1w`` or ``_T2w``."""
    names = (name_of(path) for path in tree.images() if not is_derived(tree, path))
    return any(name is not None and name.contrast for name in names)


def gather(tree: Tree, choice: BidsFilter = ALL_FILES) -> Cases:
    """Return a case per data set, subject and session.

    Args:
        tree: the source.
        choice: which files of the raw data and masks to use.
    """
    gathering = _Gathering(tree)
    ignored = _ignored(tree)
    masks = []
    for path in tree.images():
        if ignored.match_file(path.relative_to(tree.root).as_posix()):
            gathering.cases.skip(path, f"left out by {BIDSIGNORE}")
            gathering.used.update(path.parents)
        elif is_derived(tree, path):
            masks.append(path)
        else:
            gathering.add_raw(path)
    for path in masks:
        gathering.add_mask(path)
    gathering.add_broken_links(ignored)
    for folder, subject, session in subject_folders(tree):
        if not ignored.match_file(f"{tree.name(folder)}/"):
            gathering.add_empty(folder, subject, session)
    cases = gathering.finished()
    choose_files(cases, choice)
    return cases


def layout_with_filter(choice: BidsFilter) -> Layout:
    """Return the layout with files chosen by the user."""
    return Layout(LAYOUT.name, LAYOUT.looks_for, fits, partial(gather, choice=choice))


class _Gathering:
    """The cases of a source, which may have several data sets.

    Attributes:
        cases: keyed by data set, subject and session.
        used: folders of files that are part of a case, or that are to be ignored.
    """

    def __init__(self, tree: Tree) -> None:
        self.cases = Cases(tree)
        self.used: set[Path] = set()
        self._datasets: dict[Path, None] = {}  # data sets with a scan, in order
        self._tables: dict[Path, Participants] = {}

    def add_raw(self, path: Path) -> None:
        """Add a raw file to its case, or skip it with the reason."""
        name, cases = name_of(path), self.cases
        if SOURCES in path.relative_to(cases.tree.root).parts:
            cases.skip(path, f"source data, before conversion to raw data ({SOURCES}/)")
        elif name is None:
            cases.skip(path, NOT_NAMED)
        elif name.contrast is None:
            cases.skip(path, f"its suffix {name.suffix} is none of {', '.join(CONTRASTS)}")
        elif _in_other_space(name):
            cases.skip(path, f"lies in the space {name.entities['space']}")
        elif name.entities.get("part", "") not in MAGNITUDE:
            cases.skip(path, f"not the magnitude but part-{name.entities['part']}")
        else:
            dataset = dataset_of(cases.tree, path)
            self._datasets[dataset] = None
            self.used.update(path.parents)
            case = self._case(
                dataset, name.entities["sub"], session_of(cases.tree, path, name.entities)
            )
            case.add(name.contrast, path)
            case.entities[path] = name.kept

    def add_mask(self, path: Path) -> None:
        """Add a mask to the case in the data set that it was derived from."""
        name = name_of(path)
        if name is None and not path.name.lower().endswith((".nii", ".nii.gz")):
            return  # one of the many volumes of FreeSurfer
        role = name.mask if name else None
        if name is None or role is None:
            reason = "a derivative that is neither desc-brain_mask nor label-lesion_mask"
            self.cases.skip(path, reason)
        elif _in_other_space(name):
            self.cases.skip(path, f"lies in the space {name.entities['space']}")
        else:
            keys = self._keys(path, name)
            if len(keys) == 1 and keys[0] in self.cases:
                self.cases[keys[0]].add(role, path)
            else:
                self.cases.skip(path, MANY_SOURCES if len(keys) > 1 else NO_SOURCE)

    def add_broken_links(self, ignored: GitIgnoreSpec) -> None:
        """Note on each scan which of its files are links that lead nowhere."""
        tree = self.cases.tree
        for item in tree.skipped:
            path = tree.root / item.name
            if is_image(path) and not ignored.match_file(item.name):
                self._add_broken_link(path, item.reason)

    def _add_broken_link(self, path: Path, reason: str) -> None:
        name, tree = name_of(path), self.cases.tree
        if name is None or _in_other_space(name) or SOURCES in path.relative_to(tree.root).parts:
            return
        role = name.mask if is_derived(tree, path) else name.contrast
        keys = self._keys(path, name)
        if role is None or len(keys) != 1 or keys[0] not in self.cases:
            return
        case = self.cases[keys[0]]
        if role not in case.files:
            case.unclear.setdefault(role, f"{path.name}: {reason}")

    def _keys(self, path: Path, name: Name) -> list[Key]:
        """Return the keys of the case of a raw file or mask, one for each possible data set."""
        tree, datasets = self.cases.tree, [dataset_of(self.cases.tree, path)]
        if is_derived(tree, path):
            datasets = source_datasets(tree, path, self._datasets)
        session = session_of(tree, path, name.entities)
        return [(dataset, name.entities["sub"], session) for dataset in datasets]

    def add_empty(self, folder: Path, subject: str, session: str | None) -> None:
        """Add a case without files for the folder of a subject without scans."""
        if folder not in self.used:
            dataset, root = folder.parents[0 if session is None else 1], self.cases.tree.root
            dataset = dataset if dataset.is_relative_to(root) else root
            key = (dataset, subject, session)
            if key not in self.cases:
                self._case(dataset, subject, session).where = self.cases.tree.name(folder)

    def finished(self) -> Cases:
        """Return the cases; subjects with the same name are prefixed with their data set."""
        for dataset, table in self._tables.items():
            table.warn(self.cases.tree.name(dataset / PARTICIPANTS))
        datasets: dict[str, set[Path]] = {}
        for (dataset, subject, _), _case in self.cases.items():
            datasets.setdefault(subject, set()).add(dataset)
        for (dataset, subject, _), case in self.cases.items():
            if len(datasets[subject]) > 1:
                case.subject = f"{self.cases.tree.name(dataset)}/{case.subject}"
        return self.cases

    def _case(self, dataset: Path, subject: str, session: str | None) -> Case:
        prefix = "" if dataset == self.cases.tree.root else f"{self.cases.tree.name(dataset)}/"
        where = f"{prefix}sub-{subject}" + (f"_ses-{session}" if session else "")
        table, key = self._table(dataset), (dataset, subject, session)
        healthy = table.get(subject)
        case = self.cases.case(key, subject, where=where, session=session, healthy=healthy)
        case.unclear["healthy"] = table.unclear(subject)
        return case

    def _table(self, folder: Path) -> Participants:
        """Return the participants of a data set, from its folder or the closest parent folder."""
        root = self.cases.tree.root
        while folder != root and not (folder / PARTICIPANTS).is_file():
            folder = folder.parent
        if folder not in self._tables:
            self._tables[folder] = read_healthy(folder / PARTICIPANTS)
        return self._tables[folder]


def _ignored(tree: Tree) -> GitIgnoreSpec:
    """Return the patterns in ``.bidsignore``."""
    path = tree.root / BIDSIGNORE
    lines = path.read_text("utf-8-sig", errors="replace").splitlines() if path.is_file() else []
    return GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    """Whether a line is a valid pattern; others are ignored, as by git."""
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError as error:
        log.warning("%s: %r is not a pattern (%s)", BIDSIGNORE, line, error)
        return False
    return True


def _in_other_space(name: Name) -> bool:
    return name.entities.get("space", "orig") != "orig"


LAYOUT = Layout(
    name="bids",
    looks_for="files named sub-*_FLAIR.nii.gz, sub-*_T1w.nii.gz or sub-*_T2w.nii.gz",
    fits=fits,
    gather=gather,
)
