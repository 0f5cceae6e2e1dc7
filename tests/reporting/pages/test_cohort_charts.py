from __future__ import annotations

from collections.abc import Callable

import pytest

from anomri.reporting import Axis, Chart, Record, Series, environment
from anomri.reporting.pages.cohort_charts import cohort_charts, curve_charts
from anomri.scan import Detection

Detect = Callable[..., Detection]


def cohort(detect: Detect) -> list[Record]:
    healthy = [True, True, False, False]
    return [Record.of(detect(subject=f"s{n}", healthy=h)) for n, h in enumerate(healthy)]


def drawn(chart: Chart) -> str:
    source = '{% from "chart.html.j2" import chart %}{{ chart(item) }}'
    return environment().from_string(source).render(item=chart)


def test_places_run_right_and_up() -> None:
    axis = Axis.share("x")
    chart = Chart("t", "w", axis, axis, ())
    left, top, right, bottom = chart.frame
    assert (float(chart.x(0)), float(chart.x(1))) == (left, right)
    assert (float(chart.y(0)), float(chart.y(1))) == (bottom, top)
    assert float(chart.x(7)) == right  # nothing is drawn outside the frame


def test_an_axis_holds_its_values_between_round_marks() -> None:
    axis = Axis.around("ml", (3.0, 47.0))
    assert (axis.low, axis.ticks[0]) == (0, (0, "0"))
    assert axis.high >= 47
    assert Axis.around("ml", (0.0, 0.0)).high > 0


def test_groups_are_told_apart_in_dots_and_in_words(detect: Detect) -> None:
    volume, _, calibration, agreement = cohort_charts(cohort(detect))
    assert volume.words.startswith("healthy (2): median 3.9 ml;")
    assert "patients (2)" in volume.words
    assert drawn(volume).count("<circle") == 4
    assert [line.name for line in calibration.series] == ["healthy (2)", "patients (2)"]
    assert drawn(agreement).count("<circle") == 4


def test_the_calibration_counts_the_map(detect: Detect) -> None:
    found = detect()
    record = Record.of(found)
    values = found.anomaly.values[0]
    assert record.volume_above_ml[3] == pytest.approx((values > 2).sum() * 0.008)
    assert record.volume_above_ml[5] == pytest.approx((values > 3).sum() * 0.008)
    assert list(record.volume_above_ml) == sorted(record.volume_above_ml, reverse=True)


def test_other_thresholds_of_a_probability_end_at_one(detect: Detect) -> None:
    likely = [r.model_copy(update={"units": "tumour probability"}) for r in cohort(detect)]
    cut = likely[0].threshold.model_copy(update={"value": 0.5})
    likely = [record.model_copy(update={"threshold": cut}) for record in likely]
    calibration = cohort_charts(likely)[2]
    assert (calibration.across.low, calibration.across.high) == (0.5, 2)
    assert max(x for line in calibration.series for x, _ in line.points) == 2


def test_names_beside_dots_have_room(detect: Detect) -> None:
    volume = cohort_charts(cohort(detect))[0]
    left, _, _, bottom = volume.frame
    assert left >= 9 * len("patients") + 8  # a letter of 15 px is 9 px wide at most
    assert bottom < volume.height


def test_two_scans_are_no_distribution(detect: Detect) -> None:
    assert cohort_charts(cohort(detect)[:2]) == []


def test_curves_are_averaged_at_equal_sensitivity() -> None:
    rows = [
        {"subject": s, "sensitivity": r, "precision": p, "false_positive_rate": f}
        for s, r, p, f in (
            *(("a", "0.5", "1.0", "0.0"), ("a", "1.0", "0.5", "0.1")),
            *(("b", "0.5", "0.8", "0.2"), ("b", "1.0", "0.3", "0.3")),
        )
    ]
    recall, roc = curve_charts(rows)
    assert recall.series[-1].points == ((0.5, 0.9), (1.0, 0.4))
    assert roc.series[-1].points == ((0.1, 0.5), (0.2, 1.0))
    assert curve_charts([]) == []


def test_names_in_a_chart_stay_text() -> None:
    axis = Axis.share("x")
    series = Series("<script>", ((0, 0), (1, 1)), "found", "line")
    text = drawn(Chart("<b>", '"><script>', axis, axis, (series,)))
    assert "<script>" not in text
    assert "<b>" not in text
