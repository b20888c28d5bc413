"""requirements.lock holds what computes, so that a stage may depend on it; requirements-dev.lock what only checks."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPUTE, CHECK = ((ROOT / name).read_text().splitlines() for name in ("requirements.lock", "requirements-dev.lock"))
UNLOCKED = {"setuptools", "pip", "wheel"}  # the tools of installing, which pip's own list leaves out


def packages(lines: Iterable[str]) -> set[str]:
    """Return the names in a lock file, as all spellings of them are compared."""
    return {canonicalize_name(line.partition("==")[0]) for line in lines}


def brought(requirements: Iterable[str]) -> set[str]:
    """Return the packages that are installed with these, and with what they bring themselves."""
    found: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        one = waiting.pop()
        if (known := (canonicalize_name(one.name), frozenset(one.extras))) in found:
            continue
        found.add(known)
        extras = one.extras or {""}
        try:
            more = [Requirement(line) for line in requires(one.name) or []]
        except PackageNotFoundError:
            continue  # the lock is asked for it all the same
        waiting += [r for r in more if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in extras)]
    return {name for name, _ in found} - UNLOCKED


def wrong(compute: list[str], check: list[str], project: Mapping[str, list[str]]) -> list[str]:
    """Return a line for each package that is in the wrong place, or in none."""
    first, second = packages(compute), packages(check)
    computes, checks = brought(project["dependencies"]), brought(project["dev"])
    return sorted(
        [f"{name} is in both" for name in first & second]
        + [f"{name} computes, and is not in requirements.lock" for name in computes - first]
        + [f"{name} computes nothing, and is in requirements.lock" for name in first - computes]
        + [f"{name} checks, and is in neither" for name in checks - first - second]
        + [f"{name} is for nothing, and is in requirements-dev.lock" for name in second - checks]
    )


DECLARED = {"dependencies": PROJECT["dependencies"], "dev": PROJECT["optional-dependencies"]["dev"]}


def test_each_package_is_in_its_lock() -> None:
    assert wrong(COMPUTE, CHECK, DECLARED) == []


@pytest.mark.parametrize("line", [*COMPUTE, *CHECK])
def test_a_line_is_a_version_and_names_no_host(line: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)


def test_a_package_in_the_wrong_lock_is_reported() -> None:
    shtab, pytest_line = (
        next(one for one in lock if one.startswith(name + "=="))
        for name, lock in (("shtab", COMPUTE), ("pytest", CHECK))
    )
    assert wrong([one for one in COMPUTE if one != shtab], [*CHECK, shtab], DECLARED) == [
        "shtab computes, and is not in requirements.lock",
        "shtab is for nothing, and is in requirements-dev.lock",
    ]
    assert wrong([*COMPUTE, pytest_line], CHECK, DECLARED) == [
        "pytest computes nothing, and is in requirements.lock",
        "pytest is in both",
    ]
    assert wrong(COMPUTE, [one for one in CHECK if one != pytest_line], DECLARED) == [
        "pytest checks, and is in neither"
    ]
