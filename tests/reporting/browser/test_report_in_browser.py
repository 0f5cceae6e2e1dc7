from __future__ import annotations

import base64
import gzip
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Picture
from scipy import ndimage

from anomri.pipeline import view
from anomri.reporting import read_record, read_sound_records
from anomri.reporting.pages.viewer_volumes import read_preview

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
By = pytest.importorskip("selenium.webdriver.common.by").By

Browser = Any
WIDTHS = (1280, 768, 400)
# Sets a viewer's controls and crosshair to what they are when it opens.
AS_OPENED = """
  const set = (role, value, kind) => {
    const control = document.querySelector(`.viewer [data-part='${role}']`);
    control.value = value;
    control.dispatchEvent(new Event(kind));
  };
  set("map-opacity", 60, "input");
  set("label-opacity", 100, "input");
  set("views", "all", "change");
  document.querySelector(".viewer [data-part='reset']").click();
  document.getElementById(arguments[0]).querySelector(".jump").click();
"""


def open_page(browser: Browser, page: Path) -> None:
    browser.get(page.as_uri())
    browser.execute_script("document.documentElement.style.scrollBehavior = 'auto'")


def wait(condition: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError("the page did not get there in time")


def part(browser: Browser, role: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, f".viewer [data-part='{role}']")


def open_viewer(browser: Browser, label: str) -> None:
    figure = browser.find_element(By.CSS_SELECTOR, f"figure[data-label='{label}']")
    browser.execute_script("arguments[0].scrollIntoView()", figure)
    figure.find_element(By.CLASS_NAME, "open-viewer").click()
    wait_for_viewer(browser)


def jump_to_lesion(browser: Browser, label: str) -> None:
    jump = browser.find_element(By.CSS_SELECTOR, f"[id='{label}'] .jump")
    browser.execute_script("arguments[0].scrollIntoView()", jump)
    jump.click()


def wait_for_viewer(browser: Browser) -> None:
    wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".viewer[data-ready]"))


def slide(browser: Browser, role: str, value: int) -> None:
    browser.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
        part(browser, role),
        value,
    )


def pixels(browser: Browser) -> np.ndarray:
    """What the canvas shows, once it has been drawn."""
    canvas = browser.find_element(By.CSS_SELECTOR, ".viewer canvas")
    # All of it has to stand in the window: what lies below is not in the picture.
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    time.sleep(0.4)
    data = canvas.screenshot_as_png
    return np.asarray(Picture.open(io.BytesIO(data)).convert("RGB")).astype(int)


def set_width(browser: Browser, width: int, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def requests(browser: Browser) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [params["request"]["url"] for params in sent]


def complaints(browser: Browser) -> list[str]:
    """Errors of scripts and breaches of the page's policy."""
    entries = browser.get_log("browser")
    return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def glioma(results: Path) -> str:
    return max(read_sound_records(results)[0], key=lambda record: record.lesion_volume_ml).label


def test_the_table_sorts_and_filters(browser: Browser, results: Path) -> None:
    open_page(browser, results / "report.html")

    def volumes() -> list[float]:
        cells = browser.find_elements(By.CSS_SELECTOR, "#cohort tbody tr:not([hidden]) td.bar")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    button = browser.find_elements(By.CSS_SELECTOR, "#cohort thead button")[1]
    browser.execute_script("arguments[0].scrollIntoView()", button)
    button.click()
    assert volumes() == sorted(volumes())
    button.click()
    assert volumes() == sorted(volumes(), reverse=True)
    subject = read_sound_records(results)[0][0].subject
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys(subject)
    assert 0 < len(volumes()) < len(read_sound_records(results)[0])


def test_a_picture_stays_where_webgl_is_missing(browser: Browser, results: Path) -> None:
    without = "HTMLCanvasElement.prototype.getContext = () => null"
    made = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": without})
    try:
        open_page(browser, results / "report.html")
        assert not browser.find_elements(By.CLASS_NAME, "open-viewer")
        assert browser.find_element(By.CLASS_NAME, "no-viewer").is_displayed()
        assert browser.find_element(By.CSS_SELECTOR, ".mosaic img").is_displayed()
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", made)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_at_any_width(
    browser: Browser, results: Path, run_folder: Path, width: int, scheme: str
) -> None:
    for page in (results / "report.html", run_folder / "report.html"):
        set_width(browser, width, scheme)
        open_page(browser, page)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_it_looks_as_it_should(browser: Browser, results: Path) -> None:
    """Loosely: dark and light differ in the paper, and both have ink on it."""
    shots = {}
    for scheme in ("light", "dark"):
        set_width(browser, 768, scheme)
        open_page(browser, results / "report.html")
        data = browser.get_screenshot_as_png()
        shots[scheme] = np.asarray(Picture.open(io.BytesIO(data)).convert("L")).astype(int)
    assert np.median(shots["light"]) > 240
    assert np.median(shots["dark"]) < 40
    ink = {scheme: (np.abs(s - np.median(s)) > 60).mean() for scheme, s in shots.items()}
    assert 0.02 < ink["light"] < 0.25
    assert 0.02 < ink["dark"] < 0.25


