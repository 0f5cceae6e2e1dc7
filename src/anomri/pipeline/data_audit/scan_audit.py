"""Audit of one scan: it is prepared as for detection, and what that notes or refuses is listed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from anomri.datasets import converted
from anomri.errors import ScanError
from anomri.pipeline.data_audit.problems import Problem, problem_of_error, problem_of_note
from anomri.preprocessing import brain_signatures, note_ambiguous_files, prepare_scan
from anomri.recipe import Preparation
from anomri.scan import Scan, ScanFiles


@dataclass(frozen=True, slots=True)
class AuditedScan:
    """What an audit keeps of a scan.

    Attributes:
        subject: name in the data set.
        label: BIDS prefix.
        problems: of this scan alone.
        contents: digest of each contrast's file.
        signatures: by contrast, see :func:`anomri.preprocessing.brain_signatures`.
    """

    subject: str
    label: str
    problems: tuple[Problem, ...]
    contents: Mapping[str, str] = field(default_factory=dict)
    signatures: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditTask:
    """Audit of one scan; can be pickled for a worker.

    Attributes:
        preparation: how scans are prepared.
    """

    preparation: Preparation

    def __call__(self, files: ScanFiles) -> AuditedScan:
        """Prepare a scan, and again without its masks where these cannot be used."""
        noted = note_ambiguous_files(files, tuple(files.contrasts))
        errors, scan = self._prepare(noted)
        problems = [problem_of_error(files, error) for error in errors]
        if scan is None:
            return AuditedScan(files.subject, files.label, tuple(problems))
        found = (problem_of_note(files, note) for note in scan.notes)
        problems += [problem for problem in found if problem is not None]
        return AuditedScan(
            subject=files.subject,
            label=files.label,
            problems=tuple(problems),
            contents=_contents(files),
            signatures=brain_signatures(scan),
        )

    def _prepare(self, files: ScanFiles) -> tuple[list[ScanError], Scan | None]:
        """Return the errors on the way to a prepared scan, and the scan if there is one."""
        errors: list[ScanError] = []
        for given in (files, replace(files, truth=None), replace(files, truth=None, brain=None)):
            if errors and given == files:
                continue
            try:
                with converted(given) as images:
                    contrasts = tuple(images.contrasts)
                    return errors, prepare_scan(images, self.preparation, contrasts)
            except ScanError as error:
                if str(error) not in map(str, errors):
                    errors.append(error)
        return errors, None


def _contents(files: ScanFiles) -> dict[str, str]:
    """Return the SHA-256 of each contrast's file, whatever its name; not of folders of slices."""
    digests = {}
    for name, path in files.contrasts.items():
        if path.is_file():
            with path.open("rb") as stream:
                digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return digests
