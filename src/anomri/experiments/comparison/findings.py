"""What the tables come to, in sentences that are made from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isnan

from anomri.experiments.comparison.definition import COMMON, OWN, Aim, Decision, Definition
from anomri.experiments.comparison.formatting import NONE, change, signed
from anomri.experiments.comparison.score_table import Scores
from anomri.experiments.comparison.statistics import (
    FEWEST,
    Paired,
    figure_for,
    found_of,
    mean_of,
    median_of,
    paired,
    reached,
)


def sentences_of(definition: Definition, scores: Scores) -> Iterator[str]:
    """Say of every set and pool with enough scans how networks stand to the baseline."""
    pooled = {name for names in definition.pools.values() for name in names}
    healthy = [one.name for one in definition.test if one.healthy]
    for name, sets in definition.sets.items():
        bar = scores.values(definition.baseline, "dice", sets)
        if name in {*pooled, *healthy} or len(bar) < FEWEST:
            continue
        for decision in (OWN, COMMON):
            yield from _networks(definition, scores, name, decision)
        yield from _moved(definition, scores, name)
        yield from _ranked(definition, scores, name)
        yield from _others(definition, scores, name)
        yield from _small(definition, scores, name)
    for name in healthy:
        yield from _healthy(definition, scores, name)


def _networks(
    definition: Definition, scores: Scores, name: str, decision: Decision
) -> Iterator[str]:
    """Say how many networks are above the baseline, and for how many that is more than luck."""
    against = _against(definition, scores, definition.sets[name], decision)
    if not against:
        return
    bar = mean_of(scores.values(definition.baseline, "dice", definition.sets[name]))
    above = sum(one.difference.estimate > 0 for one in against.values())
    surely = [sum(one.sign == sign for one in against.values()) for sign in (1, -1)]
    best = max(against, key=lambda row: against[row].difference.estimate)
    how = "their own decision" if decision == OWN else f"that of `{definition.baseline}`"
    yield (
        f"{name}, under {how}: {above} of {len(against)} networks taught without labels "
        f"{'has' if above == 1 else 'have'} a higher mean Dice than `{definition.baseline}` "
        f"({bar.estimate if bar else float('nan'):.3f}). The paired interval leaves zero out for "
        f"{surely[0]} above it and {surely[1]} below it. The best is `{best}`: "
        f"{change(against[best]).strip('*')}."
    )


def _moved(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Say what the decision alone does to the networks."""
    sets = definition.sets[name]
    changes = [
        moved.difference.estimate
        for row in definition.networks
        if (moved := paired(*(scores.values(row, "dice", sets, decision=d) for d in (COMMON, OWN))))
    ]
    if changes:
        better, gain = sum(one > 0 for one in changes), sum(changes) / len(changes)
        yield (
            f"{name}: the decision of `{definition.baseline}` in place of their own raises the "
            f"mean Dice of {better} of {len(changes)} networks; "
            f"the mean change is {signed(gain, 3)}."
        )


