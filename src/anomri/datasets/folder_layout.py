"""Any folder of image files with descriptive names, or a single file.

The location of a file determines its subject:

* In a folder named after a contrast or mask (``t1/``, ``wmh_auto/``), the subject is in the file
  name. The folder gives the role if the file name does not; a mask folder always does.
* In a folder with several files of the same contrast, or in the source itself if all names begin
  with a subject: likewise.
* In any other folder, the folder is the subject; for ``anat/``, ``images/`` and the like, it is the
  parent folder.

A folder name found in several folders (``p1/2019``, ``p2/2019``) is a session of each. Subjects
whose images are all broken links, or of another sequence or format, are reported as left out, and
so are empty folders beside those of subjects, and DICOM files beside images.
:mod:`anomri.datasets.file_names` parses the names. If the contrast of a subject's only image is
unknown, it counts as FLAIR, with a warning.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from anomri.datasets.cases import BRAIN, CONTRASTS, TRUTH, Case, Cases, Layout
from anomri.datasets.file_names import OTHER, ParsedName, folder_role, parse_name
from anomri.datasets.file_tree import NOT_AN_IMAGE, PACKED, Tree, is_image, stem
from anomri.datasets.nnunet import CHANNEL, UNKNOWN_CHANNEL, holds_channels, read_channels
from anomri.datasets.participants import Participants, read_healthy, without_prefix
from anomri.datasets.search_results import Skipped
from anomri.datasets.unconverted_dicom import (
    REASON,
    UNCONVERTED,
    is_originals,
    unconverted_folders,
)
from anomri.files import PARTICIPANTS

log = logging.getLogger(__name__)

UNNAMED = "unnamed"
ASSUMED = "flair"
NEUTRAL = frozenset(
    {"anat", "data", "images", "imagestr", "imagests", "imagesval", "img", "mri", "nifti", "nii"}
    | {"scans"}
)
PAIRS = (".hdr", ".img")  # read where both files are there
PACKED_VOLUMES = (
    *(".hdr.gz", ".img.gz"),
    *(".nii.bz2", ".nii.xz", ".nii.zst", ".nii.lz4", ".nii.gz.gpg"),
)
UNREAD_VOLUMES = (
    *(".nhdr", ".mha", ".mhd", ".mnc", ".mnc.gz", ".par", ".dcm", ".ima"),
    *PACKED_VOLUMES,
)
VOLUMES = (*UNREAD_VOLUMES, *PAIRS)
OTHER_FORMATS = (*UNREAD_VOLUMES, ".rec", ".tif", ".tiff", ".png", ".jpg", ".jpeg")
NO_CONTRAST = "neither its name nor its folder identifies its contrast"
OTHER_CONTRAST = f"a sequence other than {', '.join(CONTRASTS)}"

Names = Mapping[Path, ParsedName]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A file with its role and subject.

    Attributes:
        path: the file.
        role: its role; ``unnamed`` if neither its name nor its folder tells.
        base: the folder with the subject.
        subject: name of the subject in that folder.
    """

    path: Path
    role: str
    base: Path
    subject: str


def fits(tree: Tree) -> bool:
    """Whether there is an image."""
    return bool(tree.images())


def gather(tree: Tree) -> Cases:
    """Return a case per subject, or per subject and session."""
    cases = Cases(tree)
    _skip_other_formats(cases)
    skipped = {tree.root / item.name: item.reason for item in tree.skipped}
    broken = {path: reason for path, reason in skipped.items() if is_image(path)}
    placed = _placed(tree, broken)
    sessions = _under_several_folders(placed)
    participants = read_healthy(tree.root / PARTICIPANTS)
    others = [file for file in placed if file.role == OTHER or file.path in broken]
    for file in placed:
        if file not in others:
            _add(_case(cases, file, sessions, participants), file)
    for file in others:
        reason = broken.get(file.path, OTHER_CONTRAST)
        if file.path not in broken:
            cases.skip(file.path, reason)
        if (file.base, file.subject) in cases or not _belongs_to_another(cases, file):
            _add_unclear(_case(cases, file, sessions, participants), file.role, reason)
    for folder in _subjects_without_images(cases):
        file = _Placed(folder, OTHER, folder.parent, folder.name)
        _case(cases, file, sessions, participants)
    for folder in unconverted_folders(tree):
        case = _case_of_dicom(cases, folder, sessions, participants)
        case.unclear[UNCONVERTED] = REASON
    _assume_contrast_of_unnamed(cases)
    participants.warn(PARTICIPANTS)
    return cases


