"""What a person sees in MLflow's pages: the runs, and the error of two of them in one chart."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Race, clean_environment, open_store, recorded_runs
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")
QUIETER = ("disable-component-update", "disable-sync")
SOONER_OR_LATER = 120  # seconds, far more than a page takes


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        how = "no Chromium on the path: install it (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(how)
        pytest.skip(how)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[f"--{switch}" for switch in (*QUIET, *QUIETER)]
        )
        page = browser.new_page(viewport={"width": 1800, "height": 1200})
        page.set_default_timeout(SOONER_OR_LATER * 1000)
        expect.set_options(timeout=SOONER_OR_LATER * 1000)
        yield page
        page.screenshot(path=tmp_path_factory.mktemp("last") / "page.png")
        browser.close()


@pytest.fixture(scope="module")
def site(race: Race, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `mlflow ui` on the store of eight runs; the server and its workers end with the tests."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(
            ["mlflow", "ui", "--backend-store-uri", race.store, "--port", str(port), "--workers", "1"],
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


def test_the_runs_are_listed_and_the_error_of_two_is_compared_in_one_chart(
    page: Page, site: str, race: Race, tmp_path: Path
) -> None:
    client = open_store(race.store)
    runs = recorded_runs(client)
    first, second = (next(run for run in runs if run.data.params["seed"] == str(seed)) for seed in (1, 2))

    page.goto(f"{site}/#/experiments/{first.info.experiment_id}/runs")
    for run in runs:
        expect(page.get_by_role("link", name=run.info.run_name)).to_be_visible()
    for run in (first, second):
        page.get_by_role("row").filter(has_text=run.info.run_name).get_by_role("checkbox").first.check(force=True)
    page.screenshot(path=tmp_path / "runs.png")

    page.get_by_role("button", name="Compare").first.click()
    expect(page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    page.screenshot(path=tmp_path / "comparison.png")

    page.get_by_role("link", name="train/mse").click()
    chart = page.locator(".js-plotly-plot")
    expect(chart.get_by_text("Step")).to_be_visible()
    for seed, run in ((1, first), (2, second)):
        expect(page.get_by_text(f"{run.info.run_name} (train/mse)", exact=True)).to_be_visible()
        with (race.copies[seed].root / "data/train/history.csv").open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        row = page.get_by_role("row").filter(has_text=run.info.run_name)
        expect(row).to_contain_text(f"{float(last['mse'])!r} (step={last['epoch']})")
    lines = chart.locator("path.js-line")
    expect(lines.nth(1)).to_be_visible()
    assert len({lines.nth(i).get_attribute("d") for i in range(lines.count())}) == 2
    page.screenshot(path=tmp_path / "chart.png")
