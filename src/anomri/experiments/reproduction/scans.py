"""The scans of a protocol on this machine."""

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
    """Where the scans lie.

    Attributes:
        folder: of all data sets.
        split_file: TSV with columns ``subject`` and ``split``.
    """

    folder: Path
    split_file: Path

    def found(self, sources: Sequence[Source]) -> Found:
        """List the scans of several sources as one.

        Raises:
            UsageError: a source is missing or empty, or two of its scans share a label.
        """
        parts = [self._part(source) for source in sources]
        scans = tuple(files for part in parts for files in part.scans)
        labels = [files.label for files in scans]
        if len(set(labels)) < len(labels):
            twice = sorted({label for label in labels if labels.count(label) > 1})
            raise UsageError(f"{twice[0]}: is in more than one of the data sets. Next: rename one.")
        layouts = "+".join(dict.fromkeys(part.layout for part in parts))
        return Found(scans, tuple(one for part in parts for one in part.skipped), layouts)

    def named(self, sources: Sequence[Source]) -> frozenset[str]:
        """Return the subjects that the splits of several sources name, here or not.

        Raises:
            UsageError: nobody has such a split.
        """
        return frozenset(
            subject
            for source in sources
            for subject in pipeline.Selection.of_split(self.split_file, source.split).subjects
        )

    def _part(self, source: Source) -> Found:
        folder = self.folder / source.folder
        if not folder.is_dir():
            raise UsageError(
                f"{source.folder}: the protocol expects it below {self.folder.name}; not there. "
                "Next: give the folder of all data sets with --data."
            )
        selection = pipeline.Selection.of_split(self.split_file, source.split)
        return pipeline.find_scans(folder, layout=source.layout, selection=selection)


def halves(found: Found) -> tuple[Found, Found]:
    """Divide scans in two, every other one in the order of the list, so that no set is all in one.

    Raises:
        UsageError: there is one scan only.
    """
    if len(found.scans) < 2:
        raise UsageError("halves: expected at least two scans to divide, got one")
    first, second = found.scans[::2], found.scans[1::2]
    return (
        Found(first, found.skipped, found.layout),
        Found(second, found.skipped, found.layout),
    )
