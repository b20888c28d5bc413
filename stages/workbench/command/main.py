"""Verify, restore, publish, list and compare the runs of a project, and check its environment.

What is slow to import is imported by the command that needs it, so that an interrupt ends in one line from the start.
"""

from __future__ import annotations

from workbench.stage.run import collect_rarely

import argparse
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from workbench.stage.errors import RestoreError, UserError, printable

if TYPE_CHECKING:
    from workbench.project import Project

INTERRUPTED = 130  # the shell's status for Ctrl-C
YES = "do not ask before running code that is in no commit here"


def run_command(describe: Callable[[], Project]) -> None:
    """Run the command line; a user's mistake ends it with one line and status 1, an interrupt with status 130."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _interrupt)
        collect_rarely()
        project = describe()
        options = command_line(project).parse_args()
        sys.exit(options.call(project, options))
    except UserError as error:
        sys.exit("\n".join(map(printable, str(error).splitlines())))
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # as a shell counts it
    except OSError as error:
        sys.exit(f"{error.filename or 'a file'}: {error.strerror or error}; mend that, and give the command again")
    except KeyboardInterrupt:
        print("interrupted; the same command starts again", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End in order, once: what a command has started and made must go."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def command_line(project: Project) -> argparse.ArgumentParser:
    """Return what reads the command line; each command sets the function to call."""
    parser = argparse.ArgumentParser(prog=project.name, description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "verify", help="run the pipeline again without a cache, and compare every output byte for byte"
    )
    command.add_argument(
        "run", nargs="?", metavar="RUN", help="a DVC experiment, commit or MLflow run; default: the working tree"
    )
    command.add_argument("--yes", action="store_true", help=YES)
    command.set_defaults(call=_verify)

    command = commands.add_parser("restore", help="put the code, parameters and outputs of a run into a new folder")
    command.add_argument("run", metavar="RUN", help="a DVC experiment, a commit, or an MLflow run by id, name or key")
    command.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder")
    command.add_argument("--yes", action="store_true", help=YES)
    command.set_defaults(call=_restore)

    command = commands.add_parser("publish", help="create or complete the MLflow run of the results in data/")
    command.add_argument("--all", action="store_true", help="also publish every DVC experiment")
    command.set_defaults(call=_publish)

    command = commands.add_parser("runs", help="list DVC's experiments and MLflow's runs in one table")
    measures = ", ".join(project.measures)
    command.add_argument("--sort", metavar="FIELD", help=f"sort by {measures}, or any parameter; default: newest first")
    command.add_argument("--descending", action="store_true", help="largest first")
    example = f"as '{next(iter(project.measures))}<1e-4'; repeatable"
    command.add_argument("--filter", metavar="CONDITION", action="append", default=[], help=example)
    output = command.add_mutually_exclusive_group()
    output.add_argument("--csv", action="store_true", help="every field, parameters too, as CSV")
    output.add_argument("--json", action="store_true", help="every field, parameters too, as JSON")
    command.set_defaults(call=_runs)

    command = commands.add_parser("diff", help="show what differs between two runs, experiments or commits")
    state = "a DVC experiment, a commit, or an MLflow run by id, name or key"
    command.add_argument("a", metavar="A", help=state)
    command.add_argument("b", metavar="B", nargs="?", help="the same; default: the working tree")
    output = command.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="everything as JSON, numbers exact")
    output.add_argument("--markdown", action="store_true", help="as markdown, for a pull request")
    output.add_argument("--html", metavar="FILE", type=Path, help="as one page, with pictures side by side")
    command.set_defaults(call=_diff)

    command = commands.add_parser("ui", help="show and compare the runs in a browser")
    command.add_argument("--port", metavar="PORT", type=_port, default=5000, help="default: 5000")
    command.set_defaults(call=_ui)

    command = commands.add_parser(
        "doctor", help="check the environment, the results and the stores, and say how to repair them"
    )
    command.set_defaults(call=_doctor)

    command = commands.add_parser(
        "declare", help="run the stages, and compare the files and parameters they use with dvc.yaml"
    )
    command.add_argument("--write", action="store_true", help="write what was seen to dvc.yaml")
    command.set_defaults(call=_declare)

    for name, own in project.commands.items():
        command = commands.add_parser(name, help=own.help)
        own.arguments(command)
        command.set_defaults(call=partial(_own, own.call))

    command = commands.add_parser("completion", help="print the script with which a shell completes this command")
    command.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    command.set_defaults(call=_completion)
    return parser


def _verify(project: Project, options: argparse.Namespace) -> int:
    from workbench.command.verify import verify

    return verify(project, project_root(), options.run, yes=options.yes)


def _restore(project: Project, options: argparse.Namespace) -> int:
    from workbench.command.restore import restore

    return restore(project, project_root(), options.run, options.folder, yes=options.yes)


def _publish(project: Project, options: argparse.Namespace) -> int:
    from workbench.command.publish import publish

    return publish(project, project_root(), everything=options.all)


def _runs(project: Project, options: argparse.Namespace) -> int:
    from workbench.command.runs import runs

    output = "csv" if options.csv else "json" if options.json else "table"
    return runs(project, project_root(), options.filter, options.sort, descending=options.descending, output=output)


def _diff(project: Project, options: argparse.Namespace) -> int:
    from workbench.command.diff import diff

    output = "json" if options.json else "markdown" if options.markdown else "text"
    return diff(project, project_root(), options.a, options.b, output=output, html=options.html)


def _ui(project: Project, options: argparse.Namespace) -> int:
    from workbench.command.ui import ui

    return ui(project, project_root(), options.port)


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65_536):
        raise argparse.ArgumentTypeError(f"got {printable(text)!r}; allowed: a whole number from 1 to 65535")
    return int(text)


def _doctor(project: Project, _: argparse.Namespace) -> int:
    from workbench.command.doctor import doctor

    return doctor(project, project_root())


def _declare(project: Project, options: argparse.Namespace) -> int:
    from workbench.command.declare import declare

    return declare(
        project_root(),
        schema=project.schema,
        loading=project.loading,
        exempt=project.exempt,
        variants=project.variants,
        write=options.write,
    )


def _own(call: Callable[[Path, argparse.Namespace], int], _: Project, options: argparse.Namespace) -> int:
    return call(project_root(), options)


def _completion(project: Project, options: argparse.Namespace) -> int:
    import shtab

    print(shtab.complete(command_line(project), options.shell))
    return 0


def project_root() -> Path:
    """Return the project's root: the working folder or the nearest one above it that has a dvc.yaml."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").exists():
            return folder
    raise RestoreError(f"{here}: no dvc.yaml here or above; run the command inside the project")
