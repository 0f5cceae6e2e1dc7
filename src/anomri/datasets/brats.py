"""BraTS: one folder per case, every contrast a file that carries the case's name.

Two generations of names are read, in any depth of folders (``HGG/``, ``LGG/`` or none):

* 2018 to 2021: ``<case>_flair``, ``_t1``, ``_t1ce``, ``_t2``, ``_seg``;
* from 2023: ``<case>-t2f``, ``-t1n``, ``-t1c``, ``-t2w``, ``-seg``.

The numbers in ``seg`` are 1 necrosis, 2 edema, 4 enhancing until 2021, and 3 enhancing from 2023;
whoever reads them has to know. All cases are patients.
"""

from __future__ import annotations

import re
from pathlib import Path

from anomri.datasets.cases import TRUTH, Cases, Layout
from anomri.datasets.tree import Tree, stem

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
NAME = re.compile(rf"(?P<case>.+)(?P<word>{'|'.join(ROLES)})", re.IGNORECASE)
NO_WORD = f"no BraTS ending in its name ({', '.join(ROLES)})"


def fits(tree: Tree) -> bool:
    """Whether a file is called ``BraTS...`` and ends as BraTS files do."""
    return any(
        path.name.lower().startswith("brats") and NAME.fullmatch(stem(path))
        for path in tree.images()
    )


def gather(tree: Tree) -> Cases:
    """Group the files of each folder by the case in their names."""
    cases = Cases(tree)
    for path in tree.images():
        read = _read(path)
        if read is None:
            cases.skip(path, NO_WORD)
            continue
        name, role = read
        folder = path.parent
        where = tree.name(folder if folder.name == name else folder / name)
        cases.case((folder, name), name, where=where, healthy=False).add(role, path)
    return cases


def _read(path: Path) -> tuple[str, str] | None:
    match = NAME.fullmatch(stem(path))
    if match:
        return match["case"], ROLES[match["word"].lower()]
    # BraTS 2020 was published with one segmentation under its archive's name, ..._Segm.nii.
    if path.name.lower().endswith("_segm.nii"):
        return path.parent.name, TRUTH
    return None


LAYOUT = Layout(
    name="brats",
    looks_for="files called BraTS*_flair.nii.gz or BraTS*-t2f.nii.gz",
    fits=fits,
    gather=gather,
)
