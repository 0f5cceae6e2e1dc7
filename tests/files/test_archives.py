"""Zip archives: within their folder, within their limit, and removed."""

from __future__ import annotations

import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from anomri.errors import UnreadableScan
from anomri.files import LIMIT_VARIABLE, unpack


def archive(folder: Path, *entries: str | zipfile.ZipInfo, content: bytes = b"x") -> Path:
    path = folder / "scan.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in entries:
            target.writestr(entry, content)
    return path


def test_the_files_keep_their_folders(tmp_path: Path) -> None:
    folder = unpack([archive(tmp_path, "a/1.dcm", "a/b/2.dcm")], "study")
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.dcm")) == [
        "scan/a/1.dcm",
        "scan/a/b/2.dcm",
    ]


def test_a_name_of_dots_is_no_folder_above(tmp_path: Path) -> None:
    path = archive(tmp_path, "a.dcm").rename(tmp_path / "...zip")
    folder = unpack([path, path], "..")
    assert folder.name == "archive"
    assert len(list(folder.rglob("a.dcm"))) == 2
    assert folder.parent.name.startswith("anomri-")


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/b", "a"], ["a" * 300]])
def test_names_that_cannot_be_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UnreadableScan, match="names that this file system can hold"):
        unpack([archive(tmp_path, *names)], "study")


def test_compression_without_a_limit_is_refused(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("a.dcm")
    path = tmp_path / "scan.zip"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr(entry, bytes(1000), zipfile.ZIP_BZIP2)
    with pytest.raises(UnreadableScan, match="another compression"):
        unpack([path], "study")


@pytest.mark.parametrize(
    "name", ["../out.dcm", "/tmp/out.dcm", "a/../../out.dcm", "c:\\out.dcm", "."]
)
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UnreadableScan, match="leads out of it"):
        unpack([archive(tmp_path, name)], "study")
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "scan.zip"}


def test_links_and_passwords_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UnreadableScan, match="symbolic link"):
        unpack([archive(tmp_path, link, content=b"/etc/passwd")], "study")


def test_a_large_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "0.00001")  # 10 kB an image, 16 times as much an archive
    path = archive(tmp_path, "a.dcm", content=bytes(200_000))
    with pytest.raises(UnreadableScan, match="GB when unpacked"):
        unpack([path], "study")
    # One that states less than it holds.
    data = path.read_bytes()
    size = (200_000).to_bytes(4, "little")
    path.write_bytes(data.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(UnreadableScan):
        unpack([path], "study")


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path, "a.dcm", content=bytes(range(256)) * 40)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnreadableScan, match=r"scan\.zip: expected a complete zip archive"):
        unpack([path], "study")


def test_the_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    path = archive(tmp_path, "a.dcm")
    code = "import sys; from pathlib import Path; from anomri.files import unpack; "
    code += "print(unpack([Path(sys.argv[1])], 's'))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip()
    assert not Path(done.stdout.strip()).exists()
