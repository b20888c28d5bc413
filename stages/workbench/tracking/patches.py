"""What a tree changes of its commit's code, as a patch; and what a patch may change.

All is asked of an empty repository of our own beside the user's objects and files, so that no index, attribute or
configuration of theirs has a say, and theirs stay as they are.
"""

import os
import posixpath
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from workbench.stage.errors import RestoreError, printable
from workbench.tracking.git import git, git_bytes, user_settings

OWN = ("params.yaml", "dvc.lock", "data")  # kept whole elsewhere, or made anew
SETTINGS = (".dvc", ".git", ".gitmodules")  # of DVC and git, wherever they are: passwords, and what runs by itself
NOT_CODE = (*(f":!{name}" for name in OWN), ":!.dvc", ":!*/.dvc/*")
LARGEST = 10_000_000  # bytes of a new file that may be code
OF_FILES = ("core.excludesfile", "core.filemode", "core.ignorecase", "core.precomposeunicode", "core.symlinks")
LINK, REPOSITORY = "120000", "160000"  # modes
KINDS = {"A": "new", "D": "gone"}
Ask = Callable[..., bytes]


def code_patch(root: Path) -> bytes:
    """Return what the working tree changes of the commit's code, new files included; empty where nothing.

    Every file is read: what an index says of it may be old, or told to say so. New files too large to be code, other
    repositories below this one, and what the user has git ignore are left out.
    """
    commit = git(root, "rev-parse", "--verify", "HEAD")
    with own_repository(root) as ask:
        ask("read-tree", commit)
        ask("add", "--update", "--", ".", *NOT_CODE)
        known = _names(ask("ls-files", "-z", "--", ".", *NOT_CODE))
        staged = _names(git_bytes(root, "ls-files", "-z", "--", ".", *NOT_CODE))  # ignored ones, too
        others = _names(ask("ls-files", "--others", "--exclude-standard", "-z", "--", ".", *NOT_CODE))
        if new := [name for name in sorted((staged | others) - known) if _may_be_code(root / os.fsdecode(name))]:
            _add(ask, new)
        return _difference(ask, commit)


def changes(root: Path, commit: str, patch: bytes) -> list[str]:
    """Return a line for each file that a patch changes of the code of a commit.

    Raises:
        RestoreError: it cannot be applied, or changes what is not code: parameters, results, DVC's or git's own files,
            another repository, a link that leaves the project.

    """
    if not patch:
        return []
    with own_repository(root) as ask:
        bring(ask, root, commit, patch)
        entries = _entries(ask, commit)
        for mode, blob, _, path in entries:
            target = ask("cat-file", "blob", blob).decode(errors="surrogateescape") if mode == LINK else ""
            if reason := _why_not(mode, path, target):
                raise RestoreError(f"{printable(path)}: a run changes this, which {reason}; nothing was changed or run")
        counted = ask("diff", "--cached", "--numstat", "-z", "--no-renames", "--relative", commit).split(b"\0")
    lines = (os.fsdecode(entry).split("\t", 2) for entry in counted if entry)
    kinds = {path: kind for _, _, kind, path in entries}
    return [f"{KINDS.get(kinds[path], 'changed')} {printable(path)} (+{more} -{less})" for more, less, path in lines]


def only_new_files(root: Path, commit: str, patch: bytes, onto: str) -> bytes:
    """Return of a patch for one commit the files that neither this one nor the commit `onto` has, as a patch."""
    with own_repository(root) as ask:
        bring(ask, root, commit, patch)
        new = {path for _, _, kind, path in _entries(ask, commit) if kind == "A"}
        new &= {path for _, _, kind, path in _entries(ask, onto) if kind == "A"}
        return _difference(ask, onto, *sorted(new)) if new else b""


def apply(folder: Path, prefix: str, patch: bytes) -> None:
    """Apply a patch of the project's files to a clone, in which the project has that prefix."""
    git_bytes(folder, *_applying(prefix), stdin=patch)


