"""Layouts on disk -> scans. Files are listed by name, nothing is computed.

:func:`find` looks through a source with one layout of :data:`LAYOUTS`, or with the first that
fits: phantom, brats, lgg, brainmetshare, open_ms, bids, dicom, folder, in this order, the most
particular first. :func:`converted` lends DICOM series as NIfTI files while a scan is worked on.
:func:`make_phantoms` writes a digital cohort.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from anomri.datasets import bids, brainmetshare, brats, dicom, folder, lgg, open_ms, phantom_layout
from anomri.datasets.cases import Layout
from anomri.datasets.dicom import choosing
from anomri.datasets.found import Found
from anomri.datasets.tree import Tree
from anomri.errors import UsageError

AUTO = "auto"
SKIPPED_NAMED = 3

# The order is the order in which `auto` tries them.
LAYOUTS: dict[str, Layout] = {
    "phantom": phantom_layout.LAYOUT,
    "brats": brats.LAYOUT,
    "lgg": lgg.LAYOUT,
    "brainmetshare": brainmetshare.LAYOUT,
    "open_ms": open_ms.LAYOUT,
    "bids": bids.LAYOUT,
    "dicom": dicom.LAYOUT,
    "folder": folder.LAYOUT,
}


def find(source: Path, layout: str = AUTO, *, series: Mapping[str, str] | None = None) -> Found:
    """List the scans under ``source``.

    Args:
        source: a folder, or one scan.
        layout: a name of :data:`LAYOUTS`, or ``auto`` for the first whose signature is there.
        series: contrast to the number or description of the DICOM series that shows it.

    Raises:
        UsageError: there is no such source or layout, no layout fits, or no scan was found.
    """
    tree = Tree.of(source)
    found = (choosing(series) if series else _choose(tree, layout)).read(tree)
    if not found.scans:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in found.skipped[:SKIPPED_NAMED])
        raise UsageError(
            f"{tree.root.name}: layout {found.layout} found no scan and skipped "
            f"{len(found.skipped)} ({reasons or 'nothing'}). "
            f"It looks for {LAYOUTS[found.layout].looks_for}. Next: mend what is "
            "named, or name another layout."
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
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in tree.skipped[:SKIPPED_NAMED])
        raise UsageError(
            f"{tree.root.name}: expected scans, found {len(tree.skipped)} entries that cannot be "
            f"used ({reasons}). Next: mend what is named."
        )
    raise UsageError(
        f"{tree.root.name}: no layout fits its {len(tree.files)} files. Looked for {looked_for}. "
        "Next: check the path."
    )
