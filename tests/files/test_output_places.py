"""Places where nothing can be written are refused early, with their name."""

import errno
import os
from pathlib import Path

import pytest

from anomri.errors import AnomriError, DiskFull, NotWritable
from anomri.files import make_folder, refuse_unwritable, write_text


@pytest.fixture
def places(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "none" / "x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "folder", "word"),
    [
        ("file", True, "Not a directory"),
        ("file/out", True, "Not a directory"),
        ("file/page.html", False, "Not a directory"),
        ("folder", False, "Is a directory"),
        ("dangling", True, "Not a directory"),
        ("dangling/page.html", False, "Not a directory"),
        ("loop/out", True, "symbolic links"),
        ("loop/page.html", False, "symbolic links"),
        ("x" * 300, True, "too long"),
        ("x" * 300, False, "too long"),
        (os.devnull, True, "Not a directory"),
        (os.devnull, False, "Invalid"),  # a rename would replace the device
    ],
)
def test_an_odd_place_is_refused(places: Path, name: str, folder: bool, word: str) -> None:
    with pytest.raises(NotWritable, match=word) as raised:
        refuse_unwritable(places / name, folder=folder)
    assert str(places / name) in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_read_only_folder_is_refused(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    for name, folder in (("folder", True), ("folder/new/out", True), ("file", False)):
        with pytest.raises(NotWritable, match="Permission denied"):
            refuse_unwritable(places / name, folder=folder)


def test_a_usual_place_is_accepted(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(places.iterdir())
    for name, folder in (("folder", True), ("a/b", True), ("a/page.html", False), ("file", False)):
        refuse_unwritable(places / name, folder=folder)
    monkeypatch.chdir(places)
    for name, folder in ((".", True), ("new", True), ("file", False)):
        refuse_unwritable(Path(name), folder=folder)
    assert sorted(places.iterdir()) == before


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOENT, NotWritable), (errno.EPERM, NotWritable), (errno.ENOSPC, DiskFull)],
)
def test_a_folder_that_cannot_be_made_is_named(
    places: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[AnomriError]
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(kind, match="out"):
        make_folder(places / "out")
    with pytest.raises(kind, match=r"table\.tsv"):
        write_text(places / "out" / "table.tsv", "")
