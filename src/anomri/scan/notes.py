"""What a reader must know of a scan or of its result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NoteKind(StrEnum):
    """What a :class:`Note` is about. Code depends on the kind, never on the words of a note."""

    DEEPBET = "brain_by_deepbet"  # the brain of a whole head, segmented by deepbet
    HDBET = "brain_by_hdbet"  # likewise, by HD-BET
    BRAIN_MASK = "brain_mask"  # a brain mask that may be wrong, or was replaced
    FIELD_OF_VIEW = "field_of_view"  # a part of the brain that was not imaged or not used
    VOXEL_SIZE = "voxel_size"  # not in the file, or estimated
    GEOMETRY = "geometry"  # orientation, slice positions or offset were corrected
    INTENSITIES = "intensities"  # voxels or slices were replaced, inverted or left uncorrected
    REALIGNED = "realigned"  # a contrast was registered to the first one
    INTERPOLATED = "interpolated"  # thick slices
    IMPLAUSIBLE = "implausible"  # the scan does not look like what it was given as
    MISSING_FILE = "missing_file"  # none was chosen for a contrast, the brain or the truth
    TURNED_TRUTH = "turned_truth"  # the expert's mask seems flipped against the scan
    UNUSABLE_TRUTH = "unusable_truth"
    NO_MASS = "no_mass"  # small lesions were looked for, since no mass was found
    REGIONS = "regions"  # how regions were named
    LOCATION = "location"  # lesions have no zone
    NO_DICOM = "no_dicom"  # the DICOM segmentation could not be written
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> NoteKind | None:
        """Read the kinds of newer versions as :attr:`OTHER`."""
        return cls.OTHER if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Note:
    """A fact about a scan or its result, in words.

    Attributes:
        kind: what it is about.
        text: one sentence without a full stop.
    """

    kind: NoteKind
    text: str
