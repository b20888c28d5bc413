"""What a user has told git changes no answer: patches made under hostile settings are those made under none."""

import ast
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from conftest import LABORATORY, ROOT, clean_environment

from workbench.command.clone import lay_out
from workbench.command.dvc_lock import stale_stages
from workbench.command.snapshot import State, present_state
from workbench.stage.errors import ParamsError, RestoreError
from workbench.tracking.git import committed, git, git_bytes, is_commit
from workbench.tracking.patches import LARGEST, changes, code_patch

# Each is tried as the user's own and the system's, and as the repository's.
HOSTILE: Mapping[str, Mapping[str, str]] = {
    "prefixes": {"diff.noprefix": "true"},
    "mnemonic prefixes": {"diff.mnemonicPrefix": "true"},
    "prefixes of one's own": {"diff.srcPrefix": "x/", "diff.dstPrefix": "y/"},
    "context": {"diff.context": "0", "diff.interHunkContext": "9"},
    "algorithm": {"diff.algorithm": "patience", "diff.indentHeuristic": "false"},
    "renames": {"diff.renames": "copies"},
    "a relative diff": {"diff.relative": "false"},
    "an order": {"diff.orderFile": "/no/such/order"},
    "an external diff": {"diff.external": "false"},
    "a text driver": {"diff.driver.textconv": "true", "diff.driver.command": "false"},
    "submodules": {"diff.submodule": "log", "submodule.recurse": "true", "diff.ignoreSubmodules": "all"},
    "colours": {"color.ui": "always", "color.diff": "always"},
    "quoted paths": {"core.quotePath": "true"},
    "a pager": {"core.pager": "false", "pager.diff": "false", "pager.ls-files": "false"},
    "ends of lines": {"core.autocrlf": "true", "core.safecrlf": "true"},
    "other ends of lines": {"core.autocrlf": "input", "core.eol": "crlf"},
    "blanks": {"apply.whitespace": "error", "core.whitespace": "trailing-space", "apply.ignoreWhitespace": "change"},
    "a file monitor": {"core.fsmonitor": "echo"},
    "a cache of what is new": {"core.untrackedCache": "true", "feature.manyFiles": "true"},
    "times not looked at": {"core.trustctime": "false", "core.checkStat": "minimal", "core.ignoreStat": "true"},
    "hooks": {"core.hooksPath": "hooks"},
    "attributes": {"core.attributesFile": "attributes"},
    "filters": {"filter.driver.clean": "true", "filter.driver.smudge": "true", "filter.driver.required": "true"},
    "a template": {"init.templateDir": "template"},
    "no untracked files": {"status.showUntrackedFiles": "no", "status.relativePaths": "false"},
    "signatures": {"log.showSignature": "true"},
    "an encoding": {"i18n.logOutputEncoding": "UTF-16"},
    "no local clones": {"protocol.file.allow": "never", "protocol.version": "0"},
    "an alias": {"alias.diff": "!false", "alias.ls-files": "!false"},
    "a sparse checkout": {"core.sparseCheckout": "true", "index.sparse": "true"},
    "advice": {"advice.addEmbeddedRepo": "true", "core.bigFileThreshold": "1"},
}
VARIABLES = {
    "GIT_DIFF_OPTS": "-u0",
    "GIT_EXTERNAL_DIFF": "false",
    "GIT_PAGER": "false",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_ICASE_PATHSPECS": "1",
    "GIT_INDEX_FILE": "/no/such/index",
    "GIT_DIR": "/no/such/repository",
    "GIT_WORK_TREE": "/",
    "GIT_OBJECT_DIRECTORY": "/no/such/objects",
    "GIT_CEILING_DIRECTORIES": "/",
    "GIT_TEMPLATE_DIR": "/no/such/template",
    "GIT_CONFIG_PARAMETERS": "'diff.noprefix=true'",
    "GIT_ATTR_SOURCE": "HEAD",
    "GIT_TRACE": "1",
    "LANGUAGE": "de:fr",
    "LC_ALL": "de_DE.UTF-8",
}


def run(folder: Path, *arguments: str, **environment: str) -> None:
    subprocess.run(arguments, cwd=folder, env=clean_environment(**environment), check=True, capture_output=True)


