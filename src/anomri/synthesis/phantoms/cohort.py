"""A digital cohort: healthy people, gliomas and white-matter lesions, with exact truth.

It serves demonstrations and tests that must not depend on patients' data. The brains look like
stripped scans, yet they are no evidence of how a method does on people: folding, contrast and
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

# Raised when the same parameters give other images than before.
GENERATOR = 1
SMALLEST_MM, LARGEST_MM = 1.0, 6.0
# Files lie on disk in these orientations, in turn.
ORIENTATIONS = ("RAS", "LPS", "LAS")
LARGEST_ROTATION_DEG = 8.0
LARGEST_SHIFT_MM = 10.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Cohort:
    """What is asked for.

    Attributes:
        healthy: subjects without a lesion.
        gliomas: subjects with a glioma.
        lesions: subjects with white-matter lesions.
        seed: of every random number.
        spacing_mm: voxel size along all axes.
    """

    healthy: int
    gliomas: int
    lesions: int
    seed: int
    spacing_mm: float

    def check(self) -> None:
        """Refuse what cannot be made.

        Raises:
            UsageError: a negative count, no subject at all, or a voxel size out of range.
        """
        counts = (self.healthy, self.gliomas, self.lesions)
        if min(counts) < 0 or sum(counts) == 0 or self.seed < 0:
            raise UsageError(
                f"phantoms: expected counts and a seed of 0 or more, and one subject at least; "
                f"got {asdict(self)}. Next: ask for at least one healthy subject or patient."
            )
        if not SMALLEST_MM <= self.spacing_mm <= LARGEST_MM:
            raise UsageError(
                f"phantoms: expected a spacing of {SMALLEST_MM:g} to {LARGEST_MM:g} mm, "
                f"got {self.spacing_mm:g}. Next: choose one in between."
            )

    def people(self) -> list[Person]:
        """Everyone in it: healthy first, then gliomas, then white-matter lesions."""
        counts = {"healthy": self.healthy, "glioma": self.gliomas, "lesions": self.lesions}
        kinds = [(kind, nth) for kind, count in counts.items() for nth in range(count)]
        digits = max(2, len(str(len(kinds))))
        return [
            Person(f"sub-{number:0{digits}d}", kind, nth)
            for number, (kind, nth) in enumerate(kinds, start=1)
        ]


@dataclass(frozen=True, slots=True)
class Person:
    """One subject of a cohort.

    Attributes:
        name: such as ``sub-01``.
        kind: ``healthy``, ``glioma`` or ``lesions``.
        nth: position among those of its kind. It seeds the images, so that a cohort with more
            healthy subjects holds the same patients.
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
    """Write a digital cohort in the layout ``phantom``; a second call with the same does nothing.

    Each brain is the MNI152 tissue maps under a random smooth deformation, seen as FLAIR, T1,
    T1 with contrast agent and T2 through bias field, partial volume and Rician noise, in units
    and orientation of its own. Subjects that are there already are kept, so that an interrupted
    run goes on where it stopped.

    Args:
        folder: new or empty, or one that holds this cohort already.
        healthy: subjects without a lesion.
        gliomas: subjects with edema, enhancing rim and necrosis, 25 to 110 ml in all.
        lesions: subjects with white-matter lesions.
        seed: the same seed gives the same files.
        spacing_mm: voxel size along all axes, 1 to 6.
        progress: called with subjects done and subjects in all.

    Returns:
        ``folder``.

    Raises:
        UsageError: the folder holds something else, or the numbers cannot be met.
    """
    cohort = Cohort(healthy, gliomas, lesions, seed, float(spacing_mm))
    cohort.check()
    folder = Path(folder)
    remove_stale_drafts(folder)
    _claim(folder, cohort)
    people = cohort.people()
    missing = [person for person in people if not (folder / person.name).is_dir()]
    atlas = Atlas.load(cohort.spacing_mm) if missing else None
    for done, person in enumerate(people, start=1):
        if atlas is not None and person in missing:
            _write_person(folder, person, cohort, atlas)
        if progress is not None:
            progress(done, len(people))
    return folder


def _claim(folder: Path, cohort: Cohort) -> None:
    """Mark the folder as this cohort's, unless it is something else's."""
    marker = folder / PHANTOMS
    text = json.dumps({"generator": GENERATOR, **asdict(cohort)}, indent=2) + "\n"
    if marker.is_file():
        if read_text(marker, next_step="choose another folder, or delete this one") != text:
            raise UsageError(
                f"{folder.name}: expected {PHANTOMS} to hold these parameters, found others. "
                "Next: choose another folder, or delete this one."
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder.name}: expected a new or empty folder, found files that are no phantoms. "
            "Next: choose another folder."
        )
    else:
        write_text(marker, text)
    table = folder / PARTICIPANTS
    if table.is_file():
        return
    # A kill may have come between the two.
    rows = [(p.name, str(p.kind == "healthy").lower(), p.kind) for p in cohort.people()]
    write_tsv(table, ("participant_id", "healthy", "kind"), rows)


def _write_person(folder: Path, person: Person, cohort: Cohort, atlas: Atlas) -> None:
    """Write all files of one person; the folder appears when they are complete."""
    with replacing_folder(folder / person.name) as draft:
        for word, image in _images(person, cohort, atlas):
            nib.save(image, draft / f"{person.name}_{word}.nii.gz")


def _images(person: Person, cohort: Cohort, atlas: Atlas) -> Iterator[tuple[str, nib.Nifti1Image]]:
    kinds = {"healthy": 0, "glioma": 1, "lesions": 2}
    rng = np.random.default_rng([cohort.seed, kinds[person.kind], person.nth])
    anatomy, lesion = _draw(rng, person.kind, atlas, cohort.spacing_mm)
    affine = _jitter(rng, anatomy)
    orientation = ORIENTATIONS[person.nth % len(ORIENTATIONS)]
    fractions = lesion.fractions if lesion else {}
    for contrast in SIGNAL:
        signal = np.rint(paint(rng, anatomy, fractions, contrast)).astype(np.int16)
        yield contrast, _stored(signal, affine, orientation)
    if lesion:
        yield "seg", _stored(lesion.truth, affine, orientation)


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
    """Affine of a head that lies a little turned and shifted in the scanner."""
    turn = np.radians(LARGEST_ROTATION_DEG) * rng.uniform(-1, 1, 3) / np.sqrt(3)
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    moved[:3, 3] = rng.uniform(-LARGEST_SHIFT_MM, LARGEST_SHIFT_MM, 3)
    affine: Affine = moved @ anatomy.affine
    return affine


def _stored(
    values: NDArray[np.int16] | NDArray[np.uint8], affine: Affine, orientation: str
) -> nib.Nifti1Image:
    """Image whose axes run as ``orientation`` says; both NIfTI codes say scanner."""
    as_it_is = nib.Nifti1Image(values, affine)
    turn = nib.orientations.ornt_transform(
        nib.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(orientation))
    )
    image: nib.Nifti1Image = as_it_is.as_reoriented(turn)
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    image.header.set_xyzt_units("mm")
    return image
