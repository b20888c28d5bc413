"""A state of the project: what it takes to have it again, and to compare its outputs byte for byte."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from workbench.command.dvc import dvc, last_line
from workbench.command.dvc_lock import locked_inputs, locked_outputs, maker, outdated_stages, stale_stages
from workbench.project import Project
from workbench.stage.errors import RestoreError, printable
from workbench.stage.inputs import regular
from workbench.tracking.git import committed, git
from workbench.tracking.patches import code_patch

HERE = "the working tree"
COMMITTED = "committed"  # what `runs` calls the run of HEAD
REVISION = re.compile(r"[\w./][\w./~^@{}-]*")  # what git may be asked for: neither an option nor a search


@dataclass(frozen=True)
class State:
    """What determines a result, and the result.

    Attributes:
        name: what the user called it.
        commit: the commit to start from.
        patch: uncommitted changes of code on top of it, as git writes them.
        params: params.yaml, where it is not the commit's.
        outputs: the digest of each output by its path, as in dvc.lock.
        kept: outputs that are kept with the run itself, by path.
        source: the MLflow run that patch and params come from, and whose it is; empty where they are our own.
        inputs: the digest of each input that is neither code nor made by a stage, by its path.
        outdated: the stages that did not run with these parameters; their outputs are left out.
        versions: what the run was made with: Python and packages, as far as it says so.

    """

    name: str
    commit: str
    patch: bytes
    params: bytes | None
    outputs: Mapping[str, str]
    kept: Mapping[str, bytes] = field(default_factory=dict)
    source: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    outdated: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def recorded(self, root: Path, path: str, most: int | None = None) -> bytes | None:
        """Return an output as it was recorded, from wherever it still is: the run, data/, DVC's cache, the commit.

        None where it is nowhere, or has more than `most` bytes: these are not read.
        """
        expected = self.outputs[path]
        places: list[Callable[[], bytes]] = [
            lambda: self.kept[path],
            lambda: regular(root / path, most).read_bytes(),
            lambda: regular(dvc_cache(root) / "files/md5" / expected[:2] / expected[2:], most).read_bytes(),
            lambda: committed(root, self.commit, path, most),
        ]
        for look in places:
            with suppress(LookupError, OSError, RestoreError):
                data = look()
                if hashlib.md5(data, usedforsecurity=False).hexdigest() == expected:
                    return data
        return None


def present_state(project: Project, root: Path, *, changed: Sequence[str] | None = None) -> State:
    """Return the state of the working tree, whose outputs are those of its dvc.lock.

    It must be whole, unless it is known which stages have `changed` since they ran.

    Raises:
        RestoreError: no stage has run, or, where the state must be whole, with other parameters than these.

    """
    commit = git(root, "rev-parse", "HEAD")
    try:
        params, lock = (root / "params.yaml").read_bytes(), (root / "dvc.lock").read_text(encoding="utf-8")
    except OSError as error:
        raise RestoreError(f"{error.filename}: cannot be read ({error.strerror}); `dvc repro` makes results") from error
    locked_outputs(lock)
    project.load_params(root / "params.yaml")  # says what is wrong with it
    if changed is None and (stale := stale_stages(lock, params.decode())):
        raise RestoreError(
            f"{root}: dvc.lock does not match params.yaml: {', '.join(stale)} ran with other values; "
            "`dvc repro` makes the results of these, `git checkout params.yaml dvc.lock` returns to the committed ones"
        )
    return _with_results(State(HERE, commit, code_patch(root), params, {}), lock, params.decode(), changed or ())


def experiment_state(root: Path, name: str, *, whole: bool = True) -> State | None:
    """Return the state of a DVC experiment, or None where there is none of that name.

    Raises:
        RestoreError: experiments on several commits have that name, or, where the state must be whole, it is not of
            the whole pipeline.

    """
    listed = _named_experiments(root)
    same = [commit[:7] for known, commit in listed if known == name]
    if len(same) > 1:
        raise RestoreError(
            f"{printable(name)}: {len(same)} DVC experiments have this name; allowed: the commit of one of them, "
            f"{' or '.join(same)}; `dvc exp show --all-commits` shows them"
        )
    commit = experiments(root).get(name)
    if not commit:
        return None
    (known,) = {printable(known) for known, one in listed if one == commit}
    lock, params = (committed(root, commit, file).decode(errors="replace") for file in ("dvc.lock", "params.yaml"))
    if whole and (stale := stale_stages(lock, params)):
        raise RestoreError(
            f"{known}: {', '.join(stale)} did not run in this experiment, so its dvc.lock is not of its params.yaml; "
            f"allowed: an experiment of the whole pipeline; `dvc exp apply {known}` and `dvc repro` make it one"
        )
    return _with_results(State(known, commit, b"", None, {}), lock, params)


def commit_state(root: Path, name: str, *, whole: bool = True) -> State | None:
    """Return the state of a commit by its hash, branch or tag, or None where git knows none of that name.

    Raises:
        RestoreError: the commit has no results, or, where the state must be whole, not those of its parameters.

    """
    wanted = "HEAD" if name == COMMITTED else name
    if not REVISION.fullmatch(wanted):
        return None
    try:
        commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}")
    except RestoreError:
        return None
    try:
        lock, params = (committed(root, commit, file).decode(errors="replace") for file in ("dvc.lock", "params.yaml"))
    except RestoreError as error:
        raise RestoreError(
            f"{name}: the commit {commit[:7]} has no params.yaml or no dvc.lock; allowed: one in which the pipeline ran"
        ) from error
    if whole and (stale := stale_stages(lock, params)):
        raise RestoreError(
            f"{name}: dvc.lock of the commit {commit[:7]} is not of its params.yaml: {', '.join(stale)} ran with other "
            "values; allowed: a commit with the results of its own parameters"
        )
    return _with_results(State(name, commit, b"", None, {}), lock, params)


def _with_results(state: State, lock: str, params: str, changed: Sequence[str] = ()) -> State:
    outdated = outdated_stages(lock, params, changed)
    outputs = {path: digest for path, digest in locked_outputs(lock).items() if maker(lock, path) not in outdated}
    return replace(state, outputs=outputs, inputs=locked_inputs(lock), outdated=outdated)


def experiments(root: Path) -> dict[str, str]:
    """Return the commit of each DVC experiment by its name or, where several have that name, by its short commit."""
    listed = _named_experiments(root)
    names = [name for name, _ in listed]
    return {name if names.count(name) == 1 else commit[:7]: commit for name, commit in listed}


def _named_experiments(root: Path) -> list[tuple[str, str]]:
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    pairs = (line.split(" ", 1) for line in listed)
    return [
        (name.rpartition("/")[2], commit) for commit, name in pairs if name.count("/") == 4
    ]  # refs/exps/12/34…/name


def require_commit(state: State, root: Path) -> None:
    """Refuse a state whose commit is not in the repository."""
    try:
        git(root, "cat-file", "-e", f"{state.commit}^{{commit}}")
    except RestoreError as error:
        raise RestoreError(
            f"{printable(state.name)}: its commit {state.commit} is not in this repository; "
            "`git fetch --all` may bring it"
        ) from error


@cache  # DVC takes a second to say
def dvc_cache(root: Path) -> Path:
    """Return the folder of DVC's cache."""
    done = dvc(root, "cache", "dir")
    if done.returncode:
        raise RestoreError(f"{root}: `dvc cache dir` failed: {printable(last_line(done))}; mend what it says")
    return Path(root, done.stdout.strip())
