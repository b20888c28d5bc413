"""What a task says of queries and keys, their features, and what is learned of each feature: a row of a table.

    queries   (n,) int64      (n, m) int64       (n, d) float32
    keys      (n, S) int64    (n, S, m) int64    (n, S, d) float32    or (S,) int64: the same for every query

A whole number names a row. Of several, the rows are summed, and -1 stands for none, where there are fewer than m.
Real numbers weigh the rows of all d features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def query_rows(table: Tensor, queries: Tensor) -> Tensor:
    """Return the row (n, width) of each query in a table (features, width)."""
    return _rows(table, queries, several=queries.dim() == 2)


def key_rows(table: Tensor, keys: Tensor) -> Tensor:
    """Return the row of each key in a table (features, width): (n, S, width), of shared keys (S, width)."""
    return _rows(table, keys, several=keys.dim() == 3)


def products(query: Tensor, key: Tensor) -> Tensor:
    """q·k_j (n, S) of queries' rows (n, width) and their keys' (n, S, width), or those of shared keys (S, width)."""
    return query @ key.T if key.dim() == 2 else (key @ query.unsqueeze(-1)).squeeze(-1)


def table_scores(table: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """E[query, key] (n, S) of a table (features of queries, features of keys): summed, or weighed, over features."""
    row = query_rows(table, queries)
    if keys.dim() == 1:
        return row[..., keys]
    if keys.is_floating_point():
        return products(row, keys)
    if keys.dim() == 2:
        return row.gather(-1, keys)
    each = row.gather(-1, keys.clamp(min=0).flatten(-2)).reshape(keys.shape)
    return (each * (keys >= 0)).sum(-1)


def _rows(table: Tensor, features: Tensor, *, several: bool) -> Tensor:
    if features.is_floating_point():
        return features @ table
    if not several:
        return table[features]
    return (table[features.clamp(min=0)] * (features >= 0).unsqueeze(-1)).sum(-2)
