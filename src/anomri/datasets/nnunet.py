"""nnU-Net's channel files: ``case_0000.nii.gz``, ``case_0001.nii.gz``, ... of one subject.

The contrast of a channel is given in ``dataset.json`` (``channel_names``, in older files
``modality``) beside ``imagesTr``. Channels without it are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from anomri.datasets.file_names import OTHER, ParsedName, parse_name
from anomri.datasets.file_tree import Tree, stem
from anomri.errors import DamagedFile
from anomri.files import read_json

CHANNEL = "channel"
DATASET = "dataset.json"
UNKNOWN_CHANNEL = (
    "channels of nnU-Net (_0000, _0001, ...) of unknown contrast; put their "
    f"{DATASET} with channel_names next to them, or name the files after their contrast"
)
NUMBERED = re.compile(r"(.+)_(\d{4})")
FOLDERS = re.compile(r"images(tr|ts|val)", re.IGNORECASE)
MAX_CHANNELS = 8  # longer series of numbers are subjects


def holds_channels(folder: Path) -> bool:
    """Whether a folder has the name of an image folder of nnU-Net."""
    return FOLDERS.fullmatch(folder.name) is not None


def read_channels(tree: Tree, images: Iterable[Path]) -> dict[Path, ParsedName]:
    """Return the parsed names of channel files, without other files.

    Files with the same name, numbered from 0000 without a gap, are the channels of one subject if
    there are two or more, if the folder is named like ``imagesTr``, or if channels have names.
    """
    channels: dict[tuple[Path, str], dict[int, Path]] = {}
    for path in images:
        match = NUMBERED.fullmatch(stem(path))
        if match and parse_name(stem(path)).role is None:
            channels.setdefault((path.parent, match[1]), {})[int(match[2])] = path
    parsed = {}
    for (folder, subject), files in channels.items():
        names = _channel_names(tree, folder)
        complete = len(files) <= MAX_CHANNELS and sorted(files) == list(range(len(files)))
        if names or (complete and (len(files) > 1 or holds_channels(folder))):
            for number, path in files.items():
                parsed[path] = ParsedName(_role(names, number), subject)
    return parsed


def _role(names: Mapping[str, str], number: int) -> str:
    name = names.get(str(number))
    return CHANNEL if name is None else parse_name(name).role or OTHER


def _channel_names(tree: Tree, folder: Path) -> Mapping[str, str]:
    """Return channel names by number, from ``dataset.json`` in the folder or its parent."""
    for place in (folder, folder.parent):
        if place / DATASET in tree.files:
            try:
                dataset = read_json(place / DATASET, dict[str, Any], what="nnU-Net's dataset.json")
            except (OSError, DamagedFile):
                return {}
            names = dataset.get("channel_names") or dataset.get("modality") or {}
            return {str(k): str(v) for k, v in names.items()} if isinstance(names, dict) else {}
    return {}
