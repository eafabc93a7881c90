"""The page in a browser: it answers without a network, keeps its place in the address, and can be used without eyes or a mouse."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_inputs import COUNTS, SIZE, make_params, write_inputs

from cgm.report import browser, script
from cgm.report.browser import browse
from cgm.report.build import build
from cgm.report.results import collect
from pipeline.report import renew

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
METHODS = ("mae", "pix2pix", "perceptual", "pix2pix_l10")
CLAIMS = """\
claims:
  - id: l1-helps
    sentence: "With a stronger L1 term outputs are nearer to their targets."
    source: "Isola et al. 2017"
    datasets: paired
    min_seeds: 2
    tests:
      - {metric: mae, arm: pix2pix, against: {arm: pix2pix_l10}, expect: lower, delta: 0.005, because: "a grey level"}
    control: "the same network"
    caveat: "made-up numbers"
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    params = make_params([0, 1], unpaired=True)
    write_inputs(root, params)
    (root / "claims.yaml").write_text(CLAIMS)
    for run in params.runs():
        order = 0 if run.dataset == "style" else METHODS.index(run.method)
        with (root / f"results/{run.dataset}/{run.method}/{run.seed}/per_image.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["index", "id", "mae", "ssim", "pd_other"])
            for index in range(COUNTS["test"]):
                writer.writerow([index, f"testA{index}", 0.01 * (1 + (index * 7 + order) % 10), "" if index == 3 else 0.9, 1])
    renew(build(params, root).cited, root / "reports")
    return root


def test_sheets_hold_every_method_at_the_same_place(tree: Path) -> None:
    dataset = collect(make_params([0, 1], unpaired=True), tree).datasets[0]
    found = browse(dataset)
    assert found is not None
    assert (found.total, found.count, found.further) == (COUNTS["test"], COUNTS["test"], COUNTS["test"])
    assert [sheet.key for sheet in found.sheets[:2]] == ["input", "target"]
    assert [(sheet.key, sheet.seed) for sheet in found.sheets[2:]] == [(method, seed) for seed in (0, 1) for method in METHODS]
    sheet = np.asarray(Image.open(tree / "reports" / found.sheets[0].file).convert("RGB")).astype(int)
    assert sheet.shape == (SIZE, browser.COLUMNS * SIZE, 3)
    assert dataset.prepared is not None
    exact = dataset.prepared.rgb("test", "A").astype(int)
    errors = np.array([[abs(sheet[:, SIZE * at : SIZE * (at + 1)] - picture).mean() for picture in exact] for at in range(len(exact))])
    items = json.loads(found.files[found.script].decode().removeprefix("cgmSamples(").removesuffix(");\n"))["items"]
    places = errors.argmin(axis=1)  # noise at a low quality is far from itself, and yet farther from other noise
    assert [dataset.prepared.ids("test", "A")[place] for place in places] == [identity for identity, _ in items]
    assert sorted(places) == list(range(len(exact)))


def test_what_goes_into_sheets_is_bounded(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = collect(make_params([0, 1], unpaired=True), tree).datasets[0]
    monkeypatch.setattr(browser, "PIXELS", 6 * 4 * 16 * 16)
    monkeypatch.setattr(browser, "SEED_PIXELS", 4 * 2 * 16 * 16)
    monkeypatch.setattr(browser, "LARGEST", 16)
    found = browse(dataset)
    assert found is not None
    assert (found.count, found.further, found.size, found.smaller) == (4, 2, (16, 16), True)
    assert {sheet.count for sheet in found.sheets if sheet.seed == 1} == {2}
    assert Image.open(io.BytesIO(found.files[found.sheets[0].file])).size == (browser.COLUMNS * 16, 16)


def test_another_bundle_of_the_library_is_noticed() -> None:
    assert "window.DataTable = b;" in script._as_classic("var a, b;export{a as ITable,b as default};")
    with pytest.raises(RuntimeError, match="expected one with 'default'"):
        script._as_classic("var a;export{a as ITable};")


@pytest.fixture(scope="module")
def open_page(tree: Path) -> Iterator[Callable]:
    """Opens the report at a place, and keeps what the browser complains of and asks for."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium, or set CHROMIUM to one")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    with sync_api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        pages = []

        def at(place: str = "", scripted: bool = True, **options):
            page = chromium.new_page(**options)
            page.complaints, page.requests = [], []
            page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: page.complaints.append(str(error)))
            page.on("request", lambda request: page.requests.append(request.url))
            page.goto((tree / "reports/index.html").as_uri() + place)
            if scripted:
                page.wait_for_selector("html.scripted", state="attached")
            pages.append(page)
            return page

        yield at
        for page in pages:
            page.close()
        chromium.close()


@pytest.fixture(scope="module")
def page(open_page: Callable):
    return open_page(viewport={"width": 1280, "height": 900})


def column(page, table: str, place: int) -> list[str]:
    return page.locator(f"#{table} tbody tr > :nth-child({place})").evaluate_all("cells => cells.map(cell => cell.firstChild.textContent)")


def test_a_table_sorts_both_ways_and_keeps_baselines_below(page) -> None:
    before = column(page, "main-icons_a", 1)
    heading = page.locator("#main-icons_a thead tr:last-child th", has_text="MAE").first

    def sorted_as(state: str) -> list[str]:
        heading.click()
        page.wait_for_selector(f"#main-icons_a th{state}", state="attached")
        return column(page, "main-icons_a", 1)

    ascending, descending = sorted_as(".dt-ordering-asc"), sorted_as(".dt-ordering-desc")
    count = len(METHODS)
    assert ascending[:count] == before[:count]  # made to be worse one after another
    assert descending[:count] == before[:count][::-1]
    assert sorted(ascending[count:]) == sorted(descending[count:]) == sorted(before[count:])


def test_columns_are_the_readers_to_choose_by_keyboard(page) -> None:
    button = page.get_by_role("button", name="Columns of icons_a: main results")
    headings = page.locator("#main-icons_a thead tr:last-child th")
    count = headings.count()
    button.focus()
    page.keyboard.press("Enter")
    choice = (
        page.locator(".dt-button-collection")
        .get_by_role("menuitemcheckbox", name="SSIM")
        .or_(page.locator(".dt-button-collection button", has_text="SSIM"))
    )
    choice.first.focus()
    page.keyboard.press("Enter")
    assert headings.count() == count - 1
    choice.first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert headings.count() == count


def test_a_filter_reaches_tables_and_sections_and_the_address(open_page: Callable) -> None:
    page = open_page("#main-icons_a", viewport={"width": 1280, "height": 900})
    page.click("#filter summary")
    page.uncheck("#filter input[value=mae]")
    page.uncheck("#filter input[value=style]")
    assert page.url.endswith("#main-icons_a&datasets=-style&methods=-mae") or page.url.endswith(
        "#main-icons_a&datasets=icons_a&methods=-mae"
    )
    assert page.locator("#main-icons_a tr.method").count() == len(METHODS) - 1
    assert page.locator("section.dataset[data-dataset=style]").is_hidden()
    again = open_page(page.url[page.url.index("#") :], viewport={"width": 1280, "height": 900})
    assert again.locator("#main-icons_a tr.method").count() == len(METHODS) - 1
    again.click("#filter summary")
    again.click("#filter-all")
    assert again.locator("#main-icons_a tr.method").count() == len(METHODS)
    assert again.url.endswith("#main-icons_a")


def test_a_chart_tells_its_values(page) -> None:
    page.evaluate("location.hash = 'plane-icons_a'")
    chart = page.locator("#plane-icons_a + figure .chart")
    chart.locator("svg").wait_for()
    chart.scroll_into_view_if_needed()
    mark = chart.locator(".mark-symbol.role-mark").last.locator("path").first
    mark.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "seed" in tooltip.inner_text()
    assert "MAE" in tooltip.inner_text()
    page.locator("#plane-icons_a + figure details.values > summary").click()
    assert page.locator("#plane-icons_a + figure table.values tbody tr").count() > len(METHODS)


def test_images_are_ordered_by_a_score_and_open_large(page) -> None:
    page.evaluate("location.hash = 'samples'")
    page.locator("table.browser").wait_for()
    page.select_option("select[name=by]", "mae")
    page.select_option("select[name=metric]", "mae")
    page.select_option("select[name=order]", "worst")
    scores = [float(text) for text in page.locator("table.browser tbody tr td:nth-child(4) small").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 0.1
    page.select_option("select[name=order]", "best")
    assert page.locator("table.browser tbody tr td:nth-child(4) small").first.inner_text() == "0.01"
    page.select_option("select[name=order]", "median")
    assert page.locator("table.browser tbody tr td:nth-child(4) small").first.inner_text() in ("0.05", "0.06")
    page.locator("table.browser tbody button").nth(2).click()
    dialog = page.locator("dialog[open]")
    assert dialog.locator("figure").count() == 2 + len(METHODS)
    page.keyboard.press("Escape")
    assert dialog.count() == 0


def test_a_link_leads_to_a_card_and_to_an_image(open_page: Callable) -> None:
    page = open_page("#claim-l1-helps", viewport={"width": 1280, "height": 900})
    assert page.locator("#claim-l1-helps").get_attribute("open") is not None
    assert page.locator("#claim-l1-helps .evidence table.tests").is_visible()
    assert page.locator("#claim-l1-helps").evaluate("card => card.getBoundingClientRect().top") < 900
    page.evaluate("location.hash = 'sample-style-testAB4'")
    page.locator("dialog[open]").wait_for()
    assert "thing 4" in page.locator("dialog[open] .head").inner_text()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_serious_and_nothing_leaves_the_disk(open_page: Callable, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe checks the page").Axe()
    page = open_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.evaluate("for (const each of document.querySelectorAll('main details')) each.open = true")
    page.locator("#samples").scroll_into_view_if_needed()
    page.locator("table.browser").wait_for()
    found = [
        (each["id"], each["nodes"][0]["html"]) for each in axe.run(page).response["violations"] if each["impact"] in ("serious", "critical")
    ]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.complaints == []
    assert all(url.startswith(("file:", "data:")) for url in page.requests)


def test_everything_is_there_to_read_without_scripts(open_page: Callable) -> None:
    page = open_page("", scripted=False, java_script_enabled=False, viewport={"width": 1280, "height": 900})
    assert page.locator("#main-icons_a tr.method").count() == len(METHODS)
    assert page.locator("#plane-icons_a + figure .still img").is_visible()
    assert page.locator("#plane-icons_a + figure .live").is_hidden()
    assert page.locator("#filter").is_hidden()
    page.locator("details.sheets > summary").click()
    assert page.locator("details.sheets a").first.is_visible()
    assert page.requests == [page.url]
