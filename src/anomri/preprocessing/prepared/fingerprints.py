"""What the files of a subject were when it was prepared: name, size, time and content.

Where the stamp of :func:`anomri.files.unchanged_stamp` is that of before, nothing is read. Time and
size alone would not do: a scan can be replaced by another that has both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from anomri.files import unchanged_stamp
from anomri.preprocessing.reading.png_slices import picture_files
from anomri.preprocessing.reading.tiff_slices import MASK, SLICE, slice_files
from anomri.scan import ScanFiles

CHUNK = 1 << 20


class Fingerprint(TypedDict):
    """One file, or one folder of slices; only the name, never the folder it lies in.

    Attributes:
        name: file name.
        size: bytes.
        mtime_ns: last change.
        stamp: the same again where nothing was touched; empty where that cannot be told.
        sha256: of the content.
    """

    name: str
    size: int
    mtime_ns: int
    stamp: str
    sha256: str


def fingerprints(files: ScanFiles, contrasts: Sequence[str]) -> dict[str, Fingerprint]:
    """Return the fingerprint of every file that a subject is prepared from, by its role."""
    paths = _paths(files, contrasts)
    return {role: _fingerprint(role, path) for role, path in paths.items()}


def same_content(
    known: Mapping[str, Fingerprint], files: ScanFiles, contrasts: Sequence[str]
) -> bool:
    """Say whether the files still hold what they held; reads only those that were touched."""
    paths = _paths(files, contrasts)
    if set(paths) != set(known) or not all(path.exists() for path in paths.values()):
        return False
    return all(
        _untouched(known[role], role, path) or known[role]["sha256"] == _content(role, path)
        for role, path in paths.items()
    )


def refreshed(
    known: Mapping[str, Fingerprint], files: ScanFiles, contrasts: Sequence[str]
) -> dict[str, Fingerprint]:
    """Return ``known`` with the names, sizes and times of today."""
    now: dict[str, Fingerprint] = {}
    for role, path in _paths(files, contrasts).items():
        now[role] = _fingerprint(role, path, known[role]["sha256"])
    return now


def _paths(files: ScanFiles, contrasts: Sequence[str]) -> dict[str, Path]:
    paths = {name: files.contrasts[name] for name in contrasts if name in files.contrasts}
    if files.brain:
        paths["brain"] = files.brain
    if files.truth:
        paths["truth"] = files.truth
    return paths


def _fingerprint(role: str, path: Path, content: str = "") -> Fingerprint:
    # Before the content is read: what is changed meanwhile has another stamp later.
    stamp, (size, mtime_ns) = unchanged_stamp(_parts(role, path)), _stat(role, path)
    return Fingerprint(
        name=path.name,
        size=size,
        mtime_ns=mtime_ns,
        stamp=stamp,
        sha256=content or _content(role, path),
    )


def _untouched(known: Fingerprint, role: str, path: Path) -> bool:
    held = known.get("stamp")  # older folders have none
    return bool(held) and held == unchanged_stamp(_parts(role, path))


def _parts(role: str, path: Path) -> list[Path]:
    """Return the file itself, or the slices of a folder that play this role."""
    if not path.is_dir():
        return [path]
    if pictures := picture_files(path):
        return pictures
    return slice_files(path, MASK if role in ("brain", "truth") else SLICE)


def _stat(role: str, path: Path) -> tuple[int, int]:
    stats = [part.stat() for part in _parts(role, path)]
    return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)


def _content(role: str, path: Path) -> str:
    digest = hashlib.sha256()
    for part in _parts(role, path):
        if path.is_dir():
            digest.update(part.name.encode("utf-8", "surrogateescape"))
        with part.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
