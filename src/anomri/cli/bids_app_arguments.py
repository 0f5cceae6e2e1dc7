"""Argument lists of BIDS Apps, as those of fMRIPrep and MRIQC.

Their parser takes several values after one option, and they have options without a meaning here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anomri.cli.messages import information
from anomri.cli.option_objects import GroupedHelp

LEVELS = ("participant", "group")
SEVERAL = frozenset({"--participant-label", "--session-label", "-d", "--derivatives", "--select"})
"""Options that take several values."""
OTHER_NAMES = {
    "--participant-labels": "--participant-label",
    "--session-labels": "--session-label",
    "--session-id": "--session-label",
    **dict.fromkeys(("--n-procs", "--nthreads", "--n-cpus", "--workers"), "--nprocs"),
    **dict.fromkeys(("--ants-nthreads", "--threads"), "--omp-nthreads"),
    **dict.fromkeys(("--mem-gb", "--mem-mb", "--memory-gb"), "--mem"),
}
"""Names of options in other BIDS Apps; underscores stand for hyphens in any name."""
FLAGS = {
    "--no-sub": "nothing is ever submitted",
    "--notrack": "usage is never tracked",
    "--low-mem": "each process needs the memory of one scan; lower --nprocs",
    "--write-graph": "there is no workflow graph",
    "--stop-on-first-crash": "a failed scan never stops the others",
    "--fs-no-reconall": "FreeSurfer is not run",
    "--anat-only": "only anatomical images are read",
    "--verbose-reports": "the report is always complete",
    "--float32": "images are always float32",
    "--clean-workdir": "temporary files are always removed",
    "--resource-monitor": "resources are not recorded",
}
VALUES = {
    "--fs-license-file": "FreeSurfer is not run",
    "--fs-subjects-dir": "FreeSurfer is not run; its masks are read with --derivatives",
    "--random-seed": "results are deterministic",
    "--bids-database-dir": "there is no index to store",
    "--config-file": "settings are read from anomri.toml",
    "--use-plugin": "workers are set with --nprocs",
    "--dsname": "results do not contain the data set's name",
}
LISTS = {
    "--output-spaces": "results are on the scan's own grid",
    "--modalities": "contrasts are those of the model",
    "--ignore": "only anatomical images are read",
    "--task-id": "only anatomical images are read",
    "--run-id": "choose runs with --select run=1",
}
WITHOUT_MEANING = {**FLAGS, **VALUES, **LISTS}
"""Options of other BIDS Apps that are accepted, and why they do nothing here."""


class BidsAppCommand(GroupedHelp):
    """Command whose arguments are those of a BIDS App."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments, of which options may have several values."""
        words = [_own_name(word) for word in args]
        ctx.meta["notes"] = list(notes(words))
        rest: list[str] = super().parse_args(ctx, [*spread(without_unused(words))])
        return rest


def _own_name(word: str) -> str:
    """Return an argument with the name that an option has here.

    >>> _own_name("--mem_gb=8"), _own_name("my_data")
    ('--mem=8', 'my_data')
    """
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    name = name.replace("_", "-")
    return f"{OTHER_NAMES.get(name, name)}{equals}{value}"


def notes(args: list[str]) -> Iterator[str]:
    """Yield a note for each option that has no meaning here."""
    for name in dict.fromkeys(word.partition("=")[0] for word in args):
        if name in WITHOUT_MEANING:
            yield f"{name} has no effect: {WITHOUT_MEANING[name]}"


def show_notes(context: Any) -> None:
    """Print the notes on a command's options."""
    for note in context.meta.get("notes", ()):
        information(note)


def without_unused(args: list[str]) -> list[str]:
    """Return the arguments without options that have no meaning here, and without their values.

    >>> without_unused(["bids", "out", "--random-seed", "3", "participant", "--no-sub"])
    ['bids', 'out', 'participant']
    """
    words, kept = list(args), []
    while words:
        word = words.pop(0)
        name, equals, _ = word.partition("=")
        if name not in WITHOUT_MEANING:
            kept.append(word)
        elif not equals:
            count = 0 if name in FLAGS else 1 if name in VALUES else _values(words)
            del words[:count]
    return kept


def spread(args: list[str]) -> Iterator[str]:
    """Repeat options before each of their values.

    >>> list(spread(["--participant-label", "01", "02", "bids", "out", "participant"]))
    ['--participant-label', '01', '--participant-label', '02', 'bids', 'out', 'participant']
    """
    words = list(args)
    while words:
        word = words.pop(0)
        count = _values(words) if word in SEVERAL else 0
        if count == 0:
            yield word
        for value in words[:count]:
            yield from (word, value)
        del words[:count]


def _values(words: list[str]) -> int:
    """Return how many words are an option's values: not the next option or the folders and level.

    Two folders stand before the level; they are not taken for values.
    """
    run = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    level = next((place for place, word in enumerate(words[:run]) if word in LEVELS), run + 2)
    return max(min(run, level - 2), 0)
