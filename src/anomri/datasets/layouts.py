"""Known layouts of data sets, and the search for scans.

Scans are found by file names, or by headers for DICOM; nothing is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from anomri.datasets import (
    bids,
    brainmetshare,
    brats,
    dicom,
    folder_layout,
    lgg,
    open_ms,
    phantom_layout,
)
from anomri.datasets.cases import Layout
from anomri.datasets.dicom import layout_with_choices
from anomri.datasets.file_tree import Tree
from anomri.datasets.search_results import Found
from anomri.errors import UsageError
from anomri.recipe import LAYOUT_GROUP, ExtensibleTable

AUTO = "auto"
REASONS_SHOWN = 3

# In the order in which `auto` tries them: the most specific first.
_OWN = {
    "phantom": phantom_layout.LAYOUT,
    "brats": brats.LAYOUT,
    "lgg": lgg.LAYOUT,
    "brainmetshare": brainmetshare.LAYOUT,
    "open_ms": open_ms.LAYOUT,
    "bids": bids.LAYOUT,
    "dicom": dicom.LAYOUT,
    "folder": folder_layout.LAYOUT,
}
LAYOUTS: dict[str, Layout] = ExtensibleTable(LAYOUT_GROUP, _OWN)  # others' are used by name only


def find(source: Path, layout: str = AUTO, *, series: Mapping[str, str] | None = None) -> Found:
    """Find the scans in a folder.

    Args:
        source: a folder, or the file of one scan.
        layout: a name of :data:`LAYOUTS`, or ``auto`` for the first that fits.
        series: number or description of a DICOM series by contrast, to override recognition.

    Raises:
        UsageError: the source or layout does not exist, no layout fits, or no scan was found.
    """
    tree = Tree.of(source)
    found = (layout_with_choices(series) if series else _choose(tree, layout)).read(tree)
    if not found.scans:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in found.skipped[:REASONS_SHOWN])
        raise UsageError(
            f"{tree.root.name}: layout {found.layout} found no scan and skipped "
            f"{len(found.skipped)} ({reasons or 'nothing'}). "
            f"It looks for {LAYOUTS[found.layout].looks_for}. Next: fix the skipped "
            "files, or choose another layout with --layout."
        )
    return found


def _choose(tree: Tree, name: str) -> Layout:
    if name in LAYOUTS:
        return LAYOUTS[name]
    if name != AUTO:
        raise UsageError(
            f"layout {name!r}: expected {AUTO} or one of {', '.join(LAYOUTS)}. "
            "Next: check the spelling."
        )
    for layout in LAYOUTS.values():
        if layout.fits(tree):
            return layout
    looked_for = "; ".join(f"{item.name}: {item.looks_for}" for item in LAYOUTS.values())
    if tree.skipped and not tree.images():
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in tree.skipped[:REASONS_SHOWN])
        raise UsageError(
            f"{tree.root.name}: expected scans, found {len(tree.skipped)} entries that cannot be "
            f"used ({reasons}). Next: fix them."
        )
    raise UsageError(
        f"{tree.root.name}: no layout fits its {len(tree.files)} files. Looked for {looked_for}. "
        "Next: check the path."
    )
