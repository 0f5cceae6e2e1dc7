"""Selection of the scans of a source."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from anomri.datasets import BidsFilter, Found, SiteRules, find, with_masks
from anomri.errors import Failure, MissingContrast, UsageError
from anomri.files import NOTHING, read_tsv
from anomri.preprocessing import require_contrasts
from anomri.scan import ScanFiles

NO_DERIVATIVES: Mapping[str, Path] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Selection:
    """Selected subjects of a source.

    Attributes:
        subjects: names or BIDS labels, with or without ``sub-``; all subjects if empty.
        sessions: labels with or without ``ses-``; all sessions if empty.
    """

    subjects: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()

    def __contains__(self, files: ScanFiles) -> bool:
        """Whether the subject of a scan is selected."""
        return self.names(files.subject, files.label)

    def names(self, subject: str, label: str) -> bool:
        """Whether a subject with this name and BIDS prefix is selected."""
        # A participant stands for all of its sessions.
        participant, _, session = label.partition("_ses-")
        names = {subject, label, label.removeprefix("sub-")}
        names |= {participant, participant.removeprefix("sub-")}
        in_session = not self.sessions or session in self.sessions
        return in_session and (not self.subjects or bool(names & self.subjects))

    def in_sessions(self, labels: Iterable[str]) -> Selection:
        """Return the selection of these sessions of the same subjects; of all if none is named."""
        names = (name.strip() for text in labels for name in text.split(","))
        sessions = frozenset(name.removeprefix("ses-") for name in names if name)
        return replace(self, sessions=sessions)

    @classmethod
    def of_labels(cls, labels: Iterable[str]) -> Selection:
        """Select participants by BIDS label, with or without ``sub-``, or comma-separated."""
        names = (name.strip() for text in labels for name in text.split(","))
        return cls(frozenset(name.removeprefix("sub-") for name in names if name))

    @classmethod
    def of_split(cls, path: Path, split: str) -> Selection:
        """Select the subjects of one split in a TSV file with columns ``subject`` and ``split``.

        Raises:
            UsageError: the file lacks a column, no subject has this split, or one has two.
        """
        splits = read_splits(path)
        subjects = frozenset(subject for subject, name in splits.items() if name == split)
        if not subjects:
            names = ", ".join(sorted({*splits.values()} - {NOTHING}))
            raise UsageError(
                f"{path.name}: expected subjects of split '{split}', found none; it has {names}. "
                "Next: choose one of these with --split."
            )
        return cls(subjects)


def read_splits(path: Path) -> dict[str, str]:
    """Read the split of each subject from a TSV file with columns ``subject`` and ``split``.

    Raises:
        UsageError: the file lacks a column, or a subject has two splits.
    """
    rows = read_tsv(path, next_step="correct the table")
    header = list(rows[0]) if rows else []
    if not {"subject", "split"} <= set(header):
        raise UsageError(
            f"{path.name}: expected columns 'subject' and 'split', got "
            f"{', '.join(header) or 'no rows'}. Next: correct the table."
        )
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["subject"], set()).add(row["split"])
    _refuse_two_splits(path, splits)
    return {subject: name for subject, (name,) in splits.items()}


def find_scans(
    source: Path,
    *,
    layout: str = "auto",
    selection: Selection | None = None,
    series: Mapping[str, str] | SiteRules | None = None,
    choice: BidsFilter | None = None,
    derivatives: Mapping[str, Path] = NO_DERIVATIVES,
) -> Found:
    """Find the selected scans below ``source``; no image is read.

    Args:
        source: as for `find`, like ``layout``, ``series`` and ``choice``.
        layout: likewise.
        series: likewise.
        choice: likewise.
        selection: of subjects and sessions.
        derivatives: folders of other pipelines whose masks to use, by name.

    Raises:
        UsageError: no scan was found, none of the selected subjects, or no mask of any of them.
    """
    found = find(source, layout, series=series, choice=choice)
    if selection is not None:
        found = _selected(found, selection, source)
    return with_masks(found, derivatives)


def _selected(found: Found, selection: Selection, source: Path) -> Found:
    scans = tuple(files for files in found.scans if files in selection)
    left_out = tuple(row for row in found.left_out if selection.names(row.subject, row.label))
    if not scans and not left_out:
        raise UsageError(
            f"{source.resolve().name}: none of the {len(found.scans)} scans found was selected. "
            "Next: list them with `anomri detect --dry-run`, without a selection."
        )
    return replace(found, scans=scans, left_out=left_out, chosen=True)


def refused(
    found: Found, contrasts: Sequence[str], optional: Collection[str] = ()
) -> list[Failure]:
    """List the failures of scans that lack a contrast; no image is read.

    Args:
        found: the scans.
        contrasts: contrasts of the model.
        optional: contrasts of these that a scan may lack.
    """
    required = [name for name in contrasts if name not in optional]
    rows = []
    for files in found.scans:
        try:
            require_contrasts(files.contrasts, required, files.subject, unclear=files.unclear)
        except MissingContrast as error:
            rows.append(Failure.of(error, subject=files.subject, label=files.label))
    return rows


def _refuse_two_splits(path: Path, splits: Mapping[str, Collection[str]]) -> None:
    """Raise where a name is in two splits, possibly of two data sets: test scans might train."""
    twice = sorted(subject for subject, names in splits.items() if len(names) > 1)
    if twice:
        names = ", ".join(sorted(splits[twice[0]]))
        raise UsageError(
            f"{path.name}: expected one split for each subject, got {names} "
            f"for '{twice[0]}'. Next: rename one of the two, or write a file for each data set."
        )
