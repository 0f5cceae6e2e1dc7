"""Findings: sentences that summarise the tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isnan

from anomri.experiments.comparison.definition import COMMON, OWN, Aim, Decision, Definition
from anomri.experiments.comparison.formatting import NONE, change, signed
from anomri.experiments.comparison.score_table import Scores
from anomri.experiments.comparison.statistics import (
    FEWEST,
    Paired,
    figure_for,
    lesions_by_volume,
    mean_of,
    median_of,
    paired,
    reached,
)


def findings_of(definition: Definition, scores: Scores) -> Iterator[str]:
    """Compare networks with the baseline on every set and pool with enough scans."""
    pooled = {name for names in definition.pools.values() for name in names}
    healthy = [scan_set.name for scan_set in definition.test if scan_set.healthy]
    for name, sets in definition.sets.items():
        baseline = scores.values(definition.baseline, "dice", sets)
        if name in {*pooled, *healthy} or len(baseline) < FEWEST:
            continue
        for decision in (OWN, COMMON):
            yield from _networks(definition, scores, name, decision)
        yield from _effect_of_decision(definition, scores, name)
        yield from _ranking(definition, scores, name)
        yield from _other_rows(definition, scores, name)
        yield from _small_lesions(definition, scores, name)
    for name in healthy:
        yield from _healthy_scans(definition, scores, name)


def _networks(
    definition: Definition, scores: Scores, name: str, decision: Decision
) -> Iterator[str]:
    """Count the networks above the baseline, and the differences that are significant."""
    comparisons = _against_baseline(definition, scores, definition.sets[name], decision)
    if not comparisons:
        return
    baseline = mean_of(scores.values(definition.baseline, "dice", definition.sets[name]))
    above, significant = _counts(comparisons.values())
    best = max(comparisons, key=lambda row: comparisons[row].difference.estimate)
    how = "their own decision" if decision == OWN else f"that of `{definition.baseline}`"
    yield (
        f"{name}, under {how}: {above} of {len(comparisons)} networks trained without labels "
        f"{'has' if above == 1 else 'have'} a higher mean Dice than `{definition.baseline}` "
        f"({baseline.estimate if baseline else float('nan'):.3f}). Of these "
        f"differences {significant[0]} are significantly above and {significant[1]} below zero. "
        f"The best is `{best}`: {change(comparisons[best]).strip('*')}."
    )


def _counts(comparisons: Collection[Paired]) -> tuple[int, list[int]]:
    """Count differences above 0, and the significant ones above and below 0."""
    above = sum(comparison.difference.estimate > 0 for comparison in comparisons)
    signs = [comparison.sign for comparison in comparisons]
    return above, [signs.count(sign) for sign in (1, -1)]


def _effect_of_decision(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Compare the networks under the common and under their own decision."""
    sets = definition.sets[name]
    comparisons = (
        paired(*(scores.values(row, "dice", sets, decision=d) for d in (COMMON, OWN)))
        for row in definition.networks
    )
    changes = [comparison.difference.estimate for comparison in comparisons if comparison]
    if changes:
        better, gain = sum(value > 0 for value in changes), sum(changes) / len(changes)
        yield (
            f"{name}: the decision of `{definition.baseline}` in place of their own raises the "
            f"mean Dice of {better} of {len(changes)} networks; "
            f"the mean change is {signed(gain, 3)}."
        )


