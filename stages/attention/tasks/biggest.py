"""Nothing is asked: the answer stands beside the largest key."""

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
    constant,
    sequence,
    true_position,
)


def columns(_sizes: Sizes) -> list[Column]:
    """Return a number to be said and a number to be compared at each position."""
    return [Column("x", by_position=True), Column("size", by_position=True)]


def draw(streams: Streams, rows: int, sizes: Sizes) -> Columns:
    """Draw both from U[0, 1)."""
    shape = rows, sizes["seq_len"]
    return {"x": streams.uniform("biggest values", *shape), "size": streams.uniform("biggest sizes", *shape)}


def truth(columns: Columns, _sizes: Sizes) -> Positions:
    """Return where the largest is, of equal ones the first."""
    largest: Positions = columns["size"].argmax(axis=1)
    return largest


TASKS = {
    "biggest": Task(
        equation="y = x[argmax_j size[j]]",
        source="the smallest task of pointer networks (Vinyals et al. 2015)",
        teaches="keys are compared with each other; cosine, which is blind to length, cannot do it",
        sizes={"seq_len": Size(8)},
        seq_len=sequence,
        columns=columns,
        draw=draw,
        truth=truth,
        queries=Feature(constant(1), lambda columns, _: np.zeros(len(columns["size"]), np.int64)),
        keys={"size": Feature(constant(1), lambda columns, _: columns["size"][..., None], real=True)},
        default_keys="size",
        kind=(POSITION, true_position),
    )
}
