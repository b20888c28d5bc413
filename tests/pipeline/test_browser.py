"""What a person sees: three runs compared in MLflow's pages, and DVC's own, in a real browser.

`make screenshots` runs this on the article's parameters and keeps the pictures; elsewhere the project is small.
"""

import csv
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import vl_convert
from browser import SOONER_OR_LATER, chromium
from conftest import Project, clean_environment, open_store, recorded_runs
from mlflow.entities import Run
from playwright.sync_api import Page, Route, expect
from restoring import attention

from attention.tracking.naming import DEFAULTS

KEEP = os.environ.get("SCREENSHOTS")  # the folder to keep pictures in
# As after one's first visit: MLflow's assistant closed, its pages those of training.
VISITED = {
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',
}
EXPERIMENTS = {
    "faster": ["train.learning_rate=0.02"],
    "softmax": ["train.learning_rate=0.01", "model.attention=softmax", "seed=3"],
}

Picture = Callable[[str], None]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.add_init_script(";".join(f"localStorage.setItem('{key}', '{value}')" for key, value in VISITED.items()))
        page.set_default_timeout(SOONER_OR_LATER * 1000)
        yield page


@pytest.fixture
def picture(page: Page, tmp_path: Path) -> Picture:
    """Take a picture of what the page shows, and keep it where that is wanted."""

    def take(name: str) -> None:
        page.wait_for_timeout(1000 if KEEP else 0)  # what moves comes to rest
        page.screenshot(path=Path(KEEP or tmp_path) / f"{name}.png")

    return take


@pytest.fixture(scope="module")
def project(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after a training and two experiments."""
    project = finished_project.copy(tmp_path_factory.mktemp("browser") / "project")
    if KEEP:
        project.set_params({**DEFAULTS, "seed": 0})
        project.run("dvc", "repro", "--quiet")
        project.commit("the article's results")
    else:
        attention(project, "publish")
    for name, changes in EXPERIMENTS.items():
        setting = (f"--set-param={change}" for change in changes)
        project.run("dvc", "exp", "run", "--quiet", "--name", name, *setting, "plot")
        project.run("git", "checkout", "--quiet", ".")
    project.run("dvc", "checkout", "--quiet")
    return project


@pytest.fixture(scope="module")
def runs(project: Project) -> list[Run]:
    """The run of each training, the latest first."""
    return recorded_runs(open_store(f"sqlite:///{project.root}/mlflow.db"))


@pytest.fixture(scope="module")
def site(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `mlflow ui` on the project's store; the server and its workers end with the tests."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    store = f"sqlite:///{project.root}/mlflow.db"
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(
            ["mlflow", "ui", "--backend-store-uri", store, "--port", str(port), "--workers", "1"],
            cwd=folder,
            env=clean_environment(MLFLOW_DISABLE_TELEMETRY="true"),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SOONER_OR_LATER
        while not answers(f"{address}/health"):
            assert server.poll() is None, (folder / "log.txt").read_text()
            assert time.monotonic() < deadline, (folder / "log.txt").read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def last_epoch(project: Project, run: Run) -> dict[str, str]:
    """Return the last row of the run's own history.csv."""
    history = Path(run.info.artifact_uri.removeprefix("file://"), "train/history.csv")
    assert history.is_relative_to(project.root)
    with history.open(newline="") as file:
        return list(csv.DictReader(file))[-1]


def test_three_runs_are_compared_in_parallel_coordinates_and_in_one_chart_of_all_epochs(
    page: Page, site: str, project: Project, runs: list[Run], picture: Picture
) -> None:
    page.goto(f"{site}/#/experiments/{runs[0].info.experiment_id}/runs")
    for run in runs:
        link = page.get_by_role("link", name=run.info.run_name, exact=True)
        page.get_by_role("row").filter(has=link).get_by_role("checkbox").first.check(force=True)
    picture("runs")

    page.get_by_role("button", name="Compare").first.click()
    expect(page.get_by_text("Comparing 3 Runs from 1 Experiment")).to_be_visible()
    coordinates = page.locator(".js-plotly-plot g.parcoords")
    for axis in ("model.attention", "train/mse"):
        expect(coordinates.get_by_text(axis)).to_be_visible()
    for name in ("embedding", "softmax"):
        expect(coordinates.get_by_text(name, exact=True)).to_be_visible()
    picture("comparison")

    place = page.get_by_role("link", name="train/mse").get_attribute("href")  # a click is lost in a redraw
    page.goto(f"{site}/{place}")
    chart = page.locator(".js-plotly-plot")
    expect(chart.get_by_text("Step")).to_be_visible()
    page.get_by_role("switch").last.click()  # the logarithmic axis
    lines = chart.locator(".scatterlayer path.js-line")
    expect(lines.nth(2)).to_be_visible()
    drawn = {lines.nth(i).get_attribute("d") or "" for i in range(lines.count())}
    assert len(drawn) == 3
    for run in runs:
        last = last_epoch(project, run)
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=run.info.run_name, exact=True))
        expect(row).to_contain_text(f"(step={last['epoch']})")
        assert {len(re.findall(r"[ML]", line)) for line in drawn} == {int(last["epoch"]) + 1}  # a point an epoch
    picture("chart")


