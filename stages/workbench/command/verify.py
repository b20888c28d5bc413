"""`verify`: run again from nothing, and compare."""

import tempfile
from pathlib import Path

from workbench.command.clone import lay_out, reproduce
from workbench.command.comparison import compare
from workbench.command.consent import consent
from workbench.command.find import find_state
from workbench.command.report import conclude, print_table
from workbench.command.snapshot import present_state
from workbench.progress import doing
from workbench.project import Project


def verify(project: Project, root: Path, run: str | None, *, yes: bool) -> int:
    """Run a state from nothing in a temporary clone, ignoring every cache, and compare its outputs byte for byte."""
    state = consent(find_state(project, root, run), root, yes=yes) if run else present_state(project, root)
    with tempfile.TemporaryDirectory(prefix="verify-") as parent, doing("verify") as say:
        say("copying the project")
        copy = lay_out(state, root, Path(parent) / "copy")
        caches = {name: f"{parent}/cache/{name}" for name in ("XDG_CACHE_HOME", "DVC_SITE_CACHE_DIR")}
        say("starting the pipeline")
        reproduce(copy, say, "--force", "--no-run-cache", **caches)
        say("comparing the outputs")
        found = compare(project, state, root, copy, say)
    print_table(("output", "expected", "got", ""), [(one.path, one.expected, one.got, one.verdict) for one in found])
    return conclude(project, f"{state.name}:", found)
