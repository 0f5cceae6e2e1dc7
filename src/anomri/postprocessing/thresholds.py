"""Rules that set the threshold, each leaving its provenance in the :class:`Threshold`.

=========== ============================== ======================================================
rule        looks at                       value
=========== ============================== ======================================================
fixed       nothing                        as given
robust      the scan itself                median + k · 1.4826 · MAD of its values
healthy     lesion-free tissue of others   lowest whose mean false-positive volume is allowed
labelled    labelled scans of others       best mean Dice of ``values > threshold``
oracle      the test scans' own labels     as labelled; an upper bound and never a result
=========== ============================== ======================================================

``fixed`` and ``robust`` return the threshold. The others return a :class:`Fit`: maps are added one
by one, so that memory stays that of one scan however many there are. What a fit keeps per scan is
a count at each of :data:`CUTS`; every count is exact, and the grid is fine enough that its value
is within 0.2 % of the best one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from anomri.errors import UsageError
from anomri.postprocessing.state import SegmentationState
from anomri.recipe import Size
from anomri.scan import REGIONS, AnomalyMap, Mask, Threshold

log = logging.getLogger(__name__)

# Values to choose a threshold from: 0 and both signs of a grid in steps of 0.2 %. The last one
# is the largest number that a map can hold, so that nothing is above it.
_ABOVE_0 = np.asarray([*np.geomspace(1e-6, 1e9, 17_300), np.finfo(np.float32).max])
CUTS = np.concatenate([-_ABOVE_0[::-1], np.zeros(1), _ABOVE_0])


FOLDS = 10


class Fit(Protocol):
    """A threshold in the making."""

    def add(self, anomaly: AnomalyMap) -> bool:
        """Learn from one cleaned map; tell whether there was something to learn in it."""

    def absorb(self, other: Self) -> None:
        """Learn what another fit of the same kind has learnt."""

    def threshold(self) -> Threshold:
        """Return the threshold for all maps so far.

        Raises:
            UsageError: there was nothing to learn in any of them.
        """


def fixed(_candidate: SegmentationState, *, value: float) -> Threshold:
    """Take ``value``, in the units of the map."""
    return Threshold(value=value, rule="fixed")


def robust(state: SegmentationState, *, k: float = 3.0) -> Threshold:
    """Take ``median + k * 1.4826 * MAD`` of the scan's own values inside the brain."""
    centre, spread = state.centre_and_spread()
    return Threshold(value=centre + k * spread, rule="robust")


def healthy(*, false_positive_ml: Size = 5.0) -> Fit:
    """Take the lowest value above which healthy scans hold at most ``false_positive_ml`` each.

    Args:
        false_positive_ml: volume in ml, in the mean over the scans.
    """
    return _HealthyFit(false_positive_ml)


def labelled(*, candidates: Sequence[float] = ()) -> Fit:
    """Take the value with the best mean Dice over labelled scans (Lambert et al., section 3).

    Of the labels those of the region count that the map shows; see ``REGIONS``.

    Args:
        candidates: values to choose from; all of :data:`CUTS` where there are none.
    """
    return _LabelledFit("labelled", candidates)


def oracle(*, candidates: Sequence[float] = ()) -> Fit:
    """Do as :func:`labelled` does, on the very scans that are judged; called oracle everywhere."""
    return _LabelledFit("oracle", candidates)


class ThresholdFits:
    """The rules that a model is calibrated by, all in one pass over the scans.

    Subjects are dealt to :data:`FOLDS` folds as they come, so that there is also a threshold that
    a subject had no part in. Memory does not grow with their number.

    Args:
        false_positive_ml: see :func:`healthy`.
        candidates: see :func:`labelled`.
    """

    def __init__(self, *, false_positive_ml: float = 5.0, candidates: Sequence[float] = ()) -> None:
        self._rules: dict[str, Callable[[], Any]] = {
            "healthy": partial(healthy, false_positive_ml=false_positive_ml),
            "labelled": partial(labelled, candidates=candidates),
        }
        self._all = {rule: begin() for rule, begin in self._rules.items()}
        self._folds = {rule: [begin() for _ in range(FOLDS)] for rule, begin in self._rules.items()}
        self._fold_of: dict[str, int] = {}
        self._fitted: set[str] = set()

    def add(self, anomaly: AnomalyMap) -> None:
        """Learn from one cleaned map."""
        fold = self._fold_of.setdefault(anomaly.scan.subject, len(self._fold_of) % FOLDS)
        for rule, begin in self._rules.items():
            one = begin()
            if one.add(anomaly):
                self._all[rule].absorb(one)
                self._folds[rule][fold].absorb(one)
                self._fitted.add(rule)

    def thresholds(self) -> dict[str, Threshold]:
        """Return the threshold of each rule that found something to learn from."""
        return {rule: fit.threshold() for rule, fit in self._all.items() if rule in self._fitted}

    def thresholds_without(self, subject: str) -> dict[str, Threshold]:
        """Return the thresholds of the folds that this subject is not in."""
        found = {}
        for rule, begin in self._rules.items():
            rest = begin()
            for number, fold in enumerate(self._folds[rule]):
                if number != self._fold_of.get(subject):
                    rest.absorb(fold)
            with suppress(UsageError):  # the others had nothing to learn from
                found[rule] = rest.threshold()
        return found


