"""Scans of a protocol on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anomri import pipeline
from anomri.datasets import Found
from anomri.errors import UsageError
from anomri.experiments.reproduction.protocol import Source


@dataclass(frozen=True, slots=True)
class Data:
    """Location of the scans.

    Attributes:
        folder: folder of all data sets.
        split_file: TSV with columns ``subject`` and ``split``.
    """

    folder: Path
    split_file: Path

    def scans_of(self, sources: Sequence[Source]) -> Found:
        """List the scans of several sources.

        Raises:
            UsageError: a source is missing or empty, or two scans have the same label.
        """
        listings = [self._scans(source) for source in sources]
        scans = tuple(files for listing in listings for files in listing.scans)
        labels = [files.label for files in scans]
        if len(set(labels)) < len(labels):
            twice = sorted({label for label in labels if labels.count(label) > 1})
            raise UsageError(f"{twice[0]}: is in more than one of the data sets. Next: rename one.")
        layouts = "+".join(dict.fromkeys(listing.layout for listing in listings))
        skipped = tuple(files for listing in listings for files in listing.skipped)
        left_out = tuple(subject for listing in listings for subject in listing.left_out)
        return Found(scans, skipped, layouts, left_out=left_out)

    def subjects_of(self, sources: Sequence[Source]) -> frozenset[str]:
        """Return the subjects in the splits of several sources, whether their scans exist or not.

        Raises:
            UsageError: a split has no subjects.
        """
        return frozenset(
            subject
            for source in sources
            for subject in pipeline.Selection.of_split(self.split_file, source.split).subjects
        )

    def _scans(self, source: Source) -> Found:
        folder = self.folder / source.folder
        if not folder.is_dir():
            raise UsageError(
                f"{source.folder}: the protocol expects this folder below {self.folder.name}; "
                "it is missing. Next: give the folder of all data sets with --data."
            )
        selection = pipeline.Selection.of_split(self.split_file, source.split)
        return pipeline.find_scans(folder, layout=source.layout, selection=selection)


def halves(found: Found) -> tuple[Found, Found]:
    """Split scans into two halves, alternately, so that each half has scans of every data set.

    Raises:
        UsageError: fewer than two scans.
    """
    if len(found.scans) < 2:
        raise UsageError(
            "halves: expected at least two scans, got one. Next: name a data set with more scans."
        )
    first, second = found.scans[::2], found.scans[1::2]
    return (
        Found(first, found.skipped, found.layout),
        Found(second, found.skipped, found.layout),
    )
