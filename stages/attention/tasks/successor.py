"""What followed the last time: a token is asked for, and the answer stands one position further."""

import numpy as np

from attention.tasks.entry import (
    POSITION,
    Array,
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
from attention.tasks.recall import ASKED, TOKEN, columns, draw_sequences, fits


def draw(streams: Streams, rows: int, sizes: Sizes) -> Columns:
    """Draw as `recall` does; the token asked for is never the last one."""
    return draw_sequences(streams, rows, sizes, "successor", sizes["seq_len"] - 1)


def truth(columns: Columns, sizes: Sizes) -> Positions:
    """Return the position after that of the token asked for."""
    place = matching(columns["token"], columns["asked"])
    return np.where((place < 0) | (place == sizes["seq_len"] - 1), -1, place + 1)


def before(columns: Columns, sizes: Sizes) -> Array:
    """Return the token before each position; before the first there is a token that stands nowhere else."""
    tokens = columns["token"]
    return np.concatenate([np.full((len(tokens), 1), sizes["n_tokens"]), tokens[:, :-1]], axis=1)


TASKS = {
    "successor": Task(
        equation="y = x[j + 1] where token[j] = asked",
        source="what followed the last time: Graves et al. 2014, 4.3; induction heads",
        teaches="content, then location: no function of the query and one key alone can do it, unless the "
        "key holds the token before",
        sizes={"seq_len": Size(8, low=2), "n_tokens": Size(16, low=2)},
        seq_len=sequence,
        columns=columns,
        draw=draw,
        truth=truth,
        queries=ASKED,
        keys={"content": TOKEN, "before": Feature(lambda sizes: int(sizes["n_tokens"]) + 1, before)},
        default_keys="content+position",
        kind=(POSITION, true_position),
        problems=fits,
    )
}