def _ranking(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Compare the networks by AUPRC, without thresholds."""
    sets, baseline = definition.sets[name], definition.baseline
    reference = scores.values(baseline, "auprc", sets)
    rows = [paired(scores.values(row, "auprc", sets), reference) for row in definition.networks]
    comparisons = [row for row in rows if row is not None and row.scans >= FEWEST]
    if comparisons:
        above, significant = _counts(comparisons)
        yield (
            f"{name}, before any threshold: {above} of {len(comparisons)} networks trained without "
            f"labels rank voxels better than `{baseline}` by AUPRC; of these "
            f"differences {significant[0]} are significantly above and {significant[1]} below zero."
        )


def _other_rows(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Compare all rows but the networks trained without labels with the baseline."""
    sets = definition.sets[name]
    baseline = scores.values(definition.baseline, "dice", sets)
    excluded = set(definition.networks) | set(definition.regions_only) | {definition.baseline}
    for row, group in definition.rows.items():
        if row in excluded:
            continue
        comparison = paired(scores.values(row, "dice", sets), baseline)
        if comparison is not None and comparison.scans >= FEWEST:
            training = ", which is supervised," if group.supervised else ""
            yield f"{name}: `{row}`{training} {_verdict(comparison, definition.baseline)}."


def _small_lesions(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Name the row that finds most lesions below the middle limit, with its false positives."""
    sets, edges = definition.sets[name], definition.edges_ml
    middle = len(edges) // 2 + 1
    scans = scores.values(definition.baseline, "dice", sets).keys()
    detected = {}
    for row in definition.rows:
        same_scans = scores.values(row, "dice", sets).keys() == scans
        counts = lesions_by_volume(scores, row, sets, edges)[:middle]
        lesions = sum(count for count, _ in counts)
        if row not in definition.regions_only and same_scans and lesions:
            detected[row] = (sum(found for _, found in counts), lesions)
    if definition.baseline not in detected:
        return
    best = max(detected, key=lambda row: detected[row][0] / detected[row][1])
    base = definition.baseline
    costs = [mean_of(scores.values(row, "false_positive_ml", sets)) for row in (base, best)]
    shares = [f"{found} of {lesions}" for found, lesions in (detected[base], detected[best])]
    marked = [f"{cost.estimate:.0f} ml" for cost in costs if cost]
    yield (
        f"{name}, lesions under {edges[middle - 1]:g} ml: `{base}` finds {shares[0]} and marks "
        f"{marked[0]} per scan beside lesions; `{best}`, which finds the most, {shares[1]} and "
        f"{marked[1]}."
    )


def _healthy_scans(definition: Definition, scores: Scores, name: str) -> Iterator[str]:
    """Count the networks that mark less than the baseline in scans without a tumour."""
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
            less = sum(median < base.estimate for median in medians)
            how = "their own decision" if decision == OWN else f"that of `{definition.baseline}`"
            yield (
                f"{name}, under {how}: {less} of {len(medians)} networks mark less outside the "
                f"reference than `{definition.baseline}` (median {base.estimate:.1f} ml); theirs "
                f"are between {min(medians):.1f} and {max(medians):.1f} ml."
            )


def _verdict(comparison: Paired, baseline: str) -> str:
    """Describe a row relative to the baseline."""
    mean = comparison.difference
    if mean.lower == mean.upper == 0:
        return f"has the same Dice as `{baseline}` on every scan"
    relation = {1: "is above", -1: "is below", 0: "cannot be distinguished from"}[comparison.sign]
    return f"{relation} `{baseline}` ({change(comparison).strip('*')})"


def _against_baseline(
    definition: Definition, scores: Scores, sets: Sequence[str], decision: Decision
) -> Mapping[str, Paired]:
    """Compare each network with the baseline; networks with too few scans are left out."""
    baseline = scores.values(definition.baseline, "dice", sets)
    comparisons = {
        row: paired(scores.values(row, "dice", sets, decision=decision), baseline)
        for row in definition.networks
    }
    return {row: c for row, c in comparisons.items() if c is not None and c.scans >= FEWEST}


def aims_of(definition: Definition, scores: Scores) -> Iterator[tuple[str, ...]]:
    """Yield the cells of every aim: bound, candidate, baseline, best network and verdict."""
    sets = definition.sets
    for aim in definition.aims:
        own, base = (
            figure_for(aim, scores, row, sets)
            for row in (definition.candidate, definition.baseline)
        )
        bound = f"{'≤' if aim.below else '≥'} {aim.bound:g}"
        verdict = NONE if isnan(own) else "yes" if reached(aim, own) else "no"
        best = _best(definition, scores, aim)
        yield aim.text, bound, _formatted(own), _formatted(base), best, verdict


def _best(definition: Definition, scores: Scores, aim: Aim) -> str:
    """Return the figure and name of the unsupervised network that is best for an aim."""
    rows = [row for row, group in definition.rows.items() if group.paper and not group.supervised]
    figures = {
        (row, decision): figure_for(aim, scores, row, definition.sets, decision)
        for row in rows
        for decision in (OWN, COMMON)
    }
    measured = {key: figure for key, figure in figures.items() if not isnan(figure)}
    if not measured:
        return NONE
    best = (min if aim.below else max)(measured, key=measured.__getitem__)
    row, decision = best
    how = "" if decision == OWN else f", decision of `{definition.baseline}`"
    return f"{_formatted(measured[best])} (`{row}`{how})"


def _formatted(figure: float) -> str:
    return NONE if isnan(figure) else f"{figure:.3g}"
