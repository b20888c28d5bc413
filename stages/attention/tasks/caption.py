"""A picture described word by word: what was said so far decides which object is described next.

Four cells of a square hold an object, each of another kind, 0 to 3; the others are empty (kind 4). Every cell has a
colour of its own. Kind 0 comes first, and its colour chooses the order of the others. A word is a colour.
"""

import numpy as np
from numpy.typing import NDArray

from attention.tasks.entry import (
    Array,
    Column,
    Columns,
    Feature,
    Positions,
    Size,
    Sizes,
    Streams,
    Task,
    constant,
    matching,
)

KINDS = 4  # and empty cells
ORDERS = np.array([[1, 2, 3], [3, 1, 2], [2, 3, 1]])  # of the kinds after the first, by its colour modulo 3


def cells(sizes: Sizes) -> int:
    """Return the number of cells of the square."""
    return int(sizes["side"]) ** 2


def columns(sizes: Sizes) -> list[Column]:
    """Return the picture, a colour and a kind in each cell, and which word comes next."""
    return [
        Column("colour", sizes["n_colours"], by_position=True),
        Column("kind", KINDS + 1, by_position=True),
        Column("word", KINDS),
    ]


def draw(streams: Streams, rows: int, sizes: Sizes) -> Columns:
    """Draw pictures, each for all its words: different cells for the kinds, and a colour for every cell."""
    pictures = -(-rows // KINDS)
    kinds = np.minimum(streams.shuffled("caption cells", pictures, cells(sizes)), KINDS)
    colours = streams.whole("caption colours", sizes["n_colours"], pictures, cells(sizes))
    return {
        "colour": colours.repeat(KINDS, axis=0),
        "kind": kinds.repeat(KINDS, axis=0),
        "word": np.tile(np.arange(KINDS), pictures),
    }


def grammar(columns: Columns) -> NDArray[np.int64]:
    """Return the kinds (n, 4) in the order in which they are described; -1 where there is no kind 0."""
    first = matching(columns["kind"], np.zeros_like(columns["word"]))
    rows = np.arange(len(first))
    order = ORDERS[columns["colour"][rows, first] % len(ORDERS)]
    return np.where(first[:, None] < 0, -1, np.column_stack([np.zeros_like(first), order]))


def truth(columns: Columns, _sizes: Sizes) -> Positions:
    """Return the cell of the kind that the grammar asks for next."""
    return matching(columns["kind"], grammar(columns)[np.arange(len(columns["word"])), columns["word"]])


def said(columns: Columns, sizes: Sizes) -> Array:
    """Return the (kind, colour) of each word said so far as a feature, and one that every query has: (n, 4)."""
    order = grammar(columns)[:, :-1]  # the last word is never said before another
    rows = np.arange(len(order))
    features = np.full((len(order), KINDS), -1)
    features[:, 0] = KINDS * sizes["n_colours"]
    for word in range(KINDS - 1):
        kind = order[:, word]
        colour = columns["colour"][rows, matching(columns["kind"], kind)]
        features[:, word + 1] = np.where(word < columns["word"], kind * sizes["n_colours"] + colour, -1)
    return features


TASKS = {
    "caption": Task(
        equation="y = colour[j] where kind[j] is the one that the grammar asks for next",
        source="the picture and the words so far: Xu et al. 2015",
        teaches="the query is made of what was said, and chooses; what learns through a nearly closed gate stays with "
        "one or two words wrong",
        sizes={"side": Size(3, low=2, high=32), "n_colours": Size(6, low=3, high=64)},
        seq_len=cells,
        columns=columns,
        draw=draw,
        truth=truth,
        queries=Feature(lambda sizes: KINDS * int(sizes["n_colours"]) + 1, said),
        keys={
            "kind": Feature(constant(KINDS + 1), lambda columns, _: columns["kind"]),
            "colour": Feature(lambda sizes: int(sizes["n_colours"]), lambda columns, _: columns["colour"]),
        },
        default_keys="kind+colour",
        kind=("word", lambda columns, _truth, _sizes: columns["word"]),
        values="colour",
    )
}
