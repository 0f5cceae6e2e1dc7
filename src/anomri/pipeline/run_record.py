"""Records of a run: its command and versions, and new stamps of unchanged scans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from platform import python_version
from typing import Any

from anomri.files import NOTHING, RECORD, RUN, derivative, make_folder, write_text
from anomri.reporting import Record
from anomri.scan import RESEARCH_USE

LIBRARIES = ("torch", "numpy", "scipy", "nibabel", "SimpleITK")


def write_run(folder: Path, command: Sequence[str], **facts: Any) -> None:
    """Write ``run.json``: the command and the versions of all libraries.

    Args:
        folder: of the results.
        command: words of the command line; of each path only the last part is kept, so that no
            folder of the user's machine appears on a page.
        facts: further facts for JSON, such as ``started`` or ``device``.
    """
    run = {
        "command": " ".join(_without_folders(word) for word in command),
        **facts,
        "python": python_version(),
        "versions": {name: _version(name) for name in ("anomri", *LIBRARIES)},
        "research_use": RESEARCH_USE,
    }
    make_folder(folder)
    write_text(folder / RUN, json.dumps(run, indent=2, default=str) + "\n")


def write_stamp(folder: Path, record: Record, stamp: str) -> None:
    """Write the new stamp of a finished scan whose files were copied but not changed.

    Args:
        folder: of the results.
        record: of the scan.
        stamp: see :func:`anomri.files.unchanged_stamp`.
    """
    provenance = record.provenance.model_copy(update={"stamp": stamp})
    updated = record.model_copy(update={"provenance": provenance})
    write_text(derivative(folder, record.label, RECORD), updated.to_json())


def _without_folders(word: str) -> str:
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{PurePath(value.replace(chr(92), '/')).name or value}"


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return NOTHING
