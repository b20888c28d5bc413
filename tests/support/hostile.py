"""What a colleague who can write to the MLflow store may try on who restores a run: forged runs, by name."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import Project, clean_environment

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

RAN = "ran"  # the file that forged code makes beside the project
CODE = f"import pathlib; pathlib.Path(__file__).parents[2].joinpath({RAN!r}).touch()\n"
MODEL, DATA = "data/train/model.safetensors", "data/generate/train.parquet"


@dataclass(frozen=True)
class Forgery:
    """A run as nobody made it.

    Attributes:
        refusal: what the command must say, as a regular expression.
        change: what its patch makes of a tree.
        patch: its patch, where git would not make it.
        tags: what its tags say otherwise.
        params: what its params.yaml says, from that of the commit.
        dataset: the path and the digest of its data set.
        left_out: artifacts that it lacks.
        yes: whether the user has agreed to run its code.

    """

    refusal: str
    change: Callable[[Path], None] = lambda _: None
    patch: bytes | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Callable[[str], str] = lambda text: text
    dataset: tuple[str, str] = (DATA, "0" * 32)
    left_out: str = ""
    yes: bool = True


def link(path: str, target: str) -> Callable[[Path], None]:
    """Put a link in the place of whatever has that path."""

    def change(root: Path) -> None:
        place = root / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    return change


def write(path: str, text: str = CODE) -> Callable[[Path], None]:
    """Write a file."""

    def change(root: Path) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)

    return change


def both(*several: Callable[[Path], None]) -> Callable[[Path], None]:
    """Do one after the other."""

    def change(root: Path) -> None:
        for one in several:
            one(root)

    return change


def new(path: str, mode: str = "100644", content: str = "owned") -> bytes:
    """Return a patch that makes a file, whatever git would say to its name."""
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\nindex 0000000..1111111\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1 @@\n+{content}\n\\ No newline at end of file\n"
    ).encode()


def submodule(root: Path) -> None:
    """Make a folder another repository."""
    (root / "inner").mkdir()
    for command in (("init",), ("commit", "--allow-empty", "--message", "x")):
        git(root / "inner", *command)


NO_CODE = "a run changes this, which is no code; nothing was changed or run"
LEADS_OUT = "a run changes this, which is a link that leads out of the project; nothing was changed or run"
TO_NO_CODE = "a run changes this, which is a link to what is no code; nothing was changed or run"
NOT_APPLIED = "`git apply --cached --whitespace=nowarn …` failed: "
NOT_ASKED = "not run, because there is no terminal to ask on; look at them, then add `--yes`"

FORGERIES: Mapping[str, Forgery] = {
    # Written through a link, or outside
    "params.yaml a link": Forgery(rf"params\.yaml: {NO_CODE}", link("params.yaml", "../victim")),
    "config.local a link": Forgery(rf"\.dvc/config\.local: {NO_CODE}", link(".dvc/config.local", "../../victim")),
    ".dvc a link": Forgery(rf"\.dvc: {NO_CODE}", link(".dvc", "../victims")),
    "dvc.lock a link": Forgery(rf"dvc\.lock: {NO_CODE}", link("dvc.lock", "../victim")),
    "data a link": Forgery(rf"data: {NO_CODE}", link("data", "../victims")),
    "an output a link": Forgery(NO_CODE, link("data/train/model.safetensors", "../../../victim")),
    "a link with an absolute target": Forgery(LEADS_OUT, link("stages/notes", "/etc")),
    "a link upwards": Forgery(LEADS_OUT, link("stages/notes", "../../victims")),
    "a link down and up again": Forgery(LEADS_OUT, link("stages/notes", "attention/../../../victims")),
    "a link over another link": Forgery(LEADS_OUT, both(link("stages/a/b", ".."), link("c", "stages/a/b/../../.."))),
    "a link to .git": Forgery(TO_NO_CODE, link("notes", ".git")),
    "a link to .dvc": Forgery(TO_NO_CODE, link("stages/notes", "../.dvc")),
    "the store a link": Forgery(LEADS_OUT, link("mlflow.db", "../victim")),
    "a file behind a link": Forgery(NOT_APPLIED, patch=new("out", "120000", "../victims") + new("out/file")),
    "a path upwards": Forgery(NOT_APPLIED, patch=new("../victims/new")),
    "an absolute path": Forgery(NOT_APPLIED, patch=new("/tmp/victim")),  # noqa: S108 - that is the attempt
    "no patch at all": Forgery(NOT_APPLIED, patch=b"\x00\xff words"),
    # Of DVC, git and the results
    "DVC's configuration": Forgery(rf"\.dvc/config: {NO_CODE}", write(".dvc/config", "[core]\n")),
    "DVC's local configuration": Forgery(NO_CODE, write(".dvc/config.local", "[cache]\ndir = /\n")),
    "DVC's configuration further down": Forgery(NO_CODE, write("sub/.dvc/config", "[core]\n")),
    "DVC's configuration in capitals": Forgery(NO_CODE, write(".DVC/config", "[core]\n")),
    "PARAMS.YAML": Forgery(NO_CODE, write("PARAMS.YAML", "seed: 7\n")),
    "the lock": Forgery(rf"dvc\.lock: {NO_CODE}", write("dvc.lock", "stages: {}\n")),
    "an output": Forgery(NO_CODE, write("data/train/history.csv", "epoch,mse\n")),
    "a hook": Forgery(NOT_APPLIED, patch=new(".git/hooks/post-checkout", "100755", "#!/bin/sh")),
    "git's configuration": Forgery(NOT_APPLIED, patch=new(".GIT/config", content="[core]")),
    "a list of submodules": Forgery(rf"\.gitmodules: {NO_CODE}", write(".gitmodules", '[submodule "x"]\n')),
    "a submodule": Forgery("inner: a run changes this, which is another repository", submodule),
    # Values that would become options, revisions or paths
    "a commit that is an option": Forgery(
        r"names the commit --upload-pack=touch ran; allowed: 40 or 64 digits",
        tags={"mlflow.source.git.commit": "--upload-pack=touch ran"},
    ),
    "a commit that is a revision": Forgery("names the commit HEAD; allowed", tags={"mlflow.source.git.commit": "HEAD"}),
    "a commit of two lines": Forgery(
        r"names the commit 0{40}\\n; allowed", tags={"mlflow.source.git.commit": "0" * 40 + "\n"}
    ),
    "a commit from nowhere": Forgery(
        "is not in this repository; `git fetch --all` may bring it",
        tags={"mlflow.source.git.commit": "1" * 40},
    ),
    "a digest that is a path": Forgery(
        r"names the digest \.\./\.\./victim; allowed: 32 digits", dataset=(DATA, "../../victim")
    ),
    "no patch": Forgery(r"its run holds no state/code\.patch; run it again", left_out="state/code.patch"),
    # Without the user's word
    "code": Forgery(NOT_ASKED, write("stages/train.py"), yes=False),
    "a new module in the place of one of Python's": Forgery(NOT_ASKED, write("stages/random.py"), yes=False),
    "the pipeline's commands": Forgery(
        NOT_ASKED,
        write("dvc.yaml", "stages: {train: {cmd: touch ../ran, outs: [data/train/model.safetensors]}}\n"),
        yes=False,
    ),
    "a cluster of one's own": Forgery(
        NOT_ASKED, params=lambda text: re.sub("address:.*", "address: far.example:8786", text), yes=False
    ),
    "another store": Forgery(
        NOT_ASKED, params=lambda text: text.replace("experiment: attention", "experiment: other"), yes=False
    ),
    "parameters that are none": Forgery(
        "params.yaml of its run or its commit is no valid YAML; run it again", params=lambda _: "["
    ),
}


def git(folder: Path, *arguments: str) -> bytes:
    """Run git as a colleague would."""
    done = subprocess.run(["git", *arguments], cwd=folder, env=clean_environment(), capture_output=True, check=True)
    return done.stdout


def patch_of(project: Project, change: Callable[[Path], None]) -> bytes:
    """Return the patch that makes a change to the project's commit."""
    with tempfile.TemporaryDirectory() as folder:
        git(project.root, "clone", "--quiet", str(project.root), f"{folder}/clone")
        clone = Path(folder, "clone")
        change(clone)
        git(clone, "-c", "advice.addEmbeddedRepo=false", "add", "--all", "--force")
        return git(clone, "diff", "--cached", "--binary", "--no-renames")