def _ranked(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Say how networks rank voxels, before anything is decided."""
    sets, base = definition.sets[name], definition.baseline
    bar = scores.values(base, "auprc", sets)
    rows = {row: paired(scores.values(row, "auprc", sets), bar) for row in definition.networks}
    ranked = [one for one in rows.values() if one is not None and one.scans >= FEWEST]
    if ranked:
        above = sum(one.difference.estimate > 0 for one in ranked)
        surely = [sum(one.sign == sign for one in ranked) for sign in (1, -1)]
        yield (
            f"{name}, before any threshold: {above} of {len(ranked)} networks taught without "
            f"labels rank voxels better than `{base}` by AUPRC; the paired interval leaves zero "
            f"out for {surely[0]} above it and {surely[1]} below it."
        )


def _others(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Say how the rows stand that are no network of a paper taught without labels."""
    sets = definition.sets[name]
    bar = scores.values(definition.baseline, "dice", sets)
    left = set(definition.networks) | set(definition.regions_only) | {definition.baseline}
    for row, group in definition.rows.items():
        one = None if row in left else paired(scores.values(row, "dice", sets), bar)
        if one is not None and one.scans >= FEWEST:
            taught = ", which is supervised," if group.supervised else ""
            yield f"{name}: `{row}`{taught} {_verdict(one, definition.baseline)}."


def _small(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Say who finds the lesions below the middle edge, and what that costs, on the same scans."""
    sets, edges = definition.sets[name], definition.edges_ml
    middle = len(edges) // 2 + 1
    scans = scores.values(definition.baseline, "dice", sets).keys()
    found = {}
    for row in definition.rows:
        alike = scores.values(row, "dice", sets).keys() == scans
        counts = found_of(scores, row, sets, edges)[:middle]
        if row not in definition.regions_only and alike and any(true for true, _ in counts):
            found[row] = (sum(hit for _, hit in counts), sum(true for true, _ in counts))
    if definition.baseline not in found:
        return
    best = max(found, key=lambda row: found[row][0] / found[row][1])
    base = definition.baseline
    costs = [mean_of(scores.values(row, "false_positive_ml", sets)) for row in (base, best)]
    shares = [f"{hit} of {true}" for hit, true in (found[base], found[best])]
    marked = [f"{cost.estimate:.0f} ml" for cost in costs if cost]
    yield (
        f"{name}, lesions under {edges[middle - 1]:g} ml: `{base}` finds {shares[0]} and marks "
        f"{marked[0]} per scan beside lesions; `{best}`, which finds the most, {shares[1]} and "
        f"{marked[1]}."
    )


def _healthy(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Say how many networks mark less where there is no tumour."""
    base = median_of(scores.values(definition.baseline, "false_positive_ml", [name]))
    for decision in (OWN, COMMON):
        medians = [
            median.estimate
            for row in definition.networks
            if (
                median := median_of(
                    scores.values(row, "false_positive_ml", [name], decision=decision)
                )
            )
        ]
        if base and medians:
            less = sum(one < base.estimate for one in medians)
            how = "their own decision" if decision == OWN else f"that of `{definition.baseline}`"
            yield (
                f"{name}, under {how}: {less} of {len(medians)} networks mark less outside the "
                f"reference than `{definition.baseline}` (median {base.estimate:.1f} ml); theirs "
                f"are between {min(medians):.1f} and {max(medians):.1f} ml."
            )


def _verdict(one: Paired, baseline: str) -> str:
    """Say how a row stands to the baseline."""
    mean = one.difference
    if mean.lower == mean.upper == 0:
        return f"has the same Dice as `{baseline}` on every scan"
    said = {1: "is above", -1: "is below", 0: "is not to be told from"}[one.sign]
    return f"{said} `{baseline}` ({change(one).strip('*')})"


def _against(
    definition: Definition, scores: Scores, sets: Sequence[str], decision: Decision
) -> Mapping[str, Paired]:
    bar = scores.values(definition.baseline, "dice", sets)
    rows = definition.networks
    compared = {r: paired(scores.values(r, "dice", sets, decision=decision), bar) for r in rows}
    return {row: one for row, one in compared.items() if one is not None and one.scans >= FEWEST}


def aims_of(definition: Definition, scores: Scores) -> Iterator[tuple[str, ...]]:
    """Yield the cells of every aim: what was wanted and what three kinds of row reach."""
    sets = definition.sets
    for aim in definition.aims:
        own, base = (
            figure_for(aim, scores, row, sets)
            for row in (definition.candidate, definition.baseline)
        )
        wanted = f"{'≤' if aim.below else '≥'} {aim.bound:g}"
        verdict = NONE if isnan(own) else "yes" if reached(aim, own) else "no"
        yield aim.text, wanted, _plain(own), _plain(base), _best(definition, scores, aim), verdict


def _best(definition: Definition, scores: Scores, aim: Aim) -> str:
    """Name the network taught without labels that comes closest to an aim."""
    rows = [row for row, group in definition.rows.items() if group.paper and not group.supervised]
    figures = {
        (row, decision): figure_for(aim, scores, row, definition.sets, decision)
        for row in rows
        for decision in (OWN, COMMON)
    }
    known = {which: figure for which, figure in figures.items() if not isnan(figure)}
    if not known:
        return NONE
    best = (min if aim.below else max)(known, key=known.__getitem__)
    row, decision = best
    how = "" if decision == OWN else f", decision of `{definition.baseline}`"
    return f"{_plain(known[best])} (`{row}`{how})"


def _plain(figure: float) -> str:
    return NONE if isnan(figure) else f"{figure:.3g}"
