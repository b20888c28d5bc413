"""The state that a name means: a DVC experiment, or an MLflow run.

Whoever can write to the store chooses what it says. So what comes from there is data: an id, a commit and a digest have
their shape or are refused, and code is a patch that `patches` has looked at and the user has agreed to.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mlflow.entities import Dataset, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from workbench.command.asking import asking
from workbench.command.snapshot import State, commit_state, experiment_state, experiments
from workbench.project import Project
from workbench.stage.errors import RestoreError, TrackingError, UserError, printable, show_name
from workbench.stage.outputs import md5
from workbench.stage.params import PARAMS_FILE, parse_value
from workbench.tracking.git import git, is_commit
from workbench.tracking.patches import changes, only_new_files
from workbench.tracking.recorder import CODE_PATCH, PARAMS_TEXT
from workbench.tracking.store import open_store
from workbench.tracking.uri import local_store, tracking_uri

DATA = re.compile(r"data/[\w-]+/\w[\w.-]*")  # where a data set of a run lies
COMMIT, EXPERIMENT, USER = "mlflow.source.git.commit", "dvc.exp_name", "mlflow.user"  # tags
RUN_ID, START_OF_ID, DIGEST = (re.compile(f"[0-9a-f]{{{length}}}") for length in ("32", "4,31", "32"))
PLAIN = re.compile(r"[\w ,.()-]+")  # a name that the store can be asked for; any other is looked for here
AT_ONCE, MOST_TOLD = 1000, 10


def find_state(project: Project, root: Path, name: str, *, whole: bool = True) -> State:
    """Return the state of a DVC experiment, else of a commit, else of the MLflow run that the name means.

    That is the run of this id, else the one whose id begins so, else the one of this name or experiment key. An
    experiment is its commit; files that it lacks may come from its run. A state that need not be `whole` may lack the
    results of some stages.

    Raises:
        RestoreError: nothing has that name, or several runs, or the run does not carry what restoring takes.

    """
    if found := experiment_state(root, name, whole=whole):
        return _with_new_files(project, root, found)
    if found := commit_state(root, name, whole=whole):
        return found
    with chdir(root), asking(project):
        client, experiment_id = open_store(project.load_params(root / PARAMS_FILE).tracking.experiment)
        runs = _named(client, experiment_id, name, project.tracked.tag("key"))
        if len(runs) == 1:
            return _run_state(project, client, runs[0])
        if not runs:
            newest = client.search_runs([experiment_id], max_results=MOST_TOLD)
    if runs:
        told = "; ".join(_about(run) for run in runs[:MOST_TOLD])
        more = f"; and {len(runs) - MOST_TOLD} more" if len(runs) > MOST_TOLD else ""
        raise RestoreError(f"{show_name(name)}: {len(runs)} MLflow runs are meant; name one by its id: {told}{more}")
    known = dict.fromkeys([*experiments(root), *(str(run.info.run_name) for run in newest)])
    raise RestoreError(
        f"{show_name(name)}: neither a DVC experiment, a commit, nor an MLflow run by id, name or key; "
        f"known: {', '.join(repr(show_name(other, 200)) for other in [*known][:MOST_TOLD]) or 'none'}; "
        f"`{project.name} runs` lists them"
    )


def _named(client: MlflowClient, experiment_id: str, name: str, key: str) -> list[MlflowRun]:
    """Return the runs that a name means, or an experiment key: no run's name ever stands before another's id."""
    if RUN_ID.fullmatch(name):
        try:
            run = client.get_run(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        else:
            if run.info.lifecycle_stage == "active" and run.info.run_id == name:
                return [run]
    if START_OF_ID.fullmatch(name):
        begun = _search(client, experiment_id, f"attributes.run_id LIKE '{name}%'")
        if found := [run for run in begun if run.info.run_id.startswith(name)]:
            return found
    ours = {}
    for where in ("attributes.run_name", f"tags.`{EXPERIMENT}`", f"tags.`{key}`"):
        for run in _search(client, experiment_id, f"{where} = '{name}'" if PLAIN.fullmatch(name) else ""):
            if name in (run.info.run_name, run.data.tags.get(EXPERIMENT), run.data.tags.get(key)):
                ours[run.info.run_id] = run
    return list(ours.values())


def _search(client: MlflowClient, experiment_id: str, condition: str) -> Iterator[MlflowRun]:
    """Yield all active runs that meet a condition, the newest first, however many pages they take."""
    token = None
    while True:
        page = client.search_runs([experiment_id], condition, ViewType.ACTIVE_ONLY, AT_ONCE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def _with_new_files(project: Project, root: Path, state: State) -> State:
    """DVC leaves files that git does not know out of an experiment; its MLflow run, where there is one, has them.

    Such a run started from the experiment's baseline, and made its result; and of its patch only files count that
    are new. What it cannot be asked for is said.
    """
    found: dict[bytes, State] = {}
    with chdir(root):
        try:
            baseline = git(root, "rev-parse", "--verify", f"{state.commit}^")
            if (store := local_store(tracking_uri())) and not store.exists():
                raise TrackingError(f"there is no {store.name} here")
            with asking(project):
                client, experiment_id = open_store(project.load_params(root / PARAMS_FILE).tracking.experiment)
                # A name that cannot be asked for may have quotes of any kind.
                where = f"tags.`{EXPERIMENT}` = '{state.name}'" if PLAIN.fullmatch(state.name) else ""
                made = [run for run in _search(client, experiment_id, where) if _is_of(run, state.name, baseline)]
                for run in made:
                    shown = _run_state(project, client, run)
                    if shown.outputs.get(project.result) == state.outputs.get(project.result):
                        new = only_new_files(root, baseline, shown.patch, state.commit)
                        changes(root, state.commit, new)
                        own = replace(state, patch=new, kept=shown.kept, source=shown.source, versions=shown.versions)
                        found.setdefault(new, own)
        except UserError as error:
            _warn(state, f"files that were new and not in git cannot be looked up in MLflow ({error})")
            return state
    brought = [one for new, one in found.items() if new]
    if len(brought) > 1:
        _warn(state, f"its MLflow runs hold different new files ({'; '.join(one.source for one in brought)})")
        return state
    if not found:
        _warn(state, "no MLflow run of its training was found, so files that were new and not in git are missing")
    return brought[0] if brought else next(iter(found.values()), state)


def _warn(state: State, why: str) -> None:
    print(f"warning: {printable(f'{state.name}: {why}')}; only its commit is used", file=sys.stderr)


def _is_of(run: MlflowRun, experiment: str, baseline: str) -> bool:
    return (run.data.tags.get(EXPERIMENT), run.data.tags.get(COMMIT)) == (experiment, baseline)


def _about(run: MlflowRun) -> str:
    commit = show_name(run.data.tags.get(COMMIT, "no commit"), 12)
    return f"{show_name(run.info.run_id)} at {commit} of {show_name(run.data.tags.get(USER, 'nobody'))}"


def _run_state(project: Project, client: MlflowClient, run: MlflowRun) -> State:
    name, commit = show_name(run.info.run_name, 200), run.data.tags.get(COMMIT)
    if not commit:
        raise RestoreError(
            f"{name}: its run has no git commit, so its code is not known; run it again in a git repository"
        )
    if not is_commit(commit):
        raise RestoreError(f"{name}: its run names the commit {show_name(commit)}; allowed: 40 or 64 digits of 0-9 a-f")
    data = {_path(entry.dataset): entry.dataset.digest for entry in (run.inputs.dataset_inputs if run.inputs else [])}
    outputs = {path: _digest(name, digest) for path, digest in data.items() if DATA.fullmatch(path)}
    inputs = {path: digest for path, digest in data.items() if path not in outputs and DIGEST.fullmatch(digest)}
    kept, exact = {}, project.promises_bytes({key: parse_value(text) for key, text in run.data.params.items()})
    with tempfile.TemporaryDirectory() as folder:

        def download(path: str) -> Path:
            return Path(client.download_artifacts(run.info.run_id, path, folder))

        held = {file.path for file in client.list_artifacts(run.info.run_id, "state") if not file.is_dir}
        if lacking := {PARAMS_TEXT, CODE_PATCH} - held:
            raise RestoreError(f"{name}: its run holds no {' and no '.join(sorted(lacking))}; run it again")
        params, patch = (download(path).read_bytes() for path in (PARAMS_TEXT, CODE_PATCH))
        for stage in project.shown:
            for file in client.list_artifacts(run.info.run_id, stage):
                if file.is_dir or (file_name := PurePosixPath(file.path).name) in ("", "..", "."):
                    continue  # none of a stage's
                path = f"data/{stage}/{file_name}"
                local = download(file.path)
                outputs[path] = md5(local)
                if path == project.metrics or (not exact and stage in project.tolerances):
                    kept[path] = local.read_bytes()  # its numbers may have to be compared
                if path == project.result:
                    outputs |= {made: _digest(name, value) for made, value in _tells(project, local.read_bytes())}
    versions = {tag: run.data.tags[tag] for tag in ("python", *project.tracked.packages) if tag in run.data.tags}
    return State(name, commit, patch, params, outputs, kept, f"MLflow run {_about(run)}", inputs, (), versions)


def _path(dataset: Dataset) -> str:
    """Return where a data set lies in the project, as the run says."""
    try:
        return str(json.loads(dataset.source)["uri"])
    except (ValueError, LookupError, TypeError):
        return ""


def _tells(project: Project, result: bytes) -> Iterator[tuple[str, str]]:
    """Yield path and digest of the outputs that a result says it was made from."""
    with suppress(ValueError):
        yield from project.origin(result).outputs.items()


def _digest(name: str, value: str) -> str:
    if not DIGEST.fullmatch(value):
        raise RestoreError(f"{name}: its run names the digest {show_name(value)}; allowed: 32 digits of 0-9 a-f")
    return value
