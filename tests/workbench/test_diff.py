"""`diff` over real runs, experiments, commits and dirty trees of the second project; and its pages, by hand."""

import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT, Project

from workbench.command.difference import Compared, Difference, _declared, _is_declared
from workbench.command.difference_page import page
from workbench.command.difference_report import report
from workbench.command.difference_text import as_markdown, as_text
from workbench.command.snapshot import HERE, State
from workbench.command.trees import Changed

COUNTING, NOTES = "stages/words/counting.py", "notes.txt"
ESCAPE = "\x1b[2Jgone"
SECRET = "hunter2-Zq8"  # noqa: S105


def words(project: Project, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = {"PYTHONPATH": str(project.root / "stages"), "PYTHONWARNINGS": "ignore"}
    return project.attempt("python", "-m", "words.project", *arguments, **path, **environment)


def diff(project: Project, *arguments: str, **environment: str) -> dict[str, Any]:
    done = words(project, "diff", *arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def text(project: Project, *arguments: str) -> str:
    done = words(project, "diff", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three experiments on a commit with results: other parameters, the same again from the cache, and other code."""
    folder = tmp_path_factory.mktemp("diff") / "project"
    subprocess.run([sys.executable, str(ROOT / "tests/second_project/lay_out.py"), str(folder)], check=True)
    project = Project(folder)
    project.run("dvc", "repro", "--quiet", PYTHONWARNINGS="ignore")
    project.commit("results")
    for name in ("longer", "again"):
        change = ("--name", name, "-S", "count.min_length=5")
        project.run("dvc", "exp", "run", "--quiet", *change, PYTHONWARNINGS="ignore")
        project.run("git", "checkout", "--quiet", ".")
    code = folder / COUNTING
    code.write_text(code.read_text().replace(r'r"\w+"', r'r"\w\w+"'))
    (folder / NOTES).write_text("untracked by the pipeline\n")
    project.run("git", "add", NOTES)
    project.run("dvc", "exp", "run", "--quiet", "--name", "pattern", PYTHONWARNINGS="ignore")
    project.run("git", "checkout", "--quiet", "--force", "HEAD", "--", ".")
    project.run("git", "rm", "--quiet", "--force", "--ignore-unmatch", NOTES)
    project.run("dvc", "checkout", "--quiet")
    return project


@pytest.fixture
def dirty(project: Project, tmp_path: Path) -> Project:
    """A copy to be changed, whose store has nothing yet."""
    return project.copy(tmp_path / "copy")


def measured(project: Project, commit: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(project.run("git", "show", f"{commit}:data/measure/metrics.json").stdout)
    return found


def experiment(project: Project, name: str) -> str:
    (line,) = project.run("git", "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").stdout.splitlines()
    return line


def test_two_states_of_other_parameters(project: Project) -> None:
    found = diff(project, "HEAD", "longer")
    assert found["parameters"] == {"count.min_length": {"a": 3, "b": 5}}
    before, after = measured(project, "HEAD"), measured(project, experiment(project, "longer"))
    assert before["words"] == 160 > after["words"]
    assert found["measures"] == {
        name: {"a": before[name], "b": after[name], "difference": after[name] - before[name]} for name in before
    }
    assert (found["code"], found["other_files"], found["environment"]) == ({"files": [], "patch": ""}, [], {})
    assert {one["path"]: one["verdict"] for one in found["inputs"]} == {"text/rain.txt": "same"}
    assert {one["path"]: one["verdict"] for one in found["outputs"]} == {
        "data/count/origin.json": "different",
        "data/count/words.csv": "different",
        "data/measure/metrics.json": "different",
    }
    (metrics,) = (one for one in found["outputs"] if one["path"] == "data/measure/metrics.json")
    assert metrics["apart"] == {name: abs(after[name] - before[name]) for name in before}
    back = diff(project, "longer", "HEAD")["measures"]
    assert {name: pair["difference"] for name, pair in back.items()} == {
        name: before[name] - after[name] for name in before
    }


def test_people_read_rounded_numbers(project: Project) -> None:
    lines = text(project, "HEAD", "longer").splitlines()
    before, after = measured(project, "HEAD"), measured(project, experiment(project, "longer"))
    assert lines[0] == f"a  HEAD, commit {project.run('git', 'rev-parse', 'HEAD').stdout[:7]}"
    assert lines[1].startswith(f"b  longer, commit {experiment(project, 'longer')[:7]}")
    assert [line.split() for line in lines if line.startswith("count.min_length")] == [["count.min_length", "3", "5"]]
    (share,) = (line.split() for line in lines if line.startswith("share "))
    ratio = after["share"] / before["share"]
    assert share[1:] == [
        f"{before['share']:.4g}",
        f"{after['share']:.4g}",
        f"{after['share'] - before['share']:+.3g}",
        "(×",
        f"{ratio:.3g})",
    ]
    assert "code: the same in every stage" in lines
    assert "outputs: 3 of 3 differ" in lines


def test_code_that_stages_declare_is_shown_and_other_files_are_named(project: Project) -> None:
    found = diff(project, "HEAD", "pattern")
    assert found["parameters"] == {}
    assert found["code"]["files"] == [{"path": COUNTING, "kind": "changed", "added": 1, "removed": 1}]
    assert [line for line in found["code"]["patch"].splitlines() if re.match(r"[+-] ", line)] == [
        r'-    words = re.findall(r"\w+", text.lower() if params.lowercase else text)',
        r'+    words = re.findall(r"\w\w+", text.lower() if params.lowercase else text)',
    ]
    assert found["other_files"] == [{"path": NOTES, "kind": "new", "added": 1, "removed": 0}]
    said = text(project, "pattern", "committed")
    assert f"  changed {COUNTING} (+1 -1)" in said.splitlines()
    assert "other files: 1 that no stage declares differ" in said
    assert r'+    words = re.findall(r"\w+", text' in said


def test_a_result_from_the_cache_differs_in_nothing_but_its_name(project: Project) -> None:
    found = diff(project, "longer", "again")
    assert all(pair["difference"] == 0 for pair in found["measures"].values())
    assert {one["verdict"] for one in [*found["inputs"], *found["outputs"]]} == {"same"}
    assert (found["parameters"], found["code"]["files"], found["environment"]) == ({}, [], {})
    assert f"measures: the same {len(found['measures'])}\n" in text(project, "longer", "again")


def test_what_a_dirty_tree_has_not_run_is_left_out_and_said(dirty: Project) -> None:
    dirty.set_params({"measure.top": 3})
    found = diff(dirty, "HEAD")
    assert found["b"]["name"] == HERE
    assert found["parameters"] == {"measure.top": {"a": 5, "b": 3}}
    assert found["b"]["outdated"] == ["measure"]
    assert {one["path"]: one["verdict"] for one in found["outputs"]} == {
        "data/count/origin.json": "same",
        "data/count/words.csv": "same",
        "data/measure/metrics.json": "only in a",
    }
    assert all("b" not in pair for pair in found["measures"].values())
    code = dirty.root / COUNTING
    code.write_text(code.read_text() + "\n# nothing\n")
    said = text(dirty, "HEAD").splitlines()
    assert (
        "b: count, measure did not run with this code and these parameters; what they made is left out; "
        "`dvc repro` runs them"
    ) in said
    assert "measures: not recorded in b" in said
    assert "+# nothing" in said
    dirty.run("dvc", "repro", "--quiet", PYTHONWARNINGS="ignore")
    after = diff(dirty, "HEAD")
    assert (after["b"]["outdated"], after["b"]["changed"]) == ([], True)
    assert after["measures"]["share"]["difference"] < 0


def test_a_run_of_mlflow_and_another_environment(dirty: Project) -> None:
    """Lock files and what the run says it was made with."""
    dirty.set_params({"measure.top": 2})
    dirty.run("dvc", "repro", "--quiet", PYTHONWARNINGS="ignore")
    dirty.run("git", "checkout", "--quiet", ".")
    dirty.run("dvc", "checkout", "--quiet")
    listed = json.loads(words(dirty, "runs", "--json").stdout)
    (run,) = (one["run"] for one in listed if one["measure.top"] == 2)
    lock = dirty.root / "requirements.lock"
    lines = lock.read_text().splitlines()
    lock.write_text("\n".join(["numpy==1.0" if line.startswith("numpy==") else line for line in lines]) + "\n")
    found = diff(dirty, run)
    numpy = next(line.partition("==")[2] for line in lines if line.startswith("numpy=="))
    assert found["environment"] == {"numpy": {"a": numpy, "b": "1.0"}}
    assert found["parameters"] == {"measure.top": {"a": 2, "b": 5}}
    assert found["a"]["source"].startswith(f"MLflow run {run} at ")
    assert found["measures"]["share"].keys() == {"a"}, "nothing here has run with this lock file"
    assert [one["path"] for one in found["code"]["files"]] == []


def test_a_secret_is_in_no_output(dirty: Project, tmp_path: Path) -> None:
    """Neither one that its place gives away nor one that the environment holds; of code, parameters and names."""
    code = dirty.root / COUNTING
    own = f'PASSWORD = "{SECRET}"\nHIDDEN = "of-the-environment"\nURL = "https://me:{SECRET}@far.example/x"\n'
    code.write_text(f"{own}{code.read_text()}")
    for arguments in ((), ("--html", str(tmp_path / "page.html"))):
        done = words(dirty, "diff", "HEAD", *arguments, SOME_TOKEN="of-the-environment")  # noqa: S106
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        if "--html" in arguments:
            said += (tmp_path / "page.html").read_text()
        assert SECRET not in said
        assert "of-the-environment" not in said
        assert "HIDDEN = &quot;***" in said or 'HIDDEN = "***' in said, "the twin: that place is shown"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nobody"], "nobody: neither a DVC experiment, a commit, nor an MLflow run by id, name or key; known: "),
        (["HEAD", "--html", "page.txt"], "--html: got page.txt; allowed: the name of a file that ends in .html\n"),
        (["--output=x"], "usage: "),
        (["HEAD~1"], "HEAD~1: the commit "),
    ],
)
def test_what_is_no_state_is_refused(arguments: list[str], told: str, project: Project) -> None:
    done = words(project, "diff", *arguments)
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert done.stderr.startswith(told)
    if arguments == ["HEAD~1"]:
        assert done.stderr.endswith(" has no params.yaml or no dvc.lock; allowed: one in which the pipeline ran\n"), (
            done.stderr
        )


def test_a_commit_whose_results_are_of_other_parameters_is_compared_but_not_restored(
    dirty: Project, tmp_path: Path
) -> None:
    dirty.set_params({"measure.top": 3})
    dirty.commit("not run")
    assert diff(dirty, "HEAD~1", "HEAD")["b"]["outdated"] == ["measure"]
    refused = words(dirty, "restore", "HEAD", str(tmp_path / "new"))
    assert refused.returncode == 1
    assert re.fullmatch(
        r"HEAD: dvc\.lock of the commit [0-9a-f]{7} is not of its params\.yaml: measure ran with other values; "
        r"allowed: a commit with the results of its own parameters\n",
        refused.stderr,
    )
    restored = words(dirty, "restore", "HEAD~1", str(tmp_path / "new"))
    assert restored.stdout.endswith("HEAD~1 restored; 3 of 3 outputs agree byte for byte\n"), restored.stderr


def test_the_committed_run_is_called_so_and_found_by_that_name(project: Project) -> None:
    listed = {one["name"]: one for one in json.loads(words(project, "runs", "--json").stdout)}
    assert listed.keys() == {"committed", "longer", "again", "pattern"}
    assert listed["committed"]["measure.top"] == 5
    assert diff(project, "committed", listed["committed"]["run"])["parameters"] == {}


def test_files_of_any_name_and_kind_are_told_on_a_line_each(dirty: Project) -> None:
    """Whatever a file is called, one of bytes, one that is only made executable, one that is gone, and a link."""
    words_of = dirty.root / "stages/words"
    names = ["tab\there.py", "new\nline.py", "\udcff.py", "-dash.py", 'quote"`|.py', "we ird/ü.py"]
    (words_of / "we ird").mkdir()
    (dirty.root / NOTES).unlink(missing_ok=True)
    for name in names:
        (words_of / name).write_text("x = 1\n")
    (words_of / "blob.bin").write_bytes(bytes(range(256)))
    (words_of / "link.py").symlink_to("counting.py")
    os.mkfifo(words_of / "pipe.py")  # none of git's
    (dirty.root / COUNTING).chmod(0o755)
    gone = dirty.root / "stages/measure.py"
    lines = gone.read_text().count("\n")
    gone.unlink()
    dirty.set_params({"count.min_length": 4})  # so that no output is of this state
    found = diff(dirty, "HEAD")
    assert found["code"]["files"] == [
        {"path": "stages/measure.py", "kind": "gone", "added": 0, "removed": lines},
        {"path": COUNTING, "kind": "changed", "added": 0, "removed": 0},
    ]
    assert {(one["path"], one["added"]) for one in found["other_files"]} == {
        *((f"stages/words/{name}", 1) for name in (*names, "link.py")),
        ("stages/words/blob.bin", None),
    }
    said = text(dirty, "HEAD").splitlines()
    assert all(line.isprintable() for line in said)
    assert f"  changed {COUNTING} (no line)" in said
    assert "outputs: 3 recorded only in a" in said
    assert any(
        line.startswith("other files: 8 that no stage declares differ: stages/words/-dash.py, ") for line in said
    )


def test_a_params_file_that_is_none_or_too_large_is_told_in_a_line(dirty: Project) -> None:
    """That of a commit; that of the working tree, of which DVC tells more lines than one."""
    params = dirty.root / "params.yaml"
    params.write_text(f"{params.read_text()}# {'x' * 100_000}\n")
    dirty.commit("large")
    size = params.stat().st_size
    dirty.run("git", "checkout", "--quiet", "HEAD~1", "--", "params.yaml")
    assert words(dirty, "diff", "HEAD").stderr == (
        f"HEAD: its params.yaml has {size:,} bytes; allowed: at most 100,000; compare a run whose lists are shorter\n"
    )
    params.write_text("a: [1\n")
    refused = words(dirty, "diff", "HEAD")
    assert re.fullmatch(
        r".*: `dvc status` failed: unable to read: 'params.yaml', .*; mend what it says\n", refused.stderr
    )
    assert (refused.returncode, refused.stdout) == (1, "")


@pytest.mark.parametrize(
    ("wdir", "dep", "path"),
    [
        (None, "stages/words/", "stages/words"),
        (".", "./stages/words/counting.py", COUNTING),
        ("stages/words", "counting.py", COUNTING),
        ("data/count", "../../stages/words/counting.py", COUNTING),
        ("elsewhere", "counting.py", None),
    ],
)
def test_what_a_stage_declares_is_found_from_whatever_folder_it_runs_in(
    wdir: str | None, dep: str, path: str | None
) -> None:
    stage = {"cmd": "true", "deps": [{dep: {"hash": "md5"}}], **({"wdir": wdir} if wdir else {})}
    pipeline = json.dumps({"stages": {"one": {"foreach": [1, 2], "do": stage}}}).encode()
    trees: Any = SimpleNamespace(read=lambda _: (b"", pipeline))
    assert _is_declared(COUNTING, _declared(trees)) == (path is not None)
    assert (path or "elsewhere/counting.py") in _declared(trees)


def test_an_output_that_is_too_large_to_be_looked_into_is_not_read(dirty: Project) -> None:
    """Neither in data/, nor in DVC's cache, nor in the commit; a pipe in its place is not waited for."""
    path = "data/measure/metrics.json"
    data = (dirty.root / path).read_bytes()
    commit = dirty.run("git", "rev-parse", "HEAD").stdout.strip()
    state = State("a", commit, b"", None, {path: hashlib.md5(data).hexdigest()})  # noqa: S324
    for place in ("in data/", "a pipe in its place"):
        assert state.recorded(dirty.root, path, len(data)) == data, place
        assert state.recorded(dirty.root, path, len(data) - 1) is None, place
        (dirty.root / path).unlink()
        os.mkfifo(dirty.root / path)


def hostile() -> Difference:
    """What others may have written, with every kind of difference in it."""
    states = {side: State(f"{side}{ESCAPE}", side * 40, b"x", b"", {}, source=f"run of {ESCAPE}") for side in "ab"}
    png = {side: f"<{side}>".encode() for side in "ab"}
    return Difference(
        states,
        {
            f"train.<b>{ESCAPE}": {"a": "<script>alert(1)</script>", "b": ESCAPE},
            "token": {"a": SECRET, "b": "x"},
            "db.password": {"a": 4711, "b": True},
            "data.n_tokens": {"a": 8, "b": 16},
        },
        {"mse": {"a": 1e-8, "b": 3e-8}, "gone": {"a": float("nan"), "b": 1.0}, "same": {"a": 1, "b": 1}},
        [Changed(f"stages/{ESCAPE}|`.py", "changed", 3, 2), Changed("stages/x.bin", "new", None, None)],
        [Changed("other", "gone", 0, 1)],
        f"+<script>{ESCAPE}</script>\n-{'x' * 5000}\n ",
        {"numpy": {"a": "1", "b": "2"}},
        [],
        [Compared(f"data/{ESCAPE} token={SECRET}.png", {"a": "1", "b": "2"}, "different", {}, png)],
    )


def test_what_a_store_says_is_harmless_on_a_terminal_in_markdown_and_in_a_page() -> None:
    found = hostile()
    told = report(found)
    for shown in (as_text(told), as_markdown(told), json.dumps(told), page(told, found.outputs)):
        assert all(c.isprintable() or c == "\n" for c in shown)
        assert SECRET not in shown
        assert "x" * 3000 not in shown
    assert "<script" not in page(told, found.outputs).lower()
    assert r"\<script\>" in as_markdown(told)
    assert "4711" not in json.dumps(told["parameters"])
    assert told["parameters"]["data.n_tokens"] == {"a": 8, "b": 16}, "the twin: a number of tokens is none"
    assert told["measures"]["gone"] == {"a": None, "b": 1.0, "difference": None}
    assert told["measures"]["mse"]["difference"] == 3e-8 - 1e-8
    assert ["mse", "1e-08", "3e-08", "+2e-08", "(×", "3)"] in [line.split() for line in as_text(told).splitlines()]


class Tags(HTMLParser):
    """Collects what a page loads, and whether its elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.rows: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_shows_pictures_side_by_side() -> None:
    found = hostile()
    tags = Tags()
    tags.feed(page(report(found), found.outputs))
    assert tags.open == []
    assert tags.loaded == ["data:image/png;base64,PGE+", "data:image/png;base64,PGI+"]
    assert {*tags.rows} == {3, 4}
