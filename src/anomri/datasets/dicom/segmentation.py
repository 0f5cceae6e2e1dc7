"""The lesions as a DICOM segmentation that refers to the images it was made from.

A SEG object says of which patient and study it is, and must: it takes these tags from the source
images. No other file that is written holds them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from anomri.errors import GridMismatch, MissingPiece, UnreadableScan
from anomri.files import guarded
from anomri.scan import Affine

if TYPE_CHECKING:
    from pydicom import Dataset

SERIES_NUMBER = 9000
REQUIRED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
UTF_8 = "ISO_IR 192"
TOLERANCE = 0.1  # voxels that a position may lie off the mask's own grid
DRIFT = 0.75  # voxels that a slice may lie off the mask's slice of the same rank, along the normal
SAME_DIRECTION = 3e-3  # of direction cosines: half a millimetre at the edge of a head
GROUPS = {
    "PixelMeasuresSequence": "PixelSpacing",
    "PlaneOrientationSequence": "ImageOrientationPatient",
    "PlanePositionSequence": "ImagePositionPatient",
}
MAY_BE_EMPTY = (  # type 2 of the standard's modules Patient and General Study
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
)
LESION_RGB = (255, 166, 43)
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # NIfTI's world points right, anterior; DICOM's does not


def write_segmentation(
    lesions: nib.Nifti1Image,
    slices: Sequence[Path],
    path: Path,
    *,
    identity: str,
    regions: nib.Nifti1Image | None = None,
) -> Any:
    """Write lesions, and the regions of a tumour, as DICOM SEG.

    Each lesion is a segment with its own tracking identifier; each region is one, too. Where the
    geometry of the slices had to be corrected, the object has a grid of its own.

    Args:
        lesions: their numbers, on the grid of the series, whichever way its axes point; a mask is
            one lesion.
        slices: the files of the series.
        path: of the file to write.
        identity: what decides the result; the same makes the same object.
        regions: BraTS numbers on the same grid.

    Returns:
        The object.

    Raises:
        MissingPiece: highdicom is not installed.
        GridMismatch: the voxels are sheared and lie on no slices.
        UnreadableScan: the headers do not say where the images lie, or lack what an object needs.
    """
    sources, places = read_sources(slices)
    segments = list(segments_of(lesions, regions, [str(sources[0].SeriesInstanceUID), identity]))
    parts = [part for part, _ in segments]
    pixels = pixels_of(np.stack(parts, axis=-1), lesions.affine, sources, places)
    with readable_headers():
        segmentation = _segmentation(sources, pixels, [about for _, about in segments], identity)
    segmentation.save_as(path)
    _check(path, sum(int(np.count_nonzero(part)) for part in parts), segmentation)
    return segmentation


def require_highdicom() -> None:
    """Check that DICOM objects can be written.

    Raises:
        MissingPiece: highdicom is not installed.
    """
    try:
        import highdicom  # noqa: F401 - only asked for
    except ImportError as error:
        raise MissingPiece(
            'writing DICOM needs highdicom. Next: `pip install "anomri[dicom]"`.'
        ) from error


def read_sources(slices: Sequence[Path]) -> tuple[list[Dataset], list[Dataset]]:
    """Return the headers of a series, and what says where their images lie, along the normal.

    Raises:
        MissingPiece: highdicom is not installed.
        UnreadableScan: the headers do not say where the images lie, or lack what an object needs.
    """
    require_highdicom()
    sources, places = _in_order([read_image(item) for item in slices])
    _share_orientation(places)
    _fill(sources, places)
    return sources, places


@contextmanager
def readable_headers() -> Iterator[None]:
    """Turn what highdicom raises for headers that lack a tag into an error that says so."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Not the message: it may hold what a tag says.
        raise _unreadable(
            f"headers without required information ({type(error).__name__})"
        ) from error


def pixels_of(
    values: NDArray[Any], affine: Affine, sources: Sequence[Dataset], places: Sequence[Dataset]
) -> Any:
    """Return values as frames on the slices, or as a volume with its own grid where none fits.

    Args:
        values: (I, J, K) or (I, J, K, C).
        affine: (4, 4) voxel index to RAS+ mm.
        sources: headers of the series.
        places: what says where its slices lie.

    Raises:
        GridMismatch: the voxels are sheared, which no DICOM grid is.
    """
    try:
        return frames_of(nib.Nifti1Image(values, affine, dtype=values.dtype), places)
    except GridMismatch:
        if not _is_orthogonal(affine):
            raise
    import highdicom

    flipped = TO_LPS @ affine @ np.eye(4)[:, [2, 1, 0, 3]]
    frames = np.swapaxes(values, 0, 2)
    if np.linalg.det(flipped[:3, :3]) < 0:  # frames in the direction of their normal
        flipped[:3, 3] += flipped[:3, 0] * (len(frames) - 1)
        flipped[:3, 0] *= -1
        frames = frames[::-1]
    channels: dict[Any, Any] | None = None
    if frames.ndim == 4:
        channels = {"SegmentNumber": list(range(1, frames.shape[3] + 1))}
    return highdicom.Volume(
        np.ascontiguousarray(frames),
        flipped,
        coordinate_system="PATIENT",
        frame_of_reference_uid=sources[0].FrameOfReferenceUID,
        channels=channels,
    )


