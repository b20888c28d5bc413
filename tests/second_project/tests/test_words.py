"""What is counted, by hand, and that the pipeline's results are those of this code."""

import json
import subprocess
from pathlib import Path

import pytest

from words.counting import count_words, measures_of, read_counts
from words.params import CountParams
from workbench.stage.errors import DataError


def test_words_are_counted_the_most_frequent_first() -> None:
    counts = count_words("The cat, the dog: THE bird a", CountParams(min_length=3, lowercase=True))
    assert list(counts.items()) == [("the", 3), ("bird", 1), ("cat", 1), ("dog", 1)]
    measures = measures_of(counts, top=2, seed=0)
    assert (measures["words"], measures["different"], measures["share"]) == (6.0, 4.0, 4 / 6)


def test_the_interval_is_that_of_its_seed_and_holds_the_share() -> None:
    """By the binomial: of 400 words half are `the`, give or take 4 %."""
    measures = measures_of({"the": 200, "cat": 100, "dog": 100}, top=1, seed=0)
    assert measures["share_low"] == pytest.approx(0.5 - 1.645 * 0.025, abs=0.01)
    assert measures["share_high"] == pytest.approx(0.5 + 1.645 * 0.025, abs=0.01)
    assert measures == measures_of({"the": 200, "cat": 100, "dog": 100}, top=1, seed=0)
    assert measures != measures_of({"the": 200, "cat": 100, "dog": 100}, top=1, seed=1)


def test_a_table_that_is_none_is_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text("word,count\nrain,many\n")
    with pytest.raises(DataError, match="not a table of word,count; `dvc repro -f count` writes it again"):
        read_counts(path)


def test_the_results_are_those_of_this_code() -> None:
    assert subprocess.run(["dvc", "status", "--quiet"], check=False).returncode == 0, "run `make repro`"
    assert json.loads(Path("data/measure/metrics.json").read_text())["words"] > 0
