"""One subject, read: its contrasts, mask and truth, each still on its own file's grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from anomri.errors import MissingContrast
from anomri.preprocessing.brain.voxel_size import resized
from anomri.preprocessing.reading.files import read_image, read_segmentation
from anomri.preprocessing.reading.in_memory import ImageSource
from anomri.preprocessing.reading.mask_placement import place_mask
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.reading.slice_defects import without_defects
from anomri.preprocessing.reading.spikes import without_spikes
from anomri.scan import Grid, Labels, Note, NoteKind, ScanFiles

NOTHING_UNCLEAR: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Everything known of one subject, read.

    Attributes:
        name: as the data set gives it.
        label: BIDS prefix.
        images: one per contrast, each on its file's own grid.
        brain: given mask.
        truth: expert labels.
        healthy: what the data set says.
        notes: what a reader must know of how the files were made.
        entities: BIDS entities that the names of results keep.
    """

    name: str
    label: str
    images: Mapping[str, RawImage]
    brain: RawImage | None = None
    truth: RawImage | None = None
    healthy: bool | None = None
    notes: tuple[Note, ...] = ()
    entities: str = ""

    @property
    def first(self) -> RawImage:
        """The contrast whose grid is the native one."""
        return next(iter(self.images.values()))

    def resized(self, scale: tuple[float, float, float]) -> Subject:
        """Return the subject with its images of unknown voxel size ``scale`` times larger.

        Args:
            scale: along right, anterior and superior.
        """

        def larger(image: RawImage | None) -> RawImage | None:
            if image is None or image.spacing_known:
                return image
            return replace(image, grid=resized(image.grid, scale))

        images = {name: larger(image) or image for name, image in self.images.items()}
        return replace(self, images=images, brain=larger(self.brain), truth=larger(self.truth))

    def native_truth(self, mask_grid: str = "auto") -> Labels | None:
        """Return the expert labels on the native grid, in the file's order.

        Raises:
            ScanError: they cannot be used, or do not lie on the scan; see ``place_mask``.
        """
        if self.truth is None:
            return None
        return place_mask(self.truth, self.first.grid, mask_grid).labels()


def read_subject(files: ScanFiles, contrasts: Sequence[str], *, orientation: str = "") -> Subject:
    """Read the contrasts asked for, the mask and the truth, each on its own grid.

    Args:
        files: where they are.
        contrasts: names, in order.
        orientation: where the axes of files point whose headers do not say so, such as ``RAS``.
    """
    return Subject(
        name=files.subject,
        label=files.label,
        images=read_contrasts(
            files.contrasts,
            contrasts,
            files.subject,
            orientation=orientation,
            unclear=files.unclear,
        ),
        brain=read_segmentation(files.brain, orientation=orientation) if files.brain else None,
        truth=read_segmentation(files.truth, orientation=orientation) if files.truth else None,
        healthy=files.healthy,
        notes=files.notes,
        entities=files.entities.get(contrasts[0], ""),
    )


def require_contrasts(
    available: Iterable[str],
    contrasts: Sequence[str],
    name: str,
    *,
    unclear: Mapping[str, str] = NOTHING_UNCLEAR,
) -> None:
    """Refuse a subject that lacks a contrast; nothing is read. Arguments as for `read_contrasts`.

    Raises:
        MissingContrast: one is not there.
    """
    there = list(available)
    missing = [contrast for contrast in contrasts if contrast not in there]
    if not missing:
        return
    reasons = "".join(f"; {one}: {unclear[one]}" for one in missing if one in unclear)
    raise MissingContrast(
        name,
        expected=f"the contrasts {', '.join(contrasts)}",
        got=f"{', '.join(there) or 'none'}; {', '.join(missing)} missing{reasons}",
        next_step="choose between the files that are named"
        if reasons
        else "add the missing file, or choose a model that does without it",
    )


def with_unclear_noted(files: ScanFiles, contrasts: Sequence[str]) -> ScanFiles:
    """Return the subject with a note on each role that has no file because several claim it.

    Args:
        files: the subject.
        contrasts: what a model would look at, with those that a scan may lack.
    """
    names = {**{one: one for one in contrasts}, "brain": "a brain mask", "truth": "expert labels"}
    noted = (
        Note(NoteKind.MISSING_FILE, f"without {name}: {files.unclear[role]}")
        for role, name in names.items()
        if role in files.unclear
    )
    return replace(files, notes=(*files.notes, *noted))


def read_truth(path: Path, grid: Grid, *, mask_grid: str = "auto") -> Labels:
    """Read expert labels onto another image's grid, each voxel from its nearest.

    Args:
        path: their file.
        grid: of the image.
        mask_grid: what to do where their header cannot be right, see ``place_mask``.

    Raises:
        ScanError: the file cannot be used, or does not overlap with the grid.
    """
    return place_mask(read_segmentation(path), grid, mask_grid).labels()


def read_contrasts(
    sources: Mapping[str, ImageSource],
    contrasts: Sequence[str],
    name: str,
    *,
    orientation: str = "",
    unclear: Mapping[str, str] = NOTHING_UNCLEAR,
) -> dict[str, RawImage]:
    """Read the contrasts asked for, in order.

    Args:
        sources: contrast to its file or image.
        contrasts: those asked for.
        name: of the subject.
        orientation: where the axes of files point whose headers do not say so, such as ``RAS``.
        unclear: contrast to the reason why no file was taken for it.

    Raises:
        MissingContrast: one is not there.
    """
    require_contrasts(sources, contrasts, name, unclear=unclear)
    return {
        contrast: without_defects(
            without_spikes(read_image(sources[contrast], contrast, orientation=orientation))
        )
        for contrast in contrasts
    }
