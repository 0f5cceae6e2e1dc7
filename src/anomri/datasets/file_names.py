"""Contrasts, brain masks and lesion masks recognised by file name.

A name is split into words of letters and digits, ignoring case; two adjacent words also count as
one (``t1_post``, ``T2-FLAIR``, ``brain_mask``). The rules, in order:

1. A mask word counts after the first contrast word, directly before it (``seg_flair``), or in a
   name without a contrast word. Elsewhere it is part of the subject's name (``WMH_001_flair``).
2. ``brainmask`` or ``DLMUSE`` (anatomical labels, above zero is brain) is a brain mask.
3. ``seg``, ``mask``, ``lesion``, ``label``, ``wmh``, ``DLWMLS``, ``gt``, ``gold`` and ``roi`` are
   lesion masks.
4. The first contrast word: ``flair``, ``fl``, ``t2f``; ``t1ce``, ``t1gd``, ``t1c``, ``t1post``;
   ``t1``, ``t1w``, ``t1n``, ``mprage``; ``t2``, ``t2w``. The word ``brain`` after it means that the
   scan is skull-stripped.
5. The word ``brain`` alone is a brain mask.
6. A contrast agent after a T1 word, or directly before it (``post_contrast``, ``gd``, ``km``),
   makes it ``t1ce``, unless the name has a word such as ``pre`` or ``without``; "dark fluid" makes
   a T2 a FLAIR.
7. A word for another sequence (``dwi``, ``swi``, ``pd``, ...) is none of these.
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
_MODIFIERS = frozenset({_AGENT, _NO_AGENT, _DARK_FLUID})  # change the meaning of other words
_WORD = re.compile(r"[0-9A-Za-z]+")
# Each word is matched in full, in this order.
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
class ParsedName:
    """The role in a file name, and the text around it.

    Attributes:
        role: a contrast, ``brain``, ``truth``, ``other``, or None if the name has none.
        before: the text before the words of the role; the whole name if it has none.
        after: the text after them.
    """

    role: str | None
    before: str
    after: str = ""

    @property
    def subject(self) -> str:
        """Name of the subject; empty if the file name has nothing but its role."""
        return self.before or self.after


@dataclass(frozen=True, slots=True)
class _Keyword:
    meaning: str
    first: int  # index of its first word
    start: int  # position of its first character
    stop: int  # position after its last character


def parse_name(text: str) -> ParsedName:
    """Parse a file name without its ending.

    >>> parse_name("Subj16_FL_DLWMLS")
    ParsedName(role='truth', before='Subj16', after='')
    >>> parse_name("WMH_001-T2_FLAIR")
    ParsedName(role='flair', before='WMH_001', after='')
    >>> parse_name("t1_007").subject
    '007'
    """
    keywords = list(_keywords(text))
    contrast = _with_agent(text, keywords, _contrast(text, keywords))
    keywords = [item for item in keywords if item.meaning not in _MODIFIERS]
    masks = [
        item for item in keywords if item.meaning in {BRAIN, TRUTH} and _counts(item, contrast)
    ]
    for meaning in (BRAIN, TRUTH):
        mask = next((item for item in masks if item.meaning == meaning), None)
        if mask:
            return _parsed(meaning, text, [item for item in (mask, contrast) if item])
    if contrast:
        return _parsed(contrast.meaning, text, [contrast])
    for item in keywords:
        role = BRAIN if item.meaning == _STRIPPED else item.meaning
        return _parsed(role, text, [item])
    return ParsedName(None, text)


def folder_role(name: str) -> str | None:
    """Return the role of all files in a folder named ``t1``, ``wmh_auto``, ``masks`` or the like.

    A numbered name (``lesion_07``) is that of a subject and has no role.
    """
    parsed = parse_name(name)
    numbered = any(character.isdigit() for character in parsed.subject)
    return None if numbered or parsed.role == OTHER else parsed.role


def _keywords(text: str) -> Iterator[_Keyword]:
    words = list(_WORD.finditer(text))
    index = 0
    while index < len(words):
        for count in (2, 1):
            run = words[index : index + count]
            meaning = _meaning("".join(word[0] for word in run))
            if meaning and len(run) == count:
                yield _Keyword(meaning, index, run[0].start(), run[-1].end())
                index += count - 1
                break
        index += 1


def _contrast(text: str, keywords: list[_Keyword]) -> _Keyword | None:
    """Return the first contrast; "dark fluid" alone, or after a T2 word, is a FLAIR."""
    contrast = next((item for item in keywords if item.meaning in CONTRASTS), None)
    dark = next((item for item in keywords if item.meaning == _DARK_FLUID), None)
    if dark is None or (contrast is not None and contrast.meaning != "t2"):
        return contrast
    first = dark if contrast is None or contrast.first > dark.first else contrast
    return replace(first, meaning="flair", stop=_stop(text, first, dark))


def _with_agent(text: str, keywords: list[_Keyword], contrast: _Keyword | None) -> _Keyword | None:
    """Turn a T1 with a contrast agent named after it, or directly before it, into ``t1ce``."""
    if contrast is None or contrast.meaning != "t1":
        return contrast
    if any(item.meaning == _NO_AGENT for item in keywords):
        return contrast
    for agent in (item for item in keywords if item.meaning == _AGENT):
        if agent.first > contrast.first:
            return replace(contrast, meaning="t1ce", stop=_stop(text, contrast, agent))
        if not text[agent.stop : contrast.start].strip(SEPARATORS):
            return replace(contrast, meaning="t1ce", start=agent.start)
    return contrast


def _stop(text: str, contrast: _Keyword, later: _Keyword) -> int:
    """Return where the words of the role end; a subject between them (``t1_007_km``) is kept."""
    between = text[contrast.stop : later.start].strip(SEPARATORS)
    return max(contrast.stop, later.stop) if contrast.start > 0 or not between else contrast.stop


def _meaning(word: str) -> str | None:
    word = word.lower()
    return next((name for name, form in _MEANINGS.items() if form.fullmatch(word)), None)


def _counts(mask: _Keyword, contrast: _Keyword | None) -> bool:
    return contrast is None or mask.first >= contrast.first - 1


def _parsed(role: str, text: str, deciding: list[_Keyword]) -> ParsedName:
    before = text[: min(item.start for item in deciding)]
    after = text[max(item.stop for item in deciding) :]
    return ParsedName(role, before.strip(SEPARATORS), after.strip(SEPARATORS))