def _add(case: Case, file: _Placed) -> None:
    """Add a file to its case, unless it is an nnU-Net channel of unknown contrast."""
    if file.role == CHANNEL:
        case.unclear.setdefault(CHANNEL, UNKNOWN_CHANNEL)
    else:
        case.add(file.role, file.path)


def _case_of_dicom(
    cases: Cases, folder: Path, sessions: Collection[str], participants: Participants
) -> Case:
    """Return the case of a folder with DICOM files; it has no images."""
    if _is_subject_without_images(cases, folder):
        file = _Placed(folder, OTHER, folder.parent, folder.name)
        return _case(cases, file, sessions, participants)
    name = f"{cases.tree.name(folder)} {UNCONVERTED}"
    return cases.case((folder, UNCONVERTED), name, where=name)


def _is_subject_without_images(cases: Cases, folder: Path) -> bool:
    """Whether a folder lies beside those of subjects and none of its files was assigned."""
    key = (folder.parent, folder.name)
    if _shared(folder) or (key in cases and cases[key].files):
        return False
    return any(
        base == folder.parent and (base / name).is_dir() for (base, name), _ in cases.items()
    )


def _add_unclear(case: Case, role: str, reason: str) -> None:
    if role not in case.files:
        case.unclear.setdefault(role, reason)


def _belongs_to_another(cases: Cases, file: _Placed) -> bool:
    """Whether the name of a file begins with that of another subject in the same folder."""
    return any(
        base == file.base and file.subject.startswith(subject)
        for (base, subject), _ in cases.items()
    )


def _subjects_without_images(cases: Cases) -> list[Path]:
    """Return folders beside those of subjects that are empty or have other formats only."""
    tree, keys = cases.tree, [key for key, _ in cases.items()]
    bases = {base for base, subject in keys if (base / subject).is_dir()}
    used = {parent for path in (*tree.images(), *_skipped(tree)) for parent in path.parents}
    nonempty = {parent for path in tree.files for parent in path.parents}
    scans = {parent for path in tree.files if _ending(path, VOLUMES) for parent in path.parents}
    return [
        folder
        for folder in tree.folders
        if folder.parent in bases
        and folder not in used
        and (folder in scans or folder not in nonempty)
        and not _shared(folder)
        and not is_originals(folder)
    ]


def _skipped(tree: Tree) -> list[Path]:
    return [tree.root / item.name for item in tree.skipped]


def _placed(tree: Tree, broken: Collection[Path]) -> list[_Placed]:
    folders: dict[Path, dict[Path, ParsedName]] = {}
    images = sorted({*tree.images(), *broken})
    channels = read_channels(tree, images)
    for path in images:
        parsed = channels.get(path) or parse_name(stem(path))
        folders.setdefault(path.parent, {})[path] = parsed
    return [file for folder, names in folders.items() for file in _place(tree, folder, names)]


def _place(tree: Tree, folder: Path, names: Names) -> Iterator[_Placed]:
    """Assign the files of a folder to subjects."""
    subject_folder = _subject_folder(tree, folder)
    by_name = _files_name_subjects(tree, folder, names)
    for path, parsed in names.items():
        role = _role(parsed, folder_role(folder.name), is_root=folder == tree.root)
        subject = parsed.subject if by_name else ""
        if tree.single:
            subject = parsed.before or stem(path)
        if subject:
            base = subject_folder if _shared(folder) else folder
        else:
            base = tree.root if subject_folder == tree.root else subject_folder.parent
        yield _Placed(path, role, base, subject or subject_folder.name)


