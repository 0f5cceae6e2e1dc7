"""The follow-up page in a real browser: two linked scans, and nothing asked of a network."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from anomri.pipeline import Selection, follow_up
from anomri.reporting import read_sound_records

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
By = pytest.importorskip("selenium.webdriver.common.by").By
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait


@pytest.fixture(scope="session")
def page(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of the largest lesion, with its own copy as the second time point."""
    out = tmp_path_factory.mktemp("followed")
    record = max(read_sound_records(results)[0], key=lambda record: record.lesion_volume_ml)
    outcome = follow_up([results, results], out, selection=Selection.of_labels([record.label]))
    assert outcome.done == [record.label]
    return out / record.label / f"{record.label}_desc-evolution.html"


@pytest.fixture
def viewer(chromium: Any, page: Path) -> Any:
    """Return the browser once both scans are drawn; the page stays open between tests."""
    if chromium.current_url != page.as_uri():
        for log in ("browser", "performance"):
            chromium.get_log(log)
        chromium.get(page.as_uri())
        WebDriverWait(chromium, 30).until(
            lambda b: b.find_elements(By.CSS_SELECTOR, "#viewer[data-ready]")
        )
    return chromium


def canvas(browser: Any, side: str) -> np.ndarray:
    shown = browser.find_element(By.ID, side)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", shown)
    time.sleep(0.4)
    picture = Picture.open(io.BytesIO(shown.screenshot_as_png)).convert("RGB")
    return np.asarray(picture).astype(int)


def test_both_scans_show_one_place(viewer: Any) -> None:
    left, right = (canvas(viewer, side) for side in ("left", "right"))
    assert left.std() > 5
    # One scan at both time points: the same picture, but for the halves of pixels at its border.
    assert np.abs(left - right).mean() < 2


def test_the_crosshair_moves_in_both_scans(viewer: Any) -> None:
    before = [canvas(viewer, side) for side in ("left", "right")]
    place = viewer.find_element(By.ID, "where").text
    shown = viewer.find_element(By.ID, "left")
    webdriver.ActionChains(viewer).move_to_element_with_offset(shown, 40, 30).click().perform()
    assert viewer.find_element(By.ID, "where").text != place
    after = [canvas(viewer, side) for side in ("left", "right")]
    assert all(np.abs(one - other).mean() > 0.1 for one, other in zip(before, after, strict=True))


def test_lesions_can_be_hidden(viewer: Any) -> None:
    coloured = canvas(viewer, "right")
    viewer.find_element(By.ID, "overlay").click()
    plain = canvas(viewer, "right")
    viewer.find_element(By.ID, "overlay").click()
    assert np.abs(coloured - plain).max() > 20


def test_the_page_asks_nothing_of_a_network(viewer: Any, page: Path) -> None:
    messages = [json.loads(entry["message"])["message"] for entry in viewer.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    own = (page.as_uri(), "data:", "blob:null")
    assert [m for m in sent if not m["request"]["url"].startswith(own)] == []
    severe = [entry for entry in viewer.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
