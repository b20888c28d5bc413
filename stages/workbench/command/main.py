"""The `attention` command: prove, restore, publish and list results, and see what is wrong."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from workbench.command.comparison import TORCH, Agreement, compare
from workbench.command.snapshot import State, lay_out, present_state, reproduce, share_cache
from workbench.stage.errors import AttentionError, RestoreError
from workbench.stage.garbage import collect_rarely


def main() -> None:
    """Run the command line; a user's mistake ends it with one line and status 1."""
    collect_rarely()
    options = command_line().parse_args()
    try:
        sys.exit(options.call(options))
    except AttentionError as error:
        sys.exit(str(error))
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # as a shell counts it
    except OSError as error:
        sys.exit(f"{error.filename or 'a file'}: {error.strerror or error}; mend that, and give the command again")
    except KeyboardInterrupt:
        sys.exit(130)


def command_line() -> argparse.ArgumentParser:
    """Return what reads the command line; each command sets the function to call."""
    parser = argparse.ArgumentParser(prog="attention", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("verify", help="run again from nothing, and compare every byte with what is recorded")
    command.add_argument("run", nargs="?", metavar="RUN", help="a DVC experiment or MLflow run; default: this state")
    command.set_defaults(call=lambda options: verify(options.run))

    command = commands.add_parser("restore", help="make a folder the state that produced a run, outputs included")
    command.add_argument("run", metavar="RUN", help="a DVC experiment, or an MLflow run by id or name")
    command.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder")
    command.set_defaults(call=lambda options: restore(options.run, options.folder))

    command = commands.add_parser("publish", help="create or complete the MLflow run of the results in data/")
    command.add_argument("--all", action="store_true", help="and those of every DVC experiment")
    command.set_defaults(call=lambda options: publish(everything=options.all))

    command = commands.add_parser("runs", help="list DVC's experiments and MLflow's runs in one table")
    command.add_argument("--sort", metavar="FIELD", help="mse, effective, learning_rate …; default: the newest first")
    command.add_argument("--descending", action="store_true", help="the largest first")
    command.add_argument("--filter", metavar="CONDITION", action="append", default=[], help="as 'mse<1e-4'; repeatable")
    output = command.add_mutually_exclusive_group()
    output.add_argument("--csv", action="store_true", help="every field, parameters too, as CSV")
    output.add_argument("--json", action="store_true", help="every field, parameters too, as JSON")
    command.set_defaults(call=runs)

    command = commands.add_parser("doctor", help="look for what is wrong with the environment and the stores")
    command.set_defaults(call=lambda _: doctor())

    command = commands.add_parser("completion", help="print what makes a shell complete this command's arguments")
    command.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    command.set_defaults(call=lambda options: completion(options.shell))
    return parser


def verify(run: str | None) -> int:
    """Run a state from nothing in a temporary clone, ignoring every cache, and compare its outputs byte for byte."""
    root = project()
    state = find(root, run) if run else present_state(root)
    with tempfile.TemporaryDirectory(prefix="attention-verify-") as parent:
        folder = Path(parent) / "copy"
        lay_out(state, root, folder)
        caches = {"XDG_CACHE_HOME": f"{parent}/cache", "NUMBA_CACHE_DIR": f"{parent}/cache/numba"}
        reproduce(folder, "--force", "--no-run-cache", **caches)
        found = compare(state, root, folder)
    print_table(("output", "expected", "got", ""), [(one.path, one.expected, one.got, one.verdict) for one in found])
    return conclude(f"{state.name}:", found)


def restore(run: str, folder: Path) -> int:
    """Make `folder` the state that produced a run, with its outputs from the cache, a remote, or by running."""
    root = project()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        there = "not empty" if folder.is_dir() else "a file"
        raise RestoreError(f"{folder}: is {there}; allowed: a new or empty folder; nothing was changed")
    state = find(root, run)
    lay_out(state, root, folder.resolve())
    if share_cache(root, folder):
        try:
            reproduce(folder, "--pull")
        except RestoreError:  # the remote cannot be reached, say
            reproduce(folder)
    else:
        reproduce(folder)
    found = compare(state, root, folder)
    for one in found:
        if one.verdict != "same":
            print(f"{one.path}: expected {one.expected}, got {one.got}: {one.verdict}")
    return conclude(f"{folder}: {state.name} restored;", found)


def conclude(name: str, found: Sequence[Agreement]) -> int:
    """Say in the last line how many outputs agree and how; return the status."""
    same, held = (sum(one.verdict == "same" for one in found), sum(one.holds for one in found))
    if held > same:
        told = "; ".join(f"{stage} {allowed.error:g} and {allowed.other:g}" for stage, allowed in TORCH.items())
        print(f"engine torch does not promise its bytes; allowed for squared errors and for other numbers: {told}")
    numbers = f", {held - same} in their numbers" if held > same else ""
    print(f"{name} {same} of {len(found)} outputs agree byte for byte{numbers}")
    return 0 if held == len(found) else 1


def publish(everything: bool) -> int:
    """Show the results in MLflow, as far as they are not there yet."""
    from workbench.command.find import publish as publish_results
    from workbench.command.find import publish_experiments

    root = project()
    print(f"data/: run {publish_results(root)}")
    told = publish_experiments(root) if everything else {}
    for name, what in told.items():
        print(f"{name}: {what}")
    return 1 if any(what.startswith("not") for what in told.values()) else 0


def runs(options: argparse.Namespace) -> int:
    """Print every training that DVC or MLflow knows."""
    from workbench.command.runs import COLUMNS, as_csv, as_json, as_rows, list_trainings, select, why_none
    from workbench.command.recorded import recorded_runs

    root = project()
    select([], options.filter, options.sort, descending=options.descending)  # a mistake is told before MLflow is asked
    everything = list_trainings(root, recorded_runs(root))
    trainings = select(everything, options.filter, options.sort, descending=options.descending)
    if options.csv or options.json:
        print(as_csv(trainings) if options.csv else as_json(trainings))
    elif trainings:
        print_table(COLUMNS, as_rows(trainings))
    if not trainings:
        print(why_none(everything, options.filter), file=sys.stderr)
    return 0


def doctor() -> int:
    """Print what was looked at; status 1 where something is wrong."""
    from workbench.command.doctor import examine

    findings = list(examine(project()))
    print_table(("", "what", "finding"), [("ok" if f.well else "WRONG", f.what, f.finding) for f in findings])
    for finding in findings:
        if not finding.well:
            print(f"{finding.what}: {finding.mend}")
    return 0 if all(finding.well for finding in findings) else 1


def completion(shell: str) -> int:
    """Print the script that a shell reads to complete this command."""
    import shtab

    print(shtab.complete(command_line(), shell))
    return 0


def find(root: Path, run: str) -> State:
    """Return the state that a DVC experiment or an MLflow run names."""
    from workbench.command.find import find_state

    return find_state(root, run)


def project() -> Path:
    """Return the project's root: the working folder or the nearest one above it that has a dvc.yaml."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists():
            return folder
    raise RestoreError(f"{here}: no dvc.yaml here or above; run the command inside the project")


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
