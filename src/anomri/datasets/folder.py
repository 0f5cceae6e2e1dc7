"""Any folder of NIfTI files whose names say what they are; also a single file.

Whose scan a file is follows from where it lies:

* in a folder named after a contrast or a mask (``t1/``, ``wmh_auto/``): the subject is in the
  file's name; what that does not say the folder does, and a mask folder's word wins.
* in a folder that holds a contrast more than once under different names, or in the source itself
  when every file's name begins with a subject: likewise.
* in any other folder: the folder is the subject; ``anat/``, ``images/`` and the like stand for
  the folder above them.

A name met under several folders (``p1/2019``, ``p2/2019``) is a session of each of them. A
subject whose only images are links that lead nowhere, or of another sequence or format, is left out
by name, and so is an empty folder beside those of subjects. How a name is read stands in
:mod:`anomri.datasets.file_names`. A subject's only image, when nothing says its contrast, counts
as FLAIR, and the log says so.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from anomri.datasets.cases import BRAIN, CONTRASTS, TRUTH, Case, Cases, Layout
from anomri.datasets.file_names import OTHER, Reading, folder_role, read_name
from anomri.datasets.nnunet import CHANNEL, NO_CHANNEL, holds_channels, read_channels
from anomri.datasets.participants import Participants, read_healthy, without_prefix
from anomri.datasets.tree import NOT_NIFTI, Tree, is_image, stem
from anomri.files import PARTICIPANTS

log = logging.getLogger(__name__)

UNNAMED = "unnamed"
ASSUMED = "flair"
NEUTRAL = frozenset(
    {"anat", "data", "images", "imagestr", "imagests", "imagesval", "img", "mri", "nifti", "nii"}
    | {"scans"}
)
OTHER_FORMATS = frozenset(
    {".dcm", ".ima", ".mgz", ".mgh", ".nrrd", ".mha", ".mhd", ".hdr", ".img", ".tif", ".tiff"}
    | {".png", ".jpg", ".jpeg"}
)
COPIES = frozenset({"dicom", "dicoms", "DICOM", "raw", "sourcedata"})  # of what is there as NIfTI
NO_CONTRAST = "neither its name nor its folder says which contrast it is"
VOLUMES = frozenset({".mgz", ".mgh", ".nrrd", ".mha", ".mhd", ".hdr", ".dcm", ".ima"})
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
    skipped = {tree.root / item.name: item.reason for item in tree.skipped}
    broken = {path: reason for path, reason in skipped.items() if is_image(path)}
    placed = _placed(tree, broken)
    sessions = _under_several_folders(placed)
    healthy = read_healthy(tree.root / PARTICIPANTS)
    others = [file for file in placed if file.role == OTHER or file.path in broken]
    for file in placed:
        if file not in others:
            _add(_case(cases, file, sessions, healthy), file)
    for file in others:
        if file.path not in broken:
            cases.skip(file.path, OTHER_CONTRAST)
        if (file.base, file.subject) in cases or not _is_of_another(cases, file):
            case = _case(cases, file, sessions, healthy)
            if file.role not in case.files:
                case.unclear.setdefault(file.role, broken.get(file.path, OTHER_CONTRAST))
    for folder in _subjects_without_images(cases):
        file = _Placed(folder, OTHER, folder.parent, folder.name)
        _case(cases, file, sessions, healthy)
    _settle_unnamed(cases)
    healthy.warn(PARTICIPANTS)
    return cases


def _add(case: Case, file: _Placed) -> None:
    """Let a file claim its role; a channel of nnU-Net whose contrast nobody says claims none."""
    if file.role == CHANNEL:
        case.unclear.setdefault(CHANNEL, NO_CHANNEL)
    else:
        case.add(file.role, file.path)


def _is_of_another(cases: Cases, file: _Placed) -> bool:
    """Whether scans lie beside a file whose name begins with their subject's."""
    return any(
        base == file.base and file.subject.startswith(subject)
        for (base, subject), _ in cases.items()
    )


def _subjects_without_images(cases: Cases) -> list[Path]:
    """Return the folders beside those of subjects that are empty or hold only other formats."""
    tree, keys = cases.tree, [key for key, _ in cases.items()]
    bases = {base for base, subject in keys if (base / subject).is_dir()}
    used = {parent for path in (*tree.images(), *_skipped(tree)) for parent in path.parents}
    held = {parent for path in tree.files for parent in path.parents}
    scans = {
        parent for path in tree.files if path.suffix.lower() in VOLUMES for parent in path.parents
    }
    return [
        folder
        for folder in tree.folders
        if folder.parent in bases
        and folder not in used
        and (folder in scans or folder not in held)
        and not _shared(folder)
        and folder.name not in COPIES
    ]


def _skipped(tree: Tree) -> list[Path]:
    return [tree.root / item.name for item in tree.skipped]


def _placed(tree: Tree, broken: Collection[Path]) -> list[_Placed]:
    folders: dict[Path, dict[Path, Reading]] = {}
    images = sorted({*tree.images(), *broken})
    channels = read_channels(tree, images)
    for path in images:
        reading = channels.get(path) or read_name(stem(path))
        folders.setdefault(path.parent, {})[path] = reading
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
    if holds_channels(folder) or any(reading.role == CHANNEL for reading in names.values()):
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
    case = cases.case(key, subject, where=where, session=session, healthy=said)
    case.unclear["healthy"] = healthy.unclear(subject)
    return case


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


LAYOUT = Layout(
    name="folder",
    looks_for="any .nii or .nii.gz file",
    fits=fits,
    gather=gather,
)