def fit_all(fit: Fit, maps: Iterable[AnomalyMap]) -> Threshold:
    """Add ``maps`` to ``fit``, one in memory at a time, and return its threshold."""
    for anomaly in maps:
        fit.add(anomaly)
    return fit.threshold()


class _HealthyFit:
    def __init__(self, false_positive_ml: float) -> None:
        self._allowed = false_positive_ml
        self._subjects: list[str] = []
        self._above = np.zeros(CUTS.size)

    def add(self, anomaly: AnomalyMap) -> bool:
        tissue = _lesion_free(anomaly)
        if not tissue.any():
            return False
        state = SegmentationState.of(anomaly)
        self._above += _count_above(state.values[tissue], CUTS) * state.voxel_ml
        self._subjects.append(anomaly.scan.subject)
        return True

    def absorb(self, other: Self) -> None:
        self._above += other._above
        self._subjects += other._subjects

    def threshold(self) -> Threshold:
        subjects = _subjects("healthy", self._subjects, "a scan with lesion-free brain")
        expected = self._above / len(self._subjects)
        lowest = int(np.argmax(expected <= self._allowed))
        return Threshold(
            value=float(CUTS[lowest]),
            rule="healthy",
            fitted_on=subjects,
            false_positive_ml=float(expected[lowest]),
        )


class _LabelledFit:
    def __init__(self, rule: str, candidates: Sequence[float]) -> None:
        self._rule = rule
        self._cuts = np.sort(np.asarray(candidates, dtype=np.float64)) if candidates else CUTS
        self._subjects: list[str] = []
        self._dice = np.zeros(self._cuts.size)

    def add(self, anomaly: AnomalyMap) -> bool:
        if anomaly.scan.truth is None:
            return False
        lesion, brain = np.isin(anomaly.scan.truth, REGIONS[anomaly.shown]), anomaly.brain
        if not lesion.any():
            return False  # without a lesion there is no Dice to raise
        values = SegmentationState.of(anomaly).values
        hit = _count_above(values[brain & lesion], self._cuts)
        marked = hit + _count_above(values[brain & ~lesion], self._cuts)
        self._dice += 2 * hit / (marked + lesion.sum())
        self._subjects.append(anomaly.scan.subject)
        return True

    def absorb(self, other: Self) -> None:
        self._dice += other._dice
        self._subjects += other._subjects

    def threshold(self) -> Threshold:
        subjects = _subjects(self._rule, self._subjects, "a scan with a labelled lesion")
        best = np.flatnonzero(self._dice == self._dice.max())
        # Several cuts may give the same masks: the middle one is farthest from changing them.
        value = float(self._cuts[best[best.size // 2]])
        return Threshold(value=value, rule=self._rule, fitted_on=subjects)


def _lesion_free(anomaly: AnomalyMap) -> Mask:
    """Return the brain without its lesions; none of it where lesions must be but are not drawn."""
    scan = anomaly.scan
    if scan.truth is not None:
        tissue: Mask = anomaly.brain & (scan.truth == 0)
        return tissue
    if scan.lesions_unknown:
        log.warning("%s: not healthy and without labels; left out", scan.subject)
        return np.zeros_like(anomaly.brain)
    if scan.healthy is None:
        log.warning("%s: nothing says whether it is healthy; taken as healthy", scan.subject)
    return anomaly.brain


def _count_above(values: NDArray[np.float32], cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the values above each of the ascending ``cuts``."""
    at_most = np.searchsorted(np.sort(values), cuts, side="right")
    return (values.size - at_most).astype(np.float64)


def _subjects(rule: str, names: list[str], wanted: str) -> tuple[str, ...]:
    if not names:
        raise UsageError(
            f"threshold rule '{rule}': expected {wanted}, got none. "
            "Next: add scans, or choose another rule such as 'robust'."
        )
    return tuple(dict.fromkeys(names))
