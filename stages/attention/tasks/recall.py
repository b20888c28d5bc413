"""Associative recall: a token is asked for, and the answer stands beside it."""

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
    matching,
    sequence,
    true_position,
)


def columns(sizes: Sizes) -> list[Column]:
    """Return the sequence, a token and a number at each position, and the token asked for."""
    tokens = sizes["n_tokens"]
    return [Column("x", by_position=True), Column("token", tokens, by_position=True), Column("asked", tokens)]


def draw(streams: Streams, rows: int, sizes: Sizes) -> Columns:
    """Draw a sequence, and one of its tokens."""
    return draw_sequences(streams, rows, sizes, "recall", sizes["seq_len"])


def draw_sequences(streams: Streams, rows: int, sizes: Sizes, name: str, asked: int) -> Columns:
    """Draw different tokens in a random order, numbers from U[0, 1), and one of the first so many tokens."""
    tokens = streams.shuffled(f"{name} tokens", rows, sizes["n_tokens"])[:, : sizes["seq_len"]]
    return {
        "x": streams.uniform(f"{name} values", rows, sizes["seq_len"]),
        "token": tokens,
        "asked": tokens[np.arange(rows), streams.whole(f"{name} asked", asked, rows)],
    }


def truth(columns: Columns, _sizes: Sizes) -> Positions:
    """Return where the token is that is asked for."""
    return matching(columns["token"], columns["asked"])


def fits(sizes: Sizes) -> dict[str, str]:
    """Say that all tokens of a sequence are different."""
    enough = sizes["n_tokens"] >= sizes["seq_len"]
    return {} if enough else {"n_tokens": f"at least {sizes['seq_len']}, as many as there are positions (data.seq_len)"}


SIZES = {"seq_len": Size(8), "n_tokens": Size(16)}
ASKED = Feature(lambda sizes: int(sizes["n_tokens"]), lambda columns, _: columns["asked"])
TOKEN = Feature(lambda sizes: int(sizes["n_tokens"]), lambda columns, _: columns["token"])

TASKS = {
    "recall": Task(
        equation="y = x[j] where token[j] = asked",
        source="the context is the input itself; associative recall (Graves et al. 2014, 4.3)",
        teaches="content alone says where to look; what is addressed by place cannot do it",
        sizes=SIZES,
        seq_len=sequence,
        columns=columns,
        draw=draw,
        truth=truth,
        queries=ASKED,
        keys={"content": TOKEN},
        default_keys="content",
        kind=(POSITION, true_position),
        problems=fits,
    )
}
