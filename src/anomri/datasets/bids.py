"""BIDS: raw anatomical scans, with masks from derivatives.

Entities are read from the file names; the folders above them tell raw from derivative, which data
set a subject is of where a source holds several, and the session where no file name does.

=========================================  ==================================================
``*_FLAIR``                                flair
``*_T1w``                                  t1, or t1ce when the name holds ``ce-<label>``
``*_T2w``                                  t2
``derivatives/**/*_desc-brain_mask``       brain mask
``derivatives/**/*_label-lesion_mask``     truth
``participants.tsv``                       healthy, from ``healthy``, ``group``, ``diagnosis``
``.bidsignore``                            what the data set leaves out, as for git
=========================================  ==================================================

Two files for one contrast (runs, acquisitions) are not guessed between: both are named as skipped
and the subject's other contrasts stay. A mask that names no session serves a subject without
sessions only. Images in another space (``space-<label>``) are skipped, but for ``space-orig``, and
so are phase images (``part-phase``). A subject without the contrast that a model needs is a scan
like any other here; the model refuses it. A subject or session whose folder holds no usable scan
is left out by name. Only names are looked at: no image is opened.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from anomri.datasets.bids_folders import (
    SOURCES,
    home_of,
    is_derived,
    named_folders,
    session_of,
    source_of,
)
from anomri.datasets.cases import BRAIN, TRUTH, Case, Cases, Layout
from anomri.datasets.participants import Participants, read_healthy
from anomri.datasets.tree import Tree, is_image, stem

log = logging.getLogger(__name__)

CONTRASTS = {"FLAIR": "flair", "T1w": "t1", "T2w": "t2"}
MASKS = {
    ("desc", "brain"): BRAIN,
    ("label", "brain"): BRAIN,
    ("label", "lesion"): TRUTH,
    ("desc", "lesion"): TRUTH,
}
MAGNITUDE = ("mag", "")  # of the entity `part`
IGNORE = ".bidsignore"
PARTICIPANTS = "participants.tsv"
KEPT = ("acq", "ce", "rec", "run")  # entities that the names of results keep, in BIDS's order
LONGEST_KEPT = 48  # letters; file names end at 255 bytes
NOT_NAMED = (
    "not named sub-<label>_..._<suffix>, where labels are letters and digits; rename it to be used"
)
NO_SOURCE = "a mask without a raw scan of the same subject and session"
MANY_SOURCES = (
    "it may belong to several data sets; put it into the derivatives folder of the one it is of"
)
ENTITY = re.compile(r"([a-zA-Z]+)-([0-9a-zA-Z+]+)")


@dataclass(frozen=True, slots=True)
class Name:
    """What a BIDS file name says.

    Attributes:
        entities: such as ``{"sub": "01", "run": "2"}``.
        suffix: the last word, such as ``T1w``.
    """

    entities: dict[str, str]
    suffix: str

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """Read a file name without its ending; None when it is not of BIDS's form.

        >>> Name.parse("sub-01_ses-a_FLAIR")
        Name(entities={'sub': '01', 'ses': 'a'}, suffix='FLAIR')
        """
        *pairs, suffix = text.split("_")
        matches = [ENTITY.fullmatch(pair) for pair in pairs]
        if not pairs or None in matches:
            return None
        entities = {match[1]: match[2] for match in matches if match}
        return cls(entities, suffix) if "sub" in entities else None

    @property
    def contrast(self) -> str | None:
        """The contrast of a raw scan, or None."""
        if self.suffix == "T1w" and "ce" in self.entities:
            return "t1ce"
        return CONTRASTS.get(self.suffix)

    @property
    def kept(self) -> str:
        """The entities that the names of results keep, such as ``acq-3D_run-1``.

        >>> Name.parse("sub-01_run-1_acq-3D_part-mag_FLAIR").kept
        'acq-3D_run-1'
        """
        kept = "_".join(f"{key}-{self.entities[key]}" for key in KEPT if key in self.entities)
        return kept if len(kept) <= LONGEST_KEPT else ""

    @property
    def mask(self) -> str | None:
        """The role of a derived mask, or None."""
        if self.suffix != "mask":
            return None
        pairs = self.entities.items()
        return next((role for pair, role in MASKS.items() if pair in pairs), None)


def fits(tree: Tree) -> bool:
    """Whether a raw file outside ``derivatives`` is named ``sub-*_FLAIR``, ``_T1w`` or ``_T2w``."""
    names = (Name.parse(stem(path)) for path in tree.images() if not is_derived(tree, path))
    return any(name is not None and name.contrast for name in names)


def gather(tree: Tree) -> Cases:
    """One case per data set, subject and session."""
    gathering = _Gathering(tree)
    ignored = _ignored(tree)
    masks = []
    for path in tree.images():
        if ignored.match_file(path.relative_to(tree.root).as_posix()):
            gathering.cases.skip(path, f"left out by {IGNORE}")
            gathering.used.update(path.parents)
        elif is_derived(tree, path):
            masks.append(path)
        else:
            gathering.add_raw(path)
    for path in masks:
        gathering.add_mask(path)
    gathering.add_broken(ignored)
    for folder, subject, session in named_folders(tree):
        if not ignored.match_file(f"{tree.name(folder)}/"):
            gathering.add_named(folder, subject, session)
    return gathering.finished()


class _Gathering:
    """The cases of one source, which may hold several data sets.

    Attributes:
        cases: keyed by data set, subject and session.
        used: folders of files that became part of a case, or that are meant to be left out.
    """

    def __init__(self, tree: Tree) -> None:
        self.cases = Cases(tree)
        self.used: set[Path] = set()
        self._homes: dict[Path, None] = {}  # data sets with a scan, in order
        self._tables: dict[Path, Participants] = {}

    def add_raw(self, path: Path) -> None:
        """Add a raw file to its case, or say why it is in none."""
        name, cases = Name.parse(stem(path)), self.cases
        if SOURCES in path.relative_to(cases.tree.root).parts:
            cases.skip(path, f"what the raw data were made from ({SOURCES}/)")
        elif name is None:
            cases.skip(path, NOT_NAMED)
        elif name.contrast is None:
            cases.skip(path, f"its suffix {name.suffix} is none of {', '.join(CONTRASTS)}")
        elif _elsewhere(name):
            cases.skip(path, f"lies in the space {name.entities['space']}")
        elif name.entities.get("part", "") not in MAGNITUDE:
            cases.skip(path, f"not the magnitude but part-{name.entities['part']}")
        else:
            home = home_of(cases.tree, path)
            self._homes[home] = None
            self.used.update(path.parents)
            case = self._case(
                home, name.entities["sub"], session_of(cases.tree, path, name.entities)
            )
            case.add(name.contrast, path)
            case.entities[path] = name.kept

    def add_mask(self, path: Path) -> None:
        """Add a mask to the case of the data set that it was derived from."""
        name = Name.parse(stem(path))
        role = name.mask if name else None
        if name is None or role is None:
            reason = "a derivative that is neither desc-brain_mask nor label-lesion_mask"
            self.cases.skip(path, reason)
        elif _elsewhere(name):
            self.cases.skip(path, f"lies in the space {name.entities['space']}")
        else:
            homes = source_of(self.cases.tree, path, self._homes)
            session = session_of(self.cases.tree, path, name.entities)
            key = (homes[0], name.entities["sub"], session) if len(homes) == 1 else None
            if key in self.cases:
                self.cases[key].add(role, path)
            else:
                self.cases.skip(path, MANY_SOURCES if len(homes) > 1 else NO_SOURCE)

    def add_broken(self, ignored: GitIgnoreSpec) -> None:
        """Say of scans that they lack what a link that leads nowhere was for."""
        tree = self.cases.tree
        for item in tree.skipped:
            path = tree.root / item.name
            if is_image(path) and not ignored.match_file(item.name):
                self._note_broken(path, item.reason)

    def _note_broken(self, path: Path, reason: str) -> None:
        name, tree = Name.parse(stem(path)), self.cases.tree
        if name is None or _elsewhere(name) or SOURCES in path.relative_to(tree.root).parts:
            return
        derived = is_derived(tree, path)
        role = name.mask if derived else name.contrast
        homes = source_of(tree, path, self._homes) if derived else [home_of(tree, path)]
        session = session_of(tree, path, name.entities)
        key = (homes[0], name.entities["sub"], session) if len(homes) == 1 else None
        if role and key in self.cases and role not in self.cases[key].files:
            self.cases[key].unclear.setdefault(role, f"{path.name}: {reason}")

    def add_named(self, folder: Path, subject: str, session: str | None) -> None:
        """Make a case without files for a folder that names a subject nothing was found of."""
        if folder not in self.used:
            home, root = folder.parents[0 if session is None else 1], self.cases.tree.root
            home = home if home.is_relative_to(root) else root
            key = (home, subject, session)
            if key not in self.cases:
                self._case(home, subject, session).where = self.cases.tree.name(folder)

    def finished(self) -> Cases:
        """Return the cases; subjects of several data sets with one name get that of the set too."""
        for home, table in self._tables.items():
            table.warn(self.cases.tree.name(home / PARTICIPANTS))
        homes: dict[str, set[Path]] = {}
        for (home, subject, _), _case in self.cases.items():
            homes.setdefault(subject, set()).add(home)
        for (home, subject, _), case in self.cases.items():
            if len(homes[subject]) > 1:
                case.subject = f"{self.cases.tree.name(home)}/{case.subject}"
        return self.cases

    def _case(self, home: Path, subject: str, session: str | None) -> Case:
        above = "" if home == self.cases.tree.root else f"{self.cases.tree.name(home)}/"
        where = f"{above}sub-{subject}" + (f"_ses-{session}" if session else "")
        table, key = self._table(home), (home, subject, session)
        said = table.get(subject)
        case = self.cases.case(key, subject, where=where, session=session, healthy=said)
        case.unclear["healthy"] = table.unclear(subject)
        return case

    def _table(self, home: Path) -> Participants:
        """Return what is said of a data set's participants, by it or by a folder above it."""
        root = self.cases.tree.root
        while home != root and not (home / PARTICIPANTS).is_file():
            home = home.parent
        if home not in self._tables:
            self._tables[home] = read_healthy(home / PARTICIPANTS)
        return self._tables[home]


def _ignored(tree: Tree) -> GitIgnoreSpec:
    """Return the patterns of the data set's own list of files that are not BIDS."""
    path = tree.root / IGNORE
    lines = path.read_text("utf-8-sig", errors="replace").splitlines() if path.is_file() else []
    return GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    """Whether a line can be read; what is no pattern leaves nothing out, as for git."""
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError as error:
        log.warning("%s: %r is no pattern (%s)", IGNORE, line, error)
        return False
    return True


def _elsewhere(name: Name) -> bool:
    return name.entities.get("space", "orig") != "orig"


LAYOUT = Layout(
    name="bids",
    looks_for="files called sub-*_FLAIR.nii.gz, sub-*_T1w.nii.gz or sub-*_T2w.nii.gz",
    fits=fits,
    gather=gather,
)
