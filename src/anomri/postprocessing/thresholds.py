"""Threshold rules; each records its provenance in the :class:`Threshold`.

=========== ================================ ====================================================
rule        data                             value
=========== ================================ ====================================================
fixed       none                             as given
robust      the scan itself                  median + k · 1.4826 · MAD of its values
healthy     lesion-free tissue, other scans  lowest whose mean false-positive volume is allowed
labelled    labelled lesions, other scans    best mean Dice of ``values > threshold``
oracle      labels of the test scans         as ``labelled``; an upper bound, never a result
=========== ================================ ====================================================

``fixed`` and ``robust`` return the threshold. The other rules return a :class:`Fit`, to which maps
are added one by one, so that memory does not grow with their number. A fit accumulates one number
per entry of :data:`CUTS`; the numbers are exact, and the grid is fine enough for a value within
0.2 % of the best one.
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

# Candidate thresholds: 0 and a grid of both signs in steps of 0.2 %. The last one is the largest
# float32 number, so that no value of a map is above it.
_ABOVE_0 = np.asarray([*np.geomspace(1e-6, 1e9, 17_300), np.finfo(np.float32).max])
CUTS = np.concatenate([-_ABOVE_0[::-1], np.zeros(1), _ABOVE_0])

FOLDS = 10


class Fit(Protocol):
    """Incremental fit of a threshold."""

    def add(self, anomaly: AnomalyMap) -> bool:
        """Add a cleaned map; return whether it holds data for this rule."""

    def merge(self, fit: Self) -> None:
        """Add the maps of another fit of the same rule."""

    def threshold(self) -> Threshold:
        """Return the threshold for all maps so far.

        Raises:
            UsageError: no map holds data for this rule.
        """


def fixed(_state: SegmentationState, *, value: float) -> Threshold:
    """Return ``value``, in the units of the map, as threshold."""
    return Threshold(value=value, rule="fixed")


def robust(state: SegmentationState, *, k: float = 3.0) -> Threshold:
    """Return ``median + k * 1.4826 * MAD`` of the scan's values inside the brain."""
    centre, spread = state.centre_and_spread()
    return Threshold(value=centre + k * spread, rule="robust")


def healthy(*, false_positive_ml: Size = 5.0) -> Fit:
    """Fit the lowest threshold with at most ``false_positive_ml`` above it per healthy scan.

    Args:
        false_positive_ml: allowed volume in ml, in the mean over the scans.
    """
    return _HealthyFit(false_positive_ml)


def labelled(*, candidates: Sequence[float] = ()) -> Fit:
    """Fit the threshold with the best mean Dice over labelled scans (Lambert et al., section 3).

    The reference is the region that the map shows; see ``REGIONS``.

    Args:
        candidates: thresholds to choose from; all of :data:`CUTS` by default.
    """
    return _LabelledFit("labelled", candidates)


def oracle(*, candidates: Sequence[float] = ()) -> Fit:
    """Fit as :func:`labelled` does, on the test scans themselves; always reported as oracle."""
    return _LabelledFit("oracle", candidates)


class ThresholdFits:
    """Fits of all calibration rules, in one pass over the scans.

    Subjects are distributed over :data:`FOLDS` folds in order of appearance, so that a threshold
    without a given subject's fold is available too. Memory does not grow with their number.

    Args:
        false_positive_ml: see :func:`healthy`.
        candidates: see :func:`labelled`.
    """

    def __init__(self, *, false_positive_ml: float = 5.0, candidates: Sequence[float] = ()) -> None:
        self._rules: dict[str, Callable[[], Any]] = {
            "healthy": partial(healthy, false_positive_ml=false_positive_ml),
            "labelled": partial(labelled, candidates=candidates),
        }
        self._all = {rule: new_fit() for rule, new_fit in self._rules.items()}
        self._folds = {
            rule: [new_fit() for _ in range(FOLDS)] for rule, new_fit in self._rules.items()
        }
        self._fold_of: dict[str, int] = {}
        self._fitted: set[str] = set()

    def add(self, anomaly: AnomalyMap) -> None:
        """Add a cleaned map to the fits of all rules."""
        fold = self._fold_of.setdefault(anomaly.scan.subject, len(self._fold_of) % FOLDS)
        for rule, new_fit in self._rules.items():
            fit = new_fit()
            if fit.add(anomaly):
                self._all[rule].merge(fit)
                self._folds[rule][fold].merge(fit)
                self._fitted.add(rule)

    def thresholds(self) -> dict[str, Threshold]:
        """Return the threshold of each rule for which there were data."""
        return {rule: fit.threshold() for rule, fit in self._all.items() if rule in self._fitted}

    def thresholds_without(self, subject: str) -> dict[str, Threshold]:
        """Return the thresholds fitted to all folds but the subject's own."""
        thresholds = {}
        for rule, new_fit in self._rules.items():
            rest = new_fit()
            for number, fold in enumerate(self._folds[rule]):
                if number != self._fold_of.get(subject):
                    rest.merge(fold)
            with suppress(UsageError):  # no data in the other folds
                thresholds[rule] = rest.threshold()
        return thresholds


def fit_all(fit: Fit, maps: Iterable[AnomalyMap]) -> Threshold:
    """Add ``maps`` to ``fit``, with one in memory at a time, and return its threshold."""
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

    def merge(self, fit: Self) -> None:
        self._above += fit._above
        self._subjects += fit._subjects

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
            return False  # Dice without a lesion does not depend on the threshold
        values = SegmentationState.of(anomaly).values
        true_positives = _count_above(values[brain & lesion], self._cuts)
        marked = true_positives + _count_above(values[brain & ~lesion], self._cuts)
        self._dice += 2 * true_positives / (marked + lesion.sum())
        self._subjects.append(anomaly.scan.subject)
        return True

    def merge(self, fit: Self) -> None:
        self._dice += fit._dice
        self._subjects += fit._subjects

    def threshold(self) -> Threshold:
        subjects = _subjects(self._rule, self._subjects, "a scan with a labelled lesion")
        best = np.flatnonzero(self._dice == self._dice.max())
        # Several cuts may give the same masks; the middle one is the most robust choice.
        value = float(self._cuts[best[best.size // 2]])
        return Threshold(value=value, rule=self._rule, fitted_on=subjects)


def _lesion_free(anomaly: AnomalyMap) -> Mask:
    """Return the brain without labelled lesions; empty for unlabelled scans of patients."""
    scan = anomaly.scan
    if scan.truth is not None:
        tissue: Mask = anomaly.brain & (scan.truth == 0)
        return tissue
    if scan.lesions_unknown:
        log.warning("%s: not healthy and without lesion labels; skipped", scan.subject)
        return np.zeros_like(anomaly.brain)
    if scan.healthy is None:
        log.warning("%s: healthy or not is unknown; assumed to be healthy", scan.subject)
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
