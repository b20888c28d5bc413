"""Every run that DVC or MLflow knows: DVC's experiments joined with MLflow's runs."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from workbench.command.dvc_lock import locked_outputs, maker, outdated_stages
from workbench.command.recorded import Recorded
from workbench.command.report import few
from workbench.command.snapshot import COMMITTED, commit_state, experiments
from workbench.project import Project
from workbench.stage.errors import show_name
from workbench.stage.params import PARAMS_FILE
from workbench.tracking.git import committed, git


@dataclass(frozen=True)
class Listed:
    """A run: a DVC experiment, an MLflow run, or both."""

    experiment: str  # DVC's name of it, or that of the committed run
    commit: str  # of the experiment
    run: str
    state: str  # how its result was made, or how its run ended
    time: float
    params: Mapping[str, Any]
    measures: Mapping[str, float]

    def fields(self, project: Project) -> dict[str, Any]:
        """Return all that is known, by the names that can be sorted and selected by."""
        places = [("DVC", self.commit[:7]), ("MLflow", self.run[:8])]
        return {
            "name": self.experiment or self.run[:8],
            "what": project.tracked.run_name(self.params, None),
            **{name: self.measures.get(name) for name in project.measures},
            "state": self.state,
            "where": ", ".join(f"{place} {known}" for place, known in places if known),
            "commit": self.commit,
            "run": self.run,
            **{key: self.params.get(key) for key in project.parameters},
        }


def list_runs(project: Project, root: Path, recorded: Sequence[Recorded]) -> list[Listed]:
    """Return every DVC experiment, with its MLflow run where there is one, and the other runs; the newest first."""
    listed, taken, name = [], set(), project.tracked.run_name
    committed_name, committed_digest = _committed(project, root)
    for experiment, commit, time, params, trained, metrics in _experiments(project, root):
        if not trained:  # only the study ran, say
            listed.append(Listed(experiment, commit, "", "none", time, params, {}))
            continue
        digest = hashlib.md5(metrics, usedforsecurity=False).hexdigest() if metrics else ""
        own = [run for run in recorded if run.experiment == experiment and run.evaluation in ("", digest)]
        own.sort(key=lambda run: run.evaluation != digest)
        alike = (run for run in recorded if name(run.params, None) == name(params, None))
        same = [run for run in alike if digest == run.evaluation != ""]
        found = next(iter([*own, *same]), None)
        taken |= {run.run for run in own[:1]}
        as_committed = digest == committed_digest and name(params, None) == committed_name
        reused = "as committed" if as_committed else "cached"
        state = "not in MLflow" if found is None else _state(project, found) if own else reused
        listed.append(
            Listed(experiment, commit, found.run if found else "", state, time, params, _measures(project, metrics))
        )
    others = [run for run in recorded if run.run not in taken]
    theirs = [run for run in others if run.evaluation == committed_digest and name(run.params, None) == committed_name]
    of_commit = max(theirs, key=lambda run: run.started, default=None)
    for run in others:
        called = COMMITTED if run is of_commit else ""
        listed.append(Listed(called, "", run.run, _state(project, run), run.started, run.params, run.measures))
    return sorted(listed, key=lambda one: one.time, reverse=True)


def _committed(project: Project, root: Path) -> tuple[str, str]:
    """Return the name of the committed run and the digest of its measures; empty where no commit has results."""
    with suppress(Exception):  # whatever a commit's files are, the runs are listed
        if state := commit_state(root, COMMITTED, whole=False):
            params = _flat(YAML(typ="safe", pure=True).load(committed(root, state.commit, PARAMS_FILE)))
            wanted = {key: params[key] for key in project.parameters if key in params}
            return project.tracked.run_name(wanted, None), state.outputs.get(project.metrics, "")
    return "", ""


def _experiments(project: Project, root: Path) -> Iterator[tuple[str, str, float, dict[str, Any], bool, bytes]]:
    """Yield name, commit, time, parameters, whether the result is its own, and the measures where they are of it.

    By git alone: DVC takes seconds. Those that cannot be read are counted in a warning.
    """
    unreadable = []
    listed = experiments(root)
    for name, commit in listed.items():
        try:
            lock, text = (committed(root, commit, file).decode() for file in ("dvc.lock", "params.yaml"))
            tree = _flat(YAML(typ="safe", pure=True).load(text))
            params = {key: tree[key] for key in project.parameters if key in tree}  # as a run has them
            project.tracked.run_name(params, None)
            trained, evaluated = _ran(project, lock, text)
            metrics = committed(root, commit, project.metrics) if evaluated else b""
            if hashlib.md5(metrics, usedforsecurity=False).hexdigest() != evaluated:
                metrics = b""
            _measures(project, metrics)
            time = float(git(root, "show", "--no-patch", "--format=%ct", commit))
        except Exception:  # of another project's shape: whatever its files are
            unreadable.append(name)
            continue
        yield name, commit, time, params, trained, metrics
    if unreadable:
        told = few([show_name(name) for name in unreadable])
        print(f"warning: {len(unreadable)} DVC experiments cannot be read, and are left out: {told}", file=sys.stderr)


def _ran(project: Project, lock: str, params: str) -> tuple[bool, str]:
    """Return whether a dvc.lock's result is of these parameters, and the digest of the measures where they are its."""
    outdated, made = outdated_stages(lock, params), locked_outputs(lock)
    result, measured = (maker(lock, path) for path in (project.result, project.metrics))
    trained = bool(result) and result not in outdated
    return trained, made[project.metrics] if trained and measured and measured not in outdated else ""


def _state(project: Project, run: Recorded) -> str:
    """Return how the result of a run was made: where a later stage than the first made it, DVC had it in its cache."""
    if run.status != "FINISHED":
        return run.status.lower()
    first, *later = (f"stages/{stage}.py" for stage in project.shown)
    return "computed" if run.source == first else "cached" if run.source in later else "published"


def _measures(project: Project, metrics: bytes) -> dict[str, float]:
    if not metrics:
        return {}
    found = _flat(json.loads(metrics))
    return {name: float(found[metric.partition("/")[2]]) for name, metric in project.measures.items()}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found
