"""`doctor`: what can be wrong around the project, and the command that mends it."""

import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path

from workbench.command.dvc import dvc
from workbench.command.finding import Finding
from workbench.command.report import print_table
from workbench.project import Project
from workbench.stage.errors import UserError, printable

CPU_ONLY = "`pip install torch --index-url` with the index of CPU builds that its own site names, in a new environment"


def doctor(project: Project, root: Path) -> int:
    """Print what was looked at; status 1 where something is wrong."""
    findings = list(examine(project, root))
    print_table(("", "what", "finding"), [("ok" if f.well else "WRONG", f.what, f.finding) for f in findings])
    for finding in findings:
        if not finding.well:
            print(f"{finding.what}: {finding.mend}")
    return 0 if all(finding.well for finding in findings) else 1


def examine(project: Project, root: Path) -> Iterator[Finding]:
    """Look at everything, cheap things first; what is found may be printed."""
    for one in _everything(project, root):
        yield Finding(printable(one.what), one.well, printable(one.finding), printable(one.mend))


def _everything(project: Project, root: Path) -> Iterator[Finding]:
    yield from _environment(root)
    yield _params(project, root)
    yield from _dvc(root)
    from workbench.command.store_health import examine_store

    yield from examine_store(project, root)


def _environment(root: Path) -> Iterator[Finding]:
    anew = "`make clean repro` installs requirements.lock anew"
    try:
        text = (root / "requirements.lock").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        yield Finding("environment", False, f"requirements.lock: {error}", "`git checkout requirements.lock`")
        return
    locked = locked_versions(text)
    wrong = [
        f"{name} {found or 'none'}, locked {version}"
        for name, version in locked.items()
        if (found := installed_version(name)) != version
    ]
    seen = f"{len(wrong)} packages differ: {'; '.join(wrong[:3])}" if wrong else "every package has its locked version"
    yield Finding("environment", not wrong, seen, anew)
    known = {_canonical(name) for name in locked}
    more = {_canonical(one.name) for one in importlib.metadata.distributions() if one.name} - known
    if gpu := sorted(name for name in more if name == "triton" or name.startswith(("nvidia-", "cuda-"))):
        few = ", ".join(gpu[:3]) + (", …" if len(gpu) > 3 else "")
        seen = f"{len(gpu)} packages for GPUs that no lock knows, several GB: {few}"
        yield Finding("packages", False, seen, f"torch's build for CPUs needs none: {CPU_ONLY}")


def locked_versions(text: str) -> dict[str, str]:
    """Return the version of each package of a lock file by its name, whatever comments, markers and hashes it has."""
    entries = (re.split(r"[#;\s]", line.strip(), maxsplit=1)[0] for line in text.splitlines())
    return {name: version for name, found, version in (entry.partition("==") for entry in entries) if found}


def installed_version(name: str) -> str:
    """Return the version of an installed package, without what a build adds to it; empty where there is none."""
    try:
        return importlib.metadata.version(name.partition("[")[0]).partition("+")[0]
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def _params(project: Project, root: Path) -> Finding:
    try:
        project.load_params(root / "params.yaml")
    except UserError as error:
        return Finding(
            "params.yaml", False, str(error).splitlines()[0], "mend that line, or `git checkout params.yaml`"
        )
    return Finding("params.yaml", True, "valid")


def _dvc(root: Path) -> Iterator[Finding]:
    status = dvc(root, "status", "--quiet")
    yield Finding(
        "results",
        not status.returncode,
        "up to date" if not status.returncode else "not those of this code",
        "`dvc repro`",
    )
    data = dvc(root, "data", "status", "--json")
    if data.returncode:
        reason = data.stderr.strip().rpartition("\n")[2] or "no reason given"
        yield Finding(
            "cache", False, f"`dvc data status` failed ({reason})", "mend that; the project is a git repository"
        )
    else:
        lost = json.loads(data.stdout or "{}").get("not_in_cache", [])
        seen = f"lacks {', '.join(lost[:3])}" if lost else "has every output"
        yield Finding("cache", not lost, seen, "`dvc pull`, or `dvc repro`")
    remotes = _remotes(root)
    if not remotes:
        yield Finding("remote", True, "none configured; results live in this copy alone (`dvc remote add` names one)")
        return
    reach = dvc(root, "status", "--cloud", "--quiet")
    seen = "reachable, and has every output" if not reach.returncode else "cannot be reached, or lacks outputs"
    yield Finding(
        "remote", not reach.returncode, f"{remotes[0]}: {seen}", "`dvc push`; `dvc status --cloud` tells more"
    )


def _remotes(root: Path) -> list[str]:
    return [line.split()[0] for line in dvc(root, "remote", "list").stdout.splitlines() if line.strip()]
