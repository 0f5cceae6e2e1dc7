from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.datasets import find
from anomri.datasets.bids_names import Name

Lay = Callable[..., Path]
MASKS = "derivatives/manual/sub-01/anat/sub-01_"


def test_raw_scans_and_their_masks(lay: Lay) -> None:
    root = lay(
        *(f"sub-01/anat/sub-01_{word}.nii.gz" for word in ("FLAIR", "T1w", "ce-gd_T1w", "T2w")),
        f"{MASKS}desc-brain_mask.nii.gz",
        f"{MASKS}label-lesion_mask.nii.gz",
        "dataset_description.json",
    )
    found = find(root)
    assert (found.layout, found.skipped) == ("bids", ())
    (scan,) = found.scans
    assert (scan.label, scan.subject) == ("sub-01", "01")
    assert {name: path.name[7:-7] for name, path in scan.contrasts.items()} == {
        "flair": "FLAIR",
        "t1": "T1w",
        "t1ce": "ce-gd_T1w",
        "t2": "T2w",
    }
    assert scan.brain == root / f"{MASKS}desc-brain_mask.nii.gz"
    assert scan.truth == root / f"{MASKS}label-lesion_mask.nii.gz"


def test_sessions_are_scans_of_their_own_with_their_own_masks(lay: Lay) -> None:
    root = lay(
        "sub-a/ses-1/anat/sub-a_ses-1_FLAIR.nii.gz",
        "sub-a/ses-2/anat/sub-a_ses-2_FLAIR.nii.gz",
        "derivatives/x/sub-a/ses-2/anat/sub-a_ses-2_label-lesion_mask.nii.gz",
        "derivatives/x/sub-a/anat/sub-a_desc-brain_mask.nii.gz",
    )
    found = find(root)
    assert [scan.label for scan in found.scans] == ["sub-a_ses-1", "sub-a_ses-2"]
    assert [scan.truth is not None for scan in found.scans] == [False, True]
    assert [scan.brain for scan in found.scans] == [None, None]
    assert found.skipped[0].name.endswith("sub-a_desc-brain_mask.nii.gz")


def test_two_runs_are_ambiguous(lay: Lay) -> None:
    root = lay(
        "sub-01/anat/sub-01_run-1_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-fast_T1w.nii.gz",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
    )
    found = find(root)
    assert list(found.scans[0].contrasts) == ["flair"]
    (skipped,) = found.skipped
    assert skipped.name == "sub-01 t1"
    assert "run-1_T1w" in skipped.reason
    assert "acq-fast_T1w" in skipped.reason


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/anat/odd.nii.gz",
        "sub-01/anat/sub-01_space-MNI152_T1w.nii.gz",
        "sourcedata/sub-01/sub-01_FLAIR.nii.gz",
        "derivatives/x/sub-01/sub-01_dseg.nii.gz",
        "derivatives/x/sub-01/sub-01_space-MNI152_desc-brain_mask.nii.gz",
        "derivatives/x/sub-02/sub-02_desc-brain_mask.nii.gz",
    ],
)
def test_unused_files_are_reported(lay: Lay, name: str) -> None:
    found = find(lay("sub-01/anat/sub-01_FLAIR.nii.gz", name))
    assert len(found.scans) == 1
    assert found.scans[0].brain is None
    assert [item.name for item in found.skipped] == [name]


def test_an_original_space_is_the_subjects_own(lay: Lay) -> None:
    mask = "derivatives/x/sub-01/sub-01_space-orig_desc-brain_mask.nii.gz"
    root = lay("sub-01/anat/sub-01_FLAIR.nii.gz", mask)
    assert find(root).scans[0].brain == root / mask


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("participant_id\thealthy\nsub-01\ttrue\nsub-02\tFALSE\n", [True, False]),
        ("participant_id\tage\tgroup\nsub-01\t50\tcontrol\nsub-02\t60\tPatient\n", [True, False]),
        ("participant_id\tgroup\nsub-01\tn/a\nsub-03\tcontrol\n", [None, None]),
        ("participant_id,Group\n1 , control\n2,Patient\n", [True, False]),
        ("Participant_ID;Diagnosis \nSUB-1;HC\nsub-02;ms \n", [True, False]),
        ("participant_id\tgroup\nsub-01\tcontrol\nsub-01\tpatient\n", [None, None]),
        ("age\n50\n", [None, None]),
        ('participant_id\tnote\tgroup\nsub-01\t"odd\tcontrol\nsub-02\tx\tms\n', [True, False]),
        ('participant_id\tnote\tgroup\nsub-01\t"a\tb"\tcontrol\n', [True, None]),
        ("", [None, None]),
    ],
)
def test_participants_say_who_is_healthy(lay: Lay, table: str, expected: list[bool | None]) -> None:
    root = lay("sub-01/anat/sub-01_FLAIR.nii.gz", "sub-02/anat/sub-02_FLAIR.nii.gz")
    (root / "participants.tsv").write_text(table, encoding="utf-8")
    assert [scan.healthy for scan in find(root).scans] == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_participants_are_read_as_other_programs_save_them(lay: Lay, encoding: str) -> None:
    root = lay("sub-01/anat/sub-01_FLAIR.nii.gz")
    table = "participant_id\tsite\tgroup\r\nsub-01\tZürich\tcontrol\r\n"
    (root / "participants.tsv").write_bytes(table.encode(encoding))
    assert find(root).scans[0].healthy is True


