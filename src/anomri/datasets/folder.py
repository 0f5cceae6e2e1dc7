"""Any folder of NIfTI files whose names say what they are; also a single file.

Whose scan a file is follows from where it lies:

* in a folder named after a contrast or a mask (``t1/``, ``wmh_auto/``): the subject is in the
  file's name; what that does not say the folder does, and a mask folder's word wins.
* in a folder that holds a contrast more than once under different names, or in the source itself
  when every file's name begins with a subject: likewise.
* in any other folder: the folder is the subject; ``anat/``, ``images/`` and the like stand for
  the folder above them.

A name met under several folders (``p1/2019``, ``p2/2019``) is a session of each of them. How a
name is read stands in :mod:`anomri.datasets.words`. A subject's only image, when nothing says its
contrast, counts as FLAIR, and the log says so.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from anomri.datasets.cases import BRAIN, CONTRASTS, TRUTH, Case, Cases, Layout
from anomri.datasets.participants import Participants, read_healthy, without_prefix
from anomri.datasets.tree import NOT_NIFTI, Tree, stem
from anomri.datasets.words import OTHER, Reading, folder_role, read_name

log = logging.getLogger(__name__)

UNNAMED = "unnamed"
ASSUMED = "flair"
NEUTRAL = frozenset({"anat", "data", "images", "imagestr", "img", "mri", "nifti", "nii", "scans"})
OTHER_FORMATS = frozenset(
    {".dcm", ".ima", ".mgz", ".mgh", ".nrrd", ".mha", ".mhd", ".hdr", ".img", ".tif", ".tiff"}
    | {".png", ".jpg", ".jpeg"}
)
DICOM = frozenset({".dcm", ".ima"})
COPIES = frozenset({"dicom", "dicoms", "DICOM", "raw", "sourcedata"})  # of what is there as NIfTI
NO_CONTRAST = "neither its name nor its folder says which contrast it is"
OTHER_CONTRAST = f"a sequence that is none of {', '.join(CONTRASTS)}"

Names = Mapping[Path, Reading]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A file with its role and the subject it belongs to.

    Attributes:
        path: the file.
        role: what it is; ``unnamed`` when neither its name nor its folder says so.
        base: the folder that holds the subject.
        subject: its name there.
    """

    path: Path
    role: str
    base: Path
    subject: str


def fits(tree: Tree) -> bool:
    """Whether there is any NIfTI file."""
    return bool(tree.images())


def gather(tree: Tree) -> Cases:
    """One case per subject, or per subject and session."""
    cases = Cases(tree)
    _skip_other_formats(cases)
    placed = _placed(tree)
    sessions = _under_several_folders(placed)
    healthy = read_healthy(tree.root / "participants.tsv")
    for file in placed:
        if file.role == OTHER:
            cases.skip(file.path, OTHER_CONTRAST)
        else:
            _case(cases, file, sessions, healthy).add(file.role, file.path)
    _name_unread(cases)
    _settle_unnamed(cases)
    healthy.warn("participants.tsv")
    return cases


def _placed(tree: Tree) -> list[_Placed]:
    folders: dict[Path, dict[Path, Reading]] = {}
    for path in tree.images():
        folders.setdefault(path.parent, {})[path] = read_name(stem(path))
    return [file for folder, names in folders.items() for file in _place(tree, folder, names)]


def _place(tree: Tree, folder: Path, names: Names) -> Iterator[_Placed]:
    """Decide for the files of one folder whose scans they are."""
    home = _home(tree, folder)
    by_name = _files_name_subjects(tree, folder, names)
    for path, reading in names.items():
        role = _role(reading, folder_role(folder.name), is_root=folder == tree.root)
        subject = reading.subject if by_name else ""
        if tree.single:
            subject = reading.before or stem(path)
        if subject:
            yield _Placed(path, role, home if _shared(folder) else folder, subject)
        else:
            yield _Placed(path, role, tree.root if home == tree.root else home.parent, home.name)


def _home(tree: Tree, folder: Path) -> Path:
    """Return the folder that a ``t1/`` or ``anat/`` folder stands for."""
    while folder != tree.root and _shared(folder):
        folder = folder.parent
    return folder


def _shared(folder: Path) -> bool:
    return folder.name.lower() in NEUTRAL or folder_role(folder.name) is not None


def _files_name_subjects(tree: Tree, folder: Path, names: Names) -> bool:
    if folder != tree.root and folder_role(folder.name):
        return True
    readings = [reading for reading in names.values() if reading.role in CONTRASTS]
    readings = readings or [reading for reading in names.values() if reading.role is None]
    if not all(reading.subject for reading in readings):
        return False
    if folder == tree.root and all(reading.before for reading in names.values()):
        return True
    # Several subjects lie here when one contrast is claimed under several names.
    claims = {(reading.role, reading.subject) for reading in readings}
    return max(Counter(role for role, _ in claims).values(), default=0) > 1


def _role(reading: Reading, folder_says: str | None, *, is_root: bool) -> str:
    if folder_says in {BRAIN, TRUTH} and not is_root:
        return folder_says or UNNAMED
    if reading.role is None and folder_says in CONTRASTS:
        return folder_says or UNNAMED
    return reading.role or UNNAMED


def _under_several_folders(placed: list[_Placed]) -> set[str]:
    places = {(file.base, file.subject) for file in placed}
    return {name for name, count in Counter(name for _, name in places).items() if count > 1}


def _case(cases: Cases, file: _Placed, sessions: Collection[str], healthy: Participants) -> Case:
    subject, session = file.subject, None
    if file.subject in sessions and file.base != cases.tree.root:
        subject, session = file.base.name, file.subject.removeprefix("ses-")
    subject = without_prefix(subject)
    where = cases.tree.name(file.base / file.subject)
    said = healthy.get(subject)
    key = (file.base, file.subject)
    return cases.case(key, subject, where=where, session=session, healthy=said)


def _settle_unnamed(cases: Cases) -> None:
    assumed = []
    for case in cases:
        unnamed = case.files.pop(UNNAMED, [])
        if len(unnamed) == 1 and not any(contrast in case.files for contrast in CONTRASTS):
            case.add(ASSUMED, unnamed[0])
            assumed.append(case.where)
        else:
            for path in unnamed:
                cases.skip(path, NO_CONTRAST)
    if assumed:
        log.warning(
            "nothing says which contrast these scans are; taken as %s: %s",
            ASSUMED.upper(),
            ", ".join(assumed),
        )


def _skip_other_formats(cases: Cases) -> None:
    formats = Counter(
        (path.parent, path.suffix.lower())
        for path in cases.tree.files
        if path.suffix.lower() in OTHER_FORMATS
    )
    for (folder, ending), count in formats.items():
        cases.skip(f"{cases.tree.name(folder)}: {count} {ending}", NOT_NIFTI)


def _name_unread(cases: Cases) -> None:
    """Add who has DICOM files alone among folders of subjects, so that nobody vanishes."""
    if cases.tree.single:
        return
    root = cases.tree.root
    homes = {path.relative_to(root).parts[0] for path in cases.tree.images()}
    dicom = (path for path in cases.tree.files if path.suffix.lower() in DICOM)
    alone = {path.relative_to(root).parts[0] for path in dicom if path.parent != root} - homes
    if any((root, name) in cases for name in homes):
        for name in sorted(alone - COPIES):
            where = cases.tree.name(root / name)
            cases.case((root, name), without_prefix(name), where=where)


LAYOUT = Layout(
    name="folder",
    looks_for="any .nii or .nii.gz file",
    fits=fits,
    gather=gather,
)
