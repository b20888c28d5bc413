"""Bring README.md and docs/ up to date with the files that the commands wrote: python docs/build.py.

Between `<!-- FILE -->` and `<!-- end -->` the README shows a table of benchmarks/results; pictures are copied; the
notebook is run.
"""

import re
import shutil
from pathlib import Path

from cells import run_notebook

ROOT = Path(__file__).parents[1]
PICTURES = ("plot/attention.png", "plot/epochs.gif", "study/curves.png")
TABLE = re.compile(r"(<!-- (benchmarks/results/\S+\.md) -->\n).*?(<!-- end -->)", re.S)


def main() -> None:
    """Rewrite README.md, copy the pictures, run the notebook."""
    readme = ROOT / "README.md"
    readme.write_text(with_tables(readme.read_text()))
    for name in PICTURES:
        shutil.copyfile(ROOT / "data" / name, ROOT / "docs" / Path(name).name)
    tour = ROOT / "docs/tour.ipynb"
    tour.write_text(run_notebook(tour.read_text()))


def with_tables(text: str) -> str:
    """Return the text with every table as it was measured last, without the line on the machine."""

    def table(match: re.Match[str]) -> str:
        measured = (ROOT / match[2]).read_text().strip().rsplit("\n\n", 1)[0]
        return f"{match[1]}{measured}\n{match[3]}"

    return TABLE.sub(table, text)


if __name__ == "__main__":
    main()
