"""What a file name says about its contents: contrast, brain mask, lesion truth, or nothing.

A name is cut into words of letters and digits, in any case; two neighbours also count as one word
(``t1_post``, ``T2-FLAIR``, ``brain_mask``). The rules, in order:

1. A mask word counts when it follows the first contrast word, stands right before it
   (``seg_flair``), or when the name has no contrast word. Elsewhere it is taken for a part of the
   subject's name (``WMH_001_flair``).
2. ``brainmask`` or ``DLMUSE`` (anatomy labels, above zero is brain) makes a brain mask.
3. ``seg``, ``mask``, ``lesion``, ``label``, ``wmh``, ``DLWMLS``, ``gt``, ``gold``, ``roi`` make
   lesion truth.
4. The first contrast word: ``flair``, ``fl``, ``t2f``; ``t1ce``, ``t1gd``, ``t1c``, ``t1post``;
   ``t1``, ``t1w``, ``t1n``, ``mprage``; ``t2``, ``t2w``. A word ``brain`` after it means that the
   scan is stripped.
5. The bare word ``brain`` makes a brain mask.
6. A contrast agent named behind a T1 word, or right before it (``post_contrast``, ``gd``, ``km``),
   makes it ``t1ce``, unless the name holds a word such as ``pre`` or ``without``; the
   words "dark fluid" make a T2 a FLAIR.
7. A word of another sequence (``dwi``, ``swi``, ``pd``, ...) makes it neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from anomri.datasets.cases import BRAIN, CONTRASTS, TRUTH

OTHER = "other"
SEPARATORS = "_-. "
_STRIPPED = "stripped"
_AGENT, _NO_AGENT, _DARK_FLUID = "agent", "no agent", "dark fluid"
_ASIDE = frozenset({_AGENT, _NO_AGENT, _DARK_FLUID})  # words that only change what others say
_WORD = re.compile(r"[0-9A-Za-z]+")
# Each word is tried against these in order, whole.
_MEANINGS = {
    "flair": re.compile(r"fl|t2f|(t2w?|2d|3d)?flair(2d|3d)?"),
    "t1ce": re.compile(r"t1w?(ce|c|gd|gado?|post|contrast|ks|km)|(ce|gd|post)t1w?"),
    "t1": re.compile(r"t1[nw]?|mprage"),
    "t2": re.compile(r"t2w?"),
    BRAIN: re.compile(r"brain(mask|seg)|dlmuse"),
    TRUTH: re.compile(
        r"(lesions?|wmh|tumou?r)?(mask|seg)s?|segm|segmentations?|(brain)?lesions?|labels?(tr|ts)?"
        r"|wmh|dlwmls|gt|gold|goldstandard|roi"
    ),
    _STRIPPED: re.compile(r"brain"),
    _DARK_FLUID: re.compile(r"darkfl(uid)?|tirm"),
    _AGENT: re.compile(r"(post)?contrast|gd|gado\w*|km|ks|ce"),
    _NO_AGENT: re.compile(r"(pre|non?|without|nativ|native|plain)(contrast|gd|km|ks|ce)?"),
    OTHER: re.compile(r"pdw?|swi|dwi|dti|adc|asl|bold|flash|t2star|trace|perf|phase"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a name says.

    Attributes:
        role: a contrast, ``brain``, ``truth``, ``other``, or None when it says nothing.
        before: the text before the words that decided; the whole name when none did.
        after: the text behind them.
    """

    role: str | None
    before: str
    after: str = ""

    @property
    def subject(self) -> str:
        """What names the subject; empty when the name holds nothing but its role."""
        return self.before or self.after


@dataclass(frozen=True, slots=True)
class _Meant:
    meaning: str
    first: int  # index of its first word
    start: int  # of its characters
    stop: int


