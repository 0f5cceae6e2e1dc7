from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from anomri.errors import DamagedFile, ScanError, UsageError
from anomri.files import anat_folder, derivative
from anomri.reporting import Record, read_record, write_detection
from anomri.reporting.derivatives import detection as room
from anomri.scan import Detection, Grid, MapProvenance, Note, NoteKind

Detect = Callable[..., Detection]
NEW = Note(NoteKind.BRAIN_MASK, "new")


def test_everything_of_a_scan_is_written(detect: Detect, tmp_path: Path) -> None:
    found = detect()
    home = write_detection(replace(found, regions=found.mask.astype(np.uint8) * 4), tmp_path)
    assert home == tmp_path / "sub-ball01" / "anat"
    names = {path.name.removeprefix("sub-ball01_") for path in home.iterdir()}
    assert names == {
        *("label-lesion_mask.nii.gz", "label-lesion_mask.json"),
        *("desc-brain_mask.nii.gz", "desc-brain_mask.json"),
        *("desc-lesions_dseg.nii.gz", "desc-lesions_dseg.json", "desc-lesions_dseg.tsv"),
        *("desc-regions_dseg.nii.gz", "desc-regions_dseg.json", "desc-regions_dseg.tsv"),
        *("desc-anomaly_flair.nii.gz", "desc-anomaly_flair.json"),
        *("desc-reconstruction_flair.nii.gz", "desc-reconstruction_flair.json"),
        "desc-qc.png",
        "desc-preview.json",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["sub-ball01"]


def test_the_mask_lies_on_the_input(detect: Detect, tmp_path: Path) -> None:
    native = Grid(shape=(48, 52, 44), affine=np.diag([2.0, 2, 2, 1]), sform_code=4, qform_code=1)
    found = detect(native=native)
    path = write_detection(found, tmp_path) / "sub-ball01_label-lesion_mask.nii.gz"
    mask = nib.Nifti1Image.from_filename(path)
    assert mask.get_data_dtype() == np.uint8
    assert (int(mask.header["sform_code"]), int(mask.header["qform_code"])) == (4, 1)
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), found.mask)


def test_a_session_has_a_folder_of_its_own(detect: Detect, tmp_path: Path) -> None:
    first = write_detection(detect(label="sub-a_ses-1"), tmp_path)
    second = write_detection(detect(label="sub-a_ses-2"), tmp_path)
    assert first == tmp_path / "sub-a" / "ses-1" / "anat"
    assert first.is_dir()
    assert second.is_dir()
    assert (first / "sub-a_ses-1_desc-qc.png").is_file()


@pytest.mark.parametrize("label", ["sub-", "../sub-a", "sub-a/../../b", "a", "sub-a_ses-"])
def test_a_label_that_leads_elsewhere_is_refused(label: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="letters and digits"):
        anat_folder(tmp_path, label)


def test_a_crash_leaves_nothing(
    detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "picture", crash)
    with pytest.raises(KeyboardInterrupt):
        write_detection(detect(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_crash_keeps_the_earlier_result(
    detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = write_detection(detect(), tmp_path)
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    monkeypatch.setattr(room, "picture", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_detection(detect(notes=(NEW,)), tmp_path)
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


def test_a_new_result_replaces_the_whole_old_one(detect: Detect, tmp_path: Path) -> None:
    home = write_detection(detect(), tmp_path)
    (home / "sub-ball01_desc-anomaly_t1.nii.gz").write_text("old")
    assert write_detection(detect(notes=(NEW,)), tmp_path) == home
    assert not (home / "sub-ball01_desc-anomaly_t1.nii.gz").exists()
    record = read_record(tmp_path, "sub-ball01")
    assert record is not None
    assert record.notes == (NEW,)


def test_a_sidecar_with_notes_in_words_alone_is_read(detect: Detect, tmp_path: Path) -> None:
    home = write_detection(detect(notes=(NEW,)), tmp_path, seconds=2.5)
    sidecar = home / "sub-ball01_label-lesion_mask.json"
    about = json.loads(sidecar.read_text())
    assert about["Notes"] == [{"Kind": "brain_mask", "Text": "new"}]
    assert about["Seconds"] == 2.5
    sidecar.write_text(json.dumps(about | {"Notes": ["in words"]}))
    record = read_record(tmp_path, "sub-ball01")
    assert record is not None
    assert record.notes == (Note(NoteKind.OTHER, "in words"),)


def test_sidecars_say_what_how_and_from_where(detect: Detect, tmp_path: Path) -> None:
    home = write_detection(detect(), tmp_path)
    about = json.loads((home / "sub-ball01_label-lesion_mask.json").read_text())
    assert about["Threshold"] == {
        "Value": 2.0,
        "Rule": "healthy",
        "FittedOn": 2,
        "ExpectedFalsePositiveMl": None,
        "MarkedOnHealthy": None,
    }
    assert about["Type"] == "Lesion"
    assert about["Provenance"]["recipe"] == "dvae"
    assert about["Provenance"]["anomri_version"] == "0.1.0"
    assert about["Provenance"]["maps"][0]["weights_sha256"] == "0123abcd"
    assert about["LesionVolumeMl"] == pytest.approx(about["Findings"][0]["VolumeMl"])
    for path in home.glob("*.json"):
        text = path.read_text()
        assert "Research use only" in text
        assert "secret" not in text
        assert str(tmp_path) not in text
    anomaly = json.loads((home / "sub-ball01_desc-anomaly_flair.json").read_text())
    assert anomaly["Units"] == "residual, prepared intensity units"


def test_what_somebody_else_put_there_is_kept(detect: Detect, tmp_path: Path) -> None:
    home = anat_folder(tmp_path, "sub-ball01")
    home.mkdir(parents=True)
    raw = home / "sub-ball01_FLAIR.nii.gz"
    raw.write_bytes(b"the only copy")
    with pytest.raises(ScanError, match=r"sub-ball01_FLAIR\.nii\.gz.*does not replace"):
        write_detection(detect(), tmp_path)
    assert raw.read_bytes() == b"the only copy"
    raw.rename(home / ".DS_Store")
    (home / "sub-ball01_desc-refused_qc.png").touch()
    write_detection(detect(), tmp_path)
    write_detection(detect(), tmp_path)


def test_a_scan_that_was_never_finished_has_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path, "sub-nobody") is None


def test_a_damaged_sidecar_is_named(detect: Detect, tmp_path: Path) -> None:
    home = write_detection(detect(), tmp_path)
    (home / "sub-ball01_label-lesion_mask.json").write_text('{"Subject": 3')
    with pytest.raises(UsageError, match=r"sub-ball01_label-lesion_mask\.json"):
        read_record(tmp_path, "sub-ball01")


def test_a_probability_is_its_own_unit() -> None:
    assert MapProvenance().units("tumour probability") == "tumour probability"
    assert MapProvenance().units("residual") == "residual, prepared intensity units"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("LesionVolumeMl", -1),
        ("LesionVolumeMl", 1e308),
        ("BrainVolumeMl", -5.5),
        ("ScanScore", 1e308),
        ("SpacingMm", [0, 1, 1]),
        ("VolumeAboveMl", [1e300]),
    ],
)
def test_numbers_that_no_detection_can_have_written_are_told(
    detect: Detect, tmp_path: Path, key: str, value: Any
) -> None:
    record = Record.of(detect())
    path = derivative(tmp_path, record.label, "label-lesion_mask.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(json.loads(record.to_json()) | {key: value}))
    with pytest.raises(DamagedFile, match=key):
        read_record(tmp_path, record.label)
