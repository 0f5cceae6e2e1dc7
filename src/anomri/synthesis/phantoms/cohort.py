"""A cohort of digital phantoms: healthy subjects, gliomas and white-matter lesions.

The cohort serves demonstrations and tests that must not depend on patient data. The phantoms look
like skull-stripped scans but say nothing about performance on patients: folding, contrast and
tumours follow a handful of random fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from anomri.errors import UsageError
from anomri.files import (
    PARTICIPANTS,
    PHANTOMS,
    read_text,
    remove_stale_drafts,
    replacing_folder,
    write_text,
    write_tsv,
)
from anomri.scan import Affine
from anomri.synthesis.phantoms.anatomy import Anatomy, Atlas, draw_anatomy
from anomri.synthesis.phantoms.lesions import (
    GliomaPlan,
    Lesion,
    grow_glioma,
    grow_white_matter_lesions,
)
from anomri.synthesis.phantoms.signal import SIGNAL, paint

# Incremented when the same parameters yield different images.
GENERATOR = 1
MIN_SPACING_MM, MAX_SPACING_MM = 1.0, 6.0
# Orientations on disk, in turn.
ORIENTATIONS = ("RAS", "LPS", "LAS")
MAX_ROTATION_DEG = 8.0
MAX_SHIFT_MM = 10.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Cohort:
    """Parameters of a cohort.

    Attributes:
        healthy: subjects without a lesion.
        gliomas: subjects with a glioma.
        lesions: subjects with white-matter lesions.
        seed: seed of all random numbers.
        spacing_mm: voxel size along all axes.
    """

    healthy: int
    gliomas: int
    lesions: int
    seed: int
    spacing_mm: float

    def check(self) -> None:
        """Check the parameters.

        Raises:
            UsageError: a negative count, no subject at all, or a voxel size out of range.
        """
        counts = (self.healthy, self.gliomas, self.lesions)
        if min(counts) < 0 or sum(counts) == 0 or self.seed < 0:
            raise UsageError(
                f"phantoms: expected counts and a seed of 0 or more, and one subject at least; "
                f"got {asdict(self)}. Next: ask for at least one healthy subject or patient."
            )
        if not MIN_SPACING_MM <= self.spacing_mm <= MAX_SPACING_MM:
            raise UsageError(
                f"phantoms: expected a spacing of {MIN_SPACING_MM:g} to {MAX_SPACING_MM:g} mm, "
                f"got {self.spacing_mm:g}. Next: choose one in between."
            )

    def subjects(self) -> list[Subject]:
        """Return the subjects: healthy, then gliomas, then white-matter lesions."""
        counts = {"healthy": self.healthy, "glioma": self.gliomas, "lesions": self.lesions}
        kinds = [(kind, nth) for kind, count in counts.items() for nth in range(count)]
        digits = max(2, len(str(len(kinds))))
        return [
            Subject(f"sub-{number:0{digits}d}", kind, nth)
            for number, (kind, nth) in enumerate(kinds, start=1)
        ]


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject of a cohort.

    Attributes:
        name: such as ``sub-01``.
        kind: ``healthy``, ``glioma`` or ``lesions``.
        nth: index among those of its kind. It seeds the images, so that a cohort with more
            healthy subjects contains the same patients.
    """

    name: str
    kind: str
    nth: int


def make_phantoms(
    folder: Path,
    *,
    healthy: int = 4,
    gliomas: int = 4,
    lesions: int = 2,
    seed: int = 0,
    spacing_mm: float = 2.0,
    progress: Progress | None = None,
) -> Path:
    """Write a cohort of digital phantoms in the layout ``phantom``.

    Each brain is a random smooth deformation of the MNI152 tissue maps, imaged as FLAIR, T1,
    contrast-enhanced T1 and T2 with bias field, partial volume and Rician noise, in arbitrary units
    and with its own orientation. Existing subjects are kept, so that an interrupted run resumes and
    a second call does nothing.

    Args:
        folder: new or empty, or one that already holds this cohort.
        healthy: subjects without a lesion.
        gliomas: subjects with a glioma of 25 to 110 ml: edema, enhancing rim and necrosis.
        lesions: subjects with white-matter lesions.
        seed: the same seed yields the same files.
        spacing_mm: voxel size along all axes, 1 to 6.
        progress: called with the number of finished subjects and their total.

    Returns:
        ``folder``.

    Raises:
        UsageError: the folder holds other files, or a parameter is out of range.
    """
    cohort = Cohort(healthy, gliomas, lesions, seed, float(spacing_mm))
    cohort.check()
    folder = Path(folder)
    remove_stale_drafts(folder)
    _claim(folder, cohort)
    subjects = cohort.subjects()
    missing = [subject for subject in subjects if not (folder / subject.name).is_dir()]
    atlas = Atlas.load(cohort.spacing_mm) if missing else None
    for done, subject in enumerate(subjects, start=1):
        if atlas is not None and subject in missing:
            _write_subject(folder, subject, cohort, atlas)
        if progress is not None:
            progress(done, len(subjects))
    return folder


