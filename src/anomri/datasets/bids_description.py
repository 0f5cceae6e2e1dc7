"""The description of a folder of results as a BIDS derivative, with links to its sources."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.metadata import metadata, version
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from anomri.errors import DamagedFile, UsageError
from anomri.files import (
    BIDSIGNORE,
    DATASET_DESCRIPTION,
    DESCRIBED,
    EVOLUTION_DICTIONARY,
    PICTURE,
    PREVIEW,
    REFUSAL_PICTURE,
    REPORT_FOLDER,
    RUN,
    dictionary_of,
    read_json,
    write_text,
)
from anomri.scan import RESEARCH_USE

NOT_BIDS = (
    "/*.tsv",
    *(f"/{dictionary_of(Path(name)).name}" for name in DESCRIBED),
    "/*.html",
    f"/{REPORT_FOLDER}/",
    f"/{RUN}",
    "*_desc-anomaly_*",
    "*_desc-reconstruction_*",
    f"*_{PICTURE}",
    f"*_{REFUSAL_PICTURE}",
    f"*_{PREVIEW}",
    "*.dcm",
    f"/{EVOLUTION_DICTIONARY}",
    "*_desc-evolution*",
    "/detections/",
)
"""Files that BIDS does not define: tables of the run, pages, pictures, maps and DICOM."""
NO_SOURCES: Mapping[str, Path] = MappingProxyType({})
LINKS, SOURCES = "DatasetLinks", "SourceDatasets"
CODE = ("repository", "source", "code", "homepage")


def write_dataset_description(folder: Path, sources: Mapping[str, Path] = NO_SOURCES) -> None:
    """Write the description that marks a folder as results, so that they are not taken for scans.

    Args:
        folder: of the results.
        sources: folder of each data set that results were made of, by its name in BIDS URIs;
            those of earlier runs are kept.

    Raises:
        UsageError: the folder is another data set, whose description is kept.
    """
    path = folder / DATASET_DESCRIPTION
    _refuse_other_data_set(path)
    before = _content(path)
    links = {**before.get(LINKS, {}), **{name: _place(p, folder) for name, p in sources.items()}}
    described = {_identity(entry): entry for entry in before.get(SOURCES, [])}
    described |= {_identity(e): e for e in (_source(p, folder) for p in sources.values())}
    content = {
        "Name": "Abnormal tissue found by anomri",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "anomri", "Version": version("anomri"), **_code_url()}],
        **({SOURCES: list(described.values()), LINKS: links} if links else {}),
        "ResearchUse": RESEARCH_USE,
    }
    write_text(path, json.dumps(content, indent=2) + "\n")
    write_text(folder / BIDSIGNORE, "".join(f"{pattern}\n" for pattern in NOT_BIDS))


def _refuse_other_data_set(path: Path) -> None:
    if path.is_file() and '"anomri"' not in path.read_text("utf-8", errors="replace"):
        raise UsageError(
            f"{path.parent.resolve().name}: expected a folder for results, found a data set with "
            f"its own {DATASET_DESCRIPTION}. "
            "Next: write to another folder, such as its derivatives/anomri."
        )


def _content(path: Path) -> dict[str, Any]:
    """Return a description's content; empty where there is none that can be read."""
    try:
        return read_json(path, dict[str, Any], what="a JSON object") if path.is_file() else {}
    except (OSError, DamagedFile):
        return {}


def _place(dataset: Path, folder: Path) -> str:
    """Return the path of a data set relative to the results, or its name alone.

    The names of the folders above both are private: they often name a user or a project.
    """
    try:
        relative = PurePath(os.path.relpath(dataset.resolve(), folder.resolve()))
    except ValueError:  # another drive of Windows
        return dataset.resolve().name
    climbs = sum(part == ".." for part in relative.parts)
    return relative.as_posix() if len(relative.parts) - climbs <= 1 else dataset.resolve().name


def _source(dataset: Path, folder: Path) -> dict[str, str]:
    doi = _content(dataset / DATASET_DESCRIPTION).get("DatasetDOI")
    return {"URL": _place(dataset, folder), **({"DOI": doi} if isinstance(doi, str) else {})}


def _identity(entry: Any) -> str:
    return json.dumps(entry, sort_keys=True)


def _code_url() -> dict[str, str]:
    """Return the address of the code, if the package's metadata name one."""
    pairs = (text.partition(",") for text in metadata("anomri").get_all("Project-URL") or ())
    urls = {name.strip().lower(): url.strip() for name, _, url in pairs}
    return next(({"CodeURL": urls[name]} for name in CODE if name in urls), {})
