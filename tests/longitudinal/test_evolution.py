"""Known growth in synthetic heads, unchanged heads, and heads of two persons."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from anomri.errors import QualityRefused
from anomri.longitudinal import (
    Evolution,
    EvolutionRecord,
    Halfway,
    TimePoint,
    follow,
    write_evolution,
    write_evolution_tables,
)

evolution_module = sys.modules[follow.__module__]
Ball = tuple[tuple[float, float, float], float]
Heads = Callable[..., TimePoint]
MOVED = np.eye(4)
MOVED[:3, :3] = Rotation.from_euler("xyz", (4, -5, 7), degrees=True).as_matrix()
MOVED[:3, 3] = 3, -6, 4
BEFORE: dict[str, list[Ball]] = {
    "enlarged": [((21, 19, 0), 5)],
    "stable": [((-21, 19, 0), 6)],
    "shrunken": [((21, -21, 0), 7)],
    "resolved": [((-21, -21, 0), 5)],
    "merged": [((0, -8, 19), 5), ((0, 8, 19), 5)],
    "split": [((0, 0, -18), 9)],
}
AFTER: dict[str, list[Ball]] = {
    "enlarged": [((21, 19, 0), 8)],
    "stable": [((-21, 19, 0), 6)],
    "shrunken": [((21, -21, 0), 4)],
    "merged": [((0, -8, 19), 6), ((0, 8, 19), 6), ((0, 0, 19), 7)],
    "split": [((0, -7, -18), 4), ((0, 7, -18), 4)],
    "new": [((30, 0, 3), 5)],
}


def lesions(plan: dict[str, list[Ball]]) -> list[Ball]:
    return [ball for balls in plan.values() for ball in balls]


@pytest.fixture
def unmoved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take all heads to lie in the same place, without a registration."""

    def halfway(points: Sequence[TimePoint]) -> Halfway:
        return Halfway(points[0].grid, (np.eye(4),) * len(points), (0.0,) * len(points))

    monkeypatch.setattr(evolution_module, "register_halfway", halfway)


@pytest.fixture(scope="module")
def grown(head: Heads) -> Evolution:
    first = head(lesions(BEFORE), days=0)
    return follow([first, head(lesions(AFTER), moved=MOVED, gain=2.5, days=182, noise=1)])


def class_near(evolution: Evolution, place: tuple[float, float, float]) -> str:
    world = evolution.halfway.to_halfway[0] @ np.append(place, 1.0)
    standing = [change for change in evolution.changes if change.change_ml is not None]
    nearest = min(standing, key=lambda c: float(np.linalg.norm(c.centre_mm - world[:3])))
    return nearest.kind.value


@pytest.mark.parametrize("kind", sorted({*BEFORE, *AFTER}))
def test_known_growth_gets_its_class(grown: Evolution, kind: str) -> None:
    balls = [*BEFORE.get(kind, []), *AFTER.get(kind, [])]
    middle = np.mean([centre for centre, _ in balls], axis=0)
    assert class_near(grown, tuple(middle)) == kind


def test_a_lesion_has_the_same_number_in_both_native_spaces(grown: Evolution) -> None:
    for change in grown.changes:
        found = [bool((image == change.identity).any()) for image in grown.native_identities]
        assert found == [change.before is not None, change.after is not None]


def test_changes_add_up_to_the_change_of_the_whole(grown: Evolution) -> None:
    total = sum(change.change_ml or 0 for change in grown.changes)
    before, after = (point.record.lesion_volume_ml for point in grown.points)
    assert total == pytest.approx(after - before)


def test_the_change_by_year_is_that_of_the_days_between(grown: Evolution) -> None:
    change = next(c for c in grown.changes if c.kind.value == "new")
    assert change.ml_per_year == pytest.approx((change.change_ml or 0) / 182 * 365.25)


def test_neither_scan_is_favoured(grown: Evolution) -> None:
    first, second = grown.halfway.to_halfway
    # Halfway: the second position is reached by the inverse of the motion from the first.
    assert np.allclose(first @ second, np.eye(4), atol=1e-6)
    motion_found = np.linalg.inv(second) @ first
    corner = np.array([30.0, 30.0, 30.0, 1.0])
    assert np.linalg.norm((motion_found - MOVED) @ corner) < 1.0


def test_differences_of_gain_are_taken_out(grown: Evolution) -> None:
    assert grown.scales[1].sd / grown.scales[0].sd == pytest.approx(2.5, rel=0.1)


def test_page_tables_and_labels_are_written_together(grown: Evolution, tmp_path: Path) -> None:
    record = EvolutionRecord.of(
        grown, subject="head", label="sub-head", sessions=("1", "2"), key="k"
    )
    folder = write_evolution(grown, record, tmp_path)
    write_evolution_tables(tmp_path, [record])
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert "sub-head_ses-2_desc-evolution_dseg.nii.gz" in names
    page = (folder / "sub-head_desc-evolution.html").read_text("utf-8")
    assert "1 new" in page
    assert "182 days later" in page
    assert "http" not in page.split("niivue-build")[0].replace("http-equiv", "")
    table = (tmp_path / "evolution.tsv").read_text("utf-8").splitlines()
    assert len(table) == 1 + len(grown.changes)


def test_a_repeated_scan_shows_no_change(head: Heads) -> None:
    balls = lesions(BEFORE)
    evolution = follow([head(balls), head(balls, moved=MOVED, gain=0.4, noise=7)])
    assert {change.kind.value for change in evolution.changes} == {"stable"}


@pytest.mark.usefixtures("unmoved")
def test_another_person_is_refused_with_a_picture(head: Heads) -> None:
    with pytest.raises(QualityRefused, match="two subjects may be mixed up") as refused:
        follow([head([]), head([], person=1)])
    assert refused.value.evidence is not None


@pytest.mark.usefixtures("unmoved")
def test_identities_last_over_three_time_points(head: Heads) -> None:
    still: list[Ball] = [((21, 19, 0), 6)]
    gone: list[Ball] = [((-21, -21, 0), 5)]
    evolution = follow([head(still + gone), head(still, noise=1), head(still + gone, noise=2)])
    kinds = [(c.to_point, c.identity, c.kind.value) for c in evolution.changes]
    back = next(identity for _, identity, kind in kinds if kind == "resolved")
    assert (3, back, "new") in kinds
