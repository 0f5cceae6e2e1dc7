from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from anomri.errors import BadIntensities, ScanError, UsageError
from anomri.preprocessing import PreparedFolder, is_prepared, prepare_scan
from anomri.recipe import Preparation, Step
from anomri.scan import Note, NoteKind, ScanFiles, Volume

Write = Callable[..., Path]

PREPARATION = Preparation(spacing_mm=(3.0, 3.0, None), intensity=Step(name="percentile"))
CONTRASTS = ("flair", "t1")


@pytest.fixture
def files(write: Write, stripped: Volume) -> ScanFiles:
    labels = np.zeros(stripped.shape, np.uint8)
    labels[20:26, 30:36, 25:30] = 2
    return ScanFiles(
        subject="case_1",
        contrasts={"flair": write(stripped), "t1": write(stripped**2, "t1.nii.gz")},
        layout="folder",
        truth=write(labels, "seg.nii.gz"),
        healthy=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> PreparedFolder:
    return PreparedFolder(tmp_path / "prepared", PREPARATION, CONTRASTS)


def test_what_is_loaded_is_what_was_prepared(folder: PreparedFolder, files: ScanFiles) -> None:
    assert folder.add(files)
    expected, found = prepare_scan(files, PREPARATION, CONTRASTS), folder.load("sub-case1")
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.brain, expected.brain)
    assert found.truth is not None
    assert expected.truth is not None
    np.testing.assert_array_equal(found.truth, expected.truth)
    np.testing.assert_array_equal(found.affine, expected.affine)
    np.testing.assert_array_equal(found.native.affine, expected.native.affine)
    assert found.native.shape == expected.native.shape
    assert (found.subject, found.healthy, found.notes) == ("case_1", False, expected.notes)
    assert found.brain.dtype == np.bool_
    assert found.image.dtype == np.float32


def test_notes_keep_their_kinds_and_those_of_older_folders_are_read(
    folder: PreparedFolder, files: ScanFiles
) -> None:
    note = Note(NoteKind.GEOMETRY, "slices were placed")
    folder.add(replace(files, notes=(note,)))
    assert note in folder.load("sub-case1").notes
    path = folder.folder / "sub-case1" / "scan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"notes": [note.text]}))
    assert folder.load("sub-case1").notes == (Note(NoteKind.OTHER, note.text),)


def test_any_viewer_can_open_it(folder: PreparedFolder, files: ScanFiles) -> None:
    folder.add(files)
    scan = folder.load("sub-case1")
    image = nib.Nifti1Image.from_filename(folder.folder / "sub-case1" / "t1.nii")
    np.testing.assert_array_equal(image.get_fdata(), scan.image[1])
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-4)


def test_volumes_are_mapped_and_never_written_back(
    folder: PreparedFolder, files: ScanFiles
) -> None:
    folder.add(files)
    volume = folder.volume("sub-case1", "flair")
    assert isinstance(volume, np.memmap)
    assert isinstance(folder.brain("sub-case1"), np.memmap)
    before = volume[5, 5, 5]
    volume[5, 5, 5] = before + 1
    assert folder.volume("sub-case1", "flair")[5, 5, 5] == before


def test_one_contrast_is_loaded_without_a_copy(tmp_path: Path, files: ScanFiles) -> None:
    folder = PreparedFolder(tmp_path / "one", PREPARATION, ["flair"])
    folder.add(files)
    assert isinstance(folder.load("sub-case1").image, np.memmap)


def test_native_truth_is_as_the_expert_drew_it(folder: PreparedFolder, files: ScanFiles) -> None:
    folder.add(files)
    truth = folder.native_truth("sub-case1")
    assert truth is not None
    assert files.truth is not None
    drawn = nib.Nifti1Image.from_filename(files.truth)
    np.testing.assert_array_equal(truth[0], drawn.get_fdata())
    np.testing.assert_allclose(truth[1].affine, drawn.affine)


def test_without_truth_there_is_none(folder: PreparedFolder, files: ScanFiles) -> None:
    folder.add(replace(files, truth=None))
    assert folder.load("sub-case1").truth is None
    assert folder.native_truth("sub-case1") is None


