"""Count the words of a text."""

from workbench.stage.run import run_stage

from pathlib import Path

from words.counting import count_words, origin_of
from words.params import load_params
from words.tracking import TRACKED, show_count
from workbench.stage.outputs import md5
from workbench.stage.tables import write_json, write_table
from workbench.tracking.run import start_run
from workbench.tracking.tracked import experiment_of

TEXT, OUT = Path("text/rain.txt"), Path("data/count")


def main() -> str:
    """Write data/count/ from the text and count.*: a row a word, the most frequent first, and what determined it."""
    params = load_params()
    origin = origin_of(params.count, md5(TEXT))
    with start_run(TRACKED, params.tracking, experiment_of(origin)) as run:
        counts = count_words(TEXT.read_text(encoding="utf-8"), params.count)
        write_table(OUT / "words.csv", {"word": list(counts), "count": list(counts.values())})
        write_json(OUT / "origin.json", origin)
        show_count(run)
    return f"count: {sum(counts.values()):,} words, {len(counts):,} different -> data/count/{run.where}"


if __name__ == "__main__":
    run_stage(main)