def with_own_spacing(made: Any, pixels: Any) -> Any:
    """Return an object whose slice distance is that of its own grid, if it has one.

    highdicom 0.28 gives it that of the source images where the pixels have the same size.
    """
    if not isinstance(pixels, np.ndarray):
        (own,) = pixels.get_pixel_measures()
        (measures,) = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
        measures.SliceThickness = own.SliceThickness
        measures.SpacingBetweenSlices = own.SpacingBetweenSlices
    return made


def _is_orthogonal(affine: Affine) -> bool:
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() < SAME_DIRECTION)


def read_image(path: Path) -> Dataset:
    """Read a file of a series; whatever is wrong with it names it."""
    import pydicom

    with guarded(path, expected="a DICOM image"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True)


def _share_orientation(places: list[Dataset]) -> None:
    """Give slices whose directions differ by rounding alone those of the first: objects have one.

    Those that differ by more are left, and refused by what writes the object.
    """
    first = places[0].ImageOrientationPatient
    for place in places[1:]:
        if np.abs(np.subtract(place.ImageOrientationPatient, first)).max() < SAME_DIRECTION:
            place.ImageOrientationPatient = first


def _check(path: Path, voxels: int, written: Any) -> None:
    """Read an object back, and remove it if it does not hold what was put into it.

    Raises:
        UnreadableScan: it does not.
    """
    import highdicom

    try:
        read = highdicom.seg.segread(path)
        read.get_volume_geometry()
        kept = int(np.count_nonzero(read.pixel_array))
    except Exception as error:  # whatever a reader raises, another reader would raise too
        path.unlink()
        raise _unreadable(
            f"headers from which no readable object can be made ({type(error).__name__})"
        ) from error
    if kept != voxels or read.number_of_segments != written.number_of_segments:
        path.unlink()
        raise _unreadable("an object that lost lesions when it was read back")


def identification(sources: Sequence[Dataset], kind: str, identity: str) -> dict[str, Any]:
    """Return how an object names itself and its maker; the same identity makes the same object.

    Args:
        sources: headers of the series.
        kind: a name of the kind of object.
        identity: what decides the result.
    """
    from pydicom.uid import generate_uid

    seeds = [kind, str(sources[0].SeriesInstanceUID), identity]
    return {
        "series_instance_uid": generate_uid(entropy_srcs=["series", *seeds]),
        "sop_instance_uid": generate_uid(entropy_srcs=["instance", *seeds]),
        "instance_number": 1,
        "manufacturer": "anomri",
    }


def equipment() -> dict[str, Any]:
    """Return what enhanced objects say of the program."""
    return {
        "manufacturer_model_name": "anomri",
        "software_versions": version("anomri"),
        "device_serial_number": "0",
    }


def _segmentation(
    sources: list[Dataset], pixels: Any, descriptions: list[Any], identity: str
) -> Any:
    import highdicom

    # Readers need every frame of a grid that no other series has.
    sparse = isinstance(pixels, np.ndarray) and bool(pixels.any())
    made = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_number=SERIES_NUMBER,
        series_description="Abnormal tissue, research only",
        content_label="LESIONS",
        omit_empty_frames=sparse,
        **identification(sources, "seg", identity),
        **equipment(),
    )
    return with_own_spacing(made, pixels)


def _fill(sources: list[Dataset], places: list[Dataset]) -> None:
    """Add what must be there but may be empty, or can be known; texts become UTF-8.

    Who takes names away often takes these tags. A series without a frame of reference gets one of
    its own, made from its number.

    Raises:
        UnreadableScan: a number is missing that nothing else can say.
    """
    fill_identity(sources)
    _fill_geometry(sources, places)


def fill_identity(sources: Sequence[Dataset]) -> None:
    """Add tags of patient, study and series that may be empty; texts become UTF-8.

    Raises:
        UnreadableScan: a number is missing that nothing else can say.
    """
    missing = [tag for tag in REQUIRED if any(not source.get(tag) for source in sources)]
    if missing:
        raise _unreadable(f"headers without {', '.join(missing)}")
    series = sources[0].SeriesInstanceUID
    for source in sources:
        source.SeriesInstanceUID = series  # those of joined series differ
        _to_utf_8(source)
        for tag in MAY_BE_EMPTY:
            if tag not in source:
                setattr(source, tag, None)


