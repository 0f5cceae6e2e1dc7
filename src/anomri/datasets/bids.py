"""BIDS: raw anatomical scans, with masks from derivatives.

Entities are read from the file names; the folders above them only tell raw from derivative.

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
like any other here; the model refuses it. Only names are looked at: no image is opened.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from anomri.datasets.cases import BRAIN, TRUTH, Cases, Layout
from anomri.datasets.participants import Participants, read_healthy
from anomri.datasets.tree import Tree, stem

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
DERIVATIVES = "derivatives"
SOURCES = "sourcedata"
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
    def mask(self) -> str | None:
        """The role of a derived mask, or None."""
        if self.suffix != "mask":
            return None
        pairs = self.entities.items()
        return next((role for pair, role in MASKS.items() if pair in pairs), None)


def fits(tree: Tree) -> bool:
    """Whether a raw file outside ``derivatives`` is named ``sub-*_FLAIR``, ``_T1w`` or ``_T2w``."""
    names = (Name.parse(stem(path)) for path in tree.images() if not _derived(tree, path))
    return any(name is not None and name.contrast for name in names)


def gather(tree: Tree) -> Cases:
    """One case per subject and session."""
    cases = Cases(tree)
    healthy = read_healthy(tree.root / "participants.tsv")
    masks = []
    ignored = _ignored(tree)
    for path in tree.images():
        if ignored.match_file(path.relative_to(tree.root).as_posix()):
            cases.skip(path, f"left out by {IGNORE}")
        elif _derived(tree, path):
            masks.append(path)
        else:
            _add_raw(cases, path, healthy)
    for path in masks:
        _add_mask(cases, path)
    healthy.warn("participants.tsv")
    return cases


def _add_raw(cases: Cases, path: Path, healthy: Participants) -> None:
    name = Name.parse(stem(path))
    if SOURCES in path.relative_to(cases.tree.root).parts:
        cases.skip(path, f"what the raw data were made from ({SOURCES}/)")
    elif name is None:
        cases.skip(path, "not named sub-<label>_..._<suffix>")
    elif name.contrast is None:
        cases.skip(path, f"its suffix {name.suffix} is none of {', '.join(CONTRASTS)}")
    elif _elsewhere(name):
        cases.skip(path, f"lies in the space {name.entities['space']}")
    elif name.entities.get("part", "") not in MAGNITUDE:
        cases.skip(path, f"not the magnitude but part-{name.entities['part']}")
    else:
        subject, session = key = name.entities["sub"], name.entities.get("ses")
        where = f"sub-{subject}" + (f"_ses-{session}" if session else "")
        said = healthy.get(subject)
        case = cases.case(key, subject, where=where, session=session, healthy=said)
        case.add(name.contrast, path)


def _add_mask(cases: Cases, path: Path) -> None:
    name = Name.parse(stem(path))
    role = name.mask if name else None
    if name is None or role is None:
        cases.skip(path, "a derivative that is neither desc-brain_mask nor label-lesion_mask")
    elif _elsewhere(name):
        cases.skip(path, f"lies in the space {name.entities['space']}")
    else:
        key = (name.entities["sub"], name.entities.get("ses"))
        if key in cases:
            cases[key].add(role, path)
        else:
            cases.skip(path, "a mask without a raw scan of the same subject and session")


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


def _derived(tree: Tree, path: Path) -> bool:
    return DERIVATIVES in path.relative_to(tree.root).parts


def _elsewhere(name: Name) -> bool:
    return name.entities.get("space", "orig") != "orig"


LAYOUT = Layout(
    name="bids",
    looks_for="files called sub-*_FLAIR.nii.gz, sub-*_T1w.nii.gz or sub-*_T2w.nii.gz",
    fits=fits,
    gather=gather,
)