def _claim(folder: Path, cohort: Cohort) -> None:
    """Mark the folder as this cohort's; refuse a folder with other contents."""
    marker = folder / PHANTOMS
    text = json.dumps({"generator": GENERATOR, **asdict(cohort)}, indent=2) + "\n"
    if marker.is_file():
        if read_text(marker, next_step="choose another folder, or delete this one") != text:
            raise UsageError(
                f"{folder.resolve().name}: expected {PHANTOMS} to hold these parameters, "
                "found others. Next: choose another folder, or delete this one."
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder.resolve().name}: expected a new or empty folder, found other files. "
            "Next: choose another folder."
        )
    else:
        write_text(marker, text)
    table = folder / PARTICIPANTS
    if table.is_file():
        return
    # The process may have been killed after it wrote the marker.
    rows = [(p.name, str(p.kind == "healthy").lower(), p.kind) for p in cohort.subjects()]
    write_tsv(table, ("participant_id", "healthy", "kind"), rows)


def _write_subject(folder: Path, subject: Subject, cohort: Cohort, atlas: Atlas) -> None:
    """Write all files of one subject; the folder appears when they are complete."""
    with replacing_folder(folder / subject.name) as draft:
        for word, image in _images(subject, cohort, atlas):
            nib.save(image, draft / f"{subject.name}_{word}.nii.gz")


def _images(
    subject: Subject, cohort: Cohort, atlas: Atlas
) -> Iterator[tuple[str, nib.Nifti1Image]]:
    kinds = {"healthy": 0, "glioma": 1, "lesions": 2}
    rng = np.random.default_rng([cohort.seed, kinds[subject.kind], subject.nth])
    anatomy, lesion = _draw(rng, subject.kind, atlas, cohort.spacing_mm)
    affine = _jitter(rng, anatomy)
    orientation = ORIENTATIONS[subject.nth % len(ORIENTATIONS)]
    fractions = lesion.fractions if lesion else {}
    for contrast in SIGNAL:
        signal = np.rint(paint(rng, anatomy, fractions, contrast)).astype(np.int16)
        yield contrast, _oriented(signal, affine, orientation)
    if lesion:
        yield "seg", _oriented(lesion.truth, affine, orientation)


def _draw(
    rng: np.random.Generator, kind: str, atlas: Atlas, spacing_mm: float
) -> tuple[Anatomy, Lesion | None]:
    if kind == "glioma":
        plan = GliomaPlan.draw(rng, atlas)
        anatomy = draw_anatomy(rng, atlas, spacing_mm=spacing_mm, mass=plan.mass)
        return anatomy, grow_glioma(rng, anatomy, plan)
    anatomy = draw_anatomy(rng, atlas, spacing_mm=spacing_mm)
    return anatomy, grow_white_matter_lesions(rng, anatomy) if kind == "lesions" else None


def _jitter(rng: np.random.Generator, anatomy: Anatomy) -> Affine:
    """Return the affine of a head slightly rotated and shifted in the scanner."""
    rotation = np.radians(MAX_ROTATION_DEG) * rng.uniform(-1, 1, 3) / np.sqrt(3)
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_rotvec(rotation).as_matrix()
    moved[:3, 3] = rng.uniform(-MAX_SHIFT_MM, MAX_SHIFT_MM, 3)
    affine: Affine = moved @ anatomy.affine
    return affine


def _oriented(
    values: NDArray[np.int16] | NDArray[np.uint8], affine: Affine, orientation: str
) -> nib.Nifti1Image:
    """Return an image in the given orientation, with both NIfTI codes set to scanner."""
    original = nib.Nifti1Image(values, affine)
    transform = nib.orientations.ornt_transform(
        nib.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(orientation))
    )
    image: nib.Nifti1Image = original.as_reoriented(transform)
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    image.header.set_xyzt_units("mm")
    return image
