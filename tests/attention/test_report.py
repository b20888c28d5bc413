"""The report pages: what is in them, how large they get, and that equal numbers give equal bytes."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from attention.params import load_study
from attention.pictures import page
from attention.pictures.page import Control, Section, Table, save_page
from attention.report.charts import attention_chart, error_chart, map_chart
from attention.report.page import MOST_NUMBERS, save_report
from attention.studies.comparison import compare_pairs, pairs
from attention.studies.groups import MEASURES, Group
from attention.studies.page import MOST_ROWS
from attention.studies.page import save_report as save_study
from attention.studies.trainings import Outcome
from attention.weights import draw_weights

MOST = 3_000_000  # bytes of a page


def report(path: Path, contexts: int, positions: int, epochs: int, pictured: list[int], name: str = "a run") -> str:
    """Write the page of a training of random numbers, and return it."""
    random = np.random.default_rng(61)
    origin = {"parameters": {"seed": 3, "train.shuffle": False}, "data": {"train.parquet": "0" * 32}}
    attention = random.normal(size=(epochs, contexts, positions))
    normalized, effective = random.dirichlet(np.ones(positions), (2, contexts))
    truth = np.eye(positions)[random.integers(0, positions, contexts)]
    final = {"truth": truth, "attention": attention[-1], "normalized": normalized, "effective": effective}
    history = {name: random.random(epochs) for name in ("mse", "normalized", "effective", "accuracy")}
    metrics = {"mse": 0.25, "recovery.effective": 0.5, "baseline.mean": 0.083, "baseline.linear": 0.065}
    weights = draw_weights("embedding", contexts, positions, 3, origin)
    save_report(path, name, weights, history, pictured, attention, final, metrics)
    return path.read_text(encoding="utf-8")


def specs(text: str) -> dict[str, Any]:
    """Return what Vega-Lite is told, by the name of the chart."""
    found = re.findall(r'<figure data-chart="(\w+)".*?<script type="application/json">(.*?)</script>', text, re.S)
    return {name: json.loads(spec) for name, spec in found}


def test_equal_numbers_give_equal_bytes_with_and_without_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "cache_folder", lambda: tmp_path)
    pages = [report(tmp_path / f"{number}.html", 3, 7, 2, [0, 1]) for number in range(2)]
    (kept,) = tmp_path.glob("vega-*.js")
    kept.write_bytes(b"alert(1)")  # not what its digest says
    assert {*pages} == {report(tmp_path / "again.html", 3, 7, 2, [0, 1])}


def test_every_number_of_the_charts_is_that_of_the_arrays() -> None:
    random = np.random.default_rng(67)
    attention, shares = random.normal(size=(2, 5, 3, 7))
    truth, effective = np.eye(7)[[2, 6, 3]], random.random((3, 7))
    drawn = attention_chart(attention, shares, truth, effective)["datasets"]["cells"]
    assert [(row["case"], row["position"]) for row in drawn] == [(c, p) for c in range(3) for p in range(7)]
    for row in drawn:
        place = row["case"], row["position"]
        assert row["true"] == truth[place]
        assert row["effective"] == pytest.approx(effective[place], rel=1e-3)
        assert row["attention"] == pytest.approx(attention[:, *place].tolist(), rel=1e-3)
        assert row["share"] == pytest.approx(shares[:, *place].tolist(), rel=1e-3)
    mapped = map_chart(truth, {"one": attention[0], "other": shares[0]})["datasets"]["cells"]
    assert mapped[8]["shown"] == pytest.approx([attention[0, 1, 1], shares[0, 1, 1]], rel=1e-3)


def test_errors_of_zero_are_left_out_of_the_log_axis() -> None:
    spec = error_chart([0, 5], [0, 1], np.array([0.5, 0.0]), "error", {"mean": 0.0, "linear": 0.25})
    assert [row["without"] for row in spec["datasets"]["without"]] == ["linear"]
    assert {"filter": "datum.error > 0"} in spec["layer"][1]["transform"]


def test_the_page_names_what_the_training_comes_from_and_how_to_have_it_back(tmp_path: Path) -> None:
    text = report(tmp_path / "a.html", 3, 7, 2, [0, 1])
    assert re.search(r"seed</th>\s*<td>3</td>", text)
    assert re.search(r"train.shuffle</th>\s*<td>false</td>", text)
    assert "0" * 32 in text
    (key,) = re.findall(r"<code>attention restore ([0-9a-f]{32}) \.\./restored</code>", text)
    assert f"Experiment key: {key}" in text


def test_what_a_parameter_says_is_text_and_nothing_else(tmp_path: Path) -> None:
    hostile = '</script><script>alert("1")</script><img src=x onerror=alert(1)>\u2028'
    text = report(tmp_path / "a.html", 3, 7, 2, [0, 1], hostile)
    assert "<title>&lt;/script&gt;&lt;script&gt;" in text
    assert "<script>alert" not in text
    table = Table(hostile, [hostile, hostile], [[hostile, hostile]])
    section = Section(hostile, hostile, [Control("checks", "names", hostile, [hostile])], tables=[table])
    save_page(tmp_path / "b.html", hostile, [hostile], [section], hostile)
    assert "<script>alert" not in (tmp_path / "b.html").read_text()
    assert "<img src=x" not in (tmp_path / "b.html").read_text()


@pytest.mark.parametrize(
    ("contexts", "positions", "epochs"), [(1, 1, 1), (3, 64, 10_000), (13, 1024, 23), (1024, 11, 23)]
)
def test_a_page_of_any_size_has_at_most_three_megabytes(
    contexts: int, positions: int, epochs: int, tmp_path: Path
) -> None:
    pictured = np.unique(np.linspace(0, epochs - 1, 20).astype(int)).tolist()
    text = report(tmp_path / "a.html", contexts, positions, epochs, pictured)
    assert len(text.encode()) < MOST
    drawn = specs(text)
    assert {*drawn} == {"attention", "error", "recovery", "learned"}
    assert [row["step"] for row in drawn["error"]["datasets"]["epochs"] if row["step"] is not None] == [
        *range(len(pictured))
    ]
    assert text.count("<tr>") <= MOST_NUMBERS + 7  # heads, parameters, a file


def test_a_page_says_of_how_many_contexts_it_shows_the_first(tmp_path: Path) -> None:
    text = report(tmp_path / "a.html", 97, 5, 2, [0, 1])
    assert "(The first 10 contexts of 97.)" in text
    assert "(The first 24 contexts of 97.)" in text
    assert len(specs(text)["attention"]["datasets"]["cells"]) == 10 * 5
    assert len(specs(text)["learned"]["datasets"]["cells"]) == 97 * 5
    assert text.count('class="true"') == 24


def study(path: Path, configurations: int, seeds: int) -> dict[str, Any]:
    """Write the page of a study of random outcomes, every fourth configuration diverged; return its charts."""
    _, ((_, of_training), *_) = load_study(ROOT / "params.yaml")
    random = np.random.default_rng(79)
    epochs = of_training.train.epochs
    groups = [
        Group(
            {"train.learning_rate": 0.001 * number, "model.attention": "embedding"},
            of_training,
            range(seeds),
            [
                Outcome(
                    random.random((epochs, len(MEASURES))).tolist(), None if number % 4 == 3 else random.random(), True
                )
                for _ in range(seeds)
            ],
        )
        for number in range(configurations)
    ]
    save_study(path, groups, compare_pairs(groups, pairs(groups, "all")[:99]))
    return specs(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("configurations", "seeds"), [(1, 1), (2, 3), (73, 211)])
def test_a_study_of_any_size_has_a_page_of_at_most_three_megabytes(
    configurations: int, seeds: int, tmp_path: Path
) -> None:
    drawn = study(tmp_path / "a.html", configurations, seeds)
    assert (tmp_path / "a.html").stat().st_size < MOST
    assert {*drawn} == {"comparison", "curves", "failures"}
    rows = drawn["comparison"]["datasets"]["spread"]
    assert len(rows) == min(configurations, MOST_ROWS)
    medians = [row["of"][0][0] for row in rows]
    assert [number for number, median in enumerate(medians) if median is None] == [*range(3, len(rows), 4)]
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert (f"The first {MOST_ROWS} of 73 configurations." in text) == (configurations == 73)
    assert text.count("<li>") == min(configurations * (configurations - 1) // 2, 50) + (configurations > 1)
