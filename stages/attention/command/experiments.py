"""`attention experiments`: named questions, each a file of parameters in experiments/, listed and run.

A question is run by `dvc exp run --temp`: params.yaml, data/ and the working folder stay as they are, and the result is
a DVC experiment like any other, called by the question's name. Its files are then copied to experiments/results/NAME.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from attention.command.study import LISTED, show_study
from workbench.command.dvc import dvc, last_line
from workbench.command.report import print_table
from workbench.project import Command
from workbench.stage.errors import ParamsError, SelectionError, UserError
from workbench.stage.inputs import regular
from workbench.stage.params import Section

FOLDER, RESULTS = Path("experiments"), Path("experiments/results")
MOST_BYTES = 100_000
DVC = (sys.executable, "-P", "-m", "dvc")
STAGES = ("plot", "study")  # each runs what it needs


class Experiment(Section):
    """A question: what it asks, which stage answers it, and the parameters that differ from params.yaml."""

    asks: Annotated[str, StringConstraints(pattern=r"^[^\n]+$"), Field(description="a question, on one line")]
    stage: Annotated[str, StringConstraints(pattern="|".join(f"^{one}$" for one in STAGES))] = Field(
        description="one of: " + ", ".join(STAGES)
    )
    params: Annotated[dict[str, Any], Field(description="a mapping from dotted keys of params.yaml to values")]


class ExperimentError(UserError):
    """DVC cannot run an experiment."""


def run_experiment(root: Path, name: str, seeds: int | None) -> None:
    """Run a question, copy what it wrote to experiments/results/NAME, and print what a study found."""
    asked = read_experiment(root, name)
    params = asked.params | ({"study.seeds": seeds} if seeds else {})
    print(f"{name}: {asked.asks}", flush=True)
    run = ("exp", "run", "--temp", "--force", "--name", name)
    if subprocess.run([*DVC, *run, *_overrides(params), asked.stage], cwd=root, check=False).returncode:
        raise ExperimentError(f"{name}: DVC did not finish it; mend what it says above, and give the command again")
    results = root / RESULTS / name
    shutil.rmtree(results, ignore_errors=True)
    results.parent.mkdir(parents=True, exist_ok=True)
    copied = dvc(root, "get", ".", f"data/{asked.stage}", "--rev", name, "--out", str(results))
    if copied.returncode:
        raise ExperimentError(
            f"{name}: its results were not copied ({last_line(copied)}); `dvc exp apply {name}` has them"
        )
    if asked.stage == "study":
        show_study(results, LISTED, f"{RESULTS / name}/*.csv")
    print(f"\n{name}: pictures and tables in {results.relative_to(root)}/, DVC experiment {name}")


def read_experiment(root: Path, name: str) -> Experiment:
    """Read and check experiments/NAME.yaml.

    Raises:
        SelectionError: there is none of that name.
        ParamsError: it does not say what it must.

    """
    path = FOLDER / f"{name}.yaml"
    if name not in names(root):
        raise SelectionError(f"experiments: got {name!r}; allowed: {', '.join(names(root)) or 'none is there'}")
    try:
        tree = YAML(typ="safe", pure=True).load(regular(root / path, MOST_BYTES).read_text(encoding="utf-8"))
        return Experiment.model_validate(tree)
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read ({error.strerror})") from error
    except (YAMLError, ValueError) as error:
        what = f"at {'.'.join(map(str, error.errors()[0]['loc']))}" if isinstance(error, ValidationError) else "no YAML"
        raise ParamsError(
            f"{path}: {what}; allowed: asks, a line; stage, plot or study; params, by dotted key"
        ) from error


def names(root: Path) -> list[str]:
    """Return what there is to be asked."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.yaml"))


def _overrides(params: dict[str, Any]) -> Iterator[str]:
    """Yield the arguments of `dvc exp run` that put values in the place of those in params.yaml.

    A key is emptied and then set: a mapping that is only set would be merged with the one that is there.
    """
    for key, value in params.items():
        yield from ("--set-param", f"++{key}=null", "--set-param", f"++{key}={_hydra(value)}")


def _hydra(value: Any) -> str:
    """Return a value in the grammar of --set-param: as JSON, but for keys, which have no quotes."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_hydra(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_hydra, value)) + "]"
    return json.dumps(value)


def _call(root: Path, options: argparse.Namespace) -> int:
    if options.name:
        run_experiment(root, options.name, options.seeds)
    else:
        print_table(("name", "asks"), [(name, read_experiment(root, name).asks) for name in names(root)])
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="the question to run; default: list all")
    parser.add_argument("--seeds", type=int, help="trainings of each configuration; default: as the file says")


EXPERIMENTS = Command("list the named experiments, or run one and copy its pictures", _call, _arguments)
