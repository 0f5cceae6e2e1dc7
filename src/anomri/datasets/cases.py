"""From single files to scans: gathering by case, and what makes a case unusable.

Every layout sorts its files into cases with roles; the rules that hold for all layouts stand
here: nothing is guessed when two files claim one role, a case needs a contrast and is left out by
name without one, and cases whose names share their letters and digits get distinct labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anomri.datasets.found import Found, LeftOut, Recognised, Skipped
from anomri.datasets.tree import Tree, readable
from anomri.scan import ScanFiles, bids_label, distinct_label, usual_label

CONTRASTS = ("flair", "t1", "t1ce", "t2")
BRAIN = "brain"
TRUTH = "truth"
REASONS_NAMED = 3
NO_FILES = "no scan among its files"
CHOOSE = "which one counts is not guessed: keep one of them, or name the other in .bidsignore"
CHOOSE_MASK = (
    "which rater counts is not guessed: join the masks into one, or keep one of them here and "
    "evaluate each in turn"
)


@dataclass(slots=True)
class Case:
    """One scan while its files are being gathered.

    Attributes:
        subject: the data set's name for it.
        where: its folder or file, for messages.
        session: the session's name, if there are several.
        healthy: what the data set says of the subject.
        files: role (a contrast, ``brain`` or ``truth``) to the files that claim it.
        slices: contrast to the DICOM series that claim it, by name, each with its files.
        unclear: role to the reason why no file is taken for it, or ``healthy`` to the reason why
            that is not known.
        entities: file to the BIDS entities that the names of results keep.
    """

    subject: str
    where: str
    session: str | None = None
    healthy: bool | None = None
    files: dict[str, list[Path]] = field(default_factory=dict)
    slices: dict[str, list[tuple[str, tuple[Path, ...]]]] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    entities: dict[Path, str] = field(default_factory=dict)

    def add(self, role: str, path: Path) -> None:
        """Let ``path`` claim ``role``."""
        self.files.setdefault(role, []).append(path)


class Cases:
    """The cases of one source, in the order in which they were met.

    Args:
        tree: the source; what its walk skipped is skipped here too.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.skipped: list[Skipped] = list(tree.skipped)
        self.recognised: list[Recognised] = []
        self._cases: dict[Hashable, Case] = {}

    def case(
        self,
        key: Hashable,
        subject: str,
        *,
        where: str,
        session: str | None = None,
        healthy: bool | None = None,
    ) -> Case:
        """Return the case under ``key``, made from the rest when it is the first of its kind."""
        if key not in self._cases:
            self._cases[key] = Case(
                readable(subject), where, readable(session or "") or None, healthy
            )
        return self._cases[key]

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases.values())

    def __contains__(self, key: Hashable) -> bool:
        return key in self._cases

    def __getitem__(self, key: Hashable) -> Case:
        return self._cases[key]

    def items(self) -> Iterable[tuple[Any, Case]]:
        """Return keys and cases."""
        return self._cases.items()

    def skip(self, what: Path | str, reason: str) -> None:
        """Leave out a file or a named thing."""
        name = self.tree.name(what) if isinstance(what, Path) else what
        self.skipped.append(Skipped(name, reason))

    def found(self, layout: str) -> Found:
        """Turn every usable case into :class:`ScanFiles`; say why the others are not."""
        scans: dict[str, ScanFiles] = {}
        places: dict[str, str] = {}
        left_out: list[LeftOut] = []
        shared = self._shared_labels()
        for case in self:
            scan = self._scan(case, layout)
            if usual_label(case.subject) in shared and not _is_label(case.subject):
                scan = replace(scan, own_label=distinct_label(case.subject))
            if scan.label in places:
                reason = _taken(scan.label, places[scan.label])
                self.skip(case.where, reason)
                alone = replace(scan, own_label=distinct_label(case.where))
                left_out.append(LeftOut(scan.name, alone.label, reason))
                continue
            places[scan.label] = case.where
            if scan.contrasts:
                scans[scan.label] = scan
            else:
                left_out.append(LeftOut(scan.name, scan.label, self._left_out(case, scan)))
        return Found(
            tuple(scans.values()),
            tuple(self.skipped),
            layout,
            tuple(self.recognised),
            left_out=tuple(left_out),
        )

    def _shared_labels(self) -> set[str]:
        """Return the labels that several subjects' names would make."""
        names = {case.subject for case in self}
        counts = Counter(usual_label(name) for name in names)
        return {label for label, count in counts.items() if count > 1}

    def _scan(self, case: Case, layout: str) -> ScanFiles:
        """Return what a case holds; a contrast that several files claim is not among it."""
        roles, unclear = self._unambiguous(case)
        contrasts = {name: roles[name] for name in CONTRASTS if name in roles}
        kept = {name: case.entities.get(path, "") for name, path in contrasts.items()}
        return ScanFiles(
            subject=case.subject,
            session=case.session,
            contrasts=contrasts,
            layout=layout,
            brain=roles.get(BRAIN),
            truth=roles.get(TRUTH),
            healthy=case.healthy,
            slices={name: claims[0][1] for name, claims in case.slices.items()},
            unclear=unclear,
            entities={name: text for name, text in kept.items() if text},
        )

    def _left_out(self, case: Case, scan: ScanFiles) -> str:
        """Say why a case has no scan: what was said of its files, or that there are none."""
        begins = (f"{case.where} ", f"{case.where}/", f"{case.where}:")
        said = [
            f"{item.name.removeprefix(case.where).strip(' /:')}: {item.reason}"
            for item in self.skipped
            if item.name.startswith(begins)
        ]
        said += [item.reason for item in self.skipped if item.name == case.where]
        said += [
            reason
            for role, reason in case.unclear.items()
            if reason and role != "healthy" and not any(reason in other for other in said)
        ]
        listed = _listed({BRAIN: scan.brain, TRUTH: scan.truth})
        if listed or not said:
            self.skip(case.where, f"no scan beside {listed or 'what was skipped'}")
            said = [f"no scan beside {listed}" if listed else NO_FILES, *said]
        more = len(said) - REASONS_NAMED
        return "; ".join(said[:REASONS_NAMED]) + (f"; and {more} more" if more > 0 else "")

    def _unambiguous(self, case: Case) -> tuple[dict[str, Path], dict[str, str]]:
        """Return the one file of each role, and why a role has none."""
        unclear = {role: reason for role, reason in case.unclear.items() if reason}
        for role, paths in case.files.items():
            if len(paths) > 1:
                names = " and ".join(self.tree.name(path) for path in paths)
                unclear[role] = (
                    f"more than one file: {names}; {CHOOSE_MASK if role == TRUTH else CHOOSE}"
                )
                self.skip(f"{case.where} {role}", unclear[role])
        return {role: paths[0] for role, paths in case.files.items() if len(paths) == 1}, unclear


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which scans lie on disk; call it with a source to list them.

    Attributes:
        name: what ``--layout`` calls it.
        looks_for: its signature in words, for the message when nothing fits.
        fits: cheap test on names alone, used by ``auto``.
        gather: sorts the files of a tree into cases.
    """

    name: str
    looks_for: str
    fits: Callable[[Tree], bool]
    gather: Callable[[Tree], Cases]

    def __call__(self, source: Path) -> Found:
        """List the scans of ``source``; nothing is computed.

        Raises:
            UsageError: there is no such file or folder.
        """
        return self.read(Tree.of(source))

    def read(self, tree: Tree) -> Found:
        """List the scans of a tree that has been walked already."""
        return self.gather(tree).found(self.name)


def _taken(label: str, place: str) -> str:
    return (
        f"its label {label} is taken by {place} (letters and digits count); "
        "rename one of them or look through them one at a time"
    )


def _is_label(name: str) -> bool:
    """Whether a name is a label as it stands, and so keeps it beside names that would share it."""
    return usual_label(name) == name == bids_label(name)


def _listed(roles: Mapping[str, Path | None]) -> str:
    return ", ".join(sorted(path.name for path in roles.values() if path is not None))
