"""The article's toy: an independent context points at a position."""

import numpy as np

from attention.tasks.entry import (
    POSITION,
    Column,
    Columns,
    Feature,
    Positions,
    Size,
    Sizes,
    Streams,
    Task,
    TrueAttention,
    sequence,
)
from workbench.stage.streams import stream


def columns(sizes: Sizes) -> list[Column]:
    """Return numbers, and which context they come with."""
    return [Column("x", by_position=True), Column("context", sizes["n_contexts"])]


def draw(streams: Streams, rows: int, sizes: Sizes) -> Columns:
    """Draw numbers from U[0, 1), and a context."""
    return {
        "x": streams.uniform("inputs", rows, sizes["seq_len"]),
        "context": streams.whole("contexts", sizes["n_contexts"], rows),
    }


def truth(columns: Columns, sizes: Sizes) -> Positions:
    """Return what each context reads."""
    return np.array(sizes["true_attention"], dtype=np.int64)[columns["context"]]


def fits(sizes: Sizes) -> dict[str, str]:
    """Say what the list must be for these sizes."""
    listed, n, most = sizes["true_attention"], sizes["n_contexts"], sizes["seq_len"] - 1
    if listed == "random" or (len(listed) == n and all(0 <= position <= most for position in listed)):
        return {}
    return {
        "true_attention": f"the word random, or a list of {n} positions (one for each of data.n_contexts), "
        f"each from 0 to {most} (data.seq_len - 1)"
    }


def settled(seed: int, sizes: Sizes) -> Sizes:
    """Draw the position that each context reads, with replacement, where the word random stands for it."""
    if sizes["true_attention"] != "random":
        return sizes
    drawn = stream(seed, "truth").integers(0, sizes["seq_len"], sizes["n_contexts"])
    return {**sizes, "true_attention": drawn.tolist()}


TASKS = {
    "lookup": Task(
        equation="y = x[truth[context]]",
        source="the article's toy",
        teaches="where to look depends on an independent context alone; a network without attention does as well",
        sizes={
            "seq_len": Size(8),
            "n_contexts": Size(5),
            "true_attention": TrueAttention([2, 7, 3, 5, 1]),
        },
        seq_len=sequence,
        columns=columns,
        draw=draw,
        truth=truth,
        queries=Feature(lambda sizes: int(sizes["n_contexts"]), lambda columns, _: columns["context"]),
        keys={},
        default_keys=POSITION,
        kind=("context", lambda columns, _truth, _sizes: columns["context"]),
        problems=fits,
        settled=settled,
    )
}