def read_name(text: str) -> Reading:
    """Read a file name without its ending.

    >>> read_name("Subj16_FL_DLWMLS")
    Reading(role='truth', before='Subj16', after='')
    >>> read_name("WMH_001-T2_FLAIR")
    Reading(role='flair', before='WMH_001', after='')
    >>> read_name("t1_007").subject
    '007'
    """
    meant = list(_meanings(text))
    contrast = _with_agent(text, meant, _contrast(text, meant))
    meant = [item for item in meant if item.meaning not in _ASIDE]
    masks = [item for item in meant if item.meaning in {BRAIN, TRUTH} and _counts(item, contrast)]
    for meaning in (BRAIN, TRUTH):
        found = next((item for item in masks if item.meaning == meaning), None)
        if found:
            return _reading(meaning, text, [item for item in (found, contrast) if item])
    if contrast:
        return _reading(contrast.meaning, text, [contrast])
    for item in meant:
        role = BRAIN if item.meaning == _STRIPPED else item.meaning
        return _reading(role, text, [item])
    return Reading(None, text)


def folder_role(name: str) -> str | None:
    """Role that a folder's name gives the files in it, as ``t1``, ``wmh_auto``, ``masks`` do.

    A name that numbers something (``lesion_07``) is a subject's and gives no role.
    """
    reading = read_name(name)
    numbered = any(character.isdigit() for character in reading.subject)
    return None if numbered or reading.role == OTHER else reading.role


def _meanings(text: str) -> Iterator[_Meant]:
    words = list(_WORD.finditer(text))
    index = 0
    while index < len(words):
        for count in (2, 1):
            run = words[index : index + count]
            meaning = _meaning("".join(word[0] for word in run))
            if meaning and len(run) == count:
                yield _Meant(meaning, index, run[0].start(), run[-1].end())
                index += count - 1
                break
        index += 1


def _contrast(text: str, meant: list[_Meant]) -> _Meant | None:
    """Return the first contrast; a dark fluid alone, or behind a T2 word, is a FLAIR."""
    contrast = next((item for item in meant if item.meaning in CONTRASTS), None)
    dark = next((item for item in meant if item.meaning == _DARK_FLUID), None)
    if dark is None or (contrast is not None and contrast.meaning != "t2"):
        return contrast
    first = dark if contrast is None or contrast.first > dark.first else contrast
    return replace(first, meaning="flair", stop=_stop(text, first, dark))


def _with_agent(text: str, meant: list[_Meant], contrast: _Meant | None) -> _Meant | None:
    """Make a T1 with a contrast agent named behind it, or right before it, a ``t1ce``."""
    if contrast is None or contrast.meaning != "t1":
        return contrast
    if any(item.meaning == _NO_AGENT for item in meant):
        return contrast
    for agent in (item for item in meant if item.meaning == _AGENT):
        if agent.first > contrast.first:
            return replace(contrast, meaning="t1ce", stop=_stop(text, contrast, agent))
        if not text[agent.stop : contrast.start].strip(SEPARATORS):
            return replace(contrast, meaning="t1ce", start=agent.start)
    return contrast


def _stop(text: str, contrast: _Meant, later: _Meant) -> int:
    """Return where the deciding words end; a subject between them, ``t1_007_km``, is kept."""
    between = text[contrast.stop : later.start].strip(SEPARATORS)
    return max(contrast.stop, later.stop) if contrast.start > 0 or not between else contrast.stop


def _meaning(word: str) -> str | None:
    word = word.lower()
    return next((name for name, form in _MEANINGS.items() if form.fullmatch(word)), None)


def _counts(mask: _Meant, contrast: _Meant | None) -> bool:
    return contrast is None or mask.first >= contrast.first - 1


def _reading(role: str, text: str, deciding: list[_Meant]) -> Reading:
    before = text[: min(item.start for item in deciding)]
    after = text[max(item.stop for item in deciding) :]
    return Reading(role, before.strip(SEPARATORS), after.strip(SEPARATORS))
