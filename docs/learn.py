"""Run the exercises of docs/learn.md, and bring their pictures and numbers: python docs/learn.py."""

import json
import re
import shlex
import subprocess
from pathlib import Path

from workbench.command.dvc_lock import locked_outputs
from workbench.command.snapshot import experiments

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs/learn.md", ROOT / "docs/learn/results.csv"


def exercises(page: str) -> dict[str, tuple[list[str], str]]:
    """Return for each experiment of the page its command, and the name of the picture in data/plot that answers."""
    commands = [shlex.split(line) for line in re.findall(r"^dvc exp run .*$", page, re.M)]
    pictures = dict(re.findall(r"\]\(learn/(\w+)-(\w+)\.png\)", page))
    return {
        command[command.index("-n") + 1]: (command, pictures[command[command.index("-n") + 1]]) for command in commands
    }


def main() -> None:
    """Run each exercise in a copy of the project, copy its picture from DVC's cache, and note its measures."""
    rows = ["experiment,mse,normalized,effective"]
    for name, (command, picture) in exercises(PAGE.read_text()).items():
        if name in experiments(ROOT):
            subprocess.run(["dvc", "exp", "remove", "--quiet", name], cwd=ROOT, check=True)
        subprocess.run([*command[:3], "--temp", *command[3:]], cwd=ROOT, check=True)
        commit = experiments(ROOT)[name]
        lock, metrics = (_show(commit, path) for path in ("dvc.lock", "data/evaluate/metrics.json"))
        digest = locked_outputs(lock)[f"data/plot/{picture}.png"]
        kept = ROOT / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        (PAGE.parent / "learn").mkdir(exist_ok=True)
        (PAGE.parent / f"learn/{name}-{picture}.png").write_bytes(kept.read_bytes())
        measures = json.loads(metrics)
        rows.append(
            f"{name},{measures['mse']},{measures['recovery']['normalized']},{measures['recovery']['effective']}"
        )
    RESULTS.write_text("\n".join(rows) + "\n")


def _show(commit: str, path: str) -> str:
    done = subprocess.run(["git", "show", f"{commit}:{path}"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
