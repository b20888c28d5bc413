"""The counts of words, and what is measured of them."""

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from words.params import CountParams
from workbench.stage.errors import DataError
from workbench.stage.streams import stream

RESAMPLES = 200  # texts that are drawn from the text
AGAIN = "`dvc repro -f count` writes it again"


def count_words(text: str, params: CountParams) -> dict[str, int]:
    """Return how often each word occurs, the most frequent first, of equal ones the first in the alphabet."""
    words = re.findall(r"\w+", text.lower() if params.lowercase else text)
    counts = Counter(word for word in words if len(word) >= params.min_length)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def origin_of(params: CountParams, digest: str) -> dict[str, Any]:
    """Return all that determines the counts."""
    parameters = {"count.min_length": params.min_length, "count.lowercase": params.lowercase}
    return {"parameters": parameters, "data": {"rain.txt": digest}}


def read_counts(path: Path) -> dict[str, int]:
    """Read the counts that the stage count wrote; DataError where the file is anything else."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        counts = {word: int(count) for word, count in rows}
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); `dvc repro count` writes it") from error
    except ValueError as error:
        raise DataError(f"{path}: not a table of word,count; {AGAIN}") from error
    if header != ["word", "count"] or not counts:
        raise DataError(f"{path}: got {len(counts)} rows; allowed: a header word,count and at least one row; {AGAIN}")
    return counts


def read_origin(path: Path) -> dict[str, Any]:
    """Read what determined the counts."""
    try:
        origin: dict[str, Any] = json.loads(path.read_bytes())
        if origin.keys() != {"parameters", "data"}:
            raise ValueError
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); `dvc repro count` writes it") from error
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: does not say what determined the counts; {AGAIN}") from error
    return origin


def measures_of(counts: dict[str, int], top: int, seed: int) -> dict[str, float]:
    """Return the number of words, of different ones, and the share of the most frequent ones with its interval."""
    occurrences = np.array([*counts.values()])
    low, high = share_interval(occurrences, top, seed)
    return {
        "words": float(occurrences.sum()),
        "different": float(len(counts)),
        "share": share(occurrences, top),
        "share_low": low,
        "share_high": high,
    }


def share(occurrences: NDArray[np.int64], top: int) -> float:
    """Return the share of the `top` most frequent words among all."""
    return float(np.sort(occurrences)[-top:].sum() / occurrences.sum())


def share_interval(occurrences: NDArray[np.int64], top: int, seed: int) -> tuple[float, float]:
    """Return the 5th and the 95th percentile of the share in texts as long, drawn word by word from this one."""
    words = np.repeat(np.arange(len(occurrences)), occurrences)
    draw = stream(seed, "resamples")
    drawn = (np.bincount(words[draw.integers(len(words), size=len(words))]) for _ in range(RESAMPLES))
    shares = sorted(share(one, top) for one in drawn)
    return shares[RESAMPLES // 20], shares[-1 - RESAMPLES // 20]
