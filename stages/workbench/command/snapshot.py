"""Copies of the project in a given state: what it takes to make one, to run it, and to compare it byte for byte."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from configparser import RawConfigParser
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML

from attention.tasks.examples import md5
from workbench.stage.errors import RestoreError

NOT_CODE = (":!params.yaml", ":!dvc.lock", ":!data")  # kept whole elsewhere, or made anew
LARGEST = 10_000_000  # bytes of a new file that may be code
HOOKS = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE")  # what git tells its hooks


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

    """

    name: str
    commit: str
    patch: bytes
    params: bytes | None
    outputs: Mapping[str, str]
    kept: Mapping[str, bytes] = field(default_factory=dict)

    def recorded(self, root: Path, path: str) -> bytes | None:
        """Return an output as it was recorded, from wherever it still is: the run, data/, DVC's cache, the commit."""
        expected = self.outputs[path]
        places: list[Callable[[], bytes]] = [
            lambda: self.kept[path],
            lambda: (root / path).read_bytes(),
            lambda: (dvc_cache(root) / "files/md5" / expected[:2] / expected[2:]).read_bytes(),
            lambda: git_bytes(root, "show", f"{self.commit}:{path}"),
        ]
        for look in places:
            with suppress(LookupError, OSError, RestoreError):
                data = look()
                if hashlib.md5(data, usedforsecurity=False).hexdigest() == expected:
                    return data
        return None


def present_state(root: Path) -> State:
    """Return the state of the working tree, whose outputs are those of its dvc.lock."""
    commit = git(root, "rev-parse", "HEAD")
    try:
        params, lock = (root / "params.yaml").read_bytes(), (root / "dvc.lock").read_text()
    except OSError as error:
        raise RestoreError(f"{error.filename}: cannot be read ({error.strerror}); `dvc repro` makes results") from error
    outputs = locked_outputs(lock)
    if stale := stale_stages(lock, params.decode()):
        raise RestoreError(
            f"{root}: dvc.lock is not of this params.yaml: {', '.join(stale)} ran with other values; "
            "`dvc repro` makes the results of these, `git checkout params.yaml dvc.lock` returns to the committed ones"
        )
    return State("the working tree", commit, code_patch(root), params, outputs)


def experiment_state(root: Path, name: str) -> State | None:
    """Return the state of a DVC experiment, or None where there is none of that name.

    Raises:
        RestoreError: experiments on several commits have that name, or it is not of the whole pipeline.

    """
    listed = _named_experiments(root)
    same = [commit[:7] for known, commit in listed if known == name]
    if len(same) > 1:
        raise RestoreError(
            f"{name}: {len(same)} DVC experiments have this name; allowed: the commit of one of them, "
            f"{' or '.join(same)}; `dvc exp show --all-commits` shows them"
        )
    commit = experiments(root).get(name)
    if not commit:
        return None
    (known,) = {known for known, one in listed if one == commit}
    lock, params = (git(root, "show", f"{commit}:{file}") for file in ("dvc.lock", "params.yaml"))
    outputs = locked_outputs(lock)
    if stale := stale_stages(lock, params):
        raise RestoreError(
            f"{known}: {', '.join(stale)} did not run in this experiment, so its dvc.lock is not of its params.yaml; "
            f"allowed: an experiment of the whole pipeline; `dvc exp apply {known}` and `dvc repro` make it one"
        )
    return State(known, commit, b"", None, outputs)


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


def code_patch(root: Path) -> bytes:
    """Return what the working tree changes of the commit's code, new files included; empty where nothing.

    New files too large to be code, and other repositories below this one, are left out.
    """
    with _own_index(root) as own:
        index = Path(git(root, "rev-parse", "--path-format=absolute", "--git-path", "index"))
        if index.exists():
            Path(own["GIT_INDEX_FILE"]).write_bytes(index.read_bytes())
        git(root, "add", "--update", "--", ".", *NOT_CODE, environment=own)
        untracked = ("ls-files", "--others", "--exclude-standard", "-z")
        listed = git_bytes(root, *untracked, "--", ".", *NOT_CODE, environment=own)
        new = [name for name in listed.split(b"\0") if name and _may_be_code(root / os.fsdecode(name))]
        if new:
            literally = {"GIT_LITERAL_PATHSPECS": "1", **own}
            names = ("--pathspec-from-file=-", "--pathspec-file-nul")
            git_bytes(root, "add", *names, stdin=b"\0".join(new), environment=literally)
        return git_bytes(root, "diff", "--cached", "--binary", "HEAD", "--", ".", *NOT_CODE, environment=own)


def patch_onto(root: Path, commit: str, patch: bytes, onto: str) -> bytes:
    """Return the patch that makes the code of the commit `onto` what `patch` makes of that of `commit`."""
    with _own_index(root) as own:
        git(root, "read-tree", commit, environment=own)
        if patch:
            git_bytes(root, "apply", "--cached", "--whitespace=nowarn", "-", stdin=patch, environment=own)
        return git_bytes(root, "diff", "--cached", "--binary", onto, "--", ".", *NOT_CODE, environment=own)


