"""Brain and lesion masks that another pipeline made of the same scans.

Each mask goes to the scan of its participant and session, read from file and folder names.

====================================================  ========================================
``sub-01/anat/sub-01_desc-brain_mask.nii.gz``         fMRIPrep, other BIDS derivatives: brain
``sub-01/anat/sub-01_label-lesion_mask.nii.gz``       lesions; ``label-WMH``, ``desc-lesion``
``sub-01_FLAIR_bet.nii.gz``, ``..._bet_mask.nii.gz``  HD-BET: brain
``sub-01/mri/brainmask.mgz``, ``mri/mask.mgz``        FreeSurfer, FastSurfer: brain
====================================================  ========================================

Masks may lie on another grid of the same space: they are resampled by their headers. Those in a
template's space, and those of functional or diffusion images, are not used. A mask without a
session is used where its participant has one scan. If a pipeline masked several images, the mask of
the first contrast that the scan has counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from anomri.datasets.bids_names import CONTRASTS, Name
from anomri.datasets.cases import BRAIN, TRUTH
from anomri.datasets.file_tree import Tree, is_image, stem
from anomri.datasets.search_results import Found, Skipped
from anomri.errors import UsageError
from anomri.scan import ScanFiles

SUBJECT = re.compile(r"(sub-[0-9A-Za-z]+)(?:_(ses-[0-9A-Za-z]+))?")
SESSION = re.compile(r"ses-[0-9A-Za-z]+")
FREESURFER = {"mask": BRAIN, "brainmask": BRAIN}  # the better one first
ENDINGS = ("_bet_mask", "_brain_mask", "_brainmask", "_mask", "_bet")  # the surer one first
OWN_SPACES = frozenset({"orig", "T1w", "T2w", "FLAIR", "anat", "individual"})
OTHER_IMAGES = frozenset({"func", "dwi", "perf", "fmap", "meg", "eeg", "pet"})
LESIONS = frozenset({"lesion", "lesions", "WMH", "wmh"})
NAME = re.compile(r"[0-9A-Za-z]+")
EXPECTED = (
    "brain or lesion masks named like sub-01_desc-brain_mask.nii.gz, "
    "sub-01_label-lesion_mask.nii.gz, sub-01_FLAIR_bet.nii.gz or sub-01/mri/brainmask.mgz"
)


@dataclass(frozen=True, slots=True, order=True)
class _Given:
    """A mask and whose it is.

    Attributes:
        rank: masks of a lower rank are preferred.
        path: the file.
        role: ``brain`` or ``truth``.
        subject: BIDS prefix of the participant.
        session: with ``ses-``; empty where neither file nor folder names one.
    """

    rank: tuple[int, int]
    path: Path
    role: str
    subject: str
    session: str


def parse_sources(texts: list[str]) -> dict[str, Path]:
    """Return folders by name from options ``NAME=PATH``; a path alone is named after its folder.

    >>> parse_sources(["fmriprep=out/fmriprep-25"])
    {'fmriprep': PosixPath('out/fmriprep-25')}

    Raises:
        UsageError: there is no such folder name, or the name is not of letters and digits.
    """
    named = {}
    for text in texts:
        name, equals, place = text.rpartition("=")
        path = Path(place)
        name = name if equals else re.sub(r"[^0-9A-Za-z]", "", path.name)
        if not NAME.fullmatch(name) or not place or name == "raw":
            raise UsageError(
                f"derivatives '{text.rpartition('/')[2]}': expected a name of letters and digits "
                "other than raw and a folder, such as fmriprep=PATH. Next: correct the option."
            )
        named[name] = path
    return named


def with_masks(found: Found, sources: Mapping[str, Path]) -> Found:
    """Return the scans with the masks of other pipelines in place of their own.

    Args:
        found: the scans.
        sources: folder of each pipeline's results, by name; of several that have a mask, the last
            one counts.

    Raises:
        UsageError: a folder does not exist, or has no mask of any of the scans.
    """
    for name, folder in sources.items():
        tree = Tree.of(folder)
        masks = sorted(_masks(tree))
        scans = tuple(_with_masks(files, found, masks, tree, name) for files in found.scans)
        if scans == found.scans:
            raise UsageError(
                f"{folder.resolve().name}: expected {EXPECTED} of the {len(scans)} scans, found "
                "none in its "
                f"{len(tree.files)} files. Next: check the path and the participants' labels."
            )
        without = [
            files.label for files, now in zip(found.scans, scans, strict=True) if files == now
        ]
        skipped = (Skipped(label, f"{name} has no mask of it") for label in without)
        datasets = {**found.datasets, name: folder}
        found = replace(found, scans=scans, skipped=(*found.skipped, *skipped), datasets=datasets)
    return found


def _with_masks(
    files: ScanFiles, found: Found, masks: list[_Given], tree: Tree, name: str
) -> ScanFiles:
    subject, _, session = files.label.partition("_ses-")
    alone = sum(other.label.partition("_ses-")[0] == subject for other in found.scans) == 1
    roles: dict[str, Path] = {}
    for mask in masks:
        here = mask.session == f"ses-{session}" if session else not mask.session
        if mask.subject == subject and (here or (alone and not mask.session)):
            roles.setdefault(mask.role, _preferred(mask, masks, files))
    if not roles:
        return files
    uris = {role: f"bids:{name}:{tree.name(path)}" for role, path in roles.items()}
    return replace(
        files,
        brain=roles.get(BRAIN, files.brain),
        truth=roles.get(TRUTH, files.truth),
        unclear={role: text for role, text in files.unclear.items() if role not in roles},
        uris={**files.uris, **uris},
    )


def _preferred(mask: _Given, masks: list[_Given], files: ScanFiles) -> Path:
    """Return the mask of the first contrast among those of the same kind, if one is named so."""
    same = [
        other.path
        for other in masks
        if (other.role, other.subject, other.session) == (mask.role, mask.subject, mask.session)
    ]
    for image in files.contrasts.values():
        named = [path for path in same if path.name.startswith(f"{stem(image)}_")]
        if named:
            return named[0]
    return mask.path


def _masks(tree: Tree) -> Iterator[_Given]:
    for path in tree.files:
        folders = path.parent.relative_to(tree.root).parts
        if not is_image(path) or OTHER_IMAGES & set(folders):
            continue
        place = "/".join((*folders, stem(path)))
        subject, role = SUBJECT.search(place), _role(path, stem(path))
        if subject is not None and role is not None:
            session = subject[2] or next(iter(SESSION.findall(place)), "")
            yield _Given(role[1], path, role[0], subject[1], session)


def _role(path: Path, name: str) -> tuple[str, tuple[int, int]] | None:
    """Return the role that a file's name states, and its rank; None if it is no mask."""
    if path.parent.name == "mri" and name in FREESURFER:
        return FREESURFER[name], (0, list(FREESURFER).index(name))
    parsed = Name.parse(name)
    if parsed is not None and parsed.suffix == "mask":
        space = parsed.entities.get("space", "orig")
        if space not in OWN_SPACES:
            return None
        lesion = LESIONS & {parsed.entities.get("label"), parsed.entities.get("desc")}
        role = TRUTH if lesion else parsed.mask
        return None if role is None else (role, (0, 0))
    ending = next((e for e in ENDINGS if name.endswith(e)), "")
    image = name.removesuffix(ending).rpartition("_")[2] if ending else ""
    return (BRAIN, (1, ENDINGS.index(ending))) if image in CONTRASTS else None
