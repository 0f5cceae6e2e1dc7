"""Prepared scans on disk: plain NIfTI that any viewer opens and training maps into memory.

::

    prepared/
      prepared.json                 what was prepared: preparation, contrasts (and which of them
                                a scan may lack), key, version
      sub-<label>/<contrast>.nii    float32, scaled, on the working grid
                  brain.nii         uint8
                  truth.nii         uint8 label numbers, where there are any
                  native_truth.nii.gz   the same on the input's own grid and axis order
                  scan.json         subject, notes, grids, and the files it was made from

A subject's folder appears at once, by renaming, or not at all. Whether a file has changed is told
by its content, which is read only where the file system cannot exclude a change; of a file's place
only its name is written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomri.errors import ScanError, UsageError
from anomri.files import (
    NATIVE_TRUTH,
    PREPARED,
    PREPARED_SCAN,
    REFUSAL_PICTURE,
    replacing_folder,
)
from anomri.preprocessing.prepare import prepare_subject
from anomri.preprocessing.prepared.fingerprints import (
    Fingerprint,
    fingerprints,
    refreshed,
    same_content,
)
from anomri.preprocessing.prepared.storage import (
    grid_entry,
    grid_of,
    mapped,
    read_entry,
    read_header,
    write_json,
    write_scan,
)
from anomri.preprocessing.reading.subject import read_subject, with_unclear_noted
from anomri.recipe import Preparation
from anomri.scan import Affine, Grid, Labels, Mask, Scan, ScanFiles, Volume

FORMAT = 1  # raised whenever preparation gives other numbers for the same section


def is_prepared(folder: Path) -> bool:
    """Say whether ``folder`` holds prepared scans."""
    return (folder / PREPARED).is_file()


class PreparedFolder:
    """A folder of prepared scans, all made in the same way.

    Args:
        folder: made where it does not exist.
        preparation: spacing, shape and intensities.
        contrasts: channels of each scan, in order.
        optional: those that a scan may lack.

    Raises:
        UsageError: the folder already holds scans that were prepared in another way.
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
            _refuse_other(self.folder, self._header())
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / PREPARED, self._header())

    @classmethod
    def open(cls, folder: Path) -> PreparedFolder:
        """Open what is there, as it was prepared.

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

    def add(self, files: ScanFiles) -> bool:
        """Prepare one subject and keep it; False where it is there already and unchanged.

        Raises:
            ScanError: the subject cannot be prepared, another one has its label, or somebody else's
                files are in its place.
        """
        if self._is_current(files):
            return False
        target = self.folder / files.label
        _refuse_foreign(target)
        there = [c for c in self.contrasts if c in files.contrasts or c not in self.optional]
        noted = with_unclear_noted(files, self.contrasts)
        subject = read_subject(noted, there, orientation=self.preparation.orientation)
        scan = prepare_subject(subject, self.preparation)
        with replacing_folder(target) as draft:
            write_scan(draft, scan, subject.native_truth(self.preparation.mask_grid))
            write_json(draft / PREPARED_SCAN, self._entry(files, scan))
        return True

    def labels(self) -> list[str]:
        """Return the labels of all scans, sorted."""
        return sorted(path.parent.name for path in self.folder.glob(f"sub-*/{PREPARED_SCAN}"))

    def index(self) -> list[tuple[str, str, bool | None]]:
        """Return label, subject and healthy word of every scan, without reading a voxel."""
        entries = ((label, self._read_entry(label)) for label in self.labels())
        return [(label, entry["subject"], entry["healthy"]) for label, entry in entries]

    def unclear(self) -> dict[str, str]:
        """Return why nobody knows whether a subject is healthy, by label.

        Only for scans without expert labels whose data set has a table that should say it.
        """
        entries = {label: self._read_entry(label) for label in self.labels()}
        return {
            label: entry["healthy_unclear"]
            for label, entry in entries.items()
            if entry.get("healthy_unclear") and not self._path(label, "truth").is_file()
        }

    def load(self, label: str) -> Scan:
        """Return one scan; with a single contrast its voxels stay on disk until they are used."""
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
            notes=tuple(entry["notes"]),
            to_template=_matrix(entry.get("to_template")),
        )

    def volume(self, label: str, contrast: str) -> Volume:
        """Return (I, J, K) values of one contrast, mapped; a slice reads only itself."""
        return self._mapped(label, contrast, "f4")

    def brain(self, label: str) -> Mask:
        """Return the (I, J, K) brain mask, mapped."""
        mask: Mask = self._mapped(label, "brain").view(np.bool_)
        return mask

    def truth(self, label: str) -> Labels | None:
        """Return the (I, J, K) expert labels on the working grid, mapped, if there are any."""
        return self._mapped(label, "truth") if self._path(label, "truth").is_file() else None

    def native_truth(self, label: str) -> tuple[Labels, Grid] | None:
        """Return the expert labels on the input's own grid and axis order, if there are any."""
        path = self.folder / label / NATIVE_TRUTH
        if not path.is_file():
            return None
        grid = grid_of(self._read_entry(label)["native"])
        return mapped(path, shape=grid.shape), grid

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
        return mapped(path, kind=kind, shape=shape)

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
                "Next: see `labels()` for those that are there."
            )
        return read_entry(path)

    def _entry(self, files: ScanFiles, scan: Scan) -> dict[str, Any]:
        return {
            "subject": scan.subject,
            "session": files.session,
            "healthy": scan.healthy,
            "healthy_unclear": _unclear(files),
            "contrasts": list(scan.contrasts),
            "notes": list(scan.notes),
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
        if (now := refreshed(known, files, self.contrasts)) != known:
            write_json(path, {**entry, "files": now})
        return True


def _unclear(files: ScanFiles) -> str:
    """Return why nobody knows whether a subject has lesions, and where; empty where it is known."""
    if files.healthy is not None:
        return ""
    return files.unclear.get("healthy", "") or files.unclear.get("truth", "")


def _matrix(rows: list[list[float]] | None) -> Affine | None:
    return None if rows is None else np.array(rows)


def _refuse_other(folder: Path, wanted: Mapping[str, Any]) -> None:
    held = read_header(folder / PREPARED)
    parts = {name: name for name in ("format", "contrasts", "optional", "preparation")}
    # Options that did not exist when the folder was made stand at their defaults.
    section = Preparation(**held["preparation"]).model_dump(mode="json")
    held = {"optional": [], **held, "preparation": section}
    differing = [
        f"{name}: {held.get(part)} there, {wanted[part]} now"
        for part, name in parts.items()
        if held.get(part) != wanted[part]
    ]
    if differing:
        raise UsageError(
            f"{folder.name}: expected scans prepared in the same way, found others "
            f"({'; '.join(differing)}). Next: prepare into another folder."
        )


def _refuse_foreign(target: Path) -> None:
    """Keep what somebody else put where a scan belongs: a scan that is there is replaced whole."""
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
                got="a file that anomri did not write, and keeps",
                next_step="write to another folder, or move the file elsewhere",
            )


def _refuse_other_subject(entry: Mapping[str, Any], files: ScanFiles) -> None:
    if (entry["subject"], entry["session"]) == (files.subject, files.session):
        return
    raise ScanError(
        files.subject,
        expected=f"a label of its own, got by keeping letters and digits: {files.label}",
        got=f"one that {entry['subject']} has already",
        next_step="rename one of the two, or prepare them into different folders",
    )
