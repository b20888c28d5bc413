"""Run git so that no configuration, hook, attribute, locale or variable of the user's changes an answer.

Of what the user has set only two things are asked for: which folders they trust (`safe.directory`, by whoever else they
are owned), and what their files are to git (`user_settings`).
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from workbench.stage.errors import RestoreError, printable

ALONE = {
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",  # its messages are read
}
# What a repository's own configuration could say.
SETTINGS = {
    "color.ui": "false",
    "core.attributesFile": os.devnull,
    "core.autocrlf": "false",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "diff.orderFile": os.devnull,
    "i18n.logOutputEncoding": "UTF-8",
    "log.showSignature": "false",
    "protocol.file.allow": "always",
}
NOTHING: Mapping[str, str] = MappingProxyType({})
FOREIGN = re.compile(r"detected dubious ownership in repository at '(.*)'")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def git(folder: Path, *arguments: str, environment: Mapping[str, str] = NOTHING) -> str:
    """Run git in a folder and return what it prints, as text without the last end of line."""
    return git_bytes(folder, *arguments, environment=environment).decode(errors="surrogateescape").removesuffix("\n")


def git_bytes(folder: Path, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] = NOTHING) -> bytes:
    """Run git in a folder and return what it prints, whatever ends of line and characters the files have.

    Raises:
        RestoreError: git refuses, or is not there.

    """
    done = _run(folder, arguments, stdin, environment)
    if b"dubious ownership" in done.stderr and (trusted := _trusted(folder)):
        with tempfile.NamedTemporaryFile() as file:
            file.write(trusted)
            file.flush()
            done = _run(folder, arguments, stdin, {**environment, "GIT_CONFIG_GLOBAL": file.name})
    if done.returncode:
        raise RestoreError(_refusal(folder, arguments, done.stderr.decode(errors="replace")))
    return done.stdout


def committed(root: Path, commit: str, path: str, most: int | None = None) -> bytes:
    """Return a file of the project as a commit has it, wherever in its repository the project is.

    Raises:
        RestoreError: it has none, or one of more than `most` bytes, which is not read.

    """
    blob = f"{commit}:./{path}"
    if most is not None and (size := int(git(root, "cat-file", "-s", blob))) > most:
        raise RestoreError(f"{path}: {size:,} bytes; allowed: at most {most:,}; take a smaller file")
    return git_bytes(root, "cat-file", "blob", blob)


def is_commit(text: str) -> bool:
    """Whether a text has the shape of a commit's whole name, and so is neither an option nor a path."""
    return bool(COMMIT.fullmatch(text))


def user_settings(folder: Path, *names: str) -> dict[str, str]:
    """Return what the user's configuration says of some names, in lower case; paths are whole."""
    wanted = "|".join(map(re.escape, names))
    found = _ask_user(folder, "--type=path", "--get-regexp", f"^({wanted})$").split("\0")
    return dict(entry.split("\n", 1) for entry in found if "\n" in entry)


def _run(
    folder: Path, arguments: tuple[str, ...], stdin: bytes, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = ("git", "--no-pager", *settings, "-C", str(folder), *arguments)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            command, input=stdin, env={**kept, **ALONE, **environment}, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise RestoreError(f"{folder}: git is not installed, or not on PATH; install it") from error


def _refusal(folder: Path, arguments: tuple[str, ...], said: str) -> str:
    if foreign := FOREIGN.search(said):
        place = printable(foreign[1])
        return (
            f"{place}: belongs to another user, so git does not look into it; if you trust what it holds, "
            f"`git config --global --add safe.directory {place}`"
        )
    last = printable("".join(said.strip().splitlines()[-1:]))
    told = printable(" ".join(arguments[:3]))
    return f"{printable(str(folder))}: `git {told} …` failed: {last}; is this a git repository with a commit?"


def _trusted(folder: Path) -> bytes:
    """Return a configuration of the folders that the user trusts; the repository itself has no say in it."""
    found = _ask_user(folder, "--show-scope", "--get-all", "safe.directory").split("\0")
    values = [
        value for scope, value in zip(found[::2], found[1::2], strict=False) if scope not in ("local", "worktree")
    ]
    # Who clones a folder opens the repository in it.
    named = (place.replace("\\", "\\\\").replace('"', '\\"') for value in values for place in (value, f"{value}/.git"))
    return "".join(f'[safe]\n\tdirectory = "{value}"\n' for value in named).encode(errors="surrogateescape")


def _ask_user(folder: Path, *arguments: str) -> str:
    """Ask for the user's own configuration; empty where it says nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or "CONFIG" in name}
    command = ("git", "-C", str(folder), "config", "--null", *arguments)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, env=kept, capture_output=True, check=False)
    return done.stdout.decode(errors="surrogateescape")
