"""The cohort written by :func:`anomri.synthesis.make_phantoms`.

``phantoms.json`` marks the folder; ``participants.tsv`` lists the subjects;
``sub-XX/sub-XX_{flair,t1,t1ce,t2}.nii.gz`` are the scans and ``sub-XX_seg.nii.gz`` the lesions.
"""

from __future__ import annotations

from anomri.datasets.cases import CONTRASTS, TRUTH, Cases, Layout
from anomri.datasets.file_tree import Tree, stem
from anomri.datasets.participants import read_healthy, without_prefix
from anomri.files import PARTICIPANTS, PHANTOMS

ROLES = {**{contrast: contrast for contrast in CONTRASTS}, "seg": TRUTH}


def fits(tree: Tree) -> bool:
    """Whether the marker file is there."""
    return tree.root / PHANTOMS in tree.files


def gather(tree: Tree) -> Cases:
    """Return a case per folder ``sub-XX``."""
    cases = Cases(tree)
    participants = read_healthy(tree.root / PARTICIPANTS)
    for path in tree.images():
        name, _, word = stem(path).rpartition("_")
        if word in ROLES and name == path.parent.name:
            subject = without_prefix(name)
            healthy = participants.get(subject)
            case = cases.case(name, subject, where=tree.name(path.parent), healthy=healthy)
            case.unclear["healthy"] = participants.unclear(subject)
            case.add(ROLES[word], path)
        else:
            cases.skip(path, "not a file of the phantom cohort")
    participants.warn(PARTICIPANTS)
    return cases


LAYOUT = Layout(
    name="phantom",
    looks_for=f"a {PHANTOMS}",
    fits=fits,
    gather=gather,
)
