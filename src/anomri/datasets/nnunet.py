"""nnU-Net's channel files: ``case_0000.nii.gz``, ``case_0001.nii.gz``, ... of one subject.

The number of a channel says its contrast only through ``dataset.json`` (``channel_names``, in older
files ``modality``), which lies beside ``imagesTr``. Without it the order is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from anomri.datasets.file_names import OTHER, Reading, read_name
from anomri.datasets.tree import Tree, stem
from anomri.errors import DamagedFile
from anomri.files import read_json

CHANNEL = "channel"
TABLE = "dataset.json"
NO_CHANNEL = (
    "channels of nnU-Net (_0000, _0001, ...), and nothing says which contrast each is; put their "
    f"{TABLE} with channel_names beside them, or name the files after their contrast"
)
NUMBERED = re.compile(r"(.+)_(\d{4})")
FOLDERS = re.compile(r"images(tr|ts|val)", re.IGNORECASE)
MOST = 8  # channels; longer rows of numbers are those of subjects


def holds_channels(folder: Path) -> bool:
    """Whether a folder is named as nnU-Net names those of images."""
    return FOLDERS.fullmatch(folder.name) is not None


def read_channels(tree: Tree, images: Iterable[Path]) -> dict[Path, Reading]:
    """Return what the names of channel files say; nothing of other files.

    A row of files of one name, numbered from 0000 without a gap, is one subject's channels: from
    two on, or in a folder ``imagesTr`` or the like, or where the table names channels.
    """
    rows: dict[tuple[Path, str], dict[int, Path]] = {}
    for path in images:
        match = NUMBERED.fullmatch(stem(path))
        if match and read_name(stem(path)).role is None:
            rows.setdefault((path.parent, match[1]), {})[int(match[2])] = path
    readings = {}
    for (folder, subject), row in rows.items():
        names = _channel_names(tree, folder)
        few = len(row) <= MOST and sorted(row) == list(range(len(row)))
        if names or (few and (len(row) > 1 or holds_channels(folder))):
            for number, path in row.items():
                readings[path] = Reading(_role(names, number), subject)
    return readings


def _role(names: Mapping[str, str], number: int) -> str:
    name = names.get(str(number))
    return CHANNEL if name is None else read_name(name).role or OTHER


def _channel_names(tree: Tree, folder: Path) -> Mapping[str, str]:
    """Return the names of channels by number, from the table beside the files or one above."""
    for home in (folder, folder.parent):
        if home / TABLE in tree.files:
            try:
                table = read_json(home / TABLE, dict[str, Any], what="nnU-Net's table")
            except (OSError, DamagedFile):
                return {}
            said = table.get("channel_names") or table.get("modality") or {}
            return {str(k): str(v) for k, v in said.items()} if isinstance(said, dict) else {}
    return {}
