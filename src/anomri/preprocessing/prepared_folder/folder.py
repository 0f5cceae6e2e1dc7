"""Folders of prepared scans: NIfTI files that any viewer opens and training memory-maps.

::

    prepared/
      prepared.json                 preparation, contrasts (and which are optional), key, version
      sub-<label>/<contrast>.nii    float32, scaled, on the working grid
                  brain.nii         uint8
                  truth.nii         uint8 label numbers, if there are any
                  native_truth.nii.gz   the same on the input's own grid and axis order
                  scan.json         subject, notes, grids, and fingerprints of the input files

A subject's folder is written atomically, by renaming. Changes of input files are detected by their
content, which is read only where the file system cannot rule out a change. Paths of input files are
not recorded, only their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anomri.errors import ScanError, UsageError
from anomri.files import (
    NATIVE_TRUTH,
    PREPARED,
    PREPARED_SCAN,
    REFUSAL_PICTURE,
    make_folder,
    replacing_folder,
)
from anomri.preprocessing.prepare import prepare_subject
from anomri.preprocessing.prepared_folder.fingerprints import (
    Fingerprint,
    fingerprints,
    same_content,
    with_current_stamps,
)
from anomri.preprocessing.prepared_folder.storage import (
    grid_entry,
    grid_of,
    memory_map,
    read_entry,
    read_header,
    write_json,
    write_scan,
)
from anomri.preprocessing.reading.required_contrasts import note_ambiguous_files
from anomri.preprocessing.reading.subject import read_subject
from anomri.recipe import Preparation
from anomri.scan import Affine, Grid, Labels, Mask, Note, Scan, ScanFiles, Volume

FORMAT = 1  # increased whenever the same preparation section gives different values


def is_prepared(folder: Path) -> bool:
    """Return whether ``folder`` is a folder of prepared scans."""
    return (folder / PREPARED).is_file()


class PreparedFolder:
    """A folder of scans that were all prepared in the same way.

    Args:
        folder: created if it does not exist.
        preparation: the recipe's preparation section.
        contrasts: channels of each scan, in order.
        optional: contrasts that a scan may lack.

    Raises:
        UsageError: the folder holds scans that were prepared differently.
    """

    def __init__(
        self,
        folder: Path,
        preparation: Preparation,
        contrasts: Sequence[str],
        optional: Sequence[str] = (),
    ) -> None:
        self.folder = Path(folder)
        self.preparation = preparation
        self.contrasts = tuple(contrasts)
        self.optional = tuple(name for name in self.contrasts if name in optional)
        if is_prepared(self.folder):
            _refuse_other_preparation(self.folder, self._header())
            return
        make_folder(self.folder)
        write_json(self.folder / PREPARED, self._header())

    @classmethod
    def open(cls, folder: Path) -> PreparedFolder:
        """Open an existing folder with the preparation that it was made with.

        Raises:
            UsageError: the folder holds no prepared scans.
        """
        if not is_prepared(Path(folder)):
            raise UsageError(
                f"{Path(folder).name}: expected a folder of prepared scans, found no {PREPARED}. "
                "Next: make one with `anomri prepare`."
            )
        header = read_header(Path(folder) / PREPARED)
        preparation = Preparation(**header["preparation"])
        return cls(folder, preparation, header["contrasts"], header.get("optional", ()))

    def add(self, files: ScanFiles, *, device: torch.device | None = None) -> bool:
        """Prepare and store one subject, unless it is stored already and unchanged.

        Args:
            files: the subject's files.
            device: where the brain extraction runs; None for CUDA where PyTorch sees it.

        Returns:
            Whether the subject was prepared.

        Raises:
            ScanError: the subject cannot be prepared, another one has its label, or its folder
                holds files that anomri did not write.
        """
        if self._is_current(files):
            return False
        target = self.folder / files.label
        _refuse_foreign(target)
        contrasts = [c for c in self.contrasts if c in files.contrasts or c not in self.optional]
        noted = note_ambiguous_files(files, self.contrasts)
        subject = read_subject(noted, contrasts, orientation=self.preparation.orientation)
        scan = prepare_subject(subject, self.preparation, device=device)
        with replacing_folder(target) as draft:
            write_scan(draft, scan, subject.native_truth(self.preparation.mask_grid))
            write_json(draft / PREPARED_SCAN, self._entry(files, scan))
        return True

    def labels(self) -> list[str]:
        """Return the labels of all scans, sorted."""
        return sorted(path.parent.name for path in self.folder.glob(f"sub-*/{PREPARED_SCAN}"))

    def index(self) -> list[tuple[str, str, bool | None]]:
        """Return label, subject and health (None where unknown) of each scan."""
        entries = ((label, self._read_entry(label)) for label in self.labels())
        return [(label, entry["subject"], entry["healthy"]) for label, entry in entries]

    def unclear(self) -> dict[str, str]:
        """Return why it is unknown whether a subject is healthy, by label.

        Only for scans without expert labels whose data set has a table that should state it.
        """
        entries = {label: self._read_entry(label) for label in self.labels()}
        return {
            label: entry["healthy_unclear"]
            for label, entry in entries.items()
            if entry.get("healthy_unclear") and not self._path(label, "truth").is_file()
        }

    def load(self, label: str) -> Scan:
        """Return one scan; the voxels of a single contrast are memory-mapped."""
        entry = self._read_entry(label)
        contrasts = tuple(entry["contrasts"])
        grid = grid_of(entry["grid"])
        volumes = [self._mapped(label, name, "f4", grid.shape) for name in contrasts]
        return Scan(
            subject=entry["subject"],
            label=label,
            image=volumes[0][None] if len(volumes) == 1 else np.stack(volumes),
            contrasts=contrasts,
            brain=self._mapped(label, "brain", shape=grid.shape).view(np.bool_),
            grid=grid,
            native=grid_of(entry["native"]),
            truth=self.truth(label),
            healthy=entry["healthy"],
            notes=tuple(Note(**note) for note in entry["notes"]),
            to_template=_matrix(entry.get("to_template")),
        )

    def volume(self, label: str, contrast: str) -> Volume:
        """Return the (I, J, K) values of one contrast, memory-mapped."""
        return self._mapped(label, contrast, "f4")

    def brain(self, label: str) -> Mask:
        """Return the (I, J, K) brain mask, memory-mapped."""
        mask: Mask = self._mapped(label, "brain").view(np.bool_)
        return mask

    def truth(self, label: str) -> Labels | None:
        """Return the (I, J, K) expert labels on the working grid, memory-mapped; None without."""
        return self._mapped(label, "truth") if self._path(label, "truth").is_file() else None

    def native_truth(self, label: str) -> tuple[Labels, Grid] | None:
        """Return the expert labels on the input's own grid and axis order, if there are any."""
        path = self.folder / label / NATIVE_TRUTH
        if not path.is_file():
            return None
        grid = grid_of(self._read_entry(label)["native"])
        return memory_map(path, shape=grid.shape), grid

    def _path(self, label: str, name: str) -> Path:
        return self.folder / label / f"{name}.nii"

    def _mapped(
        self, label: str, name: str, kind: str = "u1", shape: tuple[int, ...] = ()
    ) -> NDArray[Any]:
        path = self._path(label, name)
        if not path.is_file():
            raise UsageError(
                f"{label}: expected {path.name} in {self.folder.name}, found none. "
                f"Next: choose one of its {len(self.labels())} scans and of the contrasts "
                f"{', '.join(self.contrasts)}, or prepare again."
            )
        return memory_map(path, kind=kind, shape=shape)

    def _header(self) -> dict[str, Any]:
        return {
            "anomri_version": version("anomri"),
            "format": FORMAT,
            "preparation": self.preparation.model_dump(mode="json"),
            "contrasts": list(self.contrasts),
            "optional": list(self.optional),
            "key": self.preparation.key(),
        }

    def _read_entry(self, label: str) -> dict[str, Any]:
        path = self.folder / label / PREPARED_SCAN
        if not path.is_file():
            raise UsageError(
                f"{label}: expected a scan prepared in {self.folder.name}, found none. "
                "Next: `labels()` lists those that exist."
            )
        return read_entry(path)

    def _entry(self, files: ScanFiles, scan: Scan) -> dict[str, Any]:
        return {
            "subject": scan.subject,
            "session": files.session,
            "healthy": scan.healthy,
            "healthy_unclear": _unclear(files),
            "contrasts": list(scan.contrasts),
            "notes": [asdict(note) for note in scan.notes],
            "grid": grid_entry(scan.grid),
            "native": grid_entry(scan.native),
            "to_template": None if scan.to_template is None else scan.to_template.tolist(),
            "files": fingerprints(files, self.contrasts),
        }

    def _is_current(self, files: ScanFiles) -> bool:
        path = self.folder / files.label / PREPARED_SCAN
        if not path.is_file():
            return False
        entry = read_entry(path)
        _refuse_other_subject(entry, files)
        if entry["healthy"] != files.healthy:
            return False
        if entry.get("healthy_unclear", "") != _unclear(files):
            return False
        known: Mapping[str, Fingerprint] = entry["files"]
        if not same_content(known, files, self.contrasts):
            return False
        if (current := with_current_stamps(known, files, self.contrasts)) != known:
            write_json(path, {**entry, "files": current})
        return True