def shot(element: Any) -> Picture.Image:
    return Picture.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two pictures of one shape; 0 where one of them is blank."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size else 0.0


def test_every_picture_is_the_one_on_disk(browser: Browser, results: Path) -> None:
    """What the browser draws is compared with the file: a blank or wrong one would not pass."""
    set_width(browser, 1280)
    open_page(browser, results / "report.html")
    browser.execute_script("document.getElementById('ratings').hidden = true")  # lies on top
    files = {
        record.label: Picture.open(
            results / record.label / "anat" / f"{record.label}_desc-qc.png"
        ).convert("RGB")
        for record in read_sound_records(results)[0]
    }
    figures = browser.find_elements(By.CSS_SELECTOR, "figure.mosaic")
    assert [figure.get_attribute("data-label") for figure in figures] == list(files)
    for figure in figures:
        drawn = shot(figure.find_element(By.TAG_NAME, "img"))
        small = (drawn.width // 4, drawn.height // 4)  # less than a pixel's shift matters little
        alike = {
            label: likeness(
                np.asarray(drawn.resize(small)).astype(float),
                np.asarray(file.resize(small)).astype(float),
            )
            for label, file in files.items()
        }
        own = figure.get_attribute("data-label")
        assert max(alike, key=lambda label: alike[label]) == own
        assert alike[own] > 0.95


def test_every_chart_has_ink(browser: Browser, results: Path) -> None:
    set_width(browser, 1280)
    open_page(browser, results / "report.html")
    charts = browser.find_elements(By.CSS_SELECTOR, ".chart")
    assert len(charts) == 6
    for chart in charts:
        drawing = chart.find_element(By.TAG_NAME, "svg")
        assert drawing.get_attribute("aria-label")
        image = np.asarray(shot(drawing)).astype(int)
        coloured = (image.max(axis=2) - image.min(axis=2)) > 40  # axes and words are grey
        assert coloured.sum() > 60, chart.text
        frame = drawing.rect
        for text in drawing.find_elements(By.TAG_NAME, "text"):
            assert text.rect["x"] >= frame["x"] - 1, text.text  # no name is cut


def test_text_has_contrast(browser: Browser, results: Path) -> None:
    """WCAG 2.2, success criterion 1.4.3: at least 4.5 to 1."""
    script = """
      const of = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
      return ["--paper","--panel","--ink","--quiet","--accent","--found","--truth"].map(of);
    """
    for scheme in ("light", "dark"):
        set_width(browser, 1280, scheme)
        open_page(browser, results / "report.html")
        paper, panel, *inks = (luminance(colour) for colour in browser.execute_script(script))
        for ground in (paper, panel):
            for ink in inks:
                lighter, darker = max(ground, ink), min(ground, ink)
                assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def luminance(colour: str) -> float:
    colour = colour if len(colour) == 7 else "#" + "".join(2 * letter for letter in colour[1:])
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.fixture
def viewer(chromium: Browser, results: Path) -> Browser:
    """The report with the viewer of the largest glioma as it opens.

    It stays open between tests, because opening it takes seconds without a graphics card.
    """
    label = glioma(results)
    ready = f"figure[data-label='{label}'] .viewer[data-ready]"
    if not chromium.find_elements(By.CSS_SELECTOR, ready):
        chromium.get("about:blank")
        for log in ("browser", "performance"):
            chromium.get_log(log)
        set_width(chromium, WIDTHS[0])
        open_page(chromium, results / "report.html")
        jump_to_lesion(chromium, label)
        wait_for_viewer(chromium)
    chromium.execute_script(AS_OPENED, label)
    return chromium


def test_the_volume_shown_is_that_of_the_map(viewer: Browser, results: Path) -> None:
    label = glioma(results)
    record = read_record(results, label)
    copy = read_preview(results, label)
    assert record is not None
    assert copy is not None
    image = nib.Nifti1Image.from_filename(
        results / label / "anat" / f"{label}_desc-anomaly_flair.nii.gz"
    )
    values = np.asanyarray(image.dataobj)
    voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
    for level in (copy.cut, 140, 220):
        slide(viewer, "threshold", level)
        shown = part(viewer, "volume").text
        cut, volume = (float(text) for text in re.findall(r"[\d.]+", shown))
        assert cut == pytest.approx(level / 255 * 3 * record.threshold.value, abs=0.006)
        exact = (values > level / 255 * 3 * record.threshold.value).sum() * voxel_ml
        assert volume == pytest.approx(exact, rel=0.06, abs=0.3)
    slide(viewer, "threshold", copy.cut)
    assert f"its mask holds {record.lesion_volume_ml:.2f} ml" in part(viewer, "written").text


def test_sliders_switches_and_contrasts_change_what_is_seen(viewer: Browser) -> None:
    first = pixels(viewer)
    assert (first.max(axis=2) > 60).mean() > 0.1  # a brain on black

    def coloured(image: np.ndarray) -> float:
        return float(((image.max(axis=2) - image.min(axis=2)) > 60).mean())

    slide(viewer, "map-opacity", 0)
    without_map = pixels(viewer)
    assert coloured(without_map) < coloured(first)
    slide(viewer, "label-opacity", 0)
    bare = pixels(viewer)
    assert coloured(bare) < coloured(without_map)
    slide(viewer, "map-opacity", 100)
    slide(viewer, "threshold", 0)
    assert coloured(pixels(viewer)) > coloured(first)
    part(viewer, "views").find_element(By.CSS_SELECTOR, "[value=coronal]").click()
    assert pixels(viewer).shape != first.shape


def test_a_lesion_and_the_keyboard_move_the_crosshair(viewer: Browser, results: Path) -> None:
    label = glioma(results)
    record = read_record(results, label)
    assert record is not None

    def where() -> list[float]:
        text = part(viewer, "where").text.replace("\N{MINUS SIGN}", "-")
        return [float(number) for number in re.findall(r"-?[\d.]+", text)[:3]]

    before = where()
    canvas = viewer.find_element(By.CSS_SELECTOR, ".viewer canvas")
    assert viewer.switch_to.active_element == canvas
    canvas.send_keys(webdriver.Keys.PAGE_UP)
    wait(lambda: where()[2] > before[2])
    canvas.send_keys(webdriver.Keys.ARROW_LEFT)
    wait(lambda: where()[0] > before[0])  # the patient's right is on the left
    jump_to_lesion(viewer, label)
    wait(lambda: where() == pytest.approx(record.findings[0].centre_mm, abs=0.06))


def test_the_value_told_is_that_of_the_map(viewer: Browser, results: Path) -> None:
    label = glioma(results)
    copy = read_preview(results, label)
    record = read_record(results, label)
    assert copy is not None
    assert record is not None
    image = nib.Nifti1Image.from_filename(
        results / label / "anat" / f"{label}_desc-anomaly_flair.nii.gz"
    )
    index = np.linalg.inv(image.affine) @ [*record.findings[0].centre_mm, 1]
    exact = np.asanyarray(image.dataobj)[tuple(np.rint(index[:3]).astype(int))]
    told = re.search(r"anomaly ([\d.]+)", part(viewer, "where").text)
    assert told is not None
    top = 3 * record.threshold.value
    assert float(told[1]) == pytest.approx(min(exact, top), abs=0.1 * top)


def test_the_viewer_draws_the_slice_it_names(viewer: Browser, results: Path) -> None:
    """The axial plane on the canvas is the copy's, with the patient's right on the left."""
    label = glioma(results)
    copy = read_preview(results, label)
    record = read_record(results, label)
    assert copy is not None
    assert record is not None
    for role in ("map-opacity", "label-opacity"):
        slide(viewer, role, 0)
    part(viewer, "views").find_element(By.CSS_SELECTOR, "[value=axial]").click()
    layer = next(layer for layer in copy.layers if layer.kind == "image")
    data = gzip.decompress(base64.b64decode(layer.voxels))
    volume = np.frombuffer(data, np.uint8).reshape(copy.shape, order="F").astype(float)
    at = np.linalg.inv(copy.affine) @ [*record.findings[0].centre_mm, 1]
    plane = volume[:, :, round(at[2])]
    seen = pixels(viewer)
    grey = np.where(np.ptp(seen, axis=2) < 30, seen.mean(axis=2), 0)  # crosshair and labels aside
    canvas = inside(grey)

    def alike(expected: np.ndarray) -> float:
        sized = Picture.fromarray(inside(expected)).resize(canvas.shape[::-1])
        return likeness(canvas, np.asarray(sized))

    radiological = alike(plane.T[::-1, ::-1])
    assert radiological > 0.9
    assert radiological > alike(plane.T[::-1]) + 0.02  # mirrored
    assert radiological > alike(volume[:, :, round(at[2]) + 12].T[::-1, ::-1]) + 0.02


def inside(image: np.ndarray) -> np.ndarray:
    """Cut a picture to what is not black, letters at the edge aside."""
    there = ndimage.binary_opening(image > 25, iterations=4)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return np.asarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], np.float32)


