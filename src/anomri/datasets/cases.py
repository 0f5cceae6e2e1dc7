"""Grouping of files into scans.

Every layout sorts its files into cases, by role. The rules for all layouts are here: two files with
the same role are ambiguous and neither is used, a case without a contrast is left out, and cases
whose names have the same letters and digits get distinct labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anomri.datasets.file_tree import Tree, readable
from anomri.datasets.search_results import Found, LeftOut, Recognised, Skipped
from anomri.files import BIDSIGNORE
from anomri.scan import ScanFiles, bids_label, distinct_label, usual_label

CONTRASTS = ("flair", "t1", "t1ce", "t2")
BRAIN = "brain"
TRUTH = "truth"
REASONS_SHOWN = 3
NO_FILES = "no scan among its files"
CHOOSE = f"keep one of them, or list the other in {BIDSIGNORE}"
CHOOSE_MASK = (
    "if they are of several raters, merge the masks, or keep one of them here and evaluate each "
    "in turn"
)


@dataclass(slots=True)
class Case:
    """One scan while its files are being collected.

    Attributes:
        subject: name of the subject in the data set.
        where: its folder or file, for messages.
        session: name of the session, if there are several.
        healthy: whether the subject is healthy, if the data set says so.
        files: candidate files by role (a contrast, ``brain`` or ``truth``).
        slices: candidate DICOM series by contrast, each with its name and files.
        unclear: why no file is used, by role; and under ``healthy`` why that is not known.
        entities: BIDS entities kept in the names of results, by file.
        hints: by role: how to choose one of several files.
        uris: BIDS URI by file.
    """

    subject: str
    where: str
    session: str | None = None
    healthy: bool | None = None
    files: dict[str, list[Path]] = field(default_factory=dict)
    slices: dict[str, list[tuple[str, tuple[Path, ...]]]] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    entities: dict[Path, str] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    uris: dict[Path, str] = field(default_factory=dict)

    def add(self, role: str, path: Path) -> None:
        """Add a candidate file for a role."""
        self.files.setdefault(role, []).append(path)


class Cases:
    """The cases of a source, in order of appearance.

    Args:
        tree: the source; what was skipped in it is skipped here too.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.skipped: list[Skipped] = list(tree.skipped)
        self.recognised: list[Recognised] = []
        self.datasets: dict[str, Path] = {}
        self.chosen = False  # whether the user left out whole cases
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
        """Return the case of ``key``; the first call creates it from the other arguments."""
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

    def drop(self, key: Hashable) -> None:
        """Remove a case that the user did not choose."""
        del self._cases[key]
        self.chosen = True

    def skip(self, what: Path | str, reason: str) -> None:
        """Record that a file, or something with a name, is not used."""
        name = self.tree.name(what) if isinstance(what, Path) else what
        self.skipped.append(Skipped(name, reason))

    def found(self, layout: str) -> Found:
        """Return the usable cases as :class:`ScanFiles`, and the reasons for the others."""
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
                relabelled = replace(scan, own_label=distinct_label(case.where))
                left_out.append(LeftOut(scan.name, relabelled.label, reason))
                continue
            places[scan.label] = case.where
            if scan.contrasts:
                scans[scan.label] = scan
            else:
                left_out.append(LeftOut(scan.name, scan.label, self._why_left_out(case, scan)))
        return Found(
            tuple(scans.values()),
            tuple(self.skipped),
            layout,
            tuple(self.recognised),
            chosen=self.chosen,
            left_out=tuple(left_out),
            datasets=self.datasets,
        )

    def _shared_labels(self) -> set[str]:
        """Return the labels that several subjects would get from their names."""
        names = {case.subject for case in self}
        counts = Counter(usual_label(name) for name in names)
        return {label for label, count in counts.items() if count > 1}

    def _scan(self, case: Case, layout: str) -> ScanFiles:
        """Return the files of a case, without ambiguous roles."""
        roles, unclear = self._unambiguous(case)
        contrasts = {name: roles[name] for name in CONTRASTS if name in roles}
        entities = {name: case.entities.get(path, "") for name, path in contrasts.items()}
        return ScanFiles(
            subject=case.subject,
            session=case.session,
            contrasts=contrasts,
            layout=layout,
            brain=roles.get(BRAIN),
            truth=roles.get(TRUTH),
            healthy=case.healthy,
            slices={name: series[0][1] for name, series in case.slices.items()},
            unclear=unclear,
            entities={name: text for name, text in entities.items() if text},
            uris={role: case.uris[path] for role, path in roles.items() if path in case.uris},
        )

    def _why_left_out(self, case: Case, scan: ScanFiles) -> str:
        """Return why a case has no scan: the reasons for its files, or that there are none."""
        prefixes = (f"{case.where} ", f"{case.where}/", f"{case.where}:")
        reasons = [
            f"{item.name.removeprefix(case.where).strip(' /:')}: {item.reason}"
            for item in self.skipped
            if item.name.startswith(prefixes)
        ]
        reasons += [item.reason for item in self.skipped if item.name == case.where]
        reasons += [
            reason
            for role, reason in case.unclear.items()
            if reason and role != "healthy" and not any(reason in earlier for earlier in reasons)
        ]
        listed = _listed({BRAIN: scan.brain, TRUTH: scan.truth})
        if listed or not reasons:
            self.skip(case.where, f"no scan beside {listed or 'what was skipped'}")
            reasons = [f"no scan beside {listed}" if listed else NO_FILES, *reasons]
        more = len(reasons) - REASONS_SHOWN
        return "; ".join(reasons[:REASONS_SHOWN]) + (f"; and {more} more" if more > 0 else "")

    def _unambiguous(self, case: Case) -> tuple[dict[str, Path], dict[str, str]]:
        """Return the file of each role, and why a role has none."""
        unclear = {role: reason for role, reason in case.unclear.items() if reason}
        for role, paths in case.files.items():
            if len(paths) > 1:
                names = " and ".join(self.tree.name(path) for path in paths)
                advice = case.hints.get(role) or (CHOOSE_MASK if role == TRUTH else CHOOSE)
                unclear[role] = f"more than one file: {names}; {advice}"
                self.skip(f"{case.where} {role}", unclear[role])
        return {role: paths[0] for role, paths in case.files.items() if len(paths) == 1}, unclear


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout of scans on disk; call it with a source to find them.

    Attributes:
        name: its name for ``--layout``.
        looks_for: the files that identify it, for error messages.
        fits: fast test on names alone, used by ``auto``.
        gather: sorts the files of a source into cases.
    """

    name: str
    looks_for: str
    fits: Callable[[Tree], bool]
    gather: Callable[[Tree], Cases]

    def __call__(self, source: Path) -> Found:
        """Find the scans of ``source``.

        Raises:
            UsageError: the file or folder does not exist.
        """
        return self.read(Tree.of(source))

    def read(self, tree: Tree) -> Found:
        """Find the scans in a listed source."""
        return self.gather(tree).found(self.name)


def _taken(label: str, place: str) -> str:
    return (
        f"its label {label} is taken by {place} (labels keep letters and digits only); "
        "rename one of them, or process them separately"
    )


def _is_label(name: str) -> bool:
    """Whether a name is itself a label, which it keeps if other names would get it too."""
    return usual_label(name) == name == bids_label(name)


def _listed(roles: Mapping[str, Path | None]) -> str:
    return ", ".join(sorted(path.name for path in roles.values() if path is not None))
