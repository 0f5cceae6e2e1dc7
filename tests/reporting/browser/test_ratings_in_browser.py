"""A reader rates scans and judges findings in the report, without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anomri.files import RATINGS, read_tsv
from anomri.pipeline import report
from anomri.pipeline.rating import read_ratings
from anomri.reporting import Record, read_sound_records
from anomri.reporting.pages import results_page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
By = pytest.importorskip("selenium.webdriver.common.by").By

Browser = Any
EVIL = "<img src=x onerror=document.title='hacked'>"
HEAD = "subject\tlabel\tlesion\tvolume_ml\trating\tjudgement\trated\n"


@pytest.fixture
def page(browser: Browser, results: Path, tmp_path: Path) -> Iterator[Browser]:
    """The report, with nothing kept from another test, and a folder for what is saved."""
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Page.setDownloadBehavior", folder)
    open_fresh(browser, results / "report.html")
    yield browser
    browser.execute_script("try { localStorage.clear() } catch {}")


def open_fresh(browser: Browser, path: Path) -> None:
    browser.get(path.as_uri())
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    browser.execute_script("document.documentElement.style.scrollBehavior = 'auto'")


def largest(results: Path) -> Record:
    return max(read_sound_records(results)[0], key=lambda record: record.lesion_volume_ml)


def wait(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError("the page did not get there in time")


def press(browser: Browser, *keys: str) -> None:
    webdriver.ActionChains(browser).send_keys(*keys).perform()


def pressed(browser: Browser, label: str) -> list[str]:
    marked = browser.find_elements(By.CSS_SELECTOR, f"[id='{label}'] button[aria-pressed=true]")
    return [button.get_attribute("value") for button in marked]


def said(browser: Browser) -> str:
    return str(browser.find_element(By.CSS_SELECTOR, "[data-part=said]").text)


def save(browser: Browser, folder: Path) -> Path:
    browser.find_element(By.CSS_SELECTOR, "[data-part=save]").click()
    return Path(wait(lambda: next(folder.glob("ratings.tsv"), None)))


def focus(browser: Browser, selector: str) -> Any:
    found = browser.find_element(By.CSS_SELECTOR, selector)
    browser.execute_script("arguments[0].focus()", found)
    return found


def test_keys_rate_a_scan_and_its_findings_and_the_file_is_read_back(
    page: Browser, results: Path, tmp_path: Path
) -> None:
    record = largest(results)
    focus(page, f"[id='{record.label}']")
    press(page, "3")
    assert said(page) == f"{record.subject}: acceptable."
    focus(page, f"[id='{record.label}'] tr[data-lesion='1'] button")
    press(page, "n")
    assert pressed(page, record.label) == ["3", "not_real"]
    cell = page.find_element(By.CSS_SELECTOR, f"#cohort tr[data-label='{record.label}']")
    assert cell.text.endswith("3 acceptable")
    page.refresh()  # kept by the browser
    wait(lambda: pressed(page, record.label) == ["3", "not_real"])
    scan, finding = read_ratings(save(page, tmp_path))
    assert (scan.subject, scan.label, scan.rating) == (record.subject, record.label, 3)
    assert (finding.lesion, finding.judgement) == (1, "not_real")
    assert finding.volume_ml == pytest.approx(record.findings[0].volume_ml, abs=0.005)
    assert page.get_log("browser") == []


def test_a_rating_is_cleared_and_keys_can_be_switched_off(page: Browser, results: Path) -> None:
    label = largest(results).label
    focus(page, f"[id='{label}']")
    press(page, "4", "0")
    assert pressed(page, label) == []
    page.find_element(By.CSS_SELECTOR, "[data-part=keys]").click()
    focus(page, f"[id='{label}']")
    press(page, "4")
    assert pressed(page, label) == []
    page.find_element(By.CSS_SELECTOR, f"[id='{label}'] button[value='2']").click()
    assert pressed(page, label) == ["2"]


def test_keys_move_between_scans_and_leave_the_filter_alone(page: Browser, results: Path) -> None:
    labels = [record.label for record in read_sound_records(results)[0]]
    press(page, "j", "j")
    assert page.switch_to.active_element.get_attribute("id") == labels[1]
    press(page, "k")
    assert page.switch_to.active_element.get_attribute("id") == labels[0]
    search = page.find_element(By.CSS_SELECTOR, "input[type=search]")
    search.send_keys("n1")
    assert search.get_attribute("value") == "n1"
    assert not any(pressed(page, label) for label in labels)


def test_a_dot_leads_to_its_scan(page: Browser, results: Path) -> None:
    label = largest(results).label
    dot = page.find_element(By.CSS_SELECTOR, f".chart a[href='#{label}']")
    assert "volume found" in dot.get_attribute("aria-label")
    focus(page, f".chart a[href='#{label}']")
    press(page, webdriver.Keys.ENTER)
    assert page.current_url.endswith(f"#{label}")


def load(browser: Browser, path: Path) -> str:
    before = said(browser)
    browser.find_element(By.CSS_SELECTOR, "[data-part=file]").send_keys(str(path))
    return str(wait(lambda: said(browser) != before and said(browser)))


def test_a_saved_file_is_loaded_and_the_later_rating_holds(
    page: Browser, results: Path, tmp_path: Path
) -> None:
    record = largest(results)
    row = f"{record.subject}\t{record.label}\tn/a\t{record.lesion_volume_ml:.6g}\t"
    old, new = f"{row}2\tn/a\t2026-01-01T00:00:00Z\n", f"{row}4\tn/a\t2026-01-02T00:00:00Z\n"
    path = tmp_path / "theirs.tsv"
    path.write_text(HEAD + new + old, "utf-8")
    assert load(page, path).startswith("2 ratings read from theirs.tsv")
    assert pressed(page, record.label) == ["4"]
    path.write_text(HEAD + new.replace(f"{record.lesion_volume_ml:.6g}", "0.5"), "utf-8")
    page.execute_script("localStorage.clear()")
    page.refresh()
    load(page, path)
    assert pressed(page, record.label) == []  # of a result with another volume


NO_RATINGS = (
    "\x00\x01",
    HEAD + f"{EVIL}\tsub-x\tn/a\t1\t{EVIL}\tn/a\t2026-01-01T00:00:00Z\n",
    HEAD + f"{EVIL}\t{EVIL}\t1\t1\tn/a\treal\t{EVIL}\n",
    HEAD.replace("rating", EVIL),
)


def test_other_files_are_refused_and_nothing_in_them_runs(page: Browser, tmp_path: Path) -> None:
    for number, content in enumerate(NO_RATINGS):
        path = tmp_path / f"{number}<img src=x onerror=alert(1)>.tsv"
        path.write_text(content, "utf-8")
        assert "Next: choose a ratings.tsv" in load(page, path)
    assert "Scans rated: 0. Findings judged: 0" in page.find_element(By.ID, "ratings").text
    assert "hacked" not in page.title
    assert not page.find_elements(By.CSS_SELECTOR, "img[src=x]")


def test_hostile_names_stay_text_in_page_and_file(page: Browser, tmp_path: Path) -> None:
    path = tmp_path / "names.tsv"
    path.write_text(HEAD + f"=1+1 {EVIL}\t{EVIL}\tn/a\t1\t3\tn/a\t2026-01-01T00:00:00Z\n", "utf-8")
    load(page, path)
    assert "hacked" not in page.title
    (row,) = read_tsv(save(page, tmp_path))
    assert row["subject"] == f"=1+1 {EVIL}"  # escaped in the file, for spreadsheets
    assert "\n'=1+1" in (tmp_path / RATINGS).read_text("utf-8")


def test_pages_of_single_subjects_share_their_ratings(
    browser: Browser, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_page, "MAX_ON_ONE_PAGE", 1)
    out = tmp_path / "apart"
    for path in results.rglob("*"):
        if path.is_file() and path.parent.name != "report":
            copy = out / path.relative_to(results)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    report(out)
    first, second = read_sound_records(out)[0][:2]
    open_fresh(browser, out / "report" / f"{first.label}.html")
    press(browser, "2", "j")
    wait(lambda: browser.current_url.endswith(f"{second.label}.html"))
    press(browser, "1")
    browser.get((out / "report.html").as_uri())
    cells = browser.find_elements(By.CSS_SELECTOR, "#cohort tr[data-label] td:last-child")
    assert [cell.text for cell in cells[:2]] == ["2 poor", "1 unusable"]
    dots = browser.find_elements(By.CSS_SELECTOR, ".chart a")
    assert f"report/{first.label}.html" in {dot.get_dom_attribute("href") for dot in dots}
    browser.execute_script("localStorage.clear()")