def repository(folder: Path, below: str = "") -> Path:
    """Make a repository with some code, and change it in every way; return the project's folder."""
    root = folder / below
    (root / "stages").mkdir(parents=True)
    (root / "data").mkdir()
    (root / ".dvc").mkdir()
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    lines = "".join(f"line {number}\n" for number in range(30))
    for name in ("kept.py", "changed.py", "gone.py", "crlf.py", "straße.py"):
        (root / "stages" / name).write_text(lines)
    for name in ("params.yaml", "dvc.lock", "data/metrics.json", ".dvc/config"):
        (root / name).write_text("seed: 0\n")
    (folder / "outside.txt").write_text("of another project\n")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "code")
    (root / "stages/changed.py").write_text(lines.replace("line 3\n", "line three  \n"))
    (root / "stages/gone.py").unlink()
    (root / "stages/crlf.py").write_bytes(lines.replace("\n", "\r\n").encode())
    (root / "stages/new [1].py").write_text("new\n")
    (root / "stages/straße.py").write_text("ß\n")
    (root / "stages/picture.bin").write_bytes(bytes(range(256)))
    for name in ("params.yaml", "dvc.lock", "data/metrics.json", ".dvc/config"):
        (root / name).write_text("seed: 1  # a password, say\n")
    return root


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(tmp_path_factory.mktemp("git") / "project")


@pytest.fixture(scope="module")
def plain(dirty: Path) -> bytes:
    """The patch that is made where nothing is set."""
    return code_patch(dirty)


def tree(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "stages").iterdir() if path.is_file()}


def test_the_patch_makes_of_a_clone_what_the_tree_is_and_holds_no_settings(
    dirty: Path, plain: bytes, tmp_path: Path
) -> None:
    run(tmp_path, "git", "clone", "--quiet", str(dirty), "clone")
    subprocess.run(["git", "apply", "-"], cwd=tmp_path / "clone", input=plain, check=True)
    assert tree(tmp_path / "clone") == tree(dirty)
    assert b"password" not in plain
    assert b"outside" not in plain


