"""Which scans of a source are meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anomri.datasets import Found, find
from anomri.errors import MissingContrast, UsageError
from anomri.files import NOTHING, read_tsv
from anomri.preprocessing import require_contrasts
from anomri.reporting import Failure
from anomri.scan import ScanFiles


@dataclass(frozen=True, slots=True)
class Selection:
    """Which subjects of a source are meant.

    Attributes:
        subjects: names or BIDS labels, with or without ``sub-``; all where empty.
    """

    subjects: frozenset[str] = frozenset()

    def __contains__(self, files: ScanFiles) -> bool:
        """Tell whether the subject is one of the chosen."""
        return self.names(files.subject, files.label)

    def names(self, subject: str, label: str) -> bool:
        """Tell whether a subject of this name and BIDS prefix is one of the chosen."""
        # A participant means all of its sessions.
        participant = label.partition("_ses-")[0]
        names = {subject, label, label.removeprefix("sub-")}
        names |= {participant, participant.removeprefix("sub-")}
        return not self.subjects or bool(names & self.subjects)

    @classmethod
    def of_labels(cls, labels: Iterable[str]) -> Selection:
        """Choose participants by BIDS label, each with or without ``sub-``, commas allowed."""
        names = (name.strip() for text in labels for name in text.split(","))
        return cls(frozenset(name.removeprefix("sub-") for name in names if name))

    @classmethod
    def of_split(cls, path: Path, split: str) -> Selection:
        """Read the subjects of one split from a TSV file with columns ``subject`` and ``split``.

        Raises:
            UsageError: the file lacks a column, no subject has that split, or one has two.
        """
        rows = read_tsv(path)
        header = list(rows[0]) if rows else []
        if not {"subject", "split"} <= set(header):
            raise UsageError(f"{path.name}: expected columns 'subject' and 'split', got {header}")
        parts: dict[str, set[str]] = {}
        for row in rows:
            parts.setdefault(row["subject"], set()).add(row["split"])
        _refuse_two_parts(path, parts)
        chosen = frozenset(subject for subject, held in parts.items() if split in held)
        if not chosen:
            names = ", ".join(sorted(set().union(*parts.values()) - {NOTHING}))
            raise UsageError(f"{path.name}: no subject of split '{split}'; it has {names}")
        return cls(chosen)


def find_scans(
    source: Path,
    *,
    layout: str = "auto",
    selection: Selection | None = None,
    series: Mapping[str, str] | None = None,
) -> Found:
    """List the scans below ``source`` without computing anything; arguments as for `find`.

    Raises:
        UsageError: nothing there looks like a scan, or nobody of the selection is there.
    """
    found = find(source, layout, series=series)
    if selection is None:
        return found
    chosen = tuple(files for files in found.scans if files in selection)
    left_out = tuple(one for one in found.left_out if selection.names(one.subject, one.label))
    if not chosen and not left_out:
        raise UsageError(
            f"{source.name}: none of the {len(found.scans)} subjects found is among those asked "
            f"for. Next: `anomri detect --dry-run` on all of it lists what is there."
        )
    return replace(found, scans=chosen, left_out=left_out, chosen=True)


def refused(
    found: Found, contrasts: Sequence[str], optional: Collection[str] = ()
) -> list[Failure]:
    """List the scans that lack a contrast, as a run would say it; nothing is read.

    Args:
        found: the scans.
        contrasts: what is looked at.
        optional: those of them that a scan may lack.
    """
    required = [name for name in contrasts if name not in optional]
    rows = []
    for files in found.scans:
        try:
            require_contrasts(files.contrasts, required, files.subject, unclear=files.unclear)
        except MissingContrast as error:
            rows.append(Failure.of(error, subject=files.subject, label=files.label))
    return rows


def _refuse_two_parts(path: Path, parts: Mapping[str, Collection[str]]) -> None:
    """Refuse a name in two splits, of two data sets perhaps: who is judged would be learnt from."""
    twice = sorted(subject for subject, held in parts.items() if len(held) > 1)
    if twice:
        names = ", ".join(sorted(parts[twice[0]]))
        raise UsageError(
            f"{path.name}: expected one split for each subject, got {names} "
            f"for '{twice[0]}'. Next: rename one of the two, or write a file for each data set."
        )