def test_a_second_run_reads_nothing(
    folder: PreparedFolder, files: ScanFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder.add(files)

    really_open = Path.open

    def only_notes(path: Path, *words: Any, **options: Any) -> Any:
        assert path.suffix not in (".nii", ".gz"), "a scan was opened"
        return really_open(path, *words, **options)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a scan was opened")

    monkeypatch.setattr(nib, "load", never)
    monkeypatch.setattr(Path, "open", only_notes)
    assert not PreparedFolder(folder.folder, PREPARATION, CONTRASTS).add(files)


def test_a_touched_file_with_the_same_content_is_unchanged(
    folder: PreparedFolder, files: ScanFiles, tmp_path: Path
) -> None:
    folder.add(files)
    os.utime(files.contrasts["flair"], ns=(1, 1))
    assert not folder.add(files)
    entry = json.loads((folder.folder / "sub-case1" / "scan.json").read_text())
    assert entry["files"]["flair"]["mtime_ns"] == 1
    moved = tmp_path / "elsewhere" / "renamed.nii.gz"
    moved.parent.mkdir()
    shutil.copy(files.contrasts["flair"], moved)
    assert not folder.add(replace(files, contrasts={**files.contrasts, "flair": moved}))


def test_changed_content_is_prepared_again(
    folder: PreparedFolder, files: ScanFiles, write: Write, stripped: Volume
) -> None:
    folder.add(files)
    before = np.array(folder.volume("sub-case1", "t1"))
    write(stripped[::-1], "t1.nii.gz")
    assert folder.add(files)
    assert not np.array_equal(folder.volume("sub-case1", "t1"), before)


@pytest.mark.parametrize("change", [{"truth": None}, {"healthy": True}])
def test_other_expert_labels_or_health_are_prepared_again(
    folder: PreparedFolder, files: ScanFiles, change: dict[str, bool | None]
) -> None:
    folder.add(files)
    assert folder.add(replace(files, **change))  # type: ignore[arg-type]


def test_another_preparation_is_refused(folder: PreparedFolder) -> None:
    with pytest.raises(UsageError, match=r"preparation: .*3\.0.* there, .*1\.5.* now"):
        PreparedFolder(folder.folder, Preparation(spacing_mm=(1.5, 3.0, None)), CONTRASTS)
    with pytest.raises(UsageError, match="contrasts"):
        PreparedFolder(folder.folder, PREPARATION, ["flair"])


def test_opening_knows_how_it_was_prepared(folder: PreparedFolder, files: ScanFiles) -> None:
    folder.add(files)
    opened = PreparedFolder.open(folder.folder)
    assert (opened.preparation, opened.contrasts) == (PREPARATION, CONTRASTS)
    assert opened.labels() == ["sub-case1"]
    assert opened.index() == [("sub-case1", "case_1", False)]


def test_a_folder_of_something_else_is_not_opened(tmp_path: Path) -> None:
    assert not is_prepared(tmp_path)
    with pytest.raises(UsageError, match="anomri prepare"):
        PreparedFolder.open(tmp_path)


def test_unknown_labels_and_contrasts_are_usage_errors(
    folder: PreparedFolder, files: ScanFiles
) -> None:
    folder.add(files)
    with pytest.raises(UsageError, match="sub-nobody"):
        folder.load("sub-nobody")
    with pytest.raises(UsageError, match=r"t2\.nii"):
        folder.volume("sub-case1", "t2")


def test_two_subjects_with_one_label_do_not_overwrite_each_other(
    folder: PreparedFolder, files: ScanFiles
) -> None:
    folder.add(files)
    with pytest.raises(ScanError, match="case_1 has already"):
        folder.add(replace(files, subject="case-1"))


def test_files_that_anomri_did_not_write_are_kept(folder: PreparedFolder, files: ScanFiles) -> None:
    target = folder.folder / "sub-case1"
    target.mkdir()
    refused = target / "anat" / "sub-case1_desc-refused_qc.png"
    refused.parent.mkdir()
    refused.touch()
    raw = target / "flair.nii.gz"
    raw.write_bytes(b"the only copy")
    with pytest.raises(ScanError, match=r"flair\.nii\.gz.*does not replace"):
        folder.add(files)
    assert raw.read_bytes() == b"the only copy"
    raw.unlink()
    assert folder.add(files)


def test_a_failing_scan_leaves_nothing_behind(
    folder: PreparedFolder, files: ScanFiles, write: Write, stripped: Volume
) -> None:
    bad = write(np.where(stripped > 0, np.nan, 0).astype(np.float32), "bad.nii.gz")
    with pytest.raises(BadIntensities):
        folder.add(replace(files, contrasts={"flair": bad, "t1": bad}))
    assert [path.name for path in folder.folder.iterdir()] == ["prepared.json"]


def test_a_scan_that_is_interrupted_is_not_there_and_leaves_nothing(
    folder: PreparedFolder, files: ScanFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anomri.preprocessing.prepared_folder.folder.write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            folder.add(files)
    assert folder.labels() == []
    assert folder.add(files)
    assert sorted(path.name for path in folder.folder.iterdir()) == ["prepared.json", "sub-case1"]


def test_no_folder_of_the_machine_is_written_down(
    folder: PreparedFolder, files: ScanFiles, tmp_path: Path
) -> None:
    folder.add(files)
    written = "".join(path.read_text() for path in folder.folder.rglob("*.json"))
    assert "flair.nii.gz" in written
    assert str(tmp_path) not in written


def test_a_scan_may_lack_an_optional_contrast(
    tmp_path: Path, files: ScanFiles, folder: PreparedFolder
) -> None:
    both = PreparedFolder(tmp_path / "both", PREPARATION, CONTRASTS, optional=("t1",))
    alone = replace(files, subject="case_2", contrasts={"flair": files.contrasts["flair"]})
    assert both.add(files)
    assert both.add(alone)
    assert not both.add(alone)
    opened = PreparedFolder.open(both.folder)
    assert opened.load("sub-case1").contrasts == CONTRASTS
    assert opened.load("sub-case2").contrasts == ("flair",)
    with pytest.raises(ScanError, match="t1"):
        folder.add(alone)
    with pytest.raises(UsageError, match="optional"):
        PreparedFolder(both.folder, PREPARATION, CONTRASTS)