def _why_not(mode: str, path: str, target: str) -> str:
    """Return why a patch must not have an entry; empty where it may."""
    parts = [part.casefold() for part in PurePosixPath(path).parts]
    if parts[0] in OWN or set(parts) & set(SETTINGS):
        return "is no code"
    if mode == REPOSITORY:
        return "is another repository"
    if mode != LINK:
        return ""
    leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    there = [part.casefold() for part in PurePosixPath(leads).parts]
    descending = [part for part in PurePosixPath(target).parts if part != ".."]
    upwards_first = PurePosixPath(target).parts[-len(descending) :] == tuple(descending) or not descending
    if target.startswith("/") or there[:1] == [".."] or not upwards_first or "\\" in target:
        return "is a link that leads out of the project"
    return "is a link to what is no code" if there[:1] and (there[0] in OWN or set(there) & set(SETTINGS)) else ""


@contextmanager
def own_repository(root: Path) -> Iterator[Ask]:
    """Make an empty repository over the user's files and objects, and give what asks it, from the project's folder."""
    shared = Path(git(root, "rev-parse", "--path-format=absolute", "--git-common-dir"))
    top, kind = git(root, "rev-parse", "--show-toplevel"), git(root, "rev-parse", "--show-object-format")
    settings = user_settings(root, *OF_FILES)  # what the user has git ignore may be secret; the rest is of the disk
    with tempfile.TemporaryDirectory(prefix="git-") as folder:
        git(Path(folder), "init", "--quiet", "--template=", f"--object-format={kind}")
        own = Path(folder, ".git")
        (own / "objects/info/alternates").write_text(
            f"{shared / 'objects'}\n", errors="surrogateescape", encoding="utf-8"
        )
        if (ignored := shared / "info/exclude").is_file():
            (own / "info").mkdir(exist_ok=True)
            shutil.copyfile(ignored, own / "info/exclude")
        environment = {"GIT_DIR": str(own), "GIT_WORK_TREE": top, "GIT_CONFIG_COUNT": str(len(settings))}
        for number, (name, value) in enumerate(settings.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
        yield partial(git_bytes, root, environment=environment)


def _applying(prefix: str) -> list[str]:
    return ["apply", "--whitespace=nowarn", *([f"--directory={prefix}"] if prefix else []), "-"]


def bring(ask: Ask, root: Path, commit: str, patch: bytes) -> None:
    """Bring the index to a commit and a patch; no file is written."""
    ask("read-tree", commit)
    command, *options = _applying(git(root, "rev-parse", "--show-prefix"))
    if patch:
        ask(command, "--cached", *options, stdin=patch)


def _add(ask: Ask, names: list[bytes]) -> None:
    literally = {**ask.keywords["environment"], "GIT_LITERAL_PATHSPECS": "1"}  # type: ignore[attr-defined]
    given = ("--pathspec-from-file=-", "--pathspec-file-nul")
    ask("add", "--force", *given, stdin=b"\0".join(names), environment=literally)


def _difference(ask: Ask, commit: str, *paths: str) -> bytes:
    chosen = [f":(literal){path}" for path in paths] or [".", *NOT_CODE]
    return ask("diff", "--cached", "--binary", "--full-index", "--no-renames", "--relative", commit, "--", *chosen)


def _entries(ask: Ask, commit: str) -> list[tuple[str, str, str, str]]:
    """Return mode, blob, kind and path of each entry of the index that is not as in the commit, all of them."""
    fields = ask("diff", "--cached", "--raw", "--no-abbrev", "-z", "--no-renames", "--relative", commit).split(b"\0")
    found = []
    for about, path in zip(fields[::2], fields[1::2], strict=False):
        _, mode, _, blob, kind = about.decode().split(" ")
        found.append((mode, blob, kind, os.fsdecode(path)))
    return found


def _names(listed: bytes) -> set[bytes]:
    return {name for name in listed.split(b"\0") if name}


def _may_be_code(path: Path) -> bool:
    return path.is_symlink() or (path.is_file() and path.stat().st_size <= LARGEST)
