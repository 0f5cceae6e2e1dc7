"""A model in one file: a run folder as a zip archive with the hashes of its files.

Archives come from others. Only files that a model is made of are unpacked, under names that stay
in their folder, within a limit of size, and if their hashes are those of the manifest. Weights are
safetensors, so nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO, Literal
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from pydantic import BaseModel, ConfigDict, NonNegativeInt

from anomri.errors import DamagedFile
from anomri.files import (
    BOUNDED_COMPRESSION,
    CODES,
    LICENCE,
    MANIFEST,
    MAP_THRESHOLDS,
    README,
    RECIPE,
    THRESHOLDS,
    WEIGHTS,
    read_json,
    replacing,
    scratch_folder,
    undamaged,
    write_text,
)
from anomri.recipe.combined import CombinedRecipe, load_recipe

FILES = (RECIPE, WEIGHTS, THRESHOLDS, CODES, MAP_THRESHOLDS, README, LICENCE)
MAX_FOLDERS = 2  # a map of several averaged runs
MAX_FILES = 200
MAX_ARCHIVE_BYTES = 4 << 30
MAX_MANIFEST_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
FOLDER = re.compile(r"\w[\w.-]{0,99}", re.ASCII)
DATE = (1980, 1, 1, 0, 0, 0)  # equal models give equal archives
WHAT = "a model packed by `anomri models pack`"
GET_AGAIN = "download or copy the file again, or ask for a run folder"


class PackedFile(BaseModel):
    """Size and SHA-256 of a file."""

    model_config = ConfigDict(frozen=True)

    bytes: NonNegativeInt
    sha256: str


class Manifest(BaseModel):
    """What an archive holds.

    Attributes:
        format: of the archive.
        name: of the model.
        licence: SPDX expression.
        anomri_version: that packed it.
        files: by name.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    name: str
    licence: str
    anomri_version: str
    files: dict[str, PackedFile]


def write_archive(run: Path, archive: Path, *, name: str, licence: str) -> None:
    """Pack a run folder.

    Args:
        run: holds nothing but the files of a model.
        archive: file to write.
        name: of the model.
        licence: SPDX expression.
    """
    names = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    files = {file: _described(run / file) for file in names}
    manifest = Manifest(name=name, licence=licence, anomri_version=version("anomri"), files=files)
    write_text(run / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    with replacing(archive) as draft, ZipFile(draft, "w") as packed:
        for file in (MANIFEST, *names):
            entry = ZipInfo(file, DATE)
            entry.compress_type = ZIP_STORED if file.endswith(".safetensors") else ZIP_DEFLATED
            with (run / file).open("rb") as source, packed.open(entry, "w") as target:
                for chunk in _chunks(source):
                    target.write(chunk)


@contextmanager
def opened_model(model: str | Path) -> Iterator[str | Path]:
    """Yield the run folder that an archive unpacks to, or any other model as it is.

    Raises:
        DamagedFile: the archive is not one of a model, or does not hold what it declares.
    """
    path = Path(model)
    if path.suffix.lower() != ".zip" or not path.is_file():
        yield model
        return
    with scratch_folder() as folder:
        with undamaged(path, what=WHAT, next_step=GET_AGAIN), ZipFile(path) as packed:
            _unpack(path, packed, folder)
        _check_maps(path, folder)
        yield folder


def _unpack(path: Path, packed: ZipFile, folder: Path) -> None:
    present = packed.namelist()
    if len(present) > MAX_FILES or len(set(present)) < len(present):
        raise _refused(path, f"{len(present)} files, some perhaps twice")
    if any(entry.compress_type not in BOUNDED_COMPRESSION for entry in packed.infolist()):
        raise _refused(path, "a file with another compression than deflate")
    manifest = _manifest(path, packed, folder)
    _check_files(path, present, manifest)
    for name, expected in manifest.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with packed.open(name) as source, (folder / name).open("wb") as target:
            _copy(path, source, target, name, expected)


def _check_files(path: Path, present: list[str], manifest: Manifest) -> None:
    """Refuse files that are no part of a model, or not those of the manifest."""
    unsafe = [name for name in (*present, *manifest.files) if not _is_safe(name)]
    if unsafe:
        raise _refused(path, f"a file named {unsafe[0][:80]!r}")
    if set(present) - {MANIFEST} != set(manifest.files):
        raise _refused(path, "other files than its manifest lists")
    if sum(file.bytes for file in manifest.files.values()) > MAX_ARCHIVE_BYTES:
        raise _refused(path, f"more than {MAX_ARCHIVE_BYTES >> 30} GB")
    if not any(name.rpartition("/")[2] == RECIPE for name in manifest.files):
        raise _refused(path, "no recipe")


def _check_maps(path: Path, folder: Path) -> None:
    """Refuse recipes whose maps lie outside of the archive."""
    for file in sorted(folder.rglob(RECIPE)):
        recipe = load_recipe(file)
        maps = recipe.maps.values() if isinstance(recipe, CombinedRecipe) else ()
        outside = [entry.recipe for entry in maps if not FOLDER.fullmatch(entry.recipe)]
        if outside:
            raise _refused(path, f"a map in {outside[0][:80]!r}")


def _manifest(path: Path, packed: ZipFile, folder: Path) -> Manifest:
    if MANIFEST not in packed.namelist():
        raise _refused(path, f"an archive without {MANIFEST}")
    with packed.open(MANIFEST) as source:
        text = source.read(MAX_MANIFEST_BYTES + 1)
    if len(text) > MAX_MANIFEST_BYTES:
        raise _refused(path, f"more than {MAX_MANIFEST_BYTES} bytes of {MANIFEST}")
    (folder / MANIFEST).write_bytes(text)
    return read_json(folder / MANIFEST, Manifest, what=WHAT, next_step=GET_AGAIN)


def _is_safe(name: str) -> bool:
    r"""Tell whether a name is that of a file of a model, and within the archive's folder.

    >>> [_is_safe(name) for name in ("recipe.yaml", "network/weights.safetensors", MANIFEST)]
    [True, True, True]
    >>> [_is_safe(name) for name in ("../recipe.yaml", "/recipe.yaml", "a\\recipe.yaml", "x.pkl")]
    [False, False, False, False]
    """
    *folders, file = name.split("/")
    plain = all(FOLDER.fullmatch(part) for part in folders)
    return plain and len(folders) <= MAX_FOLDERS and file in (*FILES, MANIFEST)


def _copy(
    path: Path, source: IO[bytes], target: IO[bytes], name: str, expected: PackedFile
) -> None:
    """Copy a file of at most the declared size, and compare its hash."""
    digest, left = hashlib.sha256(), expected.bytes
    for chunk in _chunks(source):
        left -= len(chunk)
        if left < 0:
            break
        digest.update(chunk)
        target.write(chunk)
    if left or digest.hexdigest() != expected.sha256:
        raise _refused(path, f"another content of {name}")


def _described(path: Path) -> PackedFile:
    digest = hashlib.sha256()
    with path.open("rb") as source:
        for chunk in _chunks(source):
            digest.update(chunk)
    return PackedFile(bytes=path.stat().st_size, sha256=digest.hexdigest())


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


def _refused(path: Path, got: str) -> DamagedFile:
    return DamagedFile(path, expected=WHAT, got=got, next_step=GET_AGAIN)
