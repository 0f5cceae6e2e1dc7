"""What a PACS shows of a result: segmentation, report, picture and parametric map.

Like the segmentation, these objects take the patient's and the study's tags from the source images;
no other file that is written holds them.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from anomri.datasets.dicom.object_names import DICOM_OBJECTS, FILE_NAMES, PM, SC, SEG, SR
from anomri.datasets.dicom.segmentation import (
    equipment,
    identification,
    pixels_of,
    read_sources,
    readable_headers,
    with_own_spacing,
    write_segmentation,
)
from anomri.errors import ScanError
from anomri.scan import Note, NoteKind

if TYPE_CHECKING:
    from pydicom import Dataset

SERIES_NUMBERS = {SR: 9001, SC: 9002, PM: 9003}
OWN_SCHEME = "99ANOMRI"  # codes that no standard has
PLACE = ("position", "side", "zone", "lobe")
"""Attributes of a lesion that say where it lies, as far as it has them."""
STRIP = 44  # pixels under the picture, for the notice

log = logging.getLogger(__name__)


class FoundLesion(Protocol):
    """What a report says of a lesion; any attribute of :data:`PLACE` is added to it."""

    @property
    def number(self) -> int:
        """Of the lesion in the label image."""

    @property
    def volume_ml(self) -> float:
        """Its volume."""

    @property
    def volume_range_ml(self) -> tuple[float, float] | None:
        """Smallest and largest volume with the threshold a fifth higher and lower."""


@dataclass(frozen=True, slots=True)
class DicomText:
    """What the objects of a result say beside its images.

    Attributes:
        units: of the anomaly map.
        notice: the words that go with every result.
        identity: what decides the result; the same makes the same objects.
        lesions: facts of each lesion.
    """

    units: str
    notice: str
    identity: str
    lesions: Sequence[FoundLesion]


def write_dicom_objects(
    images: Mapping[str, nib.Nifti1Image],
    picture: bytes,
    text: DicomText,
    slices: Sequence[Path],
    prefix: Path,
    *,
    kinds: Collection[str] = (SEG,),
) -> tuple[Note, ...]:
    """Write a result as DICOM objects; one that fails does not keep the others from being written.

    Args:
        images: ``lesions`` (their numbers), ``anomaly_<contrast>`` and, where there are any,
            ``regions`` (BraTS numbers), all on the grid of the series.
        picture: PNG.
        text: what the objects say.
        slices: the files of the series.
        prefix: folder and first part of the names of the files.
        kinds: of :data:`DICOM_OBJECTS`; a report refers to the segmentation, and brings it along.

    Returns:
        A note on each kind that could not be written.

    Raises:
        MissingPiece: highdicom is not installed.
    """
    notes: list[Note] = []
    segmentation: Any = None
    for kind in DICOM_OBJECTS:
        if kind not in kinds and not (kind == SEG and SR in kinds):
            continue
        path = prefix.with_name(f"{prefix.name}_{FILE_NAMES[kind]}")
        try:
            if kind == SEG:
                segmentation = write_segmentation(
                    images["lesions"],
                    slices,
                    path,
                    identity=text.identity,
                    regions=images.get("regions"),
                )
            elif kind != SR or segmentation is not None:
                _write(kind, (images, picture, text), slices, path, segmentation)
        except ScanError as error:
            log.warning("%s: no DICOM %s: %s", path.name, kind.upper(), error.reason)
            words = f"no DICOM {kind.upper()}: {error.reason}; the NIfTI mask is placed correctly"
            notes.append(Note(NoteKind.NO_DICOM, words))
    return tuple(notes)


def _write(
    kind: str,
    result: tuple[Mapping[str, nib.Nifti1Image], bytes, DicomText],
    slices: Sequence[Path],
    path: Path,
    segmentation: Any,
) -> None:
    images, picture, text = result
    sources, places = read_sources(slices)
    with readable_headers():
        if kind == SR:
            made = _report(text, sources, segmentation)
        elif kind == SC:
            made = _secondary_capture(picture, text, sources)
        else:
            anomaly = next(image for name, image in images.items() if name.startswith("anomaly_"))
            values = np.asarray(anomaly.dataobj, np.float32)
            pixels = pixels_of(values, anomaly.affine, sources, places)
            made = _parametric_map(text, sources, pixels)
        if kind != SR:
            made.BodyPartExamined = "BRAIN"  # or a laterality would have to be there
        made.save_as(path)


def _report(text: DicomText, sources: list[Dataset], segmentation: Any) -> Any:
    """Return a structured report after TID 1500, with a measurement group for each lesion."""
    import highdicom
    from pydicom.sr.codedict import codes

    report = highdicom.sr.MeasurementReport(
        observation_context=highdicom.sr.ObservationContext(observer_device_context=_observer()),
        procedure_reported=highdicom.sr.CodedConcept("816077007", "SCT", "MRI of brain"),
        imaging_measurements=list(_measurement_groups(text, segmentation)) or [_no_lesion(text)],
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=sources,
    )
    return highdicom.sr.Comprehensive3DSR(
        evidence=[segmentation, *sources],
        content=report,
        series_number=SERIES_NUMBERS[SR],
        series_description="Lesions, research only",
        is_complete=True,
        **identification(sources, SR, text.identity),
    )


def _observer() -> Any:
    """Return what made the report."""
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    return highdicom.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=highdicom.sr.DeviceObserverIdentifyingAttributes(
            uid=generate_uid(entropy_srcs=["anomri", version("anomri")]),
            name="anomri",
            manufacturer_name="anomri",
            model_name=version("anomri"),
        ),
    )


def _measurement_groups(text: DicomText, segmentation: Any) -> Iterator[Any]:
    import highdicom
    from pydicom.sr.codedict import codes

    segments = {str(s.SegmentLabel): s for s in segmentation.SegmentSequence}
    for fact in text.lesions:
        segment = segments.get(f"Lesion {fact.number}") or segments.get("Lesion")
        if segment is None:  # smaller than a voxel of the scan's own grid
            continue
        yield highdicom.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=highdicom.sr.TrackingIdentifier(
                uid=segment.TrackingUID, identifier=segment.TrackingID
            ),
            referenced_segment=_reference(segmentation, int(segment.SegmentNumber)),
            finding_category=codes.SCT.MorphologicallyAbnormalStructure,
            finding_type=codes.SCT.Lesion,
            finding_sites=[highdicom.sr.FindingSite(anatomic_location=codes.SCT.Brain)],
            algorithm_id=highdicom.sr.AlgorithmIdentification("anomri", version("anomri")),
            measurements=list(_volumes(fact)),
            qualitative_evaluations=[
                highdicom.sr.QualitativeEvaluation(
                    name=_own_code(name), value=_own_code(str(value))
                )
                for name in PLACE
                if (value := getattr(fact, name, None))
            ],
        )


def _reference(segmentation: Any, number: int) -> Any:
    """Return a reference to a whole segment.

    highdicom 0.28 makes none for an object of one segment, whose number all frames share.
    """
    import highdicom

    series = segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID
    return highdicom.sr.ReferencedSegment(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        segment_number=number,
        source_series=highdicom.sr.SourceSeriesForSegmentation(series),
    )


def _no_lesion(text: DicomText) -> Any:
    """Return a measurement group that says that nothing was found: a report needs one."""
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    ml = highdicom.sr.CodedConcept("ml", "UCUM", "milliliter")
    return highdicom.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=highdicom.sr.TrackingIdentifier(
            uid=generate_uid(entropy_srcs=["no lesion", text.identity]), identifier="no lesion"
        ),
        finding_type=codes.SCT.Lesion,
        finding_sites=[highdicom.sr.FindingSite(anatomic_location=codes.SCT.Brain)],
        algorithm_id=highdicom.sr.AlgorithmIdentification("anomri", version("anomri")),
        measurements=[highdicom.sr.Measurement(name=codes.SCT.Volume, value=0.0, unit=ml)],
    )


def _volumes(fact: FoundLesion) -> Iterator[Any]:
    import highdicom
    from pydicom.sr.codedict import codes

    ml = highdicom.sr.CodedConcept("ml", "UCUM", "milliliter")
    yield highdicom.sr.Measurement(name=codes.SCT.Volume, value=round(fact.volume_ml, 4), unit=ml)
    ends = zip((codes.SCT.Minimum, codes.SCT.Maximum), fact.volume_range_ml or (), strict=False)
    for derivation, end in ends:
        yield highdicom.sr.Measurement(
            name=codes.SCT.Volume, value=round(end, 4), unit=ml, derivation=derivation
        )


def _own_code(text: str) -> Any:
    import highdicom

    value = "".join(letter for letter in text.upper() if letter.isalnum())[:16]
    return highdicom.sr.CodedConcept(value, OWN_SCHEME, text[:64])


def _secondary_capture(picture: bytes, text: DicomText, sources: list[Dataset]) -> Any:
    """Return the picture with the notice burnt in; it shows no tag of the patient."""
    return secondary_capture(
        with_notice(picture, text.notice),
        sources,
        series_number=SERIES_NUMBERS[SC],
        series_description="Picture of the result, research only",
        **identification(sources, SC, text.identity),
    )


def secondary_capture(pixels: NDArray[np.uint8], sources: Sequence[Dataset], **series: Any) -> Any:
    """Return a picture that shows no tag of the patient, in the study of its sources.

    Args:
        pixels: (rows, columns, RGB).
        sources: headers of the series, with what :func:`fill_identity` adds.
        series: number, description and identification of the picture's own series.
    """
    import highdicom

    capture = highdicom.sc.SCImage.from_ref_dataset(
        sources[0],
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        **series,
    )
    capture.BurnedInAnnotation = "NO"  # of the patient's identity
    return capture


def with_notice(picture: bytes, notice: str) -> NDArray[np.uint8]:
    """Return the (rows, columns, RGB) pixels of a PNG with a notice under it."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    width = max(image.width, 480)
    size = 18
    while size > 8 and ImageFont.load_default(size).getlength(notice) > width - 16:
        size -= 1
    page = Image.new("RGB", (width, image.height + STRIP), "black")
    page.paste(image, ((width - image.width) // 2, 0))
    place = width // 2, image.height + STRIP // 2
    font = ImageFont.load_default(size)
    ImageDraw.Draw(page).text(place, notice, fill="#ffb347", font=font, anchor="mm")
    return np.asarray(page, np.uint8)


def _parametric_map(text: DicomText, sources: list[Dataset], pixels: Any) -> Any:
    """Return the anomaly map with its values as they are."""
    import highdicom

    values = pixels if isinstance(pixels, np.ndarray) else pixels.array
    low, high = float(values.min()), float(values.max())
    made = highdicom.pm.ParametricMap(
        source_images=sources,
        pixel_array=pixels,
        series_number=SERIES_NUMBERS[PM],
        series_description="Anomaly map, research only",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_value_mapping(text.units, low, high)],
        voi_lut_transformations=[
            highdicom.VOILUTTransformation((low + high) / 2, max(high - low, 1e-3))
        ],
        content_label="ANOMALY",
        **identification(sources, PM, text.identity),
        **equipment(),
    )
    return with_own_spacing(made, pixels)


def _value_mapping(units: str, low: float, high: float) -> Any:
    """Return what the values of a map from ``low`` to ``high`` mean."""
    import highdicom
    from pydicom.sr.codedict import codes

    return highdicom.pm.RealWorldValueMapping(
        lut_label="ANOMALY",
        lut_explanation=f"abnormality, {units}"[:64],
        unit=codes.UCUM.NoUnits,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=_own_code("Abnormality"),
    )
