from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from anomri.files import write_tsv
from anomri.reporting import Axis, Chart, Record, Series, write_page
from anomri.reporting.pages.cohort_charts import cohort_charts, curve_charts, learning_charts
from anomri.reporting.pages.html import environment
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


def test_learning_curves_begin_with_the_loss() -> None:
    rows = [{"epoch": "0", "train_kl": "2", "train_loss": "1", "val_kl": "2", "val_loss": "3"}]
    charts = learning_charts(rows)
    assert [chart.title for chart in charts] == ["Loss", "KL"]
    assert charts[0].words == "Last epoch: training 1; validation 3."
    assert learning_charts([]) == []


def test_names_in_a_chart_stay_text() -> None:
    axis = Axis.share("x")
    series = Series("<script>", ((0, 0), (1, 1)), "found", "line")
    text = drawn(Chart("<b>", '"><script>', axis, axis, (series,)))
    assert "<script>" not in text
    assert "<b>" not in text


def test_a_run_folder_has_a_page_of_its_own(tmp_path: Path) -> None:
    rows = [(0, 1.0, 0.9), (1, 0.5, 0.7), (2, 0.4, 0.8)]
    write_tsv(tmp_path / "metrics.tsv", ("epoch", "train_loss", "val_loss"), rows)
    (tmp_path / "environment.json").write_text(
        '{"torch": "2.6", "seed": 3, "subjects": {"train": ["secret", "b"]}}'
    )
    (tmp_path / "thresholds.json").write_text(
        '{"healthy": {"value": 2.5, "rule": "healthy", "fitted_on": ["secret"], '
        '"false_positive_ml": 4.9}}'
    )
    (tmp_path / "recipe.yaml").write_text("name: <vae>\nabout: one of healthy heads\n")
    text = write_page(tmp_path).read_text(encoding="utf-8")
    words = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "best validation loss, epoch 1" in words
    assert "name: &lt;vae&gt;" in text
    assert "Recipe &lt;vae&gt;: one of healthy heads." in words
    assert "Fitted thresholds" in words
    assert "secret" not in text
    assert text.count("<polyline") == 2


def test_models_calibrated_together_have_a_page_of_their_own(tmp_path: Path) -> None:
    entry = (
        '{"fixed": {"value": %s, "rule": "fixed", "fitted_on": ["secret"], '
        '"false_positive_ml": null, "marked": {"median_ml": 6.8, "mean_ml": 9.4, '
        '"upper_ml": 21.4, "scans": 8}}}'
    )
    together = f'{{"whole": {entry % 4}, "small": {entry % 0.5}}}'
    (tmp_path / "together.json").write_text(together)
    for part in ("whole", "small"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "recipe.yaml").write_text(f"name: {part}_model\nabout: ready\n")
    text = write_page(tmp_path).read_text(encoding="utf-8")
    words = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "<h1>Calibration" in text
    assert "Recipe whole_model: ready." in words
    assert "name: small_model" in words
    assert "Learning curves" not in words
    assert words.count("21.4") == 2
    assert "secret" not in text


def test_one_epoch_is_a_dot_on_whole_epochs() -> None:
    (chart,) = learning_charts([{"epoch": "0", "train_loss": "0.5", "val_loss": "0.6"}])
    assert [line.drawn for line in chart.series] == ["dots", "dots"]
    assert [text for _, text in chart.across.ticks] == ["0", "1"]