def forge(
    client: "MlflowClient", experiment_id: str, project: Project, forgery: Forgery, name: str = "embedding, seed 0"
) -> str:
    """Write a forged run of the project's HEAD into a store, and return its id."""
    from mlflow.entities import Dataset, DatasetInput

    commit = git(project.root, "rev-parse", "HEAD").decode().strip()
    tags = {"mlflow.source.git.commit": commit, "mlflow.user": "mallory", **forgery.tags}
    run = client.create_run(experiment_id, tags=tags, run_name=name)
    params = git(project.root, "show", "HEAD:params.yaml").decode()
    patch = patch_of(project, forgery.change) if forgery.patch is None else forgery.patch
    artifacts = {
        "state/params.yaml": forgery.params(params).encode(),
        "state/code.patch": patch,
        "train/model.safetensors": (project.root / MODEL).read_bytes(),
    }
    with tempfile.TemporaryDirectory() as folder:
        for path, data in artifacts.items():
            if path != forgery.left_out:
                local = Path(folder, Path(path).name)
                local.write_bytes(data)
                client.log_artifact(run.info.run_id, str(local), Path(path).parent.name)
    path, digest = forgery.dataset
    dataset = Dataset(Path(path).stem, digest, "local", json.dumps({"uri": path}))
    client.log_inputs(run.info.run_id, [DatasetInput(dataset)])
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def everything(folder: Path) -> dict[str, bytes | str]:
    """Return all files and links of a folder, without what a store and DVC write for themselves."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and not {"mlflow.db", "mlruns", "tmp"} & set(path.parts)
    }
