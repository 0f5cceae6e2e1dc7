"""Recognition of DICOM series by their headers, and reasons for unused ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomri.datasets import find
from anomri.datasets.dicom.images import Image, Place
from anomri.datasets.dicom.recognition import recognise
from anomri.datasets.dicom.series import Series
from anomri.errors import MissingPiece, UsageError

MakeSeries = Callable[..., list[Path]]
VOLUME = np.ones((10, 6, 6))
MR = "1.2.840.10008.5.1.4.1.1.4"


def series(slices: int = 30, **tags: Any) -> Series:
    pydicom = pytest.importorskip("pydicom", reason="the extra anomri[dicom] is not here")
    header = pydicom.Dataset()
    for name, value in {"Modality": "MR", "SOPClassUID": MR, **tags}.items():
        setattr(header, name, value)
    images = [Image(Path("x.dcm"), header, places=(place_at(k),)) for k in range(slices)]
    return Series("1.2", header, images)


def place_at(height: float) -> Place:
    return Place((1.0, 0, 0, 0, 1.0, 0), (0.0, 0.0, height))


@pytest.mark.parametrize(
    ("tags", "contrast"),
    [
        ({"SeriesDescription": "t2_tirm_tra_dark-fluid_FS"}, "flair"),
        ({"SeriesDescription": "Sag CUBE FLAIR"}, "flair"),
        ({"SeriesDescription": "t2_space_flair_sag_p2"}, "flair"),
        ({"SeriesDescription": "Ax T1 FLAIR", "InversionTime": 800}, "t1"),
        ({"SeriesDescription": "t1_mprage_sag"}, "t1"),
        ({"SeriesDescription": "t1_mprage_sag_KM"}, "t1ce"),
        ({"SeriesDescription": "AX T1 POST GD"}, "t1ce"),
        ({"SeriesDescription": "Ax T1 +C"}, "t1ce"),
        ({"SeriesDescription": "T1 tra", "ContrastBolusAgent": "Gadovist"}, "t1ce"),
        ({"SeriesDescription": "T1 tra", "ContrastBolusAgent": "NONE"}, "t1"),
        ({"SeriesDescription": "T1 pre", "ContrastBolusAgent": "Gadovist"}, "t1"),
        ({"SeriesDescription": "AXIAL T2 FSE"}, "t2"),
        ({"ProtocolName": "T2W_TSE"}, "t2"),
        ({"EchoTime": 120, "RepetitionTime": 9000, "InversionTime": 2500}, "flair"),
        ({"EchoTime": 95, "RepetitionTime": 4500}, "t2"),
        ({"EchoTime": 3, "RepetitionTime": 2300, "InversionTime": 900}, "t1"),
        ({"EchoTime": 12, "RepetitionTime": 550, "ContrastBolusAgent": "Gd"}, "t1ce"),
        ({"EchoTime": 20, "RepetitionTime": 3000}, None),
        ({}, None),
        ({"SeriesDescription": "localizer"}, None),
        ({"SeriesDescription": "AX DWI b1000"}, None),
        ({"SeriesDescription": "T2 FLAIR", "ImageType": ["DERIVED", "PRIMARY", "ADC"]}, None),
        ({"SeriesDescription": "ADC map"}, None),
        ({"SeriesDescription": "t2_fl2d_tra_hemo"}, None),
        ({"SeriesDescription": "T2* GRE"}, None),
        ({"SeriesDescription": "COR STIR"}, None),
        ({"SeriesDescription": "t1 mpr reformat"}, None),
        ({"SeriesDescription": "FLAIR", "Modality": "CT"}, None),
        ({"SeriesDescription": "FLAIR", "slices": 3}, None),
    ],
)
def test_headers_decide(tags: dict[str, Any], contrast: str | None) -> None:
    decision = recognise(series(**tags))
    assert decision.contrast == contrast, decision
    assert decision.reason


def study(root: Path, make_series: MakeSeries) -> None:
    make_series(root, VOLUME, number=2, SeriesDescription="t2 flair tra")
    make_series(root / "deep" / "er", VOLUME, number=3, SeriesDescription="t1 tra")
    make_series(root, VOLUME[:3], number=1, SeriesDescription="scout")


def test_a_nested_and_mixed_folder_becomes_one_scan(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    study(tmp_path, make_series)
    found = find(tmp_path)
    (scan,) = found.scans
    assert (found.layout, set(scan.contrasts)) == ("dicom", {"flair", "t1"})
    assert [len(files) for files in scan.slices.values()] == [10, 10]
    assert [item.taken_for for item in found.recognised] == ["not used", "flair", "t1"]
    assert "localiser" in found.skipped[0].reason


def test_two_series_of_a_contrast_are_listed_and_one_can_be_chosen(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    study(tmp_path, make_series)
    make_series(tmp_path, VOLUME, number=7, SeriesDescription="FLAIR again")
    found = find(tmp_path)
    assert set(found.scans[0].contrasts) == {"t1"}
    assert any("--series flair=2" in item.reason for item in found.skipped)
    for which in ("7", "flair AGAIN"):
        chosen = find(tmp_path, series={"flair": which}).scans[0].slices["flair"]
        assert {path.name[:3] for path in chosen} == {"007"}
    with pytest.raises(UsageError, match="found 0: series 1 'scout'"):
        find(tmp_path, series={"flair": "12"})
    with pytest.raises(UsageError, match="no contrast"):
        find(tmp_path, series={"pet": "7"})


def test_studies_are_scans_of_their_own(tmp_path: Path, make_series: MakeSeries) -> None:
    for number in (1, 2):
        make_series(tmp_path / str(number), VOLUME, study=number, SeriesDescription="FLAIR")
    labels = {scan.label for scan in find(tmp_path).scans}
    assert len(labels) == 2


@pytest.mark.parametrize("fault", ["truncated", "a slice is missing", "2 images at each place"])
def test_an_incomplete_series_is_refused(
    tmp_path: Path, make_series: MakeSeries, fault: str
) -> None:
    study(tmp_path, make_series)
    third = tmp_path / "002_0003.dcm"
    if fault == "truncated":
        third.write_bytes(third.read_bytes()[:-20])
    elif fault == "a slice is missing":
        third.unlink()
    else:
        for path in make_series(tmp_path / "x", 2 * VOLUME, number=2, SeriesDescription="t2 flair"):
            path.rename(tmp_path / f"again{path.name}")
    found = find(tmp_path)
    assert "flair" not in found.scans[0].contrasts
    reasons = " ".join(item.reason for item in found.skipped)
    assert fault in reasons
    assert ("002_0003.dcm" in reasons) == (fault == "truncated")


@pytest.mark.parametrize("missing", [1, 8, 30])
def test_compressed_files_cut_short_are_named(
    tmp_path: Path, make_series: MakeSeries, missing: int
) -> None:
    import pydicom
    from pydicom.uid import RLELossless

    study(tmp_path, make_series)
    for path in tmp_path.glob("002_*.dcm"):
        data = pydicom.dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)
    assert "flair" in find(tmp_path).scans[0].contrasts
    for number in (3, 5):
        path = tmp_path / f"002_000{number}.dcm"
        path.write_bytes(path.read_bytes()[:-missing])
    found = find(tmp_path)
    assert "flair" not in found.scans[0].contrasts
    (reason,) = (item.reason for item in found.skipped if "truncated" in item.reason)
    assert "2 of 10 files are truncated (002_0003.dcm, 002_0005.dcm)" in reason


def test_extra_and_unplaced_images_are_named(tmp_path: Path, make_series: MakeSeries) -> None:
    import pydicom

    study(tmp_path, make_series)
    extra = make_series(tmp_path / "x", 2 * VOLUME, number=2, SeriesDescription="t2 flair")[4]
    extra.rename(tmp_path / "extra.dcm")
    shutil.rmtree(tmp_path / "x")
    assert any("002_0004.dcm, extra.dcm" in item.reason for item in find(tmp_path).skipped)
    (tmp_path / "extra.dcm").unlink()
    data = pydicom.dcmread(tmp_path / "002_0004.dcm")
    del data.ImagePositionPatient
    data.save_as(tmp_path / "002_0004.dcm")
    assert any("1 of 10 images (002_0004.dcm)" in item.reason for item in find(tmp_path).skipped)


def test_files_without_an_image_are_reported(tmp_path: Path, make_series: MakeSeries) -> None:
    study(tmp_path, make_series)
    report = make_series(tmp_path / "report", VOLUME[:1], number=9)[0]
    import pydicom

    data = pydicom.dcmread(report)
    for tag in ("Rows", "Columns", "PixelData"):
        delattr(data, tag)
    data.save_as(report)
    (tmp_path / "torn.dcm").write_bytes(report.read_bytes()[:140])
    reasons = {item.name: item.reason for item in find(tmp_path).skipped}
    assert "report" in reasons["report/009_0000.dcm"]
    assert "truncated" in reasons["torn.dcm"]


def test_nothing_usable_is_an_error(tmp_path: Path, make_series: MakeSeries) -> None:
    with pytest.raises(UsageError, match="no layout fits"):
        find(tmp_path)
    make_series(tmp_path, VOLUME, SeriesDescription="localizer")
    with pytest.raises(UsageError, match="a localiser"):
        find(tmp_path)


def test_without_pydicom_the_extra_is_named(
    tmp_path: Path, make_series: MakeSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_series(tmp_path, VOLUME, SeriesDescription="FLAIR")
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(MissingPiece, match=r"anomri\[dicom\]") as caught:
        find(tmp_path)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("number", "value", "reason"),
    [
        (
            0x32,
            b"a\\b\\c",
            "1 of 10 images (",
        ),  # ImagePositionPatient
        (
            0x37,
            b"1\\0\\0\\0\\1\\nan",
            "1 of 10 images (",
        ),  # ImageOrientationPatient
        (0x11, b"1x", ""),  # SeriesNumber
    ],
)
def test_invalid_numbers_raise_no_warning(
    tmp_path: Path, make_series: MakeSeries, number: int, value: bytes, reason: str
) -> None:
    paths = make_series(tmp_path, VOLUME, SeriesDescription="flair")
    make_series(tmp_path, VOLUME, number=2, SeriesDescription="t1")
    broken = paths[4].read_bytes()
    at = broken.index(bytes([0x20, 0, number, 0])) + 8
    length = int.from_bytes(broken[at - 2 : at], "little")
    assert length >= len(value)
    paths[4].write_bytes(broken[:at] + value.ljust(length) + broken[at + length :])
    found = find(tmp_path)  # warnings are errors here
    assert ("flair" in found.scans[0].contrasts) == (not reason)
    assert any(reason in item.reason for item in found.skipped) or not reason


def test_duplicate_files_count_once(tmp_path: Path, make_series: MakeSeries) -> None:
    make_series(tmp_path / "a", VOLUME, SeriesDescription="flair")
    make_series(tmp_path / "b", VOLUME, SeriesDescription="flair")
    found = find(tmp_path)
    assert len(found.scans[0].slices["flair"]) == len(VOLUME)
    assert "10 files left out as duplicates" in found.recognised[0].reason


def test_patients_under_one_study_uid_are_kept_apart(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    make_series(tmp_path, VOLUME, SeriesDescription="flair")
    make_series(tmp_path, VOLUME, number=2, SeriesDescription="t1", PatientID="2")
    found = find(tmp_path)
    assert [set(scan.contrasts) for scan in found.scans] == [{"flair"}, {"t1"}]
    assert len({scan.label for scan in found.scans}) == 2


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_a_series_without_positions_is_refused(
    tmp_path: Path, make_series: MakeSeries, tag: str
) -> None:
    study(tmp_path, make_series)
    _change(tmp_path.glob("002_*.dcm"), lambda data, _: delattr(data, tag))
    found = find(tmp_path)
    assert "flair" not in found.scans[0].contrasts
    assert any(
        "its images have no position and orientation" in item.reason for item in found.skipped
    )


def test_a_series_uid_for_each_slice_makes_one_volume(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    paths = make_series(tmp_path, VOLUME, SeriesDescription="flair")
    _change(paths, lambda data, k: setattr(data, "SeriesInstanceUID", f"1.2.3.{k + 1}"))
    found = find(tmp_path)
    assert len(found.scans[0].slices["flair"]) == len(VOLUME)
    assert "10 series UIDs" in found.recognised[0].reason


def test_phase_and_magnitude_under_one_uid_are_separated(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    phase = make_series(
        tmp_path / "p",
        2 * VOLUME,
        SeriesDescription="flair",
        ImageType=["ORIGINAL", "PRIMARY", "P"],
    )
    magnitude = make_series(tmp_path / "m", VOLUME, SeriesDescription="flair")
    found = find(tmp_path)
    assert set(found.scans[0].slices["flair"]) == set(magnitude)
    assert any("no magnitude image (phase)" in item.reason for item in found.skipped)
    for path in (*phase[3:], *magnitude[4:6]):
        path.unlink()  # what is left is a magnitude with strays in it, and with a gap
    with pytest.raises(UsageError, match="3 phase images among them"):
        find(tmp_path)


def test_echoes_under_one_uid_are_separated_and_can_be_chosen(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    make_series(tmp_path / "a", VOLUME, SeriesDescription="pd+t2_tse", EchoTime=20)
    late = make_series(tmp_path / "b", 2 * VOLUME, SeriesDescription="pd+t2_tse", EchoTime=100)
    assert set(find(tmp_path).scans[0].slices["t2"]) == set(late)
    chosen = find(tmp_path, series={"flair": "1.1"}).scans[0].slices["flair"]
    assert not set(chosen) & set(late)


def test_uneven_slices_are_refused_with_the_distance(
    tmp_path: Path, make_series: MakeSeries
) -> None:
    paths = make_series(tmp_path, VOLUME, SeriesDescription="flair")

    def move(data: Any, number: int) -> None:
        if number > 5:
            place = list(data.ImagePositionPatient)
            data.ImagePositionPatient = [place[0] + 1.2 * (number - 5), *place[1:]]

    _change(paths, move)
    with pytest.raises(UsageError, match=r"not evenly spaced: 5.2 mm after slice \d, 4 mm"):
        find(tmp_path)


def test_files_without_a_preamble_are_read(tmp_path: Path, make_series: MakeSeries) -> None:
    for path in make_series(tmp_path, VOLUME, SeriesDescription="flair"):
        path.write_bytes(path.read_bytes()[132:])
        path.rename(path.with_suffix(""))
    assert set(find(tmp_path).scans[0].contrasts) == {"flair"}


def _change(paths: Iterable[Path], change: Callable[[Any, int], None]) -> None:
    import pydicom

    for number, path in enumerate(list(paths)):
        data = pydicom.dcmread(path)
        change(data, number)
        data.save_as(path)


def test_pointers_in_the_place_of_images_say_how_to_fetch_them(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="the extra anomri[dicom] is not here")
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(UsageError, match=r"skipped 2 .*pointer of git-lfs.*git lfs pull"):
        find(tmp_path)