def _fill_geometry(sources: list[Dataset], places: list[Dataset]) -> None:
    from pydicom.uid import generate_uid

    heights = np.diff([_place(place) for place in places])
    frame = generate_uid(entropy_srcs=["frame", str(sources[0].SeriesInstanceUID)])
    for source in sources:
        if not source.get("FrameOfReferenceUID"):
            source.FrameOfReferenceUID = frame
        if len(sources) == len(places) > 1 and not source.get("SliceThickness"):
            source.SliceThickness = float(np.round(np.median(heights), 6))


def _to_utf_8(source: Dataset) -> None:
    """Decode texts by the header's own character set: some sets cannot be written again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters outside of the set: they are replaced
        with suppress(ValueError, LookupError, AttributeError, TypeError):
            source.decode()
    source.SpecificCharacterSet = UTF_8


def _in_order(sources: list[Dataset]) -> tuple[list[Dataset], list[Dataset]]:
    """Return files and what says where their images lie, both along the slices' normal."""
    places = [place for source in sources for place in places_of(source)]
    if len(places) == len(sources):
        order = sorted(range(len(places)), key=lambda number: _place(places[number]))
        return [sources[n] for n in order], [places[n] for n in order]
    if len(sources) > 1:
        raise _unreadable(f"{len(sources)} files with several images each")
    return sources, places


def places_of(source: Dataset) -> list[Dataset]:
    """Return what says where an image lies, for each image of a file.

    A file with many frames (Enhanced MR) keeps it in functional groups, DICOM PS3.3 C.7.6.16.

    Raises:
        UnreadableScan: it is not there.
    """
    try:
        if "PerFrameFunctionalGroupsSequence" not in source:
            slice_affine(source)
            return [source]
        shared = source.SharedFunctionalGroupsSequence[0]
        return [_of_frame(source, own, shared) for own in source.PerFrameFunctionalGroupsSequence]
    except (AttributeError, KeyError, IndexError, TypeError) as error:
        raise _unreadable(f"a header without it ({error})") from error


def _of_frame(source: Dataset, own: Dataset, shared: Dataset) -> Dataset:
    from pydicom import Dataset

    place = Dataset()
    place.Rows, place.Columns = source.Rows, source.Columns
    for group, tag in GROUPS.items():
        held = own if group in own else shared
        setattr(place, tag, held[group].value[0][tag].value)
    return place


def _unreadable(got: str) -> UnreadableScan:
    return UnreadableScan(
        "DICOM series",
        expected="one file with all images or one file for each, with their positions",
        got=got,
        next_step="convert the series to NIfTI, and give that",
    )