def _unclear(files: ScanFiles) -> str:
    """Return why it is unknown whether a subject has lesions; empty where it is known."""
    if files.healthy is not None:
        return ""
    return files.unclear.get("healthy", "") or files.unclear.get("truth", "")


def _matrix(rows: list[list[float]] | None) -> Affine | None:
    return None if rows is None else np.array(rows)


def _refuse_other_preparation(folder: Path, wanted: Mapping[str, Any]) -> None:
    stored = read_header(folder / PREPARED)
    # Options that did not exist when the folder was made get their defaults.
    section = Preparation(**stored["preparation"]).model_dump(mode="json")
    stored = {"optional": [], **stored, "preparation": section}
    differing = [
        f"{part}: {stored.get(part)} there, {wanted[part]} now"
        for part in ("format", "contrasts", "optional", "preparation")
        if stored.get(part) != wanted[part]
    ]
    if differing:
        raise UsageError(
            f"{folder.resolve().name}: expected scans prepared in the same way, found differences "
            f"({'; '.join(differing)}). Next: prepare into another folder."
        )


def _refuse_foreign(target: Path) -> None:
    """Refuse a folder with files that anomri did not write, since its content is replaced."""
    if (target / PREPARED_SCAN).is_file():
        return
    for path in sorted(target.rglob("*")):
        if (
            path.is_file()
            and not path.name.startswith(".")
            and not path.match(f"*_{REFUSAL_PICTURE}")
        ):
            raise ScanError(
                path,
                expected=f"nothing but a prepared scan in {target.name} of the folder to write to",
                got="a file that anomri did not write, and does not replace",
                next_step="write to another folder, or move the file elsewhere",
            )


def _refuse_other_subject(entry: Mapping[str, Any], files: ScanFiles) -> None:
    if (entry["subject"], entry["session"]) == (files.subject, files.session):
        return
    raise ScanError(
        files.subject,
        expected=f"a unique label (the letters and digits of its name): {files.label}",
        got=f"one that {entry['subject']} has already",
        next_step="rename one of the two, or prepare them into different folders",
    )
