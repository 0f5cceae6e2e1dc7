"""Recognition of the contrast of a series from its headers.

The first rule that applies decides:

1. Not used: no MR image, a localiser (by its image type, its name, several planes, or fewer than
   eight slices), a phase image, a derived map (ADC, FA, a projection or a reformat) or another
   sequence (diffusion, perfusion, angiography, T2*, STIR, proton density, ...).
2. Words in the description, then in the protocol and the sequence: FLAIR (also "dark fluid"), T1,
   T2. "T1 FLAIR" is a T1. A T1 is ``t1ce`` if its tag or a word ("post", "gd", "+c", "km") names a
   contrast agent, and no word such as "pre" excludes it.
3. Of several echoes under one UID, T2 and FLAIR need a long echo time, and T1 is the first echo.
4. Echo, repetition and inversion time, in ms: FLAIR has TI >= 1600 and TE >= 60; T2 has TE >= 60
   and TR >= 2000 without inversion; T1 has TE <= 30 and TR <= 1200, or TI from 300 to 1300.

The bounds of rule 4 are deliberately wider than clinical protocols at 1.5 and 3 tesla (FLAIR: TI
1800-2900, TE 80-150; T2: TE 80-120, TR 2500-6000; T1: TE below 25, TR 400-800).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from anomri.datasets.dicom.images import IMAGINARY, PHASE, REAL
from anomri.datasets.dicom.series import Series
from anomri.datasets.dicom.volumes import MIN_SLICES

MR_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image Storage
    }
)
LOCALISER = re.compile(r"\b(loc|localizers?|localisers?|scouts?|survey|3.?plane|aahead\w*)\b")
DERIVED = re.compile(
    r"\b(adc|e?fa|trace\w*|tensor|colfa|cbf|r?cbv|mtt|ttp|tmax|mip|minip|mpr|reformat\w*"
    r"|projection image|subtraction|sub|phase|pha|b0 ?map|field ?map)\b"
)
OTHER = re.compile(
    r"\b(dwi|dti|diff\w*|ep2d\w*|epi|bold|fmri|asl|pcasl|perf\w*|dsc|dce|tof|mra|mrv|angio\w*|swi"
    r"|swan|hemo|t2 ?star|t2 ?\*|gre|stir|pd|pdw|proton|spectro\w*|svs|csi)(?!\w)"
)
FLAIR = re.compile(r"\b(\w*flair\w*|tirm|dark ?fluid|darkfl)\b")
T1 = re.compile(r"\b(3?d?t1\w*|mprage|mp2rage|spgr|bravo|ir ?fspgr|tfe|vibe)\b")
T2 = re.compile(r"\b(3?d?t2\w*)\b")
WITH_AGENT = re.compile(
    r"(\b(post|gd|gado?\w*|ce|km|ks|contrast|\w*t1(c|ce|gd|post|km))\b|\+ ?c\b|\+gd)"
)
WITHOUT_AGENT = re.compile(r"\b(pre|nativ|native|without|w/?o|non|unenhanced|plain)\b")
NOT_MAGNITUDE = ((PHASE, IMAGINARY), (PHASE, IMAGINARY, REAL))  # alone, and with a magnitude
NO_AGENT = frozenset({"", "NO", "NONE", "N", "N/A", "0"})


@dataclass(frozen=True, slots=True)
class Decision:
    """The recognised contrast of a series.

    Attributes:
        contrast: ``flair``, ``t1``, ``t1ce`` or ``t2``; None if the series is not used.
        reason: why.
    """

    contrast: str | None
    reason: str


def recognise(series: Series) -> Decision:
    """Recognise the contrast of a series by the rules above."""
    reason = _unusable(series)
    if reason:
        return Decision(None, reason)
    agent = _agent(series)
    for tag in ("SeriesDescription", "ProtocolName", "SequenceName"):
        words = _plain(series.text(tag))
        contrast = _named(words, agent, series.number("InversionTime"))
        if contrast and (reason := _other_echo(series, contrast)):
            return Decision(None, reason)
        if contrast:
            enhanced = "contrast agent named" if contrast == "t1ce" and agent else ""
            reasons = [f"{_TAGS[tag]} '{words}'", enhanced]
            return Decision(contrast, "; ".join(filter(None, reasons)))
    return _timed(series, agent)


_TAGS = {
    "SeriesDescription": "described as",
    "ProtocolName": "protocol",
    "SequenceName": "sequence",
}


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[_\-.,:;()\[\]]+", " ", text.lower()).split())


def _unusable(series: Series) -> str:
    words = _plain(f"{series.text('SeriesDescription')} {series.text('ProtocolName')}")
    kind = _plain(series.text("ImageType"))
    modality = series.text("Modality")
    if modality != "MR" or series.text("SOPClassUID") not in MR_CLASSES:
        return f"not an MR image ({modality or 'modality not named'})"
    if series.kind in NOT_MAGNITUDE[bool(series.part)]:
        return f"no magnitude image ({series.kind})"
    if LOCALISER.search(words) or LOCALISER.search(kind):
        return "a localiser"
    if found := (DERIVED.search(kind) or DERIVED.search(_plain(series.text("SeriesDescription")))):
        return f"derived from other images ({found[0]})"
    if (series.number("DiffusionBValue") or 0) > 0 or "diffusion" in kind:
        return "another sequence (diffusion)"
    if (found := OTHER.search(words)) and not _is_t2_of_dual_echo(series, words):
        return f"another sequence ({found[0]})"
    return incomplete(series)


def incomplete(series: Series) -> str:
    """Return why a series is not a whole volume; empty if it is."""
    if len(series.planes) > 1:
        return "a localiser: its slices lie in several planes"
    if series.slices < MIN_SLICES:
        slices = "1 slice" if series.slices == 1 else f"{series.slices} slices"
        return (
            f"a localiser or incomplete: {slices}, expected {MIN_SLICES} or more; "
            "choose the folder with all files of the series"
        )
    return series.fault() or ""


def _is_t2_of_dual_echo(series: Series, words: str) -> bool:
    """Whether the series is the late echo of a proton density and T2 pair."""
    pair = series.echo[1] > 1 and bool(T2.search(words.replace("+", " ")))
    density = {found[1] for found in OTHER.finditer(words)} <= {"pd", "pdw", "proton"}
    return pair and density and (series.number("EchoTime") or 0.0) >= LONG_TE


def _other_echo(series: Series, contrast: str) -> str:
    """Return why one of several echoes does not have the contrast in the series name."""
    echo, of = series.echo
    time = series.number("EchoTime")
    if of == 1 or time is None:
        return ""
    which = f"echo {echo} of {of}, TE {time:g} ms"
    if contrast in ("flair", "t2"):
        return (
            ""
            if time >= LONG_TE
            else f"{which}: too early for {contrast}; {_how_to_choose(series)}"
        )
    return "" if echo == 1 else f"{which}: the first one is used; {_how_to_choose(series)}"


def _how_to_choose(series: Series) -> str:
    return f"use --series CONTRAST={series.number_text} to choose it"


def _agent(series: Series) -> bool:
    return series.text("ContrastBolusAgent").strip().upper() not in NO_AGENT


def _named(words: str, agent: bool, inversion: float | None) -> str | None:
    """Return the contrast named in the description."""
    t1 = bool(T1.search(words))
    # GE calls an inversion-prepared T1 "T1 FLAIR"; its inversion time is short.
    if FLAIR.search(words) and not (t1 and (inversion is None or inversion < LONG_TI)):
        return "flair"
    if t1:
        enhanced = bool(WITH_AGENT.search(words)) or agent
        return "t1ce" if enhanced and not WITHOUT_AGENT.search(words) else "t1"
    return "t2" if T2.search(words) else None


LONG_TI, LONG_TE, LONG_TR = 1600.0, 60.0, 2000.0
_CHOOSE = "use --series CONTRAST=NUMBER to choose it"
SHORT_TE, SHORT_TR, T1_TI = 30.0, 1200.0, (300.0, 1300.0)


def _timed(series: Series, agent: bool) -> Decision:
    """Recognise the contrast by echo, repetition and inversion time."""
    tags = {"TE": "EchoTime", "TR": "RepetitionTime", "TI": "InversionTime"}
    times = {name: series.number(tag) for name, tag in tags.items()}
    listed = ", ".join(f"{name} {value:g} ms" for name, value in times.items() if value is not None)
    te, tr, ti = times["TE"], times["TR"], times["TI"] or 0.0
    if te is None or tr is None:
        return Decision(
            None,
            f"neither its description nor its timing parameters identify its contrast; {_CHOOSE}",
        )
    if te >= LONG_TE and ti >= LONG_TI:
        return Decision("flair", listed)
    if te >= LONG_TE and tr >= LONG_TR and not ti:
        return Decision("t2", listed)
    if te <= SHORT_TE and (T1_TI[0] <= ti <= T1_TI[1] or (tr <= SHORT_TR and not ti)):
        return Decision("t1ce" if agent else "t1", listed + (", contrast agent" if agent else ""))
    return Decision(None, f"no known contrast has {listed}; {_CHOOSE}")
