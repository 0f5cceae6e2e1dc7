"""Layout of DICOM folders: a case per study, a contrast per recognised series."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from anomri.datasets.cases import CONTRASTS, Cases, Layout
from anomri.datasets.dicom.headers import is_dicom, read_series
from anomri.datasets.dicom.recognition import Decision, recognise
from anomri.datasets.dicom.series import Series
from anomri.datasets.dicom.series_rules import SiteRules
from anomri.datasets.file_tree import Tree
from anomri.datasets.search_results import Found, Recognised
from anomri.errors import UsageError

ENDINGS = (".dcm", ".ima")
MAX_OPENED = 20  # files without such an ending that are checked for DICOM

Choices = Mapping[str, str]  # number or description of a series by contrast
Decide = Callable[[Sequence[Series]], Sequence[Decision]]


def fits(tree: Tree) -> bool:
    """Whether there are DICOM files and no NIfTI files."""
    if tree.images():
        return False
    if any(has_dicom_ending(path) for path in tree.files):
        return True
    return any(is_dicom(path) for path in tree.files[:MAX_OPENED])


def recognise_each(found: Sequence[Series]) -> list[Decision]:
    """Recognise the contrast of every series from its headers."""
    return [recognise(series) for series in found]


def gather(tree: Tree, choices: Choices | None = None, *, decide: Decide = recognise_each) -> Cases:
    """Return a case per study, and list all series with their contrast.

    Args:
        tree: the files.
        choices: series that the user chose.
        decide: returns the contrast of each series.

    Raises:
        UsageError: a choice matches no series, or several.
        MissingPiece: pydicom is not installed.
    """
    cases = Cases(tree)
    files = [path for path in tree.files if has_dicom_ending(path) or is_dicom(path)]
    found, unused = read_series(files)
    for path, reason in unused:
        cases.skip(path, reason)
    chosen = dict(_chosen(found, choices or {}))
    names = _pseudonyms(found)
    for series, usual in zip(found, decide(found), strict=True):
        decision = chosen.get(_key(series)) or _not_replaced(usual, choices or {})
        _place(cases, series, decision, names[series.study])
    _refuse_ambiguous(cases)
    return cases


def layout_with_choices(choices: Choices) -> Layout:
    """Return the layout with series chosen by the user.

    Raises:
        UsageError: a choice is for an unknown contrast.
    """
    for contrast in choices:
        if contrast not in CONTRASTS:
            raise UsageError(
                f"series '{contrast}': no contrast of that name, expected one of "
                f"{', '.join(CONTRASTS)}. Next: check the spelling."
            )
    return Layout(LAYOUT.name, LAYOUT.looks_for, fits, partial(gather, choices=choices))


def find_studies(folder: Path, rules: SiteRules) -> Found:
    """Find the studies of a folder of DICOM files by the rules of a site; perhaps none."""
    return layout_by_rules(rules).read(Tree.of(folder))


def layout_by_rules(rules: SiteRules) -> Layout:
    """Return the layout with the rules of a site."""
    return Layout(LAYOUT.name, LAYOUT.looks_for, fits, partial(gather, decide=rules.decide))


def has_dicom_ending(path: Path) -> bool:
    """Whether a file has an ending of DICOM files; many have none."""
    return path.suffix.lower() in ENDINGS


def _chosen(found: list[Series], choices: Choices) -> Iterator[tuple[Key, Decision]]:
    for contrast, wanted in choices.items():
        hits = [series for series in found if _matches(series, wanted)]
        if len(_studies(hits)) < len(hits):  # several volumes of a series: prefer the contrast
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
                raise UsageError(
                    f"series {contrast}={wanted}: {fault}. Next: choose another; `--dry-run` "
                    "lists them all."
                )
            yield _key(series), Decision(contrast, "chosen with --series")


Key = tuple[tuple[str, str], str, int]


def _key(series: Series) -> Key:
    return series.study, series.uid, series.part


def _studies(found: Iterable[Series]) -> set[tuple[str, str]]:
    return {series.study for series in found}


def _matches(series: Series, wanted: str) -> bool:
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
    reason = "; ".join([decision.reason, *_changes(series)])
    row = Recognised(
        scan=study,
        number=series.number_text,
        description=series.description,
        images=series.slices,
        taken_for=decision.contrast or "not used",
        reason=reason,
    )
    cases.recognised.append(row)
    case = cases.case(study, study, where=study)  # even if none of its series can be used
    if decision.contrast is None:
        name = f"{study} {series.name} '{series.description}' ({series.slices} images)"
        cases.skip(name, reason)
        return
    case.add(decision.contrast, series.files[0].parent)
    case.slices.setdefault(decision.contrast, []).append((series.name, tuple(series.files)))


def _changes(series: Series) -> Iterator[str]:
    """Describe how the images of a series were put together."""
    if series.uids > 1:
        yield f"{series.uids} series UIDs that form one volume"
    if series.copies:
        files = "1 file" if series.copies == 1 else f"{series.copies} files"
        yield f"{files} left out as duplicates"


def _refuse_ambiguous(cases: Cases) -> None:
    """Leave out contrasts with several series, and tell how to choose one."""
    for case in cases:
        for contrast, candidates in list(case.slices.items()):
            if len(candidates) > 1:
                names = " and ".join(name for name, _ in candidates)
                number = candidates[0][0].removeprefix("series ")
                reason = f"more than one: {names}; choose one, such as --series {contrast}={number}"
                case.unclear[contrast] = reason
                cases.skip(f"{case.where} {contrast}", reason)
                del case.slices[contrast], case.files[contrast]


def _pseudonyms(found: Iterable[Series]) -> dict[tuple[str, str], str]:
    """Return a pseudonym for each study of a patient.

    It is a hash of the study UID, combined with the patient if several share a study UID.
    """
    patients = defaultdict(set)
    for patient, study in _studies(found):
        patients[study].add(patient)
    return {
        (patient, study): _hashed(study if len(patients[study]) == 1 else f"{study}\n{patient}")
        for study, of_study in patients.items()
        for patient in of_study
    }


def _hashed(text: str) -> str:
    return f"study{hashlib.sha256(text.encode()).hexdigest()[:10]}"


LAYOUT = Layout(
    name="dicom",
    looks_for="DICOM files, by their ending .dcm or .ima or their first bytes",
    fits=fits,
    gather=gather,
)
