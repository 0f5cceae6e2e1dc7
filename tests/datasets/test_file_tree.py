from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.datasets import Skipped, find
from anomri.datasets.file_tree import BROKEN_LINK, LINK_LOOP, OWN, Tree, is_image, stem
from anomri.errors import UsageError

Lay = Callable[..., Path]


def test_hidden_files_and_folders_are_not_listed(lay: Lay) -> None:
    root = lay("a.nii", "._a.nii", ".hidden/b.nii", "sub/.DS_Store", "sub/c.txt")
    tree = Tree.of(root)
    assert [tree.name(path) for path in tree.files] == ["a.nii", "sub/c.txt"]
    assert tree.skipped == ()


def test_broken_and_circular_links_are_skipped_with_the_reason(lay: Lay) -> None:
    root = lay("sub/a.nii")
    (root / "missing.nii").symlink_to(root / "nothing.nii")
    (root / "itself.nii").symlink_to(root / "itself.nii")
    (root / "sub" / "up").symlink_to(root)
    tree = Tree.of(root)
    assert [tree.name(path) for path in tree.files] == ["sub/a.nii"]
    reasons = {item.name: item.reason for item in tree.skipped}
    assert reasons == {
        "missing.nii": BROKEN_LINK,
        "itself.nii": LINK_LOOP,
        "sub/up": LINK_LOOP,
    }


def test_a_link_to_a_file_elsewhere_counts(lay: Lay, tmp_path: Path) -> None:
    (tmp_path / "store.nii").touch()
    root = lay("x.txt")
    (root / "a_flair.nii").symlink_to(tmp_path / "store.nii")
    assert [path.name for path in Tree.of(root).images()] == ["a_flair.nii"]


def test_special_files_are_skipped(lay: Lay) -> None:
    root = lay("a.nii")
    os.mkfifo(root / "pipe.nii")
    assert [item.name for item in Tree.of(root).skipped] == ["pipe.nii"]


def test_an_unreadable_folder_is_skipped(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay("a.nii", "locked/b.nii")
    listing = os.scandir

    def refuse(folder: Path) -> object:
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    tree = Tree.of(root)
    assert [tree.name(path) for path in tree.files] == ["a.nii"]
    assert tree.skipped == (Skipped("locked", "cannot be read: Permission denied"),)


def test_one_file_is_a_source(lay: Lay) -> None:
    tree = Tree.of(lay("a.nii", "b.nii") / "b.nii")
    assert tree.single
    assert [path.name for path in tree.files] == ["b.nii"]


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found neither"):
        Tree.of(tmp_path / "nothing")


def test_the_current_folder_has_a_name(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lay("a.nii")
    monkeypatch.chdir(root)
    tree = Tree.of(Path())
    assert tree.name(tree.root) == "source"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.nii", True), ("a.NII.GZ", True), ("a.nii.bak", False), ("nii", False)],
)
def test_images_are_known_by_their_ending(name: str, expected: bool) -> None:
    assert is_image(Path(name)) is expected


def test_stem_keeps_dots_within_a_name() -> None:
    assert stem(Path("a.1.nii.gz")) == "a.1"
    assert stem(Path("a.NII")) == "a"


def test_every_folder_is_listed_once_and_no_file_is_opened(
    lay: Lay, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = lay(*(f"s{number:03d}/flair.nii.gz" for number in range(200)))
    listing, listed = os.scandir, []

    def count(folder: Path) -> object:
        listed.append(folder)
        return listing(folder)

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(os, "scandir", count)
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    assert len(find(root).scans) == 200
    assert len(listed) == len(set(listed)) == 201


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("dataset_description.json", '{"GeneratedBy": [{"Name": "anomri", "Version": "1"}]}'),
        ("prepared.json", '{"anomri_version": "1"}'),
    ],
)
def test_own_results_are_skipped(lay: Lay, file: str, text: str) -> None:
    root = lay(
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "derivatives/x/sub-01/anat/sub-01_label-lesion_mask.nii.gz",
        "derivatives/x/sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        f"derivatives/x/{file}",
    )
    (scan,) = find(root).scans
    assert scan.truth is not None
    (root / "derivatives" / "x" / file).write_text(text)
    (scan,) = find(root).scans
    assert (scan.truth, scan.brain) == (None, None)
    assert Skipped("derivatives/x", OWN) in find(root).skipped
    # Its masks and maps would be taken for ground truth and scans.
    with pytest.raises(UsageError, match=r"x: expected scans, found a folder of anomri's own"):
        find(root / "derivatives" / "x")
    # As a folder of derivatives it is looked at, whoever wrote it.
    assert len(Tree.of(root / "derivatives" / "x").images()) == 2


@pytest.mark.parametrize("text", ["", "[]", '{"GeneratedBy": "anomri"}', '{"GeneratedBy": [1]}'])
def test_folders_of_other_tools_are_not_skipped(lay: Lay, text: str) -> None:
    root = lay("a/b_flair.nii", "a/dataset_description.json", "a/prepared.json")
    (root / "a" / "dataset_description.json").write_text(text)
    assert len(Tree.of(root).images()) == 1