def test_a_run_shows_its_figure_and_the_attention_of_each_epoch_with_a_slider(
    page: Page, site: str, project: Project, runs: list[Run], picture: Picture
) -> None:
    run = next(run for run in runs if "dvc.exp_name" not in run.data.tags)
    place = f"{site}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    page.goto(place)
    expect(page.get_by_role("link", name="attention-network").first).to_be_visible()
    picture("run")
    figure = page.get_by_role("link", name="True and learned attention")
    address = figure.get_attribute("href") or ""
    with urllib.request.urlopen(f"{site}/{address}", timeout=30) as reply:
        assert reply.read() == (project.root / "data/plot/attention.png").read_bytes()

    page.goto(f"{place}/artifacts/plot/report.html")
    report = page.frame_locator("iframe")
    expect(report.locator("html[data-drawn]")).to_be_attached()
    expect(report.get_by_role("slider", name="Epoch")).to_be_visible()
    picture("report")

    page.goto(f"{place}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill("attention")
    last = last_epoch(project, run)["epoch"]
    slider = page.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuemax", last)
    for epoch in ("0", last):
        image = page.locator(f"img[src*='images%2Fattention%2Bstep%2B{epoch}%2B']")
        expect(image).to_be_visible()
        box = slider.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 1000, box["y"], steps=8)  # to the end, and beyond
        page.mouse.up()
    assert image.evaluate("image => image.naturalWidth") > 100
    picture("slider")


def test_the_registered_network_shows_its_signature(page: Page, site: str, runs: list[Run], picture: Picture) -> None:
    page.goto(f"{site}/#/models/attention-network/versions/1")
    expect(page.get_by_text(runs[-1].info.run_name.split(",")[0]).first).to_be_visible()
    for sizes in ("Inputs (2)", "Outputs (1)"):
        expect(page.get_by_text(sizes)).to_be_visible()
    picture("model")


@pytest.mark.parametrize("command", ["show", "diff"])
def test_dvc_s_pages_draw_every_plot(
    command: str, page: Page, project: Project, tmp_path: Path, picture: Picture
) -> None:
    revisions = ("HEAD", *EXPERIMENTS) if command == "diff" else ()
    project.run("dvc", "plots", command, *revisions, "--out", str(tmp_path / "plots"))
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route("https://cdn.jsdelivr.net/**", vega)
    page.goto((tmp_path / "plots/index.html").as_uri())
    charts = page.locator(".vega-embed canvas, .vega-embed svg.marks")
    expect(charts.nth(4)).to_be_visible()
    assert charts.count() == 5  # error and recovery by epoch, attention by position, recovery by context, test error
    for title in ("Mean squared error while training", "Learned attention |a|, in front of the true attention (pale)"):
        assert title in page.content()
    drawn = page.evaluate(
        "() => [...document.querySelectorAll('.vega-embed canvas')].map(c => new Set(c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 != 3)).size)"
    )
    assert all(colours > 20 for colours in drawn), drawn  # a blank one has a few
    images = page.locator("img")
    pictures = len(list((project.root / "data").rglob("*.png")))
    assert images.count() == len(revisions or ("workspace",)) * pictures
    assert all(images.nth(i).evaluate("image => image.complete && image.naturalWidth > 0") for i in range(2))
    assert errors == []
    picture(f"dvc-plots-{command}")


def vega(route: Route) -> None:
    """Answer for the internet: DVC's pages ask it for three scripts, which one bundle has."""
    scripts = ""
    if "vega-embed" in route.request.url:
        snippet = "window.vega = vega; window.vegaLite = vegaLite; window.vegaEmbed = vegaEmbed"
        scripts = vl_convert.javascript_bundle(snippet, vl_version="5.20")
    route.fulfill(body=scripts, content_type="text/javascript", headers={"Access-Control-Allow-Origin": "*"})
