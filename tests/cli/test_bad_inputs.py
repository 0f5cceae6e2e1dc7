"""A batch with every kind of bad input: each gets its own clear error, the rest is finished."""

from __future__ import annotations

import csv
import gzip
import shutil
import struct
import zlib
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from anomri.cli import app
from anomri.errors import DamagedFile, RecipeError, ScanError, UnreadableScan, UsageError
from anomri.files import read_tsv
from anomri.preprocessing import PreparedFolder, read_volume
from anomri.recipe import Recipe

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def _brain() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A brain-sized ellipsoid with a bright lesion, 4 mm voxels, about 1100 ml."""
    i, j, k = np.indices((48, 56, 44)).astype(np.float32)
    distance = ((i - 24) / 15) ** 2 + ((j - 28) / 19) ** 2 + ((k - 22) / 14) ** 2
    noise = np.random.default_rng(0).normal(100, 5, distance.shape)
    lesion = (i - 30) ** 2 + (j - 28) ** 2 + (k - 22) ** 2 < 16
    return np.where(distance < 1, noise + 80 * lesion, 0).astype(np.float32)


def _save(data: np.ndarray[tuple[int, ...], np.dtype[np.generic]], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, AFFINE), path)
    return path


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two good subjects and one of every bad kind."""
    root = tmp_path_factory.mktemp("batch")
    brain = _brain()
    for name in ("good1", "good2"):
        _save(brain, root / name / "flair.nii.gz")
    _save(np.stack([brain, brain], -1), root / "fourd" / "flair.nii.gz")
    _save(np.where(brain > 150, np.nan, brain), root / "nan" / "flair.nii.gz")
    _save(np.zeros_like(brain), root / "allzero" / "flair.nii.gz")
    colour = np.zeros(brain.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    _save(colour, root / "rgb" / "flair.nii.gz")
    whole = _save(brain, root / "truncated" / "flair.nii.gz").read_bytes()
    (root / "truncated" / "flair.nii.gz").write_bytes(whole[: len(whole) // 2])
    for name, content in {"empty": b"", "nonifti": b"not an image, only words" * 40}.items():
        (root / name).mkdir()
        (root / name / "flair.nii.gz").write_bytes(
            gzip.compress(content) if name == "nonifti" else content
        )
    _save(brain, root / "nocontrast" / "t1ce.nii.gz")
    _save(brain, root / "wrongmask" / "flair.nii.gz")
    _save(np.ones((20, 20, 20), np.uint8), root / "wrongmask" / "brain_mask.nii.gz")
    return root


WORDS = {
    "fourd": "4-D",
    "nan": "NaN",
    "allzero": "zero",
    "rgb": "RGB",
    "truncated": "truncated",
    "empty": "empty",
    "nonifti": "not",
    "nocontrast": "flair",
    "wrongmask": "shape",
}


@pytest.fixture(scope="module")
def finished(batch: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """Exit code and output folder of one detection over the whole batch."""
    out = tmp_path_factory.mktemp("out")
    words = ["detect", str(batch), "-o", str(out), "--layout", "folder"]
    result = CliRunner().invoke(app, [*words, "-m", "intensity", "--no-report"])
    return result.exit_code, out


def _failures(out: Path) -> dict[str, dict[str, str]]:
    with (out / "failures.tsv").open(encoding="utf-8") as file:
        return {row["subject"]: row for row in csv.DictReader(file, delimiter="\t")}


def test_the_batch_says_that_some_failed(finished: tuple[int, Path]) -> None:
    assert finished[0] == 3


def test_the_good_scans_are_finished(finished: tuple[int, Path]) -> None:
    for name in ("good1", "good2"):
        folder = finished[1] / f"sub-{name}" / "anat"
        mask: nib.Nifti1Image = nib.Nifti1Image.from_filename(
            folder / f"sub-{name}_label-lesion_mask.nii.gz"
        )
        assert np.asarray(mask.dataobj).sum() > 0


@pytest.mark.parametrize(("name", "word"), WORDS.items())
def test_each_bad_scan_has_its_own_reason(finished: tuple[int, Path], name: str, word: str) -> None:
    row = _failures(finished[1])[name]
    assert word.lower() in row["reason"].lower()
    assert row["next_step"]
    assert not (finished[1] / f"sub-{name}").exists()


def test_reasons_differ(finished: tuple[int, Path]) -> None:
    reasons = [row["reason"] for row in _failures(finished[1]).values()]
    assert len(set(reasons)) == len(WORDS)


def test_a_folder_without_scans_is_a_usage_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["detect", str(tmp_path), "-o", str(tmp_path / "out")])
    assert isinstance(result.exception, UsageError)
    assert result.exception.exit_code == 2


def test_an_experts_mask_that_cannot_be_used_costs_the_evaluation_alone(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    _save(_brain(), scans / "a" / "flair.nii.gz")
    _save(np.ones((20, 20, 20), np.uint8), scans / "a" / "seg.nii.gz")
    runner = CliRunner()
    words = ["detect", str(scans), "-o", str(out), "-m", "intensity", "--no-report"]
    found = runner.invoke(app, words)
    assert found.exit_code == 0, found.output
    sidecar = next(out.rglob("*label-lesion_mask.json")).read_text()
    assert "without the expert's mask: seg.nii.gz" in sidecar
    judged = runner.invoke(app, ["evaluate", str(out), "--truth", str(scans)])
    assert judged.exit_code == 3
    assert "seg.nii.gz" in judged.output


def test_a_region_that_is_none_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    _save(_brain(), tmp_path / "scans" / "a" / "flair.nii.gz")
    words = ["evaluate", str(tmp_path), "--truth", str(tmp_path / "scans"), "--region", "rim"]
    error = CliRunner().invoke(app, words).exception
    assert "region 'rim': expected one of whole, core, enhancing" in str(error)


def _png(path: Path) -> None:
    """A PNG of 30,000 x 30,000 in its header, with no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")))


def _header(**fields: tuple[int, str, float]) -> bytes:
    """An image as bytes, with some fields of its header set: offset, format, value."""
    raw = bytearray(nib.Nifti1Image(_brain(), AFFINE).to_bytes())
    for offset, form, value in fields.values():
        struct.pack_into(f"<{form}", raw, offset, value if form == "f" else int(value))
    return bytes(raw)


def _cifti() -> bytes:
    """A NIfTI-2 file that says it is CIFTI and holds no XML that can be read."""
    raw = bytearray(nib.Nifti2Image(_brain(), AFFINE).to_bytes())
    words = b"<CIFTI Version='2'><Matrix>"
    extension = struct.pack("<ii", 48, 32) + words.ljust(40, b"\0")
    struct.pack_into("<i", raw, 504, 3006)
    struct.pack_into("<q", raw, 168, 544 + len(extension))
    return bytes(raw[:540]) + b"\1\0\0\0" + extension + bytes(raw[544:])


NAN = float("nan")
DAMAGED: dict[str, bytes] = {
    "nothing": b"",
    "words": b"words, and no image at all " * 40,
    "zeros": bytes(4000),
    "ones": b"\xff" * 4000,
    "onlyheader": _header()[:352],
    "half": _header()[:90000],
    "zip": b"PK\x03\x04" + bytes(4000),
    "html": b"<html><body>404 not found</body></html>" * 10,
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "gzipped": gzip.compress(_header()),
    "cifti": _cifti(),
    "noaxes": _header(dim=(40, "h", 0)),
    "oneaxis": _header(dim=(40, "h", 1)),
    "seven": _header(dim=(40, "h", 7), last=(54, "h", 9)),
    "manyaxes": _header(dim=(40, "h", 99)),
    "negative": _header(dim1=(42, "h", -5)),
    "thin": _header(dim3=(46, "h", 1)),
    "huge": _header(dim1=(42, "h", 32767), dim2=(44, "h", 32767), dim3=(46, "h", 32767)),
    "wide": _header(dim1=(42, "h", 32767)),
    "typeless": _header(datatype=(70, "h", 0), bitpix=(72, "h", 0)),
    "complex": _header(datatype=(70, "h", 32), bitpix=(72, "h", 64)),
    "colour": _header(datatype=(70, "h", 128), bitpix=(72, "h", 24)),
    "nosuchtype": _header(datatype=(70, "h", 999)),
    "farvoxels": _header(offset=(108, "f", 1e12)),
    "nanvoxels": _header(offset=(108, "f", NAN)),
    "infinite": _header(offset=(108, "f", float("inf"))),
    "slopes": _header(slope=(112, "f", 1.0), inter=(116, "f", float("inf"))),
    "flat": _header(row=(280, "f", 0.0)),
    "nowhere": _header(row=(280, "f", NAN)),
    "metres": _header(row=(280, "f", 1e30)),
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good subject and thirty damaged ones."""
    root = tmp_path_factory.mktemp("damaged")
    _save(_brain(), root / "good" / "flair.nii.gz")
    _save((_brain() > 150).astype(np.uint8), root / "good" / "seg.nii.gz")
    for name, content in DAMAGED.items():
        (root / name).mkdir()
        (root / name / "flair.nii").write_bytes(content)
    return root


@pytest.fixture(scope="module")
def bids(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as BIDS."""
    root = tmp_path_factory.mktemp("bids")
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    _save(_brain(), root / "sub-good" / "anat" / "sub-good_FLAIR.nii.gz")
    for name, content in DAMAGED.items():
        path = root / f"sub-{name}" / "anat" / f"sub-{name}_FLAIR.nii"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return root


@pytest.fixture(scope="module")
def judged(
    damaged: Path, bids: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[int, Path]]:
    """Exit code and output folder of each command over the damaged folder."""
    done: dict[str, tuple[int, Path]] = {}
    for command in ("detect", "prepare"):
        out = tmp_path_factory.mktemp(command)
        words = [command, str(damaged), "-o", str(out), "--layout", "folder"]
        words += ["-m", "intensity", "--no-report"] if command == "detect" else []
        done[command] = CliRunner().invoke(app, words).exit_code, out
    out = tmp_path_factory.mktemp("bids-app")
    words = ["bids-app", str(bids), str(out), "participant", "-m", "intensity"]
    done["bids-app"] = CliRunner().invoke(app, words).exit_code, out
    return done


@pytest.mark.parametrize("command", ["detect", "prepare", "bids-app"])
def test_a_command_finishes_the_good_scan(
    judged: dict[str, tuple[int, Path]], command: str
) -> None:
    code, out = judged[command]
    assert code == 3
    assert any((out / "sub-good").rglob("*.nii*"))


@pytest.mark.parametrize("command", ["detect", "prepare", "bids-app"])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_command_names_the_damaged_file(
    judged: dict[str, tuple[int, Path]], command: str, name: str
) -> None:
    row = _failures(judged[command][1])[name]
    assert row["file"] == (f"sub-{name}_FLAIR.nii" if command == "bids-app" else "flair.nii")
    assert "unexpected" not in row["reason"]
    assert row["next_step"]


@pytest.mark.parametrize("name", DAMAGED)
def test_the_viewer_names_the_damaged_file(damaged: Path, tmp_path: Path, name: str) -> None:
    words = ["view", str(damaged / name / "flair.nii"), "-o", str(tmp_path / "v.html")]
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, ScanError)
    assert error.exit_code == 3
    assert "flair.nii" in str(error)


def test_a_damaged_folder_is_listed(damaged: Path) -> None:
    result = CliRunner().invoke(app, ["detect", str(damaged), "--dry-run", "--layout", "folder"])
    assert result.exit_code == 0, result.output


def test_an_experts_mask_of_each_kind_costs_its_own_evaluation(
    judged: dict[str, tuple[int, Path]], tmp_path: Path
) -> None:
    for number, content in enumerate(DAMAGED.values()):
        truth = tmp_path / "truth" / f"s{number}"
        _save(_brain(), truth / "flair.nii.gz")
        (truth / "seg.nii").write_bytes(content)
        out = tmp_path / "out" / f"sub-s{number}"
        shutil.copytree(judged["detect"][1] / "sub-good", out)
        for path in sorted(out.rglob("sub-good*")):
            text = path.read_bytes().replace(b"sub-good", f"sub-s{number}".encode())
            path.with_name(path.name.replace("sub-good", f"sub-s{number}")).write_bytes(text)
    words = ["evaluate", str(tmp_path / "out"), "--truth", str(tmp_path / "truth")]
    result = CliRunner().invoke(app, [*words, "--layout", "folder"])
    assert result.exit_code == 3, result.exception
    assert result.output.count("seg.nii") >= len(DAMAGED)
    assert "unexpected" not in result.output


@pytest.fixture
def results(judged: dict[str, tuple[int, Path]], tmp_path: Path) -> Path:
    """Sound results of the good scan and of every damaged one."""
    source = judged["detect"][1] / "sub-good"
    for name in ("good", *DAMAGED):
        out = tmp_path / "results" / f"sub-{name}"
        shutil.copytree(source, out)
        for path in sorted(out.rglob("sub-good*")):
            text = path.read_bytes().replace(b"sub-good", f"sub-{name}".encode())
            path.with_name(path.name.replace("sub-good", f"sub-{name}")).write_bytes(text)
            if name != "good":
                path.unlink()
    return tmp_path / "results"


def test_an_export_of_damaged_scans_writes_the_good_one(
    damaged: Path, results: Path, tmp_path: Path
) -> None:
    words = ["export", str(results), "--for", "nnunet", "--scans", str(damaged)]
    words += ["--layout", "folder", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3, result.exception
    assert [path.name for path in (tmp_path / "out" / "labelsTr").iterdir()] == ["sub-good.nii.gz"]
    rows = read_tsv(tmp_path / "out" / "failures.tsv")
    assert [row["file"] for row in rows] == ["flair.nii"] * len(DAMAGED)


def test_damaged_masks_cost_their_own_export(results: Path, tmp_path: Path) -> None:
    for name, content in DAMAGED.items():
        for path in (results / f"sub-{name}").rglob("*.nii.gz"):
            path.write_bytes(gzip.compress(content, 1))
    words = ["export", str(results), "--for", "slicer", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3, result.exception
    assert (tmp_path / "out" / "sub-good_lesions.seg.nii.gz").is_file()
    files = [row["file"] for row in read_tsv(tmp_path / "out" / "failures.tsv")]
    assert files == [f"sub-{name}_desc-lesions_dseg.nii.gz" for name in sorted(DAMAGED)]


def test_an_audit_names_every_damaged_file(damaged: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["audit", str(damaged), "-o", str(tmp_path / "out")])
    assert result.exit_code == 5, result.exception
    rows = read_tsv(tmp_path / "out" / "audit.tsv")
    named = {row["subject"] for row in rows if "flair.nii" in row["finding"]}
    assert {*DAMAGED} <= named
    assert "unexpected" not in result.output


def test_damaged_time_points_are_named(bids: Path, tmp_path: Path) -> None:
    for path in bids.glob("sub-*/anat/*.nii*"):
        for session in ("ses-1", "ses-2"):
            subject = path.parents[1].name
            name = path.name.replace(subject, f"{subject}_{session}")
            target = tmp_path / "bids" / subject / session / "anat" / name
            target.parent.mkdir(parents=True)
            shutil.copy(path, target)
    shutil.copy(bids / "dataset_description.json", tmp_path / "bids")
    words = ["follow", str(tmp_path / "bids"), "-o", str(tmp_path / "out"), "-m", "intensity"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3, result.exception
    assert any((tmp_path / "out" / "sub-good").rglob("*.nii.gz"))
    rows = _failures(tmp_path / "out")
    assert {*rows} == {*DAMAGED}
    assert all("FLAIR.nii" in row["file"] for row in rows.values())
    assert "unexpected" not in result.output


@pytest.fixture
def prepared(judged: dict[str, tuple[int, Path]], tmp_path: Path) -> Path:
    """Prepared scans, of which one is good and all others are damaged."""
    folder = tmp_path / "prepared"
    shutil.copytree(judged["prepare"][1], folder)
    for name, content in DAMAGED.items():
        shutil.copytree(folder / "sub-good", folder / f"sub-{name}")
        (folder / f"sub-{name}" / "flair.nii").write_bytes(content)
    return folder


def test_each_damaged_prepared_scan_is_named(prepared: Path) -> None:
    folder = PreparedFolder.open(prepared)
    assert folder.load("sub-good").image.any()
    for name in DAMAGED:
        with pytest.raises(DamagedFile, match=f"flair.nii: .* of sub-{name}, .*Next: "):
            folder.load(f"sub-{name}")


def test_calibration_names_the_damaged_scan(prepared: Path, tmp_path: Path) -> None:
    words = ["calibrate", "lesions_bright", "--data", str(prepared), "-o", str(tmp_path / "out")]
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, UsageError), error
    assert error.exit_code == 2
    assert "of sub-" in str(error)
    assert not (tmp_path / "out" / "weights.safetensors").exists()


PROTOCOL = """
paper: No network
train: [{folder: DAMAGED, layout: folder, split: test}]
test: [{name: bad, sources: [{folder: DAMAGED, layout: folder, split: test}]}]
"""
COMPARISON = """
title: No network
rule: all there are
baseline: intensity
candidate: intensity
groups: [{name: none, about: none, rows: [intensity]}]
test: [{name: bad, about: x, sources: [{folder: DAMAGED, layout: folder, split: test}]}]
"""


@pytest.mark.parametrize("command", ["reproduce", "compare"])
def test_an_experiment_measures_the_good_scan_and_names_the_others(
    damaged: Path, tmp_path: Path, command: str
) -> None:
    folder = tmp_path / command
    (folder / "rows").mkdir(parents=True)
    row = "name: row\nfamily: {vae: {reconstruction: mse}}\n"
    (folder / "rows" / "row.yaml").write_text(row)
    for name, text in (("protocol.yaml", PROTOCOL), ("comparison.yaml", COMPARISON)):
        (folder / name).write_text(text.replace("DAMAGED", damaged.name))
    splits = tmp_path / "splits.tsv"
    rows = [f"{path.name}\ttest\n" for path in sorted(damaged.iterdir())]
    splits.write_text("".join(["subject\tsplit\n", *rows]))
    words = [command, str(folder), "--data", str(damaged.parent), "-o", str(tmp_path / "work")]
    words += ["--split-file", str(splits), "--rows", "intensity", "--device", "cpu"]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "2000"})
    assert result.exit_code == 3, result.exception
    for name in DAMAGED:
        expected = (
            f"  bad, {name}, intensity: " if command == "compare" else f"  {name}: flair.nii: "
        )
        assert result.output.count(expected) == 1, name
    assert "unexpected" not in result.output
    measured = {"reproduce": "measured.tsv", "compare": "scans.tsv"}[command]
    table = read_tsv(folder / measured)
    dice = [line for line in table if line.get("metric", "dice") == "dice"]
    good = [line for line in dice if line.get("subject", "good") == "good"]
    assert [line.get("n", "1") for line in good] == ["1"]


def test_the_lesion_network_names_every_damaged_head_before_it_trains(tmp_path: Path) -> None:
    scan = _save(_brain(), tmp_path / "scan.nii.gz").read_bytes()
    tissues = np.select([_brain() > 150, _brain() > 100, _brain() > 0], [51, 81, 100], 0)
    labels = _save(tissues.astype(np.uint8), tmp_path / "labels.nii.gz").read_bytes()
    heads = dict.fromkeys(("good1", "good2"), (scan, labels))
    # Of a compressed CIFTI file the voxels are read, which is possible, and not its XML.
    for name in DAMAGED.keys() - {"cifti"}:
        content = gzip.compress(DAMAGED[name], 1)
        heads |= {f"scan-{name}": (content, labels), f"labels-{name}": (scan, content)}
    for folder, ending in (("t1", "T1"), ("dlmuse_seg", "T1_DLMUSE")):
        (tmp_path / "heads" / folder).mkdir(parents=True)
        for name, pair in heads.items():
            path = tmp_path / "heads" / folder / f"{name}_{ending}.nii.gz"
            path.write_bytes(pair[folder != "t1"])
    words = ["train-lesions", str(tmp_path / "heads"), "-o", str(tmp_path / "out")]
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, ScanError)
    assert error.exit_code == 3
    for name in heads.keys() - {"good1", "good2"}:
        ending = "T1" if name.startswith("scan") else "T1_DLMUSE"
        assert f"{name}_{ending}.nii.gz: " in str(error), name
    assert not (tmp_path / "out").exists()


def test_a_slice_that_would_take_too_much_memory_is_refused(tmp_path: Path) -> None:
    _png(tmp_path / "0.png")
    with pytest.raises(UnreadableScan, match="ANOMRI_MAX_IMAGE_GB"):
        read_volume(tmp_path)


def test_the_limit_can_be_raised_and_lowered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _save(_brain(), tmp_path / "flair.nii.gz")
    monkeypatch.setenv("ANOMRI_MAX_IMAGE_GB", "0.0005")
    with pytest.raises(UnreadableScan, match="at most 1 MB in memory"):
        read_volume(path)
    monkeypatch.setenv("ANOMRI_MAX_IMAGE_GB", "1")
    assert read_volume(path)[0].shape == _brain().shape
    monkeypatch.setenv("ANOMRI_MAX_IMAGE_GB", "much")
    with pytest.raises(UsageError, match="expected a number of GB"):
        read_volume(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100000])
def test_a_damaged_sidecar_costs_one_scan_of_the_report(
    judged: dict[str, tuple[int, Path]], tmp_path: Path, content: bytes
) -> None:
    out = tmp_path / "out"
    shutil.copytree(judged["detect"][1], out)
    bad = out / "sub-bad" / "anat" / "sub-bad_label-lesion_mask.json"
    bad.parent.mkdir(parents=True)
    bad.write_bytes(content)
    (out / "run.json").write_bytes(content)
    next(out.rglob("*_desc-qc.png")).write_bytes(content)
    result = CliRunner().invoke(app, ["report", str(out)])
    assert result.exit_code == 3, result.exception
    page = (out / "report.html").read_text("utf-8")
    assert "sub-bad_label-lesion_mask.json" in page
    assert "sub-good" in page


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 100000])
def test_a_damaged_sidecar_costs_one_scan_of_the_evaluation_and_of_the_viewer(
    damaged: Path, judged: dict[str, tuple[int, Path]], tmp_path: Path, content: bytes
) -> None:
    out = tmp_path / "out"
    shutil.copytree(judged["detect"][1], out)
    sidecar = next(out.rglob("sub-good_label-lesion_mask.json"))
    sidecar.write_bytes(content)
    words = ["evaluate", str(out), "--truth", str(damaged), "--layout", "folder"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 3, result.exception
    assert sidecar.name in result.output
    assert "evaluation_failures.tsv" in result.output
    words = ["view", str(damaged / "good"), str(out), "-o", str(tmp_path / "v.html")]
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, ScanError)
    assert sidecar.name in str(error)


def test_aliases_of_a_recipe_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefghij")]
    (tmp_path / "r.yaml").write_text("\n".join([*lines, "name: *j", "family: vae"]))
    with pytest.raises(RecipeError, match=r"r\.yaml: .*no aliases"):
        Recipe.load(tmp_path / "r.yaml")