@pytest.mark.parametrize("place", ["user and system", "repository"])
@pytest.mark.parametrize("name", HOSTILE)
def test_settings_of_git_change_no_patch(
    name: str, place: str, dirty: Path, plain: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    for key, value in HOSTILE[name].items():
        run(tmp_path, "git", "config", "--file", str(settings), key, value)
    if place == "repository":
        with (dirty / ".git/config").open("r+") as file:
            kept = file.read()
            file.write(settings.read_text())
    else:
        for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
            monkeypatch.setenv(variable, str(settings))
    try:
        made = code_patch(dirty)
        head = git(dirty, "show", "--no-patch", "--format=%ct", "HEAD")
    finally:
        if place == "repository":
            (dirty / ".git/config").write_text(kept)
    assert made == plain
    assert head.isdigit()


def test_settings_do_change_what_git_itself_answers(dirty: Path, plain: bytes) -> None:
    """Else the table would show nothing."""
    ask = ("git", "diff", "HEAD", "--binary", "--", "stages")
    said = {}
    for name in ("prefixes", "context", "colours", "ends of lines", "an external diff"):
        given = [part for key, value in HOSTILE[name].items() for part in ("-c", f"{key}={value}")]
        done = subprocess.run(["git", *given, *ask[1:]], cwd=dirty, capture_output=True, check=False)
        said[name] = done.stdout
    assert len({plain, *said.values()}) == 1 + len(said)


def test_variables_change_no_patch(dirty: Path, plain: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert code_patch(dirty) == plain


def test_attributes_and_hooks_of_the_repository_change_no_patch(tmp_path: Path) -> None:
    root = repository(tmp_path / "project")
    plain, ran = code_patch(root), tmp_path / "ran"
    (root / ".git/info").mkdir(exist_ok=True)
    (root / ".git/info/attributes").write_text("*.py text eol=crlf filter=driver diff=driver\n*.bin -diff\n")
    for key, value in {"clean": f"touch {ran}", "smudge": f"touch {ran}"}.items():
        run(root, "git", "config", f"filter.driver.{key}", value)
    run(root, "git", "config", "diff.driver.textconv", f"touch {ran}; true")
    (root / ".git/hooks").mkdir(exist_ok=True)
    for hook in ("post-index-change", "post-checkout", "fsmonitor-watchman"):
        (root / ".git/hooks" / hook).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (root / ".git/hooks" / hook).chmod(0o755)
    assert code_patch(root) == plain
    assert not ran.exists()


@pytest.mark.parametrize("bit", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_the_index_was_told_not_to_see_is_one(bit: str, tmp_path: Path) -> None:
    """So is one of the same size and time."""
    root = repository(tmp_path / "project")
    run(root, "git", "stash", "--quiet", "--include-untracked")
    assert code_patch(root) == b""
    code = root / "stages/kept.py"
    run(root, "git", "update-index", bit, "stages/kept.py")
    was = code.stat()
    code.write_bytes(code.read_bytes().replace(b"line 7", b"line 8"))
    os.utime(code, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert b"+line 8" in code_patch(root)


def test_what_the_user_has_git_ignore_stays_out_and_what_they_added_all_the_same_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets, mostly: in the project's own list, the repository's and the user's, wherever that one is."""
    root = repository(tmp_path / "project")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (root / ".gitignore").write_text("*.one\n*.added\n")
    (root / ".git/info").mkdir(exist_ok=True)
    (root / ".git/info/exclude").write_text("*.two\n")
    (tmp_path / ".config/git").mkdir(parents=True)
    (tmp_path / ".config/git/ignore").write_text("*.three\n")
    for name in ("a.one", "a.two", "a.three", "a.four", "a.added", "a.txt"):
        (root / name).write_text("secret\n")
    run(root, "git", "add", "--force", "a.added")

    def new() -> set[str]:
        return {
            line.split(" ")[1]
            for line in changes(root, git(root, "rev-parse", "HEAD"), code_patch(root))
            if "a." in line
        }

    assert new() == {"a.four", "a.added", "a.txt"}
    (tmp_path / ".gitconfig").write_text("[core]\n\texcludesFile = ~/mine\n")
    (tmp_path / "mine").write_text("*.four\n")
    assert new() == {"a.three", "a.added", "a.txt"}


def test_a_project_below_its_repository_and_in_a_folder_with_odd_characters(tmp_path: Path) -> None:
    root = repository(tmp_path / 'a:b "c" é', "deep/project")
    patch = code_patch(root)
    assert b"deep" not in patch
    assert b"outside" not in patch
    commit = git(root, "rev-parse", "HEAD")
    assert sorted(changes(root, commit, patch))[0] == "changed stages/changed.py (+1 -1)"
    assert len(changes(root, commit, patch)) == 6
    assert committed(root, commit, "params.yaml") == b"seed: 0\n"
    state = State("x", commit, patch, b"seed: 2\n", {})
    copy = lay_out(state, root, tmp_path / "copy")
    assert copy == tmp_path / "copy/deep/project"
    assert tree(copy) == tree(root)
    assert (copy / "params.yaml").read_bytes() == b"seed: 2\n"
    assert (tmp_path / "copy/outside.txt").exists()


def test_a_link_and_an_executable_are_kept_and_a_huge_file_is_not(tmp_path: Path) -> None:
    root = repository(tmp_path / "project")
    (root / "stages/link.py").symlink_to("kept.py")
    (root / "stages/huge.py").write_bytes(bytes(LARGEST + 1))
    (root / "stages/run.sh").write_text("#!/bin/sh\n")
    (root / "stages/run.sh").chmod(0o755)
    patch = code_patch(root)
    assert b"new file mode 120000" in patch
    assert b"new file mode 100755" in patch
    assert b"huge" not in patch


def test_every_call_of_git_goes_through_the_one_door() -> None:
    calls = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "stages").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.List | ast.Tuple) and node.elts
        if isinstance(first := node.elts[0], ast.Constant) and first.value == "git"
    }
    assert calls == {"stages/workbench/tracking/git.py"}


def test_a_commit_is_known_by_its_shape() -> None:
    assert is_commit("0" * 40)
    assert is_commit("0" * 64)
    for text in ("", "HEAD", "--upload-pack=touch x", "0" * 39, "0" * 41, "A" * 40, f"{'0' * 40}\n", f"{'0' * 40}^"):
        assert not is_commit(text)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_another_user_is_told_with_what_to_do_and_read_where_they_trust_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path / "project")
    for path in (root, root / ".git"):
        os.chown(path, 12345, 12345)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(RestoreError) as refused:
        git(root, "rev-parse", "HEAD")
    assert str(refused.value) == (
        f"{root}: belongs to another user, so git does not look into it; if you trust what it holds, "
        f"`git config --global --add safe.directory {root}`"
    )
    run(root, "git", "config", "safe.directory", "*", GIT_DIR=str(root / ".git"))  # it has no say in it
    with pytest.raises(RestoreError, match="belongs to another user"):
        git(root, "rev-parse", "HEAD")
    (tmp_path / ".gitconfig").write_text(f"[safe]\n\tdirectory = {root}\n[diff]\n\tnoprefix = true\n")
    assert is_commit(git(root, "rev-parse", "HEAD"))
    assert b"--- a/stages/changed.py" in code_patch(root)
    git_bytes(tmp_path, "clone", "--quiet", str(root), str(tmp_path / "clone"))


