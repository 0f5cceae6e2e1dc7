"""What a layout hands back: the scans it found, and what it left out with the reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from anomri.scan import ScanFiles


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something on disk that will not be used.

    Attributes:
        name: the file, folder or subject, relative to the source.
        reason: why, in the user's words, and what to do where something can be done.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A subject, or a session, that the data set names and that has no usable scan.

    Attributes:
        subject: the name the data set gives it.
        label: BIDS prefix that its results would have.
        reason: why it is left out.
    """

    subject: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a series was taken for, and why.

    Attributes:
        scan: the scan that it belongs to.
        number: of the series.
        description: what the scanner's operator called it.
        images: how many.
        taken_for: a contrast, or that it is not used.
        reason: why.
    """

    scan: str
    number: str
    description: str
    images: int
    taken_for: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """The result of looking through a source.

    Attributes:
        scans: in the order of their paths; no two share a label.
        skipped: what was left out.
        layout: the layout that was used, which ``auto`` chose for itself.
        recognised: what was made of each series, where headers decided.
        chosen: whether ``scans`` are some of those that were found, and not all of them.
        left_out: subjects without a usable scan, with the reason.
    """

    scans: tuple[ScanFiles, ...]
    skipped: tuple[Skipped, ...]
    layout: str
    recognised: tuple[Recognised, ...] = ()
    chosen: bool = False
    left_out: tuple[LeftOut, ...] = ()

    def describe(self) -> str:
        """One line for a person: how many scans, which contrasts, which masks.

        >>> from pathlib import Path
        >>> scan = ScanFiles(subject="a", contrasts={"t1": Path("a_T1.nii")}, layout="folder")
        >>> Found((scan,), (), "folder").describe()
        'folder: 1 scan (t1 1), 0 with truth, 0 with brain mask; 0 skipped'
        """
        contrasts = Counter(name for scan in self.scans for name in scan.contrasts)
        counts = ", ".join(f"{name} {contrasts[name]}" for name in sorted(contrasts))
        truth = sum(scan.truth is not None for scan in self.scans)
        brain = sum(scan.brain is not None for scan in self.scans)
        scans = "1 scan" if len(self.scans) == 1 else f"{len(self.scans)} scans"
        return (
            f"{self.layout}: {scans} ({counts}), {truth} with truth, {brain} with brain mask; "
            f"{len(self.skipped)} skipped"
        )
