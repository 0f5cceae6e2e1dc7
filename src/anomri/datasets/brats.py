"""BraTS: a file per contrast, named after the case.

Two generations of names are read, at any folder depth (``HGG/``, ``LGG/`` or none):

* 2018 to 2021: ``<case>_flair``, ``_t1``, ``_t1ce``, ``_t2``, ``_seg``;
* from 2023: ``<case>-t2f``, ``-t1n``, ``-t1c``, ``-t2w``, ``-seg``.

The labels in ``seg`` are 1 necrosis, 2 edema, 4 enhancing until 2021, and 3 enhancing from 2023;
they are not converted here. All cases are patients.
"""

from __future__ import annotations

import re
from pathlib import Path

from anomri.datasets.cases import TRUTH, Cases, Layout
from anomri.datasets.file_tree import Tree, stem

ROLES = {
    "_flair": "flair",
    "_t1": "t1",
    "_t1ce": "t1ce",
    "_t2": "t2",
    "_seg": TRUTH,
    "-t2f": "flair",
    "-t1n": "t1",
    "-t1c": "t1ce",
    "-t2w": "t2",
    "-seg": TRUTH,
}
NAME = re.compile(rf"(?P<case>.+)(?P<suffix>{'|'.join(ROLES)})", re.IGNORECASE)
NO_SUFFIX = f"its name ends in no BraTS suffix ({', '.join(ROLES)})"


def fits(tree: Tree) -> bool:
    """Whether a file is named ``BraTS...`` with the suffix of a BraTS file."""
    return any(
        path.name.lower().startswith("brats") and NAME.fullmatch(stem(path))
        for path in tree.images()
    )


def gather(tree: Tree) -> Cases:
    """Group the files of each folder by the case in their names."""
    cases = Cases(tree)
    for path in tree.images():
        parsed = _parse(path)
        if parsed is None:
            cases.skip(path, NO_SUFFIX)
            continue
        name, role = parsed
        folder = path.parent
        where = tree.name(folder if folder.name == name else folder / name)
        cases.case((folder, name), name, where=where, healthy=False).add(role, path)
    return cases


def _parse(path: Path) -> tuple[str, str] | None:
    match = NAME.fullmatch(stem(path))
    if match:
        return match["case"], ROLES[match["suffix"].lower()]
    # One segmentation of BraTS 2020 was published under a name that ends with _Segm.nii.
    if path.name.lower().endswith("_segm.nii"):
        return path.parent.name, TRUTH
    return None


LAYOUT = Layout(
    name="brats",
    looks_for="files named BraTS*_flair.nii.gz or BraTS*-t2f.nii.gz",
    fits=fits,
    gather=gather,
)
