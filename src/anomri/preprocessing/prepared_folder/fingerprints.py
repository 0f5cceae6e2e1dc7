"""Fingerprints of a subject's files when it was prepared: name, size, time and content.

Files are not read again while the stamp of :func:`anomri.files.unchanged_stamp` is the same. Time
and size alone do not suffice: a scan can be replaced by another one with the same of both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from anomri.files import files_of, unchanged_stamp
from anomri.preprocessing.reading.png_slices import png_slice_files
from anomri.preprocessing.reading.slice_stacks import numbered_files
from anomri.preprocessing.reading.tiff_slices import MASK, SLICE
from anomri.scan import ScanFiles

CHUNK = 1 << 20


class Fingerprint(TypedDict):
    """Fingerprint of one file or one folder of slices.

    Attributes:
        name: file name, without its folder.
        size: bytes.
        mtime_ns: time of the last change.
        stamp: unchanged as long as the file was not touched; empty where that is unknown.
        sha256: hash of the content.
    """

    name: str
    size: int
    mtime_ns: int
    stamp: str
    sha256: str


def fingerprints(files: ScanFiles, contrasts: Sequence[str]) -> dict[str, Fingerprint]:
    """Return the fingerprint of each file that a subject is prepared from, by role."""
    paths = _paths(files, contrasts)
    return {role: _fingerprint(role, path) for role, path in paths.items()}


def same_content(
    known: Mapping[str, Fingerprint], files: ScanFiles, contrasts: Sequence[str]
) -> bool:
    """Return whether the files have their known content; reads only those that were touched."""
    paths = _paths(files, contrasts)
    if set(paths) != set(known) or not all(path.exists() for path in paths.values()):
        return False
    return all(
        _untouched(known[role], role, path) or known[role]["sha256"] == _content_hash(role, path)
        for role, path in paths.items()
    )


def with_current_stamps(
    known: Mapping[str, Fingerprint], files: ScanFiles, contrasts: Sequence[str]
) -> dict[str, Fingerprint]:
    """Return ``known`` with the current names, sizes, times and stamps."""
    return {
        role: _fingerprint(role, path, known[role]["sha256"])
        for role, path in _paths(files, contrasts).items()
    }


def _paths(files: ScanFiles, contrasts: Sequence[str]) -> dict[str, Path]:
    paths = {name: files.contrasts[name] for name in contrasts if name in files.contrasts}
    if files.brain:
        paths["brain"] = files.brain
    if files.truth:
        paths["truth"] = files.truth
    return paths


def _fingerprint(role: str, path: Path, sha256: str = "") -> Fingerprint:
    # Stamped before the content is hashed, so that a change in between changes the stamp.
    stamp, (size, mtime_ns) = unchanged_stamp(_parts(role, path)), _stat(role, path)
    return Fingerprint(
        name=path.name,
        size=size,
        mtime_ns=mtime_ns,
        stamp=stamp,
        sha256=sha256 or _content_hash(role, path),
    )


def _untouched(known: Fingerprint, role: str, path: Path) -> bool:
    stamp = known.get("stamp")  # missing in older folders
    return bool(stamp) and stamp == unchanged_stamp(_parts(role, path))


def _parts(role: str, path: Path) -> list[Path]:
    """Return the files of an image, or the slices of a folder that belong to the role."""
    if not path.is_dir():
        return list(files_of(path))
    if slices := png_slice_files(path):
        return slices
    return numbered_files(path, MASK if role in ("brain", "truth") else SLICE)


def _stat(role: str, path: Path) -> tuple[int, int]:
    stats = [part.stat() for part in _parts(role, path)]
    return sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)


def _content_hash(role: str, path: Path) -> str:
    digest = hashlib.sha256()
    for part in _parts(role, path):
        if path.is_dir():
            digest.update(part.name.encode("utf-8", "surrogateescape"))
        with part.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
