"""`diff`: what two runs, experiments or commits differ in, and what came of it."""

import json
from pathlib import Path

from workbench.command.difference import difference
from workbench.command.difference_page import page
from workbench.command.difference_report import report
from workbench.command.difference_text import as_markdown, as_text
from workbench.command.dvc import stages_to_run
from workbench.command.find import find_state
from workbench.command.snapshot import present_state
from workbench.project import Project
from workbench.stage.errors import SelectionError, printable
from workbench.stage.outputs import writing


def diff(project: Project, root: Path, a: str, b: str | None, *, output: str, html: Path | None) -> int:
    """Print what differs between two states, the second one by default the working tree, or write a page of it."""
    if html and (html.suffix != ".html" or html.is_dir()):
        raise SelectionError(f"--html: got {printable(str(html))}; allowed: the name of a file that ends in .html")
    one = find_state(project, root, a, whole=False)
    if b:
        other = find_state(project, root, b, whole=False)
    else:
        other = present_state(project, root, changed=stages_to_run(root))
    found = difference(project, root, one, other)
    told = report(found)
    if html:
        with writing(html) as path:
            path.write_text(page(told, found.outputs), encoding="utf-8", newline="\n")
        print(f"{printable(str(html))}: what differs between {printable(one.name)} and {printable(other.name)}")
    else:
        shown = {"json": lambda tree: json.dumps(tree, indent=2, allow_nan=False), "markdown": as_markdown}
        print(shown.get(output, as_text)(told))
    return 0