def test_unmatched_rows_and_subjects_are_logged(lay: Lay, caplog: pytest.LogCaptureFixture) -> None:
    root = lay("sub-01/anat/sub-01_FLAIR.nii.gz", "sub-02/anat/sub-02_FLAIR.nii.gz")
    (root / "participants.tsv").write_text("participant_id\tgroup\nsub-1\tHC\nsub-9\tHC\n")
    assert [scan.healthy for scan in find(root).scans] == [True, None]
    assert "match no subject: 9" in caplog.text
    assert "no row for the subjects 02" in caplog.text


def test_a_byte_order_mark_in_bidsignore_is_skipped(lay: Lay) -> None:
    root = lay("sub-01/anat/sub-01_FLAIR.nii.gz", "sub-02/anat/sub-02_FLAIR.nii.gz")
    (root / ".bidsignore").write_bytes(b"\xef\xbb\xbfsub-02/\r\n")
    assert [scan.label for scan in find(root).scans] == ["sub-01"]


@pytest.mark.parametrize("name", ["flair", "sub-01", "ses-1_T1w", "sub-01_extra_T1w", "sub-_T1w"])
def test_names_of_another_form_are_not_parsed(name: str) -> None:
    assert Name.parse(name) is None


def test_what_the_data_set_ignores_is_left_out(lay: Lay) -> None:
    root = lay(
        "sub-01/anat/sub-01_FLAIR.nii.gz", "sub-02/anat/sub-02_FLAIR.nii.gz", "x/sub-3_T1w.nii"
    )
    (root / ".bidsignore").write_text("# comment\nsub-02/**\n/x/\n", encoding="utf-8")
    found = find(root)
    assert [scan.label for scan in found.scans] == ["sub-01"]
    assert {item.reason for item in found.skipped} == {"left out by .bidsignore"}
    assert len(found.skipped) == 2


def test_an_invalid_pattern_ignores_nothing(lay: Lay, caplog: pytest.LogCaptureFixture) -> None:
    root = lay("sub-01/anat/sub-01_FLAIR.nii.gz", "sub-02/anat/sub-02_FLAIR.nii.gz")
    (root / ".bidsignore").write_text("!\nsub-02/**\n", encoding="utf-8")
    assert [scan.label for scan in find(root).scans] == ["sub-01"]
    assert "is not a pattern" in caplog.text


def test_phase_images_are_not_scans(lay: Lay) -> None:
    root = lay("sub-01/anat/sub-01_part-mag_T2w.nii.gz", "sub-01/anat/sub-01_part-phase_T2w.nii.gz")
    found = find(root)
    assert found.scans[0].contrasts["t2"].name == "sub-01_part-mag_T2w.nii.gz"
    assert "part-phase" in found.skipped[0].reason


def test_duplicated_runs_are_listed_for_each_session(lay: Lay) -> None:
    names = [f"sub-01/ses-{s}/anat/sub-01_ses-{s}_run-{r}_FLAIR.nii.gz" for s in "ab" for r in "12"]
    root = lay(*names, "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz")
    found = find(root)
    assert [(scan.label, list(scan.contrasts)) for scan in found.scans] == [
        ("sub-01_ses-b", ["t1"])
    ]
    ambiguous = [item for item in found.skipped if "more than one file" in item.reason]
    assert [item.name for item in ambiguous] == ["sub-01_ses-a flair", "sub-01_ses-b flair"]
    assert all("run-1" in item.reason and "run-2" in item.reason for item in ambiguous)


def test_five_thousand_files_are_listed_in_one_walk(
    lay: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    suffixes = ("FLAIR.nii.gz", "FLAIR.json", "T1w.nii.gz", "T1w.json", "T2w.nii.gz")
    stems = [f"sub-{n:03d}/ses-{s}/anat/sub-{n:03d}_ses-{s}" for n in range(500) for s in "ab"]
    root = lay(*(f"{stem}_{suffix}" for stem in stems for suffix in suffixes))
    folders, opened = [], []
    scandir, read = os.scandir, Path.open
    monkeypatch.setattr(os, "scandir", lambda path: folders.append(path) or scandir(path))  # type: ignore[func-returns-value]
    monkeypatch.setattr(Path, "open", lambda *a, **k: opened.append(a) or read(*a, **k))  # type: ignore[func-returns-value]
    found = find(root)
    assert len(found.scans) == 1000
    assert len(folders) == 1 + 500 + 1000 + 1000  # each folder once
    assert opened == []


def test_a_cell_too_long_for_csv_is_read(tmp_path: Path) -> None:
    from anomri.datasets.participants import read_healthy

    table = tmp_path / "participants.tsv"
    table.write_text(f'participant_id\tgroup\tnote\nsub-a\tcontrol\t"{"x" * 200_000}"\n')
    assert read_healthy(table).get("a") is True


@pytest.mark.parametrize(
    ("column", "value", "healthy"),
    [
        *(("healthy", "1", True), ("healthy", "no", False), ("group", "HC", True)),
        *(("group", "1", None), ("group", "0", None), ("diagnosis", "yes", None)),
    ],
)
def test_a_code_is_no_answer_to_whether_a_subject_is_healthy(
    tmp_path: Path, column: str, value: str, healthy: bool | None
) -> None:
    from anomri.datasets.participants import read_healthy

    table = tmp_path / "participants.tsv"
    table.write_text(f"participant_id\t{column}\nsub-a\t{value}\n")
    assert read_healthy(table).get("a") is healthy