def _subject_folder(tree: Tree, folder: Path) -> Path:
    """Return the closest folder not named ``t1/``, ``anat/`` or the like."""
    while folder != tree.root and _shared(folder):
        folder = folder.parent
    return folder


def _shared(folder: Path) -> bool:
    return folder.name.lower() in NEUTRAL or folder_role(folder.name) is not None


def _files_name_subjects(tree: Tree, folder: Path, names: Names) -> bool:
    if folder != tree.root and folder_role(folder.name):
        return True
    if holds_channels(folder) or any(name.role == CHANNEL for name in names.values()):
        return True
    contrasts = [name for name in names.values() if name.role in CONTRASTS]
    contrasts = contrasts or [name for name in names.values() if name.role is None]
    if not all(name.subject for name in contrasts):
        return False
    if folder == tree.root and all(name.before for name in names.values()):
        return True
    # The folder has several subjects if a contrast occurs with several names.
    pairs = {(name.role, name.subject) for name in contrasts}
    return max(Counter(role for role, _ in pairs).values(), default=0) > 1


def _role(parsed: ParsedName, of_folder: str | None, *, is_root: bool) -> str:
    if of_folder in {BRAIN, TRUTH} and not is_root:
        return of_folder or UNNAMED
    if parsed.role is None and of_folder in CONTRASTS:
        return of_folder or UNNAMED
    return parsed.role or UNNAMED


def _under_several_folders(placed: list[_Placed]) -> set[str]:
    subjects = {(file.base, file.subject) for file in placed}
    return {name for name, count in Counter(name for _, name in subjects).items() if count > 1}


def _case(
    cases: Cases, file: _Placed, sessions: Collection[str], participants: Participants
) -> Case:
    subject, session = file.subject, None
    if file.subject in sessions and file.base != cases.tree.root:
        subject, session = file.base.name, file.subject.removeprefix("ses-")
    subject = without_prefix(subject)
    where = cases.tree.name(file.base / file.subject)
    healthy = participants.get(subject)
    key = (file.base, file.subject)
    case = cases.case(key, subject, where=where, session=session, healthy=healthy)
    case.unclear["healthy"] = participants.unclear(subject)
    return case


def _assume_contrast_of_unnamed(cases: Cases) -> None:
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
            "the contrast of these scans is unknown; assumed %s: %s",
            ASSUMED.upper(),
            ", ".join(assumed),
        )


def unread_formats(tree: Tree, formats: Iterable[str] = UNREAD_VOLUMES) -> list[Skipped]:
    """Return the number of files of each other format in each folder, and what to do with them."""
    endings = [(path.parent, _ending(path, formats)) for path in tree.files]
    counts = Counter(entry for entry in endings if entry[1])
    return [
        Skipped(
            f"{tree.name(folder)}: {count} {ending}",
            PACKED if ending in PACKED_VOLUMES else NOT_AN_IMAGE,
        )
        for (folder, ending), count in counts.items()
    ]


def _skip_other_formats(cases: Cases) -> None:
    for item in unread_formats(cases.tree, OTHER_FORMATS):
        cases.skip(item.name, item.reason)


def _ending(path: Path, endings: Iterable[str]) -> str:
    """Return the one of some endings that a file has, in upper or lower case; empty if none."""
    return next((ending for ending in endings if path.name.lower().endswith(ending)), "")


LAYOUT = Layout(
    name="folder",
    looks_for="any .nii, .nii.gz, .mgz or .nrrd file, or pair of .hdr and .img",
    fits=fits,
    gather=gather,
)
