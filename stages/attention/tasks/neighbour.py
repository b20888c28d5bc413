"""Stand-alone self-attention: a pixel asks for the nearest pixel of a colour in one direction.

The window around a pixel has 5 × 5 pixels. Of the two pixels that way exactly one has the colour wanted.
"""

import numpy as np
from numpy.typing import NDArray

from attention.tasks.entry import Array, Column, Columns, Feature, Positions, Size, Sizes, Streams, Task, constant

SIDE, REACH = 12, 2  # of an image, whose inner pixels have a whole window; how far a window reaches
WINDOW = 2 * REACH + 1
INNER = SIDE - 2 * REACH
CENTRE = REACH * WINDOW + REACH
STEPS = np.array([-WINDOW, WINDOW, -1, 1])  # up, down, left, right, in the window's numbering row by row
AWAY = CENTRE + STEPS[:, None] * np.arange(1, REACH + 1)  # (4, 2): the positions that way, the nearest first


def columns(sizes: Sizes) -> list[Column]:
    """Return the window, a brightness and a colour at each pixel, and what is asked for: a colour and a direction."""
    colours = sizes["n_colours"]
    return [
        Column("x", by_position=True),
        Column("colour", colours, by_position=True),
        Column("wanted", colours),
        Column("direction", len(STEPS)),
    ]


def draw(streams: Streams, rows: int, sizes: Sizes) -> Columns:
    """Draw whole images, and for each inner pixel a direction and a distance; what would be ambiguous is left out."""
    images = -(-rows // INNER**2)
    inner = images, INNER, INNER
    colours = _windows(streams.whole("neighbour colours", sizes["n_colours"], images, SIDE, SIDE))
    brightness = _windows(streams.uniform("neighbour values", images, SIDE, SIDE))
    direction = streams.whole("neighbour directions", len(STEPS), *inner).ravel()
    distance = streams.whole("neighbour distances", REACH, *inner).ravel()
    that_way = colours[np.arange(len(colours))[:, None], AWAY[direction]]  # (n, 2)
    clear = that_way[:, 0] != that_way[:, 1]
    wanted = that_way[np.arange(len(distance)), distance]
    return {
        "x": brightness[clear],
        "colour": colours[clear],
        "wanted": wanted[clear],
        "direction": direction[clear],
    }


def _windows(images: Array) -> Array:
    """Return the window of each inner pixel of images (m, 12, 12): (m · 64, 25)."""
    found = np.lib.stride_tricks.sliding_window_view(images, (WINDOW, WINDOW), axis=(1, 2))
    return found.reshape(-1, WINDOW**2)


def truth(columns: Columns, _sizes: Sizes) -> Positions:
    """Return which of the two pixels that way has the colour wanted; -1 where not exactly one has."""
    there = AWAY[columns["direction"]]  # (n, 2)
    has = columns["colour"][np.arange(len(there))[:, None], there] == columns["wanted"][:, None]
    return np.where(has.sum(axis=1) == 1, there[np.arange(len(there)), has.argmax(axis=1)], -1)


def asked(columns: Columns, sizes: Sizes) -> NDArray[np.int64]:
    """Return the colour wanted and the direction, two features of a query: (n, 2)."""
    return np.column_stack([columns["wanted"], sizes["n_colours"] + columns["direction"]])


def distance(_columns: Columns, truth: Positions, _sizes: Sizes) -> Positions:
    """Return how far away the true pixel is: 1 or 2."""
    rows, places = np.divmod(truth, WINDOW)
    away: Positions = np.abs(rows - REACH) + np.abs(places - REACH)
    return away


TASKS = {
    "neighbour": Task(
        equation="y = x[j] where j is the nearest pixel of the colour wanted in the direction asked",
        source="stand-alone self-attention: Ramachandran et al. 2019",
        teaches="content and location at once; scores that only add, as those of embedding, have no AND",
        sizes={"n_colours": Size(4, low=2, high=64)},
        seq_len=constant(WINDOW**2),
        columns=columns,
        draw=draw,
        truth=truth,
        queries=Feature(lambda sizes: int(sizes["n_colours"]) + len(STEPS), asked),
        keys={
            "colour": Feature(lambda sizes: int(sizes["n_colours"]), lambda columns, _: columns["colour"]),
        },
        default_keys="colour+position",
        kind=("distance", distance),
    )
}
