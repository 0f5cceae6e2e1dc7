from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image as Picture

from anomri.errors import Failure, UsageError
from anomri.files import REFUSAL_PICTURE, REPORT, write_tsv
from anomri.reporting import (
    environment,
    niivue,
    read_sound_records,
    write_detection,
    write_failures,
    write_page,
    write_tables,
)
from anomri.reporting.derivatives import detection as derivatives
from anomri.reporting.pages import html
from anomri.reporting.pages import results_page as page
from anomri.reporting.pages.results_contents import Case, contents
from anomri.scan import Detection, Note, NoteKind

Detect = Callable[..., Detection]

INERT = (None, "application/json", "text/plain")
EVIL = "<script>alert('x')</script>\"onload=alert(1)"


def failure(subject: str, file: str, reason: str, next_step: str) -> Failure:
    return Failure(subject=subject, label="sub-x", file=file, reason=reason, next_step=next_step)


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.fixture
def out(detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with a scan whose name is an attack, one failure and an evaluation."""
    stream = io.BytesIO()
    Picture.new("RGB", (60, 40), "navy").save(stream, "png")
    monkeypatch.setattr(derivatives, "picture", lambda _: stream.getvalue())  # drawn elsewhere
    spacing, evil = Note(NoteKind.VOXEL_SIZE, "spacing unknown"), Note(NoteKind.OTHER, EVIL)
    write_detection(detect(subject="plain", notes=(spacing,)), tmp_path)
    write_detection(detect(subject=EVIL, label="sub-evil", notes=(evil,)), tmp_path)
    write_tables(tmp_path, [failure(EVIL, EVIL, EVIL, EVIL)])
    rows = [("plain", 0.5, 12.0), (EVIL, 0.75, 8.0)]
    write_tsv(tmp_path / "evaluation.tsv", ("subject", "dice", "hd95_mm"), rows)
    summary = [("dice", 0.625, 0.5, 0.75), (EVIL, 0.1, 0.0, 0.2)]
    write_tsv(tmp_path / "evaluation_summary.tsv", ("metric", "mean", "low", "high"), summary)
    return tmp_path


@pytest.fixture
def text(out: Path) -> str:
    return write_page(out).read_text(encoding="utf-8")


def test_names_stay_text(text: str) -> None:
    tags = Tags(text).seen
    scripts = [attributes for tag, attributes in tags if tag == "script"]
    assert [script.get("type") for script in scripts].count(None) == 2  # the page's own
    assert all(script.get("type") in INERT for script in scripts)
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert not any("style" in attributes for _, attributes in tags)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_nothing_is_loaded_from_elsewhere(text: str) -> None:
    links = [
        value or ""
        for _, attributes in Tags(text).seen
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data", "poster")
    ]
    assert links
    assert all(link.startswith(("#", "data:image/webp;base64,")) for link in links)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|https?://", text)


def test_the_policy_admits_exactly_the_page_s_own_script_and_style(text: str) -> None:
    policy = next(
        attributes["content"]
        for tag, attributes in Tags(text).seen
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    scripts = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    allowed = [digest(script) for script in scripts] + [niivue().source]
    assert len(scripts) == 2
    assert f"style-src {digest(style)};" in policy
    assert f"script-src {' '.join(allowed)};" in policy


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_links_within_the_page_lead_somewhere(text: str) -> None:
    tags = Tags(text).seen
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {a["href"] for tag, a in tags if tag == "a" and a["href"]}
    assert {target.removeprefix("#") for target in targets if target} <= set(ids)


def test_pictures_are_embedded_and_told_in_words(text: str) -> None:
    pictures = [attributes for tag, attributes in Tags(text).seen if tag == "img"]
    assert len(pictures) == 2
    for attributes in pictures:
        assert "sagittal slice of sub-" in (attributes["alt"] or "")
        data = base64.b64decode((attributes["src"] or "").partition(",")[2])
        size = Picture.open(io.BytesIO(data)).size
        assert size == (int(attributes["width"] or 0), int(attributes["height"] or 0))


def test_it_says_what_was_found_failed_and_measured(text: str) -> None:
    words = re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)
    words = " ".join(words.split())
    assert "Research use only" in words
    assert "spacing unknown" in words
    assert "0.62 mean Dice" in words
    assert "0.750" in words
    assert "HD95 (mm)" in words
    assert "fitted on 2 subjects" in words
    assert "Could not be used" in words
    assert "were analysed with anomri" in words
    assert "Weninger" in words


def test_the_page_is_made_from_the_disk_alone(out: Path) -> None:
    before = {path.name for path in out.iterdir()}
    first = write_page(out).read_bytes()
    assert write_page(out).read_bytes() == first
    assert {path.name for path in out.iterdir()} - before == {REPORT}  # no draft is left


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError):
        html.write_html(tmp_path / "page.html", "page.html.j2")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_picture_is_said(out: Path) -> None:
    (out / "sub-evil" / "anat" / "sub-evil_desc-qc.png").unlink()
    text = write_page(out).read_text(encoding="utf-8")
    assert "picture of this scan is missing" in text


def test_an_oracle_is_called_one(out: Path) -> None:
    path = out / "sub-evil" / "anat" / "sub-evil_label-lesion_mask.json"
    path.write_text(path.read_text().replace('"healthy"', '"oracle"'))
    assert "Oracle threshold" in write_page(out).read_text(encoding="utf-8")


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path: Path) -> None:
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert "No scan has been finished" in text


def test_a_missing_folder_is_an_error_of_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="anomri detect"):
        write_page(tmp_path / "nowhere")


def test_memory_does_not_grow_with_the_cohort(out: Path) -> None:
    """The page is a stream: each scan is read when its turn comes, and written before the next."""
    records = read_sound_records(out)[0]
    shown = contents(out, out, records * 2) | {"pages": ""}
    order: list[str] = []

    def noted(case: Case) -> page.Embedded | None:
        order.append("read")
        return page.embed(out, case)

    shown |= {"embed": noted, "preview": lambda _: None, "refusal": lambda _: None}
    for chunk in environment().get_template("page.html.j2").generate(**shown):
        order += ["sent"] if "<img" in chunk else []
    assert order == ["read", "sent"] * len(records) * 2


@pytest.fixture
def crowd(detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """More scans than one page holds."""
    monkeypatch.setattr(page, "MAX_ON_ONE_PAGE", 2)
    monkeypatch.setattr(derivatives, "picture", lambda _: b"")
    monkeypatch.setattr(page, "embed", lambda *_: None)
    for number in range(4):
        write_detection(detect(subject=f"s{number}"), tmp_path)
    return tmp_path


def test_a_crowd_gets_an_index_and_a_page_each(crowd: Path) -> None:
    index = Tags(write_page(crowd).read_text(encoding="utf-8")).seen
    links = {attributes.get("href") for tag, attributes in index if tag == "a"}
    for number in range(4):
        name = f"report/sub-s{number}.html"
        assert name in links
        own = Tags((crowd / name).read_text(encoding="utf-8")).seen
        assert "../report.html" in {attributes.get("href") for tag, attributes in own if tag == "a"}
        previews = [a for tag, a in own if tag == "script" and a.get("class") == "preview"]
        assert [a["data-label"] for a in previews] == [f"sub-s{number}"]
    assert not any(attributes.get("class") == "preview" for _, attributes in index)


def test_heavy_scans_get_a_page_each_too(crowd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MAX_ON_ONE_PAGE", 10)
    write_page(crowd)
    assert not (crowd / "report").exists()
    monkeypatch.setattr(page, "HEAVY", 1000)
    write_page(crowd)
    assert len(list((crowd / "report").glob("*.html"))) == 4


def test_an_evaluation_may_lie_elsewhere(out: Path) -> None:
    scores = out / "scores"
    scores.mkdir()
    for name in ("evaluation.tsv", "evaluation_summary.tsv"):
        (out / name).rename(scores / name)
    assert "mean Dice" not in write_page(out).read_text(encoding="utf-8")
    assert "mean Dice" in write_page(out, scores=scores).read_text(encoding="utf-8")


def test_an_evaluation_alone_has_a_page(out: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores"
    scores.mkdir()
    for name in ("evaluation.tsv", "evaluation_summary.tsv"):
        (out / name).rename(scores / name)
    text = write_page(scores).read_text(encoding="utf-8")
    assert "mean Dice" in text
    assert "No scan has been finished" not in text
    tags = Tags(text).seen
    targets = {a["href"].removeprefix("#") for tag, a in tags if tag == "a" and a["href"]}
    assert targets - {"main"} <= {a["id"] for _, a in tags if "id" in a}


def test_who_was_not_evaluated_is_told_with_the_reason(out: Path) -> None:
    same = failure(EVIL, EVIL, EVIL, EVIL)  # could not be used, which the page says elsewhere
    lost = failure("sub-x", "mask.nii.gz", "another grid", "look at it")
    lost = replace(lost, status="not detected")
    write_failures(out, [same, lost], name="evaluation_failures.tsv")
    text = words_of(write_page(out))
    _, _, told = text.partition("Not evaluated")
    assert "mask.nii.gz another grid look at it not detected" in told.replace("\u200b", "")
    assert told.partition("Could not be used")[0].count("alert") == 0
    write_failures(out, [same], name="evaluation_failures.tsv")
    assert "Not evaluated" not in words_of(write_page(out))


def test_only_the_measures_worth_a_look_are_shown(out: Path) -> None:
    columns = ("subject", "dice", "auprc", "surface_distance_mm")
    write_tsv(out / "evaluation.tsv", columns, [("plain", 0.5, 0.4, 3.0)])
    text = write_page(out).read_text(encoding="utf-8")
    assert "AUPRC" in text
    assert "Surface distance" not in text


def words_of(page: Path) -> str:
    text = re.sub(
        r"<style>.*?</style>|<script.*?</script>", " ", page.read_text("utf-8"), flags=re.S
    )
    return " ".join(re.sub("<[^>]+>", " ", text).split())


def test_every_scan_says_whether_it_passed_the_gates(out: Path) -> None:
    text = words_of(write_page(out))
    assert text.count("passed") == 2
    assert "passed ; spacing unknown" in text
    assert text.count("not used") == 1  # the scan that failed has a row too


def test_a_scan_score_of_its_own_has_a_column(out: Path) -> None:
    assert "The scan score is the lesion volume" in words_of(write_page(out))
    path = out / "sub-evil" / "anat" / "sub-evil_label-lesion_mask.json"
    path.write_text(re.sub(r'"ScanScore": [\d.]+', '"ScanScore": 77.7', path.read_text()))
    text = words_of(write_page(out))
    assert "Scan score (ml)" in text
    assert "77.7" in text


def test_regions_have_a_legend_with_volumes(detect: Detect, tmp_path: Path) -> None:
    found = detect()
    regions = found.mask.astype(np.uint8) * 2
    regions[30, 26, 22] = 4
    write_detection(replace(found, regions=regions), tmp_path)
    text = words_of(write_page(tmp_path))
    oedema = (found.mask.sum() - 1) * 0.008  # voxels of 2 mm
    assert f"Peritumoural edema (ED): {oedema:.1f} ml" in text
    assert "Enhancing tumour (ET): 0.0 ml" in text
    (record,) = read_sound_records(tmp_path)[0]
    assert record.region_volumes_ml == pytest.approx({1: 0, 2: oedema, 4: 0.008})


def test_a_run_in_which_all_failed_says_so(tmp_path: Path) -> None:
    write_failures(tmp_path, [failure(EVIL, "x" * 300, "expected numbers, got NaN", "Export.")])
    text = words_of(write_page(tmp_path))
    assert "No scan could be used" in text
    assert "All other scans" not in text
    assert text.count("not used") == 1


def test_forty_lesions_are_folded(detect: Detect, tmp_path: Path) -> None:
    found = detect()
    many = tuple(replace(found.findings[0], number=n) for n in range(1, 41))
    write_detection(replace(found, findings=many), tmp_path)
    tags = Tags(write_page(tmp_path).read_text("utf-8")).seen
    assert [a for tag, a in tags if tag == "details"] == [{}]
    assert sum("data-centre" in a for _, a in tags) == 40


def test_a_registered_lesion_has_its_place_in_the_template(detect: Detect, tmp_path: Path) -> None:
    write_detection(detect(subject="plain"), tmp_path)
    assert "MNI152" not in words_of(write_page(tmp_path))
    shift = np.eye(4)
    shift[:3, 3] = 29, -40, -35.75  # of the centre at -60, 52, 44
    write_detection(detect(subject="moved", to_template=shift), tmp_path)
    text = words_of(write_page(tmp_path))
    assert text.count("MNI152 x, y, z (mm)") == 1  # not in the table of the other scan
    assert "\N{MINUS SIGN}31.0, 12.0, 8.2" in text


def test_a_refused_scan_is_shown_where_it_failed(tmp_path: Path) -> None:
    picture = tmp_path / "sub-head" / "anat" / f"sub-head_{REFUSAL_PICTURE}"
    picture.parent.mkdir(parents=True)
    Picture.new("RGB", (90, 34), "navy").save(picture)
    step = f"look at {picture.name}, then give a mask"
    failures = [
        failure("head", "head.nii.gz", "expected a brain, got 12 ml", step),
        failure(EVIL, "x", "expected a brain", f"look at ../sub-gone_{REFUSAL_PICTURE}"),
    ]
    write_failures(tmp_path, failures)
    tags = Tags(write_page(tmp_path).read_text("utf-8")).seen
    (shown,) = [attributes for tag, attributes in tags if tag == "img"]
    assert (shown["width"], shown["height"]) == ("90", "34")
    assert "slice of head" in (shown["alt"] or "")


def test_a_long_name_may_break_and_a_short_piece_may_not(tmp_path: Path) -> None:
    unread = failure("Brats18_" + "x" * 50, "f", "expected numbers, got NaN", "Export.")
    write_failures(tmp_path, [unread])
    text = write_page(tmp_path).read_text("utf-8")
    assert "Brats18_<wbr>" + "x" * 20 + "<wbr>" + "x" * 20 + "<wbr>" + "x" * 10 in text
