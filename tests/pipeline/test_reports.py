"""The report pages in a real browser, from the file system, without a network: every control, and what it moves."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import chromium
from conftest import Project
from playwright.sync_api import Browser, Page, expect

from attention.report.charts import BAR, ROW

REPORTS = ("data/plot/report.html", "data/study/report.html")
MOST = 3_000_000  # bytes of a page
Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def problems() -> list[str]:
    """What a page asked the network for, and what it complained about in the console."""
    return []


@pytest.fixture
def visit(browser: Browser, problems: list[str]) -> Iterator[Visit]:
    """Open a file with the network off, and note each request that is not the file's and each complaint."""
    context = browser.new_context(offline=True)

    def visit(path: Path, width: int = 1000) -> Page:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.on("request", lambda request: None if request.url == path.as_uri() else problems.append(request.url))
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(path.as_uri())
        expect(page.locator("html[data-drawn]")).to_be_attached()
        return page

    yield visit
    context.close()


def bars(page: Page) -> list[float]:
    """Return the share that each bar of the attention chart shows, row by row."""
    layer = page.locator("figure[data-chart=attention] .mark-rect.layer_0_marks path")
    drawn = layer.evaluate_all("paths => paths.map(path => path.getBBox().height)")
    return [height / (BAR * ROW) for height in drawn]


def recorded(project: Project, epoch: int) -> list[float]:
    """Return the same shares from the table that the stage train wrote."""
    with (project.root / "data/train/attention.csv").open(newline="") as file:
        of_epoch = [row for row in csv.DictReader(file) if row["epoch"] == str(epoch)]
    size = {row["context"]: 0.0 for row in of_epoch}
    for row in of_epoch:
        size[row["context"]] += abs(float(row["attention"]))
    return [abs(float(row["attention"])) / size[row["context"]] for row in of_epoch]


@pytest.mark.parametrize("width", [1000, 400])
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_opens_without_a_network_and_fits(
    name: str, width: int, finished_project: Project, visit: Visit, problems: list[str]
) -> None:
    path = finished_project.root / name
    assert path.stat().st_size < MOST
    page = visit(path, width)
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title() == page.locator("h1").inner_text()
    for figure in page.locator("figure").all():
        expect(figure.locator("svg.marks")).to_be_visible()
        assert figure.locator("figcaption").inner_text()
    controls = page.locator("input, select")
    assert controls.evaluate_all("all => all.filter(one => !one.labels.length).length") == 0
    assert controls.count() >= 2


def test_the_slider_moves_the_bars_by_keyboard(finished_project: Project, visit: Visit, problems: list[str]) -> None:
    page = visit(finished_project.root / REPORTS[0])
    slider = page.get_by_role("slider", name="Epoch")
    rings = page.locator("figure[data-chart=error] .layer_3_marks path")
    assert bars(page) == pytest.approx(recorded(finished_project, 1), abs=1e-3)
    last = rings.get_attribute("transform")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("output")).to_have_text("0")
    expect(rings).not_to_have_attribute("transform", str(last))
    assert bars(page) == pytest.approx(recorded(finished_project, 0), abs=1e-3)
    assert slider.get_attribute("aria-valuetext") == "0"
    page.keyboard.press("End")
    expect(rings).to_have_attribute("transform", str(last))
    assert bars(page) == pytest.approx(recorded(finished_project, 1), abs=1e-3)
    assert problems == []


def test_pointing_at_a_place_tells_its_numbers(finished_project: Project, visit: Visit) -> None:
    page = visit(finished_project.root / REPORTS[0])
    shares = recorded(finished_project, 1)
    page.locator("figure[data-chart=attention] .layer_3_marks path").nth(9).hover()  # context 1, position 2
    tooltip = page.locator("#vg-tooltip-element")
    for text in ("context", "true position", f"{shares[9]:.3f}"):
        expect(tooltip).to_contain_text(text)


def test_the_map_shows_what_is_chosen_and_the_numbers_open_by_keyboard(
    finished_project: Project, visit: Visit, problems: list[str]
) -> None:
    page = visit(finished_project.root / REPORTS[0])
    cells = page.locator("figure[data-chart=learned] .layer_0_marks path")
    colours = "paths => paths.map(path => path.getAttribute('fill'))"
    seen = [cells.evaluate_all(colours)]
    choice = page.get_by_role("combobox", name="Colour shows")
    choice.focus()
    for _ in range(2):
        said = cells.nth(2).get_attribute("aria-label")
        page.keyboard.press("ArrowDown")
        expect(cells.nth(2)).not_to_have_attribute("aria-label", str(said))
        seen.append(cells.evaluate_all(colours))
    assert len({tuple(one) for one in seen}) == 3
    table = page.locator("details table")
    expect(table).to_be_hidden()
    page.locator("summary", has_text="The numbers").focus()
    page.keyboard.press("Enter")
    expect(table).to_be_visible()
    expect(table.locator("td.true")).to_have_count(3)
    assert problems == []


def test_a_chart_can_be_saved(finished_project: Project, visit: Visit, problems: list[str], tmp_path: Path) -> None:
    page = visit(finished_project.root / REPORTS[0])
    figure = page.locator("figure[data-chart=error]")
    for kind in ("SVG", "PNG"):
        figure.locator("summary").click()
        with page.expect_download() as saved:
            figure.get_by_text(f"Save as {kind}").click()
        assert saved.value.suggested_filename == f"error.{kind.lower()}"
        saved.value.save_as(tmp_path / kind)
        assert (tmp_path / kind).stat().st_size > 1000
        figure.locator("summary").click()
    assert [one for one in problems if not one.startswith(("data:", "blob:"))] == []


def test_a_study_s_page_compares_what_is_chosen(finished_project: Project, visit: Visit, problems: list[str]) -> None:
    page = visit(finished_project.root / REPORTS[1])
    figure = page.locator("figure[data-chart=comparison]")
    dots = figure.locator(".layer_3_marks path")
    expect(dots).to_have_count(2)
    seen = [dots.nth(0).get_attribute("transform")]
    measure = page.get_by_role("combobox", name="Measure")
    for number in (1, 2, 3):
        measure.select_option(index=number)
        expect(dots.nth(0)).not_to_have_attribute("transform", str(seen[-1]))
        seen.append(dots.nth(0).get_attribute("transform"))
    page.get_by_role("checkbox", name="embedding").focus()
    page.keyboard.press("Space")
    expect(dots).to_have_count(1)
    expect(figure.locator(".mark-text text", has_text="softmax")).to_be_visible()
    expect(page.locator("figure[data-chart=curves] .mark-line path")).to_have_count(1)
    page.get_by_role("checkbox", name="softmax").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", name="softmax")).to_be_checked()  # the last one stays
    dots.nth(0).hover()
    expect(page.locator("#vg-tooltip-element")).to_contain_text("upper quartile")
    assert problems == []


def test_what_a_page_asks_for_is_noticed_and_refused(
    finished_project: Project, visit: Visit, problems: list[str], tmp_path: Path
) -> None:
    """The twin: the same page with a picture from elsewhere, and with a script of somebody else's."""
    text = (finished_project.root / REPORTS[0]).read_text(encoding="utf-8")
    more = '<img src="http://127.0.0.1:9/a.png" alt=""><script>document.title = "theirs"</script></main>'
    (tmp_path / "a.html").write_text(re.sub("</main>", more, text, count=1), encoding="utf-8")
    page = visit(tmp_path / "a.html")
    assert page.title() != "theirs"
    assert len([one for one in problems if "Content Security Policy" in one]) == 2, problems
