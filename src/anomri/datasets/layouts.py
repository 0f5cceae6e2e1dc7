"""Known layouts of data sets, and the search for scans.

Scans are found by file names, or by headers for DICOM; nothing is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from anomri.datasets.bids_filter import BidsFilter
from anomri.datasets.cases import Layout
from anomri.datasets.dicom import layout_by_rules, layout_with_choices
from anomri.datasets.dicom.series_rules import SiteRules
from anomri.datasets.file_tree import OWN, Tree
from anomri.datasets.search_results import Found, Skipped
from anomri.errors import UsageError
from anomri.files import unpack
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


def find(
    source: Path,
    layout: str = AUTO,
    *,
    series: Mapping[str, str] | SiteRules | None = None,
    choice: BidsFilter | None = None,
) -> Found:
    """Find the scans in a folder.

    Args:
        source: a folder, or the file of one scan.
        layout: a name of :data:`LAYOUTS`, or ``auto`` for the first that fits.
        series: number or description of a DICOM series by contrast, or a site's rules, to
            override recognition.
        choice: which files of a BIDS data set to use.

    Raises:
        UsageError: the source or layout does not exist, no layout fits, no scan was found, or the
            source is a folder of anomri's own results.
    """
    if series and layout not in (AUTO, dicom.LAYOUT.name):
        raise UsageError(
            f"layout '{layout}': expected {dicom.LAYOUT.name} with a choice of DICOM series. "
            "Next: leave out --series or --layout."
        )
    tree = _listed(Path(source))
    if tree.is_own():
        raise UsageError(
            f"{tree.root.name}: expected scans, found {OWN}. "
            "Next: name the folder of the scans themselves."
        )
    chosen = _of_series(series) if series else _choose(tree, layout)
    if choice:
        chosen = _filtered(chosen, choice, tree)
    found = chosen.read(tree)
    if choice and not found.scans:
        raise UsageError(
            f"{tree.root.name}: no scan has a file that matches the filter; skipped "
            f"{len(found.skipped)}. Next: correct the filter; `anomri detect --dry-run` without it "
            "lists the files."
        )
    if not found.scans:
        raise UsageError(
            f"{tree.root.name}: layout {found.layout} found no scan{_unused(found)}. "
            f"It looks for {LAYOUTS[found.layout].looks_for}. Next: fix the skipped "
            "files, or choose another layout with --layout."
        )
    return found


def _of_series(series: Mapping[str, str] | SiteRules) -> Layout:
    if isinstance(series, SiteRules):
        return layout_by_rules(series)
    return layout_with_choices(series)


def _listed(source: Path) -> Tree:
    """List a source; a zip archive, or a folder of nothing else, is unpacked first."""
    tree = Tree.of(source)
    archives = tree.archives()
    if not archives or len(archives) < len(tree.files):
        return tree
    name = tree.root.name if source.is_dir() else source.stem
    return Tree.of(unpack(archives, name or "archive"))


def _filtered(layout: Layout, choice: BidsFilter, tree: Tree) -> Layout:
    if layout.name != bids.LAYOUT.name:
        raise UsageError(
            f"{tree.root.name}: expected a BIDS data set for a choice by BIDS entities, found the "
            f"layout {layout.name}. Next: remove the filter, or add --layout bids."
        )
    return bids.layout_with_filter(choice)


def _unused(found: Found) -> str:
    """Say which subjects were left out, or which files were skipped where there are no subjects."""
    left_out = [f"{item.subject}: {item.reason}" for item in found.left_out]
    skipped = [f"{item.name}: {item.reason}" for item in found.skipped]
    verb, reasons = ("left out", left_out) if left_out else ("skipped", skipped)
    return f" and {verb} {len(reasons)} ({'; '.join(reasons[:REASONS_SHOWN]) or 'nothing'})"


def _choose(tree: Tree, name: str) -> Layout:
    """Return the layout of a name, or the first one that fits.

    Raises:
        UsageError: there is no such layout, or none fits.
    """
    if name == AUTO:
        fitting = (layout for layout in LAYOUTS.values() if layout.fits(tree))
        if (layout := next(fitting, None)) is None:
            raise _nothing_fits(tree)
        return layout
    if name not in LAYOUTS:
        raise UsageError(
            f"layout {name!r}: expected {AUTO} or one of {', '.join(LAYOUTS)}. "
            "Next: check the spelling."
        )
    return LAYOUTS[name]


def _nothing_fits(tree: Tree) -> UsageError:
    """Return the error that names what was found instead of a layout."""
    name = tree.root.name
    unread = [] if tree.images() else folder_layout.unread_formats(tree)
    if unread:
        name = tree.files[0].name if tree.single else name
        return UsageError(
            f"{name}: expected scans, found none that can be read ({_reasons(unread)}). "
            "Next: convert or unpack them."
        )
    if tree.skipped and not tree.images():
        return UsageError(
            f"{name}: expected scans, found none among {len(tree.skipped)} entries "
            f"that can be used ({_reasons(tree.skipped)}). Next: fix them."
        )
    looked_for = "; ".join(f"{layout.name}: {layout.looks_for}" for layout in LAYOUTS.values())
    return UsageError(
        f"{name}: no layout fits its {len(tree.files)} files. Looked for {looked_for}. "
        "Next: check the path."
    )


def _reasons(skipped: Sequence[Skipped]) -> str:
    return "; ".join(f"{item.name}: {item.reason}" for item in skipped[:REASONS_SHOWN])
