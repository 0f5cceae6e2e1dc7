"""The page of a training or a calibration."""

from __future__ import annotations

import re
from pathlib import Path

from anomri.files import write_tsv
from anomri.pipeline.run_page import learning_charts, write_run_page


def page_of(folder: Path) -> str:
    page = write_run_page(folder)
    assert page is not None
    return page.read_text("utf-8")


def test_other_folders_have_no_such_page(tmp_path: Path) -> None:
    assert write_run_page(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_learning_curves_begin_with_the_loss() -> None:
    rows = [{"epoch": "0", "train_kl": "2", "train_loss": "1", "val_kl": "2", "val_loss": "3"}]
    charts = learning_charts(rows)
    assert [chart.title for chart in charts] == ["Loss", "KL"]
    assert charts[0].words == "Last epoch: training 1; validation 3."
    assert learning_charts([]) == []


def test_one_epoch_is_a_dot_on_whole_epochs() -> None:
    (chart,) = learning_charts([{"epoch": "0", "train_loss": "0.5", "val_loss": "0.6"}])
    assert [line.drawn for line in chart.series] == ["dots", "dots"]
    assert [text for _, text in chart.across.ticks] == ["0", "1"]


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
    text = page_of(tmp_path)
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
    text = page_of(tmp_path)
    words = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "<h1>Calibration" in text
    assert "Recipe whole_model: ready." in words
    assert "name: small_model" in words
    assert "Learning curves" not in words
    assert words.count("21.4") == 2
    assert "secret" not in text