@contextmanager
def _own_index(root: Path) -> Iterator[dict[str, str]]:
    """Give git an index and a place for objects of our own, so that the user's stay as they are."""
    objects = git(root, "rev-parse", "--path-format=absolute", "--git-path", "objects")
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "GIT_INDEX_FILE": f"{folder}/index",
            "GIT_OBJECT_DIRECTORY": folder,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
        }


def _may_be_code(path: Path) -> bool:
    return path.is_symlink() or (path.is_file() and path.stat().st_size <= LARGEST)


def lay_out(state: State, root: Path, folder: Path) -> None:
    """Make `folder` a clone of the project at `root` in the given state, without its outputs.

    Raises:
        RestoreError: the commit is not in the repository; nothing was made.

    """
    try:
        git(root, "cat-file", "-e", f"{state.commit}^{{commit}}")
    except RestoreError as error:
        raise RestoreError(
            f"{state.name}: its commit {state.commit} is not in this repository; `git fetch --all` may bring it"
        ) from error
    git(root, "clone", "--quiet", "--no-checkout", str(root), str(folder))
    git(folder, "fetch", "--quiet", "origin", state.commit)
    git(folder, "checkout", "--quiet", "--detach", state.commit)
    if state.patch:
        git_bytes(folder, "apply", "--binary", "--whitespace=nowarn", "-", stdin=state.patch)
    if state.params is not None:
        (folder / "params.yaml").write_bytes(state.params)


def reproduce(folder: Path, *arguments: str, **environment: str) -> None:
    """Run `dvc repro` in a copy, recorded nowhere else; its own Python and MLflow store are what the stages see."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "GIT_"))}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    command = [sys.executable, "-m", "dvc", "repro", "--quiet", *arguments]
    done = subprocess.run(command, cwd=folder, env={**kept, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        last = _last_line(done.stderr) or _last_line(done.stdout)
        raise RestoreError(f"{folder}: `dvc repro` failed there: {last}; run it in that folder to see all it says")


def share_cache(root: Path, folder: Path) -> bool:
    """Let a copy take outputs from the cache of the project at `root` and from its remotes; return if it has any."""
    settings = RawConfigParser()
    settings.read([root / ".dvc/config", root / ".dvc/config.local"])
    if not settings.has_section("cache"):
        settings.add_section("cache")
    settings["cache"]["dir"] = dvc_cache(root).as_posix()
    for section in settings.values():
        if "://" not in (url := section.get("url", "://")):  # a path, which DVC takes from the folder of its config
            section["url"] = Path(root, ".dvc", url).resolve().as_posix()
    with (folder / ".dvc/config.local").open("w") as file:
        settings.write(file)
    return settings.has_option("core", "remote")


def dvc_cache(root: Path) -> Path:
    """Return the folder of DVC's cache."""
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RestoreError(f"{root}: `dvc cache dir` failed: {_last_line(done.stderr)}; mend what it says")
    return Path(root, done.stdout.strip())


def digest(path: Path) -> str:
    """Return the digest of a file or folder as DVC writes it to dvc.lock."""
    if path.is_file():
        return md5(path)
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    entries = [{"md5": md5(path / file), "relpath": file} for file in files]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def stale_stages(lock: str, params: str) -> list[str]:
    """Return the stages whose outputs in a dvc.lock were made with other parameters than those of a params.yaml."""
    yaml = YAML(typ="safe", pure=True)
    stages, tree = yaml.load(lock)["stages"], yaml.load(params)

    def value(key: str) -> Any:
        section, _, name = key.partition(".")
        found = tree.get(section)
        return found.get(name) if name and isinstance(found, dict) else found

    used = {name: stage.get("params", {}).get("params.yaml", {}) for name, stage in stages.items()}
    return [name for name, keys in used.items() if any(value(key) != was for key, was in keys.items())]


def locked_outputs(lock: str) -> dict[str, str]:
    """Return the digest of each output by its path, from the text of a dvc.lock."""
    try:
        stages: Mapping[str, Any] = YAML(typ="safe", pure=True).load(lock)["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ())}
    except Exception as error:  # the parser lets many kinds escape; each means the same to a user
        raise RestoreError(
            "dvc.lock: is not as DVC writes it; `git checkout dvc.lock` brings the committed one back"
        ) from error


def git(folder: Path, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """Run git in a folder and return what it prints, as text without the last end of line."""
    return git_bytes(folder, *arguments, environment=environment).decode(errors="replace").strip()


def git_bytes(
    folder: Path, *arguments: str, stdin: bytes | None = None, environment: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """Run git in a folder and return what it prints, whatever ends of line and characters the files have."""
    command: Sequence[str] = ("git", "-C", str(folder), *arguments)
    kept = {name: value for name, value in os.environ.items() if name not in HOOKS}
    done = subprocess.run(command, input=stdin, env={**kept, **environment}, capture_output=True, check=False)
    if done.returncode:
        last = _last_line(done.stderr.decode(errors="replace"))
        raise RestoreError(
            f"{folder}: `git {' '.join(arguments[:3])} …` failed: {last}; is this a git repository with a commit?"
        )
    return done.stdout


def _last_line(text: str) -> str:
    return "".join(text.strip().splitlines()[-1:])
