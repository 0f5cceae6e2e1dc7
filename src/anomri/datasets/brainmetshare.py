"""BrainMetShare (Stanford): one folder ``Mets_<n>`` per patient with brain metastases.

Two published versions are read:

* PNG slices: ``Mets_005/{0,1,2,3,seg}/<k>.png``; the path of a contrast is its folder of slices;
* NIfTI: ``Mets_005/{bravo,t1_pre,t1_gd,flair,seg}.nii.gz``.

========= ===== =============================================== ========
NIfTI     PNG   sequence                                        contrast
========= ===== =============================================== ========
bravo     0     T1 gradient echo, after contrast agent          t1ce
t1_pre    1     T1 spin echo, before contrast agent             t1
t1_gd     2     T1 spin echo, after contrast agent              (t1ce)
flair     3     T2 FLAIR, after contrast agent                  flair
seg       seg   metastases, drawn on the gradient echo, 0/255   truth
========= ===== =============================================== ========

The gradient echo is used as ``t1ce``, or the spin echo if it is missing. The patients of the
published test set have no masks. All cases are patients, skull-stripped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from anomri.datasets.cases import TRUTH, Case, Cases, Layout
from anomri.datasets.file_tree import Tree, is_image, stem

PATIENT = re.compile(r"mets_\d+", re.IGNORECASE)
SLICE = re.compile(r"\d+\.png", re.IGNORECASE)
SPIN_ECHO = "spin echo"  # used as t1ce if there is no gradient echo
ROLES = {
    **{"bravo": "t1ce", "t1_pre": "t1", "t1_gd": SPIN_ECHO, "flair": "flair", "seg": TRUTH},
    **{"0": "t1ce", "1": "t1", "2": SPIN_ECHO, "3": "flair"},
}
SECOND = "a second T1 with contrast agent; the gradient echo is used"


def fits(tree: Tree) -> bool:
    """Whether a ``Mets_<n>`` folder has files or folders of slices with the published names."""
    return any(True for _ in _sequences(tree))


def gather(tree: Tree) -> Cases:
    """Return a case per folder ``Mets_<n>``."""
    cases = Cases(tree)
    for path in tree.files:
        if is_image(path) and not _named(path):
            cases.skip(path, "not a file of the published data set")
    for path in dict.fromkeys(_sequences(tree)):
        folder = path.parent
        case = cases.case(folder, folder.name, where=tree.name(folder), healthy=False)
        case.add(_role(path), path)
    for case in cases:
        _assign_spin_echo(cases, case)
    return cases


def _sequences(tree: Tree) -> Iterator[Path]:
    """Yield the NIfTI files and folders of slices with the published names."""
    for path in tree.files:
        sequence = path.parent if SLICE.fullmatch(path.name) else path
        if _named(sequence):
            yield sequence


def _named(sequence: Path) -> bool:
    known = _name(sequence) in ROLES and (is_image(sequence) or not sequence.suffix)
    return known and PATIENT.fullmatch(sequence.parent.name) is not None


def _role(sequence: Path) -> str:
    return ROLES[_name(sequence)]


def _name(sequence: Path) -> str:
    return stem(sequence).lower()


def _assign_spin_echo(cases: Cases, case: Case) -> None:
    """Use the spin echo as ``t1ce`` if there is no gradient echo; skip it otherwise."""
    for path in case.files.pop(SPIN_ECHO, []):
        if "t1ce" in case.files:
            cases.skip(path, SECOND)
        else:
            case.add("t1ce", path)


LAYOUT = Layout(
    name="brainmetshare",
    looks_for="folders Mets_<n> with flair.nii.gz, bravo.nii.gz or PNG slices in 0, 1, 2, 3",
    fits=fits,
    gather=gather,
)
