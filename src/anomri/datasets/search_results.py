"""Result of a search for scans: what was found, skipped and left out, with reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anomri.scan import ScanFiles


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, folder or subject that is not used.

    Attributes:
        name: path relative to the source, or name of the subject.
        reason: why it is not used and, where possible, what to do.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A subject or session of the data set without a usable scan.

    Attributes:
        subject: its name in the data set.
        label: BIDS prefix that its results would have.
        reason: why it has no usable scan.
    """

    subject: str
    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Recognised:
    """The contrast that a DICOM series was recognised as.

    Attributes:
        scan: name of the scan that it belongs to.
        number: series number.
        description: series description.
        images: number of images.
        taken_for: a contrast, or ``not used``.
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
    """The result of a search for scans.

    Attributes:
        scans: in the order of their paths, with unique labels.
        skipped: files, folders and subjects that are not used.
        layout: name of the layout.
        recognised: the recognised DICOM series.
        chosen: whether ``scans`` is a selection of the scans that were found.
        left_out: subjects without a usable scan.
        datasets: folder of each data set, by its name in the BIDS URIs of the scans' files.
    """

    scans: tuple[ScanFiles, ...]
    skipped: tuple[Skipped, ...]
    layout: str
    recognised: tuple[Recognised, ...] = ()
    chosen: bool = False
    left_out: tuple[LeftOut, ...] = ()
    datasets: Mapping[str, Path] = field(default_factory=dict)

    def describe(self) -> str:
        """Return a one-line summary: number of scans, contrasts and masks.

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
