"""A packed model: what an archive of others may not do."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import pytest

from anomri.errors import DamagedFile
from anomri.files import MANIFEST
from anomri.recipe import Recipe, model_archive, opened_model, write_archive

RECIPE_TEXT = Recipe.load("intensity").to_yaml()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text(RECIPE_TEXT)
    (run / "thresholds.json").write_text("{}")
    write_archive(run, tmp_path / "model.zip", name="intensity", licence="CC0-1.0")
    return tmp_path / "model.zip"


def rewritten(archive: Path, changes: dict[str, bytes | None]) -> Path:
    """Write the archive again with other contents; None leaves a file out."""
    with ZipFile(archive) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    changed = archive.with_name("changed.zip")
    with ZipFile(changed, "w", ZIP_DEFLATED) as packed:
        for name, content in {**files, **changes}.items():
            if content is not None:
                packed.writestr(name, content)
    return changed


def manifest(archive: Path, **files: object) -> bytes:
    with ZipFile(archive) as packed:
        found = json.loads(packed.read(MANIFEST))
    found["files"] |= {name.replace("__", "/"): entry for name, entry in files.items()}
    return json.dumps(found).encode()


def refusal(archive: Path) -> str:
    folder = archive.parent
    before = sorted(folder.rglob("*"))
    with pytest.raises(DamagedFile) as refused, opened_model(archive):
        pass
    assert sorted(folder.rglob("*")) == before
    return str(refused.value)


def test_a_packed_model_is_a_run_folder_while_it_is_open(archive: Path) -> None:
    with opened_model(archive) as opened:
        assert (Path(opened) / "recipe.yaml").read_text() == RECIPE_TEXT
    assert not Path(opened).exists()


def test_equal_models_give_equal_archives(archive: Path) -> None:
    (archive.parent / "run" / MANIFEST).unlink()
    again = archive.with_name("again.zip")
    write_archive(archive.parent / "run", again, name="intensity", licence="CC0-1.0")
    assert again.read_bytes() == archive.read_bytes()


@pytest.mark.parametrize(
    "name", ["../recipe.yaml", "/tmp/recipe.yaml", "a/../../recipe.yaml", "..\\recipe.yaml"]
)
def test_an_archive_writes_nowhere_else(name: str, archive: Path) -> None:
    entry = {"bytes": 1, "sha256": "0"}
    with ZipFile(archive) as packed:
        found = json.loads(packed.read(MANIFEST))
    found["files"][name] = entry
    changed = rewritten(archive, {name: b"x", MANIFEST: json.dumps(found).encode()})
    assert "a file named" in refusal(changed)


@pytest.mark.parametrize("name", ["model.pkl", "weights.pt", "code.py"])
def test_only_files_of_a_model_are_unpacked(name: str, archive: Path) -> None:
    assert name in refusal(rewritten(archive, {name: b"x"}))


def test_a_changed_file_is_refused(archive: Path) -> None:
    changed = RECIPE_TEXT.replace("intensity", "intensitz").encode()
    assert "another content of recipe.yaml" in refusal(rewritten(archive, {"recipe.yaml": changed}))


def test_a_file_that_inflates_to_more_than_declared_is_refused(archive: Path) -> None:
    assert "another content" in refusal(rewritten(archive, {"thresholds.json": b"0" * (8 << 20)}))


def test_an_archive_that_declares_too_much_is_refused(archive: Path) -> None:
    huge = manifest(archive, **{"recipe.yaml": {"bytes": 1 << 40, "sha256": "0"}})
    assert "more than 4 GB" in refusal(rewritten(archive, {MANIFEST: huge}))
    offset = {"bytes": -(1 << 40), "sha256": "0"}
    both = manifest(
        archive, **{"recipe.yaml": {"bytes": 1 << 40, "sha256": "0"}, "thresholds.json": offset}
    )
    assert "greater than or equal to 0" in refusal(rewritten(archive, {MANIFEST: both}))


def test_compression_without_a_limit_is_refused(archive: Path) -> None:
    with ZipFile(archive, "a", ZIP_BZIP2) as packed:
        packed.writestr("weights.safetensors", bytes(1000))
    assert "another compression" in refusal(archive)


def test_an_archive_without_a_recipe_is_refused(archive: Path) -> None:
    with ZipFile(archive) as packed:
        found = json.loads(packed.read(MANIFEST))
    del found["files"]["recipe.yaml"]
    changes = {"recipe.yaml": None, MANIFEST: json.dumps(found).encode()}
    assert "got no recipe" in refusal(rewritten(archive, changes))


def test_a_negative_size_makes_no_room_for_a_larger_one(archive: Path) -> None:
    sizes = {"recipe.yaml": {"bytes": 1 << 40, "sha256": "0"}}
    sizes["thresholds.json"] = {"bytes": -(1 << 40), "sha256": "0"}
    changed = rewritten(archive, {MANIFEST: manifest(archive, **sizes)})
    assert "greater than or equal to 0" in refusal(changed)


def test_what_the_manifest_lists_must_be_there(archive: Path) -> None:
    assert "other files" in refusal(rewritten(archive, {"thresholds.json": None}))
    assert "without model.json" in refusal(rewritten(archive, {MANIFEST: None}))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"[]"])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(content)
    assert "packed by `anomri models pack`" in refusal(tmp_path / "model.zip")


@pytest.mark.parametrize(
    "maps", [{".": "../elsewhere"}, {".": "inner", "inner": "../../elsewhere"}]
)
def test_a_recipe_reads_no_folder_outside_of_its_archive(
    tmp_path: Path, maps: dict[str, str]
) -> None:
    run = tmp_path / "run"
    for folder, other in maps.items():
        (run / folder).mkdir(parents=True)
        (run / folder / "recipe.yaml").write_text(
            f"name: outside\nmaps:\n  first: {{recipe: {other}}}\n"
            "segmentation:\n  - segment: {map: first}\n"
        )
    write_archive(run, tmp_path / "model.zip", name="outside", licence="CC0-1.0")
    assert "../elsewhere" in refusal(tmp_path / "model.zip")


def test_names_within_limits() -> None:
    assert not model_archive._is_safe("a/b/c/recipe.yaml")
    assert not model_archive._is_safe(f"{'a' * 200}/recipe.yaml")
    assert not model_archive._is_safe(".hidden/recipe.yaml")
