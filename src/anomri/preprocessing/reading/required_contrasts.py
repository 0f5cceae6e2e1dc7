"""Contrasts that a subject must have; imports no library that reads images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from anomri.errors import MissingContrast
from anomri.scan import Note, NoteKind, ScanFiles

NO_AMBIGUITY: Mapping[str, str] = MappingProxyType({})


def require_contrasts(
    available: Iterable[str],
    contrasts: Sequence[str],
    name: str,
    *,
    unclear: Mapping[str, str] = NO_AMBIGUITY,
) -> None:
    """Refuse a subject that lacks a contrast, without reading any file.

    Args:
        available: contrasts that the subject has.
        contrasts: required contrasts.
        name: name of the subject.
        unclear: contrast to the reason why no file was chosen for it.

    Raises:
        MissingContrast: a required contrast is missing.
    """
    present = list(available)
    missing = [contrast for contrast in contrasts if contrast not in present]
    if not missing:
        return
    reasons = "".join(
        f"; {contrast}: {unclear[contrast]}" for contrast in missing if contrast in unclear
    )
    raise MissingContrast(
        name,
        expected=f"the contrasts {', '.join(contrasts)}",
        got=f"{', '.join(present) or 'none'}; {', '.join(missing)} missing{reasons}",
        next_step="choose between the files that are named"
        if reasons
        else "add the missing file, or choose a model that does not need it",
    )


def note_ambiguous_files(files: ScanFiles, contrasts: Sequence[str]) -> ScanFiles:
    """Return the files with a note on each role for which several files are candidates.

    Args:
        files: the subject's files.
        contrasts: contrasts of the model, with the optional ones.
    """
    names = {
        **{name: name for name in contrasts},
        "brain": "a brain mask",
        "truth": "expert labels",
    }
    notes = (
        Note(NoteKind.MISSING_FILE, f"without {name}: {files.unclear[role]}")
        for role, name in names.items()
        if role in files.unclear
    )
    return replace(files, notes=(*files.notes, *notes))
