"""What stands around the code: licence, citation, the container to start in."""

import json
import re
import subprocess
import tomllib

from conftest import ROOT
from ruamel.yaml import YAML

# Of the specification of development containers, what ours may have: another key is a slip of the pen.
CONTAINER_KEYS = {"name", "image", "onCreateCommand", "forwardPorts", "portsAttributes", "customizations"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_licence_is_named_and_there() -> None:
    assert PROJECT["license"] == "MIT"
    assert PROJECT["license-files"] == ["LICENSE", "CITATION.cff"]
    (author,) = PROJECT["authors"]
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License\n")
    assert author["name"] in text


def test_the_citation_is_of_this_project_and_names_the_article() -> None:
    cited = YAML(typ="safe", pure=True).load((ROOT / "CITATION.cff").read_text())
    assert (cited["license"], cited["version"]) == (PROJECT["license"], PROJECT["version"])
    assert cited["authors"] == PROJECT["authors"]
    (article,) = cited["references"]
    assert f"*{article['title']}*" in (ROOT / "README.md").read_text()


def test_the_container_has_a_python_of_ours_and_runs_commands_of_ours() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container.keys() <= CONTAINER_KEYS
    assert {*container["portsAttributes"]} == {*map(str, container["forwardPorts"])} == {"5000"}
    (interpreter,) = container["customizations"]["vscode"]["settings"].values()
    assert interpreter.partition("}/")[2] == ".venv/bin/python"  # which `make` builds
    python = re.fullmatch(r".*/python:3\.(\d+)", container["image"])
    assert python
    assert re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"])
    low, below = map(int, re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    assert low <= int(python[1]) < below
    plan = subprocess.run(
        ["make", "--dry-run", *container["onCreateCommand"].split()[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert container["onCreateCommand"].startswith("make ")
    assert "dvc repro" in plan.stdout, plan.stderr


def test_what_changed_is_said_as_markdown_against_a_commit() -> None:
    plan = subprocess.run(["make", "--dry-run", "changes", "BASE=main"], cwd=ROOT, capture_output=True, text=True)
    assert 'attention.project diff "main" --markdown' in plan.stdout
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert 'make --silent changes BASE="origin/$GITHUB_BASE_REF" >> "$GITHUB_STEP_SUMMARY"' in workflow