def test_git_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RestoreError, match=r"git is not installed, or not on PATH; install it"):
        git(tmp_path, "rev-parse", "HEAD")


def test_a_checkout_under_windows_settings_has_the_bytes_of_the_commit(tmp_path: Path) -> None:
    """The twin is a repository without our `.gitattributes`."""
    ours = (ROOT / ".gitattributes").read_text()
    for attributes, same in ((ours, True), ("", False)):
        folder = tmp_path / str(same)
        folder.mkdir()
        run(folder, "git", "init", "--quiet", "origin")
        for name in ("dvc.yaml", "params.yaml", "stages/train.py"):
            (folder / "origin" / name).parent.mkdir(exist_ok=True)
            (folder / "origin" / name).write_bytes((ROOT / name).read_bytes())
        (folder / "origin/.gitattributes").write_text(attributes)
        run(folder / "origin", "git", "add", "--all")
        run(folder / "origin", "git", "commit", "--quiet", "--message", "code")
        run(folder, "git", "clone", "--quiet", "-c", "core.autocrlf=true", "origin", "clone")
        for name in ("dvc.yaml", "params.yaml", "stages/train.py"):
            assert ((folder / "clone" / name).read_bytes() == (ROOT / name).read_bytes()) is same


def test_broken_parameters_are_told_with_the_line(tmp_path: Path) -> None:
    root = repository(tmp_path / "project")
    (root / "dvc.lock").write_text("stages: {}\n")
    for text in ("<<<<<<< HEAD\nseed: 0\n=======\nseed: 1\n>>>>>>> other\n", "[", "7\n", "\xff", "a: *b\n"):
        (root / "params.yaml").write_text(text, encoding="latin-1")
        with pytest.raises(ParamsError, match=r"params\.yaml: .*; (mend that line|`git checkout)"):
            present_state(LABORATORY, root)
    with pytest.raises(
        RestoreError, match=r"params\.yaml or dvc\.lock: of this state is not valid YAML; allowed: a state"
    ):
        stale_stages("stages: {}", "<<<<<<< HEAD\n")


def test_what_ends_a_question_to_dvc_ends_all_that_it_started(tmp_path: Path) -> None:
    """SIGTERM to the command, while a stage of the copy is at work."""
    (tmp_path / "slow.py").write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)\n")
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  slow:\n    cmd: {sys.executable} slow.py\n")
    run(tmp_path, "git", "init", "--quiet")
    run(tmp_path, "dvc", "init", "--quiet")
    asks = (
        "import signal, sys, pathlib; from workbench.command.main import _interrupt\n"
        "from workbench.command.dvc import dvc\n"
        "signal.signal(signal.SIGTERM, _interrupt); dvc(pathlib.Path.cwd(), 'repro')"
    )
    environment = clean_environment(PYTHONPATH=str(ROOT / "stages"))
    asking = subprocess.Popen([sys.executable, "-c", asks], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert asking.poll() is None
        time.sleep(0.05)
    pid = int((tmp_path / "pid").read_text())
    assert psutil.pid_exists(pid)
    asking.terminate()
    assert asking.wait()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
