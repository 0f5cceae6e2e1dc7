"""BIDS file names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from anomri.datasets.cases import BRAIN, TRUTH
from anomri.datasets.file_tree import stem

CONTRASTS = {"FLAIR": "flair", "T1w": "t1", "T2w": "t2"}
MASKS = {
    ("desc", "brain"): BRAIN,
    ("label", "brain"): BRAIN,
    ("label", "lesion"): TRUTH,
    ("desc", "lesion"): TRUTH,
}
KEPT = ("acq", "ce", "rec", "run")  # entities kept in the names of results, in BIDS order
MAX_KEPT_LENGTH = 48  # file names have at most 255 bytes
ENTITY = re.compile(r"([a-zA-Z]+)-([0-9a-zA-Z+]+)")


@dataclass(frozen=True, slots=True)
class Name:
    """A BIDS file name.

    Attributes:
        entities: for example ``{"sub": "01", "run": "2"}``.
        suffix: the last word, for example ``T1w``.
    """

    entities: dict[str, str]
    suffix: str

    @classmethod
    def parse(cls, text: str) -> Name | None:
        """Parse a file name without its ending; None if it is not a BIDS name.

        >>> Name.parse("sub-01_ses-a_FLAIR")
        Name(entities={'sub': '01', 'ses': 'a'}, suffix='FLAIR')
        """
        *pairs, suffix = text.split("_")
        matches = [ENTITY.fullmatch(pair) for pair in pairs]
        if not pairs or None in matches:
            return None
        entities = {match[1]: match[2] for match in matches if match}
        return cls(entities, suffix) if "sub" in entities else None

    @property
    def contrast(self) -> str | None:
        """The contrast of a raw scan, or None."""
        if self.suffix == "T1w" and "ce" in self.entities:
            return "t1ce"
        return CONTRASTS.get(self.suffix)

    @property
    def kept(self) -> str:
        """The entities kept in the names of results, such as ``acq-3D_run-1``.

        >>> Name.parse("sub-01_run-1_acq-3D_part-mag_FLAIR").kept
        'acq-3D_run-1'
        """
        kept = "_".join(f"{key}-{self.entities[key]}" for key in KEPT if key in self.entities)
        return kept if len(kept) <= MAX_KEPT_LENGTH else ""

    @property
    def mask(self) -> str | None:
        """The role of a derived mask, or None."""
        if self.suffix != "mask":
            return None
        pairs = self.entities.items()
        return next((role for pair, role in MASKS.items() if pair in pairs), None)


def name_of(path: Path) -> Name | None:
    """Return the parsed name of a file; None if it is not a BIDS name."""
    return Name.parse(stem(path))