def frames_of(mask: nib.Nifti1Image, places: Sequence[Dataset]) -> NDArray[Any]:
    """Return the (slices, rows, columns) parts of an image that lie on slices, in their order.

    Where there are as many slices as the mask has, each is the mask's slice of the same rank:
    positions that are rounded, or jitter, drift from an even grid by more than they are off.

    Raises:
        GridMismatch: the slices' pixels do not lie on the mask's voxels.
    """
    middle = _exact_index(mask, places[len(places) // 2])
    normal = np.linalg.inv(mask.affine) @ TO_LPS @ slice_affine(places[0])[:, 2]
    axis = int(np.abs(normal[:3]).argmax())
    ranked = 1 < len(places) == mask.shape[axis] and np.ptp(middle[axis]) < TOLERANCE
    if not ranked:
        return np.stack([frame_of(mask, place) for place in places])
    # Frames of one file may be stored in any order.
    heights = [_exact_index(mask, place)[axis].mean() for place in places]
    ranks = np.argsort(np.argsort(heights))
    return np.stack(
        [frame_of(mask, one, at=(axis, int(k))) for one, k in zip(places, ranks, strict=True)]
    )


def frame_of(
    mask: nib.Nifti1Image, source: Dataset, *, at: tuple[int, int] | None = None
) -> NDArray[Any]:
    """Return the (rows, columns) part of an image that lies on one slice.

    Args:
        mask: on a grid.
        source: says where the slice lies.
        at: axis and number of the mask's slice that it is, where that is known.

    Raises:
        GridMismatch: the slice's pixels do not lie on the mask's voxels.
    """
    exact = _exact_index(mask, source)
    off = np.abs(exact - np.rint(exact))
    index = np.rint(exact).astype(int)
    if at is not None:
        axis, number = at
        off[axis] = np.where(np.abs(exact[axis] - number) < DRIFT, 0, 1)
        index[axis] = number
    inside = ((index >= 0) & (mask.shape[:3] > index.T).T).all()
    if not inside or off.max() > TOLERANCE:
        raise GridMismatch(
            "DICOM series",
            expected="slices whose pixels lie on the voxels of the result",
            got="another grid",
            next_step="use the NIfTI mask, which is placed correctly",
        )
    values: Any = np.asarray(mask.dataobj)
    frame: NDArray[Any] = values[tuple(index)].reshape(
        source.Rows, source.Columns, *values.shape[3:]
    )
    return frame


def _exact_index(mask: nib.Nifti1Image, source: Dataset) -> NDArray[np.float64]:
    """Return (3, pixels): where the pixels of a slice lie among a mask's voxels."""
    rows, columns = int(source.Rows), int(source.Columns)
    to_index = np.linalg.inv(mask.affine) @ TO_LPS @ slice_affine(source)
    pixels = np.indices((rows, columns)).reshape(2, -1)
    points = np.stack([*pixels, np.zeros(rows * columns), np.ones(rows * columns)])
    exact: NDArray[np.float64] = (to_index @ points)[:3]
    return exact


def slice_affine(source: Dataset) -> Affine:
    """Return (4, 4): (row, column, 0, 1) of a slice to the patient's space (LPS) in mm.

    DICOM PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1. The first three values of the orientation are
    the direction in which the column index grows; the first spacing is that between rows.
    """
    directions = np.asarray(source.ImageOrientationPatient, dtype=np.float64)
    between_rows, between_columns = (float(value) for value in source.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0] = directions[3:] * between_rows
    affine[:3, 1] = directions[:3] * between_columns
    affine[:3, 2] = np.cross(directions[:3], directions[3:])
    affine[:3, 3] = np.asarray(source.ImagePositionPatient, dtype=np.float64)
    return affine


def _place(source: Dataset) -> float:
    affine = slice_affine(source)
    return float(affine[:3, 2] @ affine[:3, 3])


def segments_of(
    lesions: nib.Nifti1Image, regions: nib.Nifti1Image | None, seeds: Sequence[str]
) -> Iterator[tuple[NDArray[np.uint8], Any]]:
    """Yield the voxels and the description of each segment: lesions first, then regions.

    Args:
        lesions: their numbers; without any there is one empty segment.
        regions: BraTS numbers.
        seeds: of the lesions' tracking identifiers.
    """
    segment = 0
    for segment, (mask, about) in enumerate(_lesion_segments(lesions, seeds), start=1):
        yield mask, _description(segment, **about)
    if regions is not None:
        for number, (mask, about) in enumerate(_region_segments(regions), start=segment + 1):
            yield mask, _description(number, **about)


Segment = tuple[NDArray[np.uint8], dict[str, Any]]


def _lesion_segments(lesions: nib.Nifti1Image, seeds: Sequence[str]) -> Iterator[Segment]:
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    values = np.asarray(lesions.dataobj)
    found = [int(number) for number in np.unique(values) if number] or [1]
    for number in found:
        about = {
            "label": f"Lesion {number}" if len(found) > 1 else "Lesion",
            "code": codes.SCT.Lesion,
            "colour": LESION_RGB,
            "tracking_uid": generate_uid(entropy_srcs=["lesion", *seeds, str(number)]),
            "tracking_id": f"anomri lesion {number}",
        }
        yield (values == number).astype(np.uint8), about


def _region_segments(regions: nib.Nifti1Image) -> Iterator[Segment]:
    from pydicom.sr.codedict import codes

    values = np.asarray(regions.dataobj)
    kinds = {
        1: ("Necrotic and non-enhancing core", codes.SCT.Necrosis, (213, 94, 0)),
        2: ("Peritumoural oedema", codes.SCT.Edema, (0, 158, 115)),
        4: ("Enhancing tumour", codes.NCIt.EnhancingLesion, (240, 228, 66)),
    }
    for number, (label, code, colour) in kinds.items():
        if (values == number).any():
            about = {"label": label, "code": code, "colour": colour}
            yield (values == number).astype(np.uint8), about


def algorithm() -> Any:
    """Return what made the segments, as objects name it."""
    import highdicom
    from pydicom.sr.codedict import codes

    return highdicom.AlgorithmIdentificationSequence(
        name="anomri", version=version("anomri"), family=codes.DCM.ArtificialIntelligence
    )


def _description(
    number: int, label: str, code: Any, colour: tuple[int, int, int], **tracking: Any
) -> Any:
    import highdicom
    from pydicom.sr.codedict import codes

    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=code,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm(),
        anatomic_regions=[codes.SCT.Brain],
        display_color=highdicom.color.CIELabColor.from_rgb(*colour),
        **tracking,
    )
