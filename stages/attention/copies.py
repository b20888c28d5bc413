"""Copies of the project in a given state: what it takes to make one, to run it, and to compare it byte for byte."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from attention.dataset import md5
from attention.errors import RestoreError

NOT_CODE = (":!params.yaml", ":!dvc.lock", ":!data")  # kept whole elsewhere, or made anew


@dataclass(frozen=True)
class State:
    """What determines a result, and the result.

    Attributes:
        name: what the user called it.
        commit: the commit to start from.
        patch: uncommitted changes of code on top of it, as git writes them.
        params: the text of params.yaml, where it is not the commit's.
        outputs: the digest of each output by its path, as in dvc.lock.

    """

    name: str
    commit: str
    patch: str
    params: str | None
    outputs: Mapping[str, str]


def present_state(root: Path) -> State:
    """Return the state of the working tree, whose outputs are those of its dvc.lock."""
    params = (root / "params.yaml").read_text()
    outputs = locked_outputs((root / "dvc.lock").read_text())
    return State("the working tree", git(root, "rev-parse", "HEAD"), code_patch(root), params, outputs)


def experiment_state(root: Path, name: str) -> State | None:
    """Return the state of a DVC experiment, or None where there is none of that name."""
    commit = experiments(root).get(name)
    if not commit:
        return None
    return State(name, commit, "", None, locked_outputs(git(root, "show", f"{commit}:dvc.lock")))


def experiments(root: Path) -> dict[str, str]:
    """Return the commit of each DVC experiment by its name."""
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    pairs = (line.split(" ", 1) for line in listed)
    return {name.rpartition("/")[2]: commit for commit, name in pairs if name.count("/") == 4}  # refs/exps/12/34…/name


def code_patch(root: Path) -> str:
    """Return what the working tree changes of the commit's code, new files included; empty where nothing."""
    index = Path(git(root, "rev-parse", "--path-format=absolute", "--git-path", "index"))
    own = index.with_name(f"index.attention-{os.getpid()}")  # so that the user's own index stays as it is
    try:
        own.write_bytes(index.read_bytes())
        git(root, "add", "--all", "--", ".", *NOT_CODE, GIT_INDEX_FILE=str(own))
        arguments = ("diff", "--cached", "--binary", "HEAD", "--", ".", *NOT_CODE)
        return git(root, *arguments, strip=False, GIT_INDEX_FILE=str(own))
    finally:
        own.unlink(missing_ok=True)


def lay_out(state: State, root: Path, folder: Path) -> None:
    """Make `folder` a clone of the project at `root` in the given state, without its outputs."""
    git(root, "clone", "--quiet", "--no-checkout", str(root), str(folder))
    git(folder, "fetch", "--quiet", "origin", state.commit)
    git(folder, "checkout", "--quiet", "--detach", state.commit)
    if state.patch:
        git(folder, "apply", "--binary", "-", stdin=state.patch)
    if state.params is not None:
        (folder / "params.yaml").write_text(state.params)


def reproduce(folder: Path, *arguments: str, **environment: str) -> None:
    """Run `dvc repro` in a copy, recorded nowhere else; its own Python and MLflow store are what the stages see."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "GIT_"))}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    command = [sys.executable, "-m", "dvc", "repro", "--quiet", *arguments]
    done = subprocess.run(command, cwd=folder, env=kept | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise RestoreError(
            f"{folder}: `dvc repro` failed there: {''.join(last)}; run it in that folder to see all it says"
        )


def share_cache(root: Path, folder: Path) -> None:
    """Let a copy take outputs from the cache of the project at `root`, and from its remotes."""
    cache = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.strip()
    local = root / ".dvc/config.local"
    (folder / ".dvc/config.local").write_text(
        (local.read_text() if local.exists() else "") + f"[cache]\n    dir = {Path(root, cache).as_posix()}\n"
    )


def compare(state: State, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (path, expected digest, digest got) of each output; "missing" where there is no such file."""
    for path, expected in sorted(state.outputs.items()):
        yield path, expected, digest(folder / path) if (folder / path).exists() else "missing"


def digest(path: Path) -> str:
    """Return the digest of a file or folder as DVC writes it to dvc.lock."""
    if path.is_file():
        return md5(path)
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    entries = [{"md5": md5(path / file), "relpath": file} for file in files]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def locked_outputs(lock: str) -> dict[str, str]:
    """Return the digest of each output by its path, from the text of a dvc.lock."""
    stages: Mapping[str, Any] = YAML(typ="safe", pure=True).load(lock)["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ())}


def git(folder: Path, *arguments: str, stdin: str | None = None, strip: bool = True, **environment: str) -> str:
    """Run git in a folder and return what it prints."""
    command: Sequence[str] = ("git", "-C", str(folder), *arguments)
    done = subprocess.run(
        command, input=stdin, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = "".join(done.stderr.strip().splitlines()[-1:])
        raise RestoreError(
            f"{folder}: `git {' '.join(arguments[:3])} …` failed: {last}; is this a git repository with a commit?"
        )
    return done.stdout.strip() if strip else done.stdout
