"""The files of one subject's evolution, written all or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anomri.errors import ScanError
from anomri.files import (
    EVOLUTION_KIND,
    EVOLUTION_LABELS,
    EVOLUTION_PAGE,
    REFUSAL_PICTURE,
    replacing_folder,
)
from anomri.longitudinal.evolution import Evolution
from anomri.longitudinal.evolution_page import write_evolution_page
from anomri.longitudinal.record import EvolutionRecord, record_path
from anomri.preprocessing import image_on, write_image


def write_evolution(evolution: Evolution, record: EvolutionRecord, folder: Path) -> Path:
    """Write record, page and label images of one subject, replacing an earlier result.

    Label images lie on the grid of each scan's own file, and hold the identities of
    ``evolution.tsv``: a lesion has the same number at all time points.

    Args:
        evolution: the result.
        record: its facts, with the names of the sessions.
        folder: of the results.

    Returns:
        The subject's folder.

    Raises:
        ScanError: the subject's folder holds files that anomri did not write.
    """
    target = folder / record.label
    refuse_foreign_files(folder, record.label)
    with replacing_folder(target, draft_parent=folder) as draft:
        text = record.model_dump_json(indent=2) + "\n"
        (draft / record_path(folder, record.label).name).write_text(text, encoding="utf-8")
        for number, point in enumerate(record.points):
            anat = draft / f"ses-{point.session}" / "anat"
            anat.mkdir(parents=True)
            numbers = evolution.native_identities[number]
            kind = np.uint8 if numbers.max(initial=0) < 256 else np.uint16
            image = image_on(numbers.astype(kind), evolution.points[number].native)
            path = anat / f"{record.label}_ses-{point.session}_{EVOLUTION_LABELS}"
            write_image(image, path)
            table = path.with_name(path.name.replace(".nii.gz", ".tsv"))
            table.write_text(_label_table(record, point.number), encoding="utf-8")
        write_evolution_page(draft / f"{record.label}_{EVOLUTION_PAGE}", evolution, record)
    return target


def refuse_foreign_files(folder: Path, label: str) -> None:
    """Check that a subject's folder holds an evolution alone: writing replaces all of it.

    Raises:
        ScanError: there are other files in it, such as a scan.
    """
    for path in sorted((folder / label).rglob("*")):
        ours = path.name.startswith(label) and f"_{EVOLUTION_KIND}" in path.name
        if path.is_file() and not ours and not path.name.endswith(REFUSAL_PICTURE):
            raise ScanError(
                path,
                expected=f"nothing but results of `anomri follow` in {label}",
                got="another file, which is not replaced",
                next_step="write to another folder, or move the file elsewhere",
            )


def _label_table(record: EvolutionRecord, number: int) -> str:
    """Return the table that explains the numbers of a label image."""
    interval = record.of_interval(max(number, 2))
    found = [c for c in interval if (c.before if number == 1 else c.after) is not None]
    rows = [f"{change.identity}\tlesion {change.identity}, {change.kind.value}" for change in found]
    return "\n".join(["index\tname", *rows]) + "\n"
