"""What a stage was seen to use, against what it declares.

A folder that is declared is a promise for each of its files: the stage opens them all. A file is declared by the
largest Python package around it that keeps that promise. A declared section of params.yaml promises each of its leaves.
"""

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from workbench.stage.errors import UserError, show_name

WRITTEN = ("outs", "metrics", "plots")
Stage = Mapping[str, Any]  # an entry of `stages` in dvc.yaml
Changes = Mapping[str, tuple[list[str], list[str]]]  # from a kind of entry to what to add and what to remove


class DeclareError(UserError):
    """What a stage uses cannot be found out."""


@dataclass(frozen=True)
class Use:
    """What a stage was seen to do: files by their path in the project, parameters by their dotted key."""

    opened: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()

    def __or__(self, other: "Use") -> "Use":
        return Use(self.opened | other.opened, self.written | other.written, self.read | other.read)


@dataclass(frozen=True)
class Pipeline:
    """What is compared with what a stage uses, beside its own entries.

    Attributes:
        folders: from each folder that may be declared to its files, as DVC hashes it.
        outputs: all outputs of all stages.
        exempt: sections of params.yaml that no result depends on.
        leaves: the dotted keys of params.yaml.

    """

    folders: Mapping[str, frozenset[str]] = field(default_factory=dict)
    outputs: frozenset[str] = frozenset()
    exempt: frozenset[str] = frozenset()
    leaves: frozenset[str] = frozenset()

    def disagreements(self, declared: Stage, use: Use) -> Changes:
        """Return for each kind of entry what a stage uses but does not declare, and what it declares but does not use.

        A file of a declared folder that is not opened is of the latter, by its own name.
        """
        deps, outs = names(declared.get("deps", [])), names(one for kind in WRITTEN for one in declared.get(kind, []))
        promised = {dep: self.folders.get(dep, frozenset([dep])) for dep in deps}
        held = frozenset[str]().union(*promised.values())
        read = self._read(use)
        params = frozenset[str]().union(*map(self._leaves, _params(declared)))
        made = {out for out in outs if any(_holds(out, file) for file in use.written)}
        return {
            "deps": (sorted(use.opened - held), sorted(held - use.opened)),
            "params": (sorted(read - params), sorted(params - read)),
            "outs": (sorted(f for f in use.written if not any(_holds(out, f) for out in outs)), sorted(outs - made)),
        }

    def changes(self, declared: Stage, use: Use) -> Changes:
        """Return for each kind of entry that is not as it should be what to add and what to remove."""
        deps = names(declared.get("deps", []))
        wanted = self._dependencies(deps, use.opened)
        params, read = _params(declared), self._read(use)
        sections = {one for one in params if self._leaves(one) <= read}
        keys = sections | (read - frozenset[str]().union(*map(self._leaves, sections)))
        kinds = {
            **self.disagreements(declared, use),
            "deps": (sorted(wanted - deps), sorted(deps - wanted)),
            "params": (sorted(keys - params), sorted(params - keys)),
        }
        return {kind: change for kind, change in kinds.items() if any(change)}

    def _read(self, use: Use) -> set[str]:
        return {key for key in use.read if key.partition(".")[0] not in self.exempt}

    def _leaves(self, key: str) -> frozenset[str]:
        """Return the leaves of a section, or the key itself."""
        return frozenset(leaf for leaf in self.leaves if leaf.startswith(f"{key}.")) or frozenset([key])

    def _dependencies(self, declared: set[str], opened: frozenset[str]) -> set[str]:
        """Return what stands for the opened files: outputs of stages, packages or declared folders, else the files."""
        rooms = {
            name
            for name, files in self.folders.items()
            if files and files <= opened and (name in declared or f"{name}/__init__.py" in files)
        }
        parents = ((file, [str(one) for one in reversed(PurePosixPath(file).parents)]) for file in opened)
        return {next((one for one in above if one in rooms | self.outputs), file) for file, above in parents}


def describe_pipeline(
    root: Path,
    stages: Mapping[str, Stage],
    used: Iterable[Use],
    exempt: Iterable[str] = (),
    leaves: Iterable[str] = (),
) -> Pipeline:
    """Look up the files of the folders that are declared, and of the packages that are opened."""
    parents = {str(one) for use in used for file in use.opened for one in PurePosixPath(file).parents}
    packages = {one for one in parents if (root / one / "__init__.py").exists()}
    declared = {one for stage in stages.values() for one in names(stage.get("deps", [])) if (root / one).is_dir()}
    outputs = names(one for stage in stages.values() for kind in WRITTEN for one in stage.get(kind, []))
    found = {
        one: [p.relative_to(root).as_posix() for p in sorted((root / one).rglob("*")) if p.is_file()]
        for one in packages | declared
    }
    ignored = _ignored(root, sorted({file for files in found.values() for file in files}))
    folders = {one: frozenset(files) - ignored for one, files in found.items()}
    return Pipeline(folders, frozenset(outputs), frozenset(exempt), frozenset(leaves))


def _ignored(root: Path, files: Sequence[str]) -> set[str]:
    """Ask DVC which files .dvcignore leaves out of a folder."""
    command = [sys.executable, "-m", "dvc", "check-ignore", "--stdin"]
    told = subprocess.run(command, cwd=root, input="\n".join(files), capture_output=True, text=True, check=False)
    if told.returncode not in (0, 1):  # 1: it ignores none
        last = told.stderr.strip().rpartition("\n")[2]
        raise DeclareError(f"{root}: `dvc check-ignore` failed: {show_name(last, 300)}; is this a DVC project?")
    return {*told.stdout.splitlines()}


def names(entries: Iterable[str | Mapping[str, Any]]) -> set[str]:
    """Return the names in a list of dvc.yaml, whose entries may carry options."""
    return {(entry if isinstance(entry, str) else next(iter(entry))).rstrip("/") for entry in entries}


def _params(declared: Stage) -> set[str]:
    return names(one for one in declared.get("params", []) if isinstance(one, str))


def _holds(entry: str, file: str) -> bool:
    return f"{file}/".startswith(f"{entry}/")
