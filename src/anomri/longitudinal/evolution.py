"""The evolution of one subject's lesions over two or more time points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomri.errors import Evidence, QualityRefused
from anomri.longitudinal.agreement import MIN_DETAIL, MIN_OVERLAP, Agreement, agreement
from anomri.longitudinal.brightness import Scale, healthy_in_common
from anomri.longitudinal.found_lesions import found_lesions
from anomri.longitudinal.halfway import Halfway, register_halfway
from anomri.longitudinal.interval import Comparison, Interval, LesionChange
from anomri.longitudinal.time_points import TimePoint
from anomri.scan import Grid, Mask, Volume

NEXT_STEP = "check that all scans are of one person, and check their brain masks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution:
    """How the lesions of one subject changed.

    Attributes:
        points: the time points, earliest first.
        halfway: the space that they were compared in.
        images: (I, J, K) of each in this space, in robust standard deviations of healthy tissue.
        brains: (I, J, K) bool each.
        identities: (I, J, K) each: number of each lesion, the same at all time points.
        native_identities: (I, J, K) each, on the grid of its own file.
        scales: brightness of each in units of its image.
        agreements: of each with the first time point.
        changes: by interval, then by identity.
    """

    points: tuple[TimePoint, ...]
    halfway: Halfway
    images: tuple[Volume, ...]
    brains: tuple[Mask, ...]
    identities: tuple[NDArray[np.int32], ...]
    native_identities: tuple[NDArray[np.int32], ...]
    scales: tuple[Scale, ...]
    agreements: tuple[Agreement, ...]
    changes: tuple[LesionChange, ...]


def follow(points: Sequence[TimePoint]) -> Evolution:
    """Compare the time points of one subject.

    Args:
        points: two or more, earliest first, with the same contrast.

    Raises:
        QualityRefused: a scan cannot be registered, or its brain is another one.
    """
    try:
        halfway = register_halfway(points)
    except RuntimeError as error:  # ITK: the images do not overlap
        raise _refused(points[-1], "brains that can be registered", "no overlap") from error
    spacing = halfway.grid.spacing[0]
    brains = [halfway.mask(p.brain, p.native, n) for n, p in enumerate(points)]
    labels = [halfway.labels(p.lesions, p.native, n) for n, p in enumerate(points)]
    healthy = healthy_in_common(brains, [found > 0 for found in labels], spacing)
    raw = [halfway.volume(p.image, p.grid, n) for n, p in enumerate(points)]
    seen = [halfway.mask(np.ones(p.native.shape, bool), p.native, n) for n, p in enumerate(points)]
    agreements = [
        agreement((raw[0], raw[n]), (brains[0], brains[n]), seen[0] & seen[n], healthy, spacing)
        for n in range(len(points))
    ]
    for number, measured in enumerate(agreements):
        _check(points[number], measured, raw[number], brains[0], halfway)
    scales = [Scale.of(image, healthy) for image in raw]
    images = [scale.apply(image) for scale, image in zip(scales, raw, strict=True)]
    renamed, changes = _track(points, labels, images, brains, halfway.grid)
    return Evolution(
        points=tuple(points),
        halfway=halfway,
        images=tuple(images),
        brains=tuple(brains),
        identities=tuple(r[found] for r, found in zip(renamed, labels, strict=True)),
        native_identities=tuple(r[p.lesions] for r, p in zip(renamed, points, strict=True)),
        scales=tuple(scales),
        agreements=tuple(agreements),
        changes=tuple(changes),
    )


def _track(
    points: Sequence[TimePoint],
    labels: Sequence[NDArray[np.int32]],
    images: Sequence[Volume],
    brains: Sequence[Mask],
    grid: Grid,
) -> tuple[list[NDArray[np.int32]], list[LesionChange]]:
    """Follow all lesions from one time point to the next.

    Returns:
        For each time point the identity of each of its lesions by number, 0 for 0, and all changes.
    """
    lesions = [found_lesions(point) for point in points]
    tissue = np.logical_and.reduce(brains) & ~np.logical_or.reduce([found > 0 for found in labels])
    renamed = [np.arange(max([0, *lesions[0]]) + 1, dtype=np.int32)]
    known, present, changes = labels[0], lesions[0], list[LesionChange]()
    for number in range(1, len(points)):
        interval = Interval(
            number=number,
            days=_days(points[number - 1], points[number]),
            images=(images[number - 1], images[number]),
            tissue=tissue,
            affine=grid.affine,
            spacing_mm=grid.spacing[0],
            first_new=1 + max([0, *(int(names.max(initial=0)) for names in renamed)]),
        )
        names, found = Comparison(
            interval=interval,
            known=known,
            present=present,
            labels=labels[number],
            lesions=lesions[number],
        ).run()
        renamed.append(names)
        changes += found
        ended = {c.identity for c in found if c.related and c.after is None}
        known = _last_seen(known, names[labels[number]], ended)
        present = {int(names[n]): lesion for n, lesion in lesions[number].items()}
    return renamed, changes


def _last_seen(
    known: NDArray[np.int32], now: NDArray[np.int32], ended: set[int]
) -> NDArray[np.int32]:
    """Return where each lesion was seen last; lesions that were joined to another one are gone."""
    gone = np.isin(known, [*np.unique(now), *ended])
    return np.where(now > 0, now, np.where(gone, 0, known)).astype(np.int32)


def _days(before: TimePoint, after: TimePoint) -> int | None:
    if before.days is None or after.days is None:
        return None
    return after.days - before.days


def _check(
    point: TimePoint, measured: Agreement, image: Volume, brain: Mask, halfway: Halfway
) -> None:
    """Raise where a brain does not lie on that of the first time point, or is another one."""
    evidence = Evidence(image, brain, halfway.grid.spacing)
    if not measured.registered:
        got = f"{measured.overlap:.2f}: the scan could not be registered"
        raise _refused(point, f"brains that overlap by {MIN_OVERLAP:.2f} or more", got, evidence)
    if not measured.same_brain:
        expected = f"the first time point's brain, with a correlation of {MIN_DETAIL:.2f} or more"
        got = f"another brain, {measured.detail:.2f}: two subjects may be mixed up"
        raise _refused(point, expected, got, evidence)


def _refused(
    point: TimePoint, expected: str, got: str, evidence: Evidence | None = None
) -> QualityRefused:
    return QualityRefused(
        point.label, expected=expected, got=got, next_step=NEXT_STEP, evidence=evidence
    )
