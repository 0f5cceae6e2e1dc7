"""The layout of DICOM folders: a case per study, a contrast per recognised series."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from anomri.datasets.cases import CONTRASTS, Cases, Layout
from anomri.datasets.dicom.recognition import Decision, recognise
from anomri.datasets.dicom.series import Series, is_dicom, read_series
from anomri.datasets.found import Recognised
from anomri.datasets.tree import Tree
from anomri.errors import UsageError

ENDINGS = (".dcm", ".ima")
KNOWN = 20  # files without a telling name that are opened to see whether they are DICOM

Choices = Mapping[str, str]  # contrast -> number or description of the series


def fits(tree: Tree) -> bool:
    """Whether there are DICOM files and no NIfTI files."""
    if tree.images():
        return False
    if any(_named_so(path) for path in tree.files):
        return True
    return any(is_dicom(path) for path in tree.files[:KNOWN])


def gather(tree: Tree, choices: Choices | None = None) -> Cases:
    """One case per study; every series is listed with what became of it.

    Raises:
        UsageError: a choice names no contrast or no series, or names several.
        MissingPiece: pydicom is not installed.
    """
    cases = Cases(tree)
    files = [path for path in tree.files if _named_so(path) or is_dicom(path)]
    found, left = read_series(files)
    for path, reason in left:
        cases.skip(path, reason)
    chosen = dict(_chosen(found, choices or {}))
    names = _pseudonyms(found)
    for series in found:
        decision = chosen.get(_key(series)) or _not_replaced(recognise(series), choices or {})
        _place(cases, series, decision, names[series.study])
    _refuse_ambiguous(cases)
    return cases


def choosing(choices: Choices) -> Layout:
    """Return the layout with some series chosen by a person.

    Raises:
        UsageError: a choice names no contrast.
    """
    for contrast in choices:
        if contrast not in CONTRASTS:
            raise UsageError(f"series: '{contrast}' is no contrast; one of {', '.join(CONTRASTS)}")
    return Layout(LAYOUT.name, LAYOUT.looks_for, fits, partial(gather, choices=choices))


def _named_so(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS


def _chosen(found: list[Series], choices: Choices) -> Iterator[tuple[Key, Decision]]:
    for contrast, wanted in choices.items():
        hits = [series for series in found if _is_meant(series, wanted)]
        if len(_studies(hits)) < len(hits):  # of the volumes of one series, those that are meant
            hits = [series for series in hits if recognise(series).contrast == contrast] or hits
        if not hits or len(_studies(hits)) < len(hits):
            listed = "; ".join(f"{series.name} '{series.description}'" for series in hits or found)
            raise UsageError(
                f"series {contrast}={wanted}: expected one series of that number or description, "
                f"found {len(hits)}: {listed}. Next: `--dry-run` lists them all."
            )
        for series in hits:
            fault = series.fault()
            if fault:
                raise UsageError(f"series {contrast}={wanted}: {fault}")
            yield _key(series), Decision(contrast, "chosen with --series")


Key = tuple[tuple[str, str], str, int]


def _key(series: Series) -> Key:
    return series.study, series.uid, series.part


def _studies(found: Iterable[Series]) -> set[tuple[str, str]]:
    return {series.study for series in found}


def _is_meant(series: Series, wanted: str) -> bool:
    return wanted.strip().lower() in {
        series.number_text.lower(),
        series.text("SeriesNumber").lower(),
        series.text("SeriesDescription").lower(),
    }


def _not_replaced(decision: Decision, choices: Choices) -> Decision:
    if decision.contrast in choices:
        return Decision(None, f"another series was chosen as {decision.contrast}")
    return decision


def _place(cases: Cases, series: Series, decision: Decision, study: str) -> None:
    told = decision.contrast or "not used", "; ".join([decision.reason, *_mended(series)])
    row = Recognised(study, series.number_text, series.description, series.slices, *told)
    cases.recognised.append(row)
    case = cases.case(study, study, where=study)  # also without a series that can be used
    if decision.contrast is None:
        name = f"{study} {series.name} '{series.description}' ({series.slices} images)"
        cases.skip(name, told[1])
        return
    case.add(decision.contrast, series.files[0].parent)
    case.slices.setdefault(decision.contrast, []).append((series.name, tuple(series.files)))


def _mended(series: Series) -> Iterator[str]:
    """Say how the images of a series were put together."""
    if series.uids > 1:
        yield f"{series.uids} series UIDs that make one volume"
    if series.copies:
        files = "1 file" if series.copies == 1 else f"{series.copies} files"
        yield f"{files} left out as copies"


def _refuse_ambiguous(cases: Cases) -> None:
    """Leave out contrasts that several series claim, and say how to choose."""
    for case in cases:
        for contrast, claims in list(case.slices.items()):
            if len(claims) > 1:
                names = " and ".join(name for name, _ in claims)
                number = claims[0][0].removeprefix("series ")
                reason = f"more than one: {names}; choose one, such as --series {contrast}={number}"
                case.unclear[contrast] = reason
                cases.skip(f"{case.where} {contrast}", reason)
                del case.slices[contrast], case.files[contrast]


def _pseudonyms(found: Iterable[Series]) -> dict[tuple[str, str], str]:
    """Name each study of a patient without a tag that names anybody.

    The name is a hash of the study's number. Where several patients claim one study, they are kept
    apart: their number is hashed too.
    """
    patients = defaultdict(set)
    for patient, study in _studies(found):
        patients[study].add(patient)
    return {
        (patient, study): _hashed(study if len(patients[study]) == 1 else f"{study}\n{patient}")
        for study, those in patients.items()
        for patient in those
    }


def _hashed(text: str) -> str:
    return f"study{hashlib.sha256(text.encode()).hexdigest()[:10]}"


LAYOUT = Layout(
    name="dicom",
    looks_for="DICOM files, by their ending .dcm or .ima or by what they begin with",
    fits=fits,
    gather=gather,
)
