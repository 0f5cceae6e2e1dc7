"""A real browser with no network, and a page of phantoms to look at in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anomri.datasets import find
from anomri.detector import load
from anomri.errors import BadIntensities, Failure
from anomri.evaluation import write_table
from anomri.pipeline import detect, evaluate, report
from anomri.reporting import write_failures
from anomri.synthesis import make_phantoms

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    # Whatever the page asked of a network would fail and be seen in the log.
    "--proxy-server=127.0.0.1:9",
    "--window-size=1280,1000",
)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Detections in four phantoms, their evaluation and one failure, as a page."""
    folder = tmp_path_factory.mktemp("phantoms")
    make_phantoms(folder, healthy=1, gliomas=2, lesions=1, spacing_mm=3.0)
    found = find(folder, "phantom")
    out = folder / "results"
    detect(found, load("intensity", device="cpu"), out)
    evaluate(out, found, out)
    error = BadIntensities("a.nii.gz", expected="numbers", got="NaN", next_step="Export again.")
    write_failures(out, [Failure.of(error, subject="<b>broken</b>", label="sub-broken")])
    report(out)
    return out


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short training leaves behind."""
    run = tmp_path_factory.mktemp("run")
    losses = [{"epoch": n, "train_loss": 1 / (n + 1), "val_loss": 1.1 / (n + 1)} for n in range(5)]
    write_table(run / "metrics.tsv", losses)
    (run / "environment.json").write_text(json.dumps({"torch": "2", "seed": 0}))
    report(run)
    return run


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Headless Chromium with software WebGL; skips where it is not installed."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no browser here: install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    browser.set_script_timeout(60)
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser with an empty page and empty logs; a viewer left open would go on drawing."""
    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)
    yield chromium
    chromium.get("about:blank")
