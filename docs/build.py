"""Bring README.md and docs/ up to date with the files that the commands wrote: python docs/build.py.

Between `<!-- NAME -->` and `<!-- end -->` a page shows a table of benchmarks/results, where NAME is a file there, or
what reference.py makes of the code and of the results. Results that pages show are copied, and the notebook is run.
"""

import re
import shutil
from pathlib import Path

from cells import run_notebook
from reference import REFERENCE

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
COPIES = ("plot/attention.png", "plot/epochs.gif", "study/curves.png", "study/errors.png", "study/comparison.csv")
TABLE = re.compile(rf"(<!-- (benchmarks/results/\S+\.md|{'|'.join(REFERENCE)}) -->\n).*?(<!-- end -->)", re.S)


def main() -> None:
    """Copy the results, rewrite the pages, run the notebook."""
    for name in COPIES:
        shutil.copyfile(ROOT / "data" / name, ROOT / "docs" / Path(name).name)
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
    tour = ROOT / "docs/tour.ipynb"
    tour.write_text(run_notebook(tour.read_text()))


def with_tables(text: str) -> str:
    """Return the text with what is generated as it is now; of a table without the line on the machine."""

    def table(match: re.Match[str]) -> str:
        if match[2] in REFERENCE:
            made = f"\n{REFERENCE[match[2]]()}\n"
        else:
            made = (ROOT / match[2]).read_text().strip().rsplit("\n\n", 1)[0]
        return f"{match[1]}{made}\n{match[3]}"

    return TABLE.sub(table, text)


if __name__ == "__main__":
    main()