def test_a_print_shows_the_pictures(viewer: Browser) -> None:
    pdf = base64.b64decode(viewer.print_page())
    assert pdf.startswith(b"%PDF")
    viewer.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not viewer.find_element(By.CLASS_NAME, "viewer").is_displayed()
    assert all(
        image.is_displayed() for image in viewer.find_elements(By.CSS_SELECTOR, ".mosaic img")
    )
    viewer.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_page_and_viewer_ask_nothing_of_a_network(viewer: Browser, results: Path) -> None:
    slide(viewer, "threshold", 120)
    page = (results / "report.html").as_uri()
    own = (page, "data:", "blob:null")
    assert [url for url in requests(viewer) if not url.startswith(own)] == []
    assert complaints(viewer) == []


def test_one_viewer_is_open_at_a_time_and_can_be_closed(browser: Browser, results: Path) -> None:
    open_page(browser, results / "report.html")
    for record in read_sound_records(results)[0][:2]:
        open_viewer(browser, record.label)
        assert len(browser.find_elements(By.CSS_SELECTOR, ".viewer")) == 1
    close = part(browser, "close")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", close)
    close.click()
    assert not browser.find_elements(By.CSS_SELECTOR, ".viewer")


def test_one_scan_has_a_viewer_of_its_own(browser: Browser, results: Path, tmp_path: Path) -> None:
    label = glioma(results)
    scan = results.parent / label
    page = view(scan, result=results, out=tmp_path / "view.html")
    open_page(browser, page)
    wait_for_viewer(browser)
    images = part(browser, "image").find_elements(By.TAG_NAME, "option")
    assert {image.text for image in images} >= {"FLAIR", "T1"}
    images[1].click()
    assert "T1" in part(browser, "where").text
    assert complaints(browser) == []
    set_width(browser, 400)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 400
