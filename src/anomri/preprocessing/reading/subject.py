"""All images of one subject: contrasts, brain mask and expert labels, each on its own grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anomri.preprocessing.grids import rescale_grid
from anomri.preprocessing.reading.in_memory import ImageSource
from anomri.preprocessing.reading.mask_placement import place_mask
from anomri.preprocessing.reading.outlier_voxels import replace_outlier_voxels
from anomri.preprocessing.reading.raw_image import RawImage
from anomri.preprocessing.reading.required_contrasts import NO_AMBIGUITY, require_contrasts
from anomri.preprocessing.reading.scan_images import read_image
from anomri.preprocessing.reading.segmentations import read_segmentation
from anomri.preprocessing.reading.slice_defects import repair_defective_slices
from anomri.scan import Labels, Note, ScanFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The images of one subject and what the data set states about it.

    Attributes:
        name: the data set's name of the subject.
        label: BIDS prefix of the results.
        images: contrast to its image, each on its file's own grid.
        brain: given brain mask.
        truth: expert labels.
        healthy: whether the subject is healthy, if the data set states it.
        notes: remarks on the files, for the user.
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
    def reference(self) -> RawImage:
        """The first contrast, whose grid is the native grid."""
        return next(iter(self.images.values()))

    def resized(self, scale: tuple[float, float, float]) -> Subject:
        """Return the subject with images of unknown voxel size scaled.

        Args:
            scale: factors along right, anterior and superior.
        """

        def rescale(image: RawImage | None) -> RawImage | None:
            if image is None or image.spacing_known:
                return image
            return replace(image, grid=rescale_grid(image.grid, scale))

        images = {name: rescale(image) or image for name, image in self.images.items()}
        return replace(self, images=images, brain=rescale(self.brain), truth=rescale(self.truth))

    def native_truth(self, mask_grid: str = "auto") -> Labels | None:
        """Return the expert labels on the native grid, in the file's axis order.

        Raises:
            ScanError: they cannot be used, or do not match the scan's grid; see ``place_mask``.
        """
        if self.truth is None:
            return None
        return place_mask(self.truth, self.reference.grid, mask_grid).labels()


def read_subject(files: ScanFiles, contrasts: Sequence[str], *, orientation: str = "") -> Subject:
    """Read contrasts, brain mask and expert labels of one subject, each on its own grid.

    Args:
        files: the subject's files.
        contrasts: contrasts to read, in order.
        orientation: direction of the axes of files whose headers do not state it, such as ``RAS``.

    Raises:
        ScanError: a file is missing or cannot be used.
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


def read_contrasts(
    sources: Mapping[str, ImageSource],
    contrasts: Sequence[str],
    name: str,
    *,
    orientation: str = "",
    unclear: Mapping[str, str] = NO_AMBIGUITY,
) -> dict[str, RawImage]:
    """Read contrasts in the given order, with outlier voxels and defective slices repaired.

    Args:
        sources: contrast to its file or image.
        contrasts: contrasts to read.
        name: name of the subject.
        orientation: direction of the axes of files whose headers do not state it, such as ``RAS``.
        unclear: contrast to the reason why no file was chosen for it.

    Raises:
        MissingContrast: a contrast is missing.
        ScanError: a file cannot be used.
    """
    require_contrasts(sources, contrasts, name, unclear=unclear)
    return {
        contrast: repair_defective_slices(
            replace_outlier_voxels(read_image(sources[contrast], contrast, orientation=orientation))
        )
        for contrast in contrasts
    }
