"""The open MS data of the University of Ljubljana, as published on GitHub.

``cross_sectional/<stage>/patientXX/`` is one scan, ``longitudinal/<stage>/patientXX/`` has files
``study<k>_*`` of one session each. The two cohorts number their patients independently, so the
longitudinal ones are named ``longitudinal/patientXX``. Of several processing stages of a patient,
the last one is used: MNI, then coregistered, then raw.

The longitudinal ``gt`` marks changes between two studies, not the lesions of either; it is skipped.
All cases are patients.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from anomri.datasets.cases import BRAIN, TRUTH, Case, Cases, Layout
from anomri.datasets.file_tree import Tree, stem

STAGES = ("MNI", "coregistered_resampled", "coregistered", "raw")
PATIENT = re.compile(r"patient\d+")
NAME = re.compile(r"(?:patient\d+_)?(?:(?P<study>study\d+)_)?(?P<word>.+)")
# Compared in this order with the name after patient and study.
ROLES = {
    "FLAIR": "flair",
    "T1POST": "t1ce",
    "T1WKS": "t1ce",
    "T1": "t1",
    "T2": "t2",
    "GOLD_STANDARD": TRUTH,
    "consensus_gt": TRUTH,
    "brainmask": BRAIN,
    "brain_mask": BRAIN,
}
CHANGES = "marks changes between two studies, not the lesions of one"


class _File(NamedTuple):
    path: Path
    study: str | None
    role: str


def fits(tree: Tree) -> bool:
    """Whether a ``patientXX`` folder has files with the published names."""
    return any(_role(path) for path in tree.images() if PATIENT.fullmatch(path.parent.name))


def gather(tree: Tree) -> Cases:
    """Return a case per patient, or per study of a patient."""
    cases = Cases(tree)
    folders: dict[Path, list[_File]] = {}
    for path in tree.images():
        role = _role(path) if PATIENT.fullmatch(path.parent.name) else None
        if role:
            file = _File(path, _name(path)["study"], role)
            folders.setdefault(path.parent, []).append(file)
        else:
            known = stem(path) == "gt"
            cases.skip(path, CHANGES if known else "not a file of the published data set")
    for folder in sorted(folders, key=_rank):
        _add(cases, folder, folders[folder])
    return cases


def _add(cases: Cases, folder: Path, files: list[_File]) -> None:
    studies = sorted({file.study for file in files if file.study})
    sessions: list[str | None] = [*studies] or [None]
    for study in sessions:
        case = _case(cases, folder, study)
        for file in files:
            # Files without a study, such as a brain mask, are shared by all studies.
            if file.study in {None, study}:
                case.add(file.role, file.path)


def _case(cases: Cases, folder: Path, study: str | None) -> Case:
    name = cases.tree.name(folder)
    if study is None:
        return cases.case(folder, folder.name, where=name, healthy=False)
    subject = f"longitudinal/{folder.name}"
    key, where = (folder, study), f"{name}/{study}"
    return cases.case(key, subject, where=where, session=study, healthy=False)


def _rank(folder: Path) -> tuple[int, Path]:
    stage = folder.parent.name
    return (STAGES.index(stage) if stage in STAGES else len(STAGES), folder)


def _name(path: Path) -> re.Match[str]:
    match = NAME.fullmatch(stem(path))
    if match is None:  # the pattern matches any name that is not empty
        raise ValueError(path.name)
    return match


def _role(path: Path) -> str | None:
    word = _name(path)["word"].lower()
    return next((role for start, role in ROLES.items() if word.startswith(start.lower())), None)


LAYOUT = Layout(
    name="open_ms",
    looks_for="patientXX folders with FLAIR*.nii.gz or study<k>_FLAIR.nii.gz",
    fits=fits,
    gather=gather,
)
