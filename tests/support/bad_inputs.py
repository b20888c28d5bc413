"""Every kind of wrong input, and what a stage says to it.

    python <path of>/bad_inputs.py PROJECT [NAME ...]

does each kind of harm to a copy of a finished project, runs the stage that reads the file, all in this one process, and
prints for each kind its status, what it said, and whether anything but the harmed file changed.
"""

import contextlib
import io
import json
import os
import pickle
import runpy
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML
from safetensors.numpy import save

from attention.functions import OPTIONS
from attention.params import schema
from attention.params.schema import Params
from attention.weights import load_weights
from workbench.stage.params import known_keys

Harm = Callable[[Path], object]  # does it to a file

PARAMS, TRUTH = "params.yaml", "data/generate/truth.csv"
TRAIN, TEST, MODEL = "data/generate/train.parquet", "data/generate/test.parquet", "data/train/model.safetensors"
HISTORY, GROWN = "data/train/history.csv", "data/train/attention.csv"
METRICS, FINAL = "data/evaluate/metrics.json", "data/evaluate/attention.csv"
MISSING = object()
DEFAULTED = {*OPTIONS, *schema.SIZES, "keys"}  # null stands for a default
SIZES = "with a position more"  # in itself nothing is wrong with it; only who reads other files too can tell
READERS = {
    TRAIN: ("train", "evaluate"),
    TEST: ("evaluate",),
    TRUTH: ("train", "evaluate"),
    MODEL: ("evaluate", "plot"),
    HISTORY: ("plot",),
    GROWN: ("plot",),
    METRICS: ("plot",),
    FINAL: ("plot",),
    PARAMS: ("generate", "train", "evaluate", "plot", "study"),
}


@dataclass(frozen=True)
class Wrong:
    """One wrong input: which file, what is done to it, and the stage that meets with it."""

    file: str
    harm: Harm
    stage: str


def wrong_inputs() -> dict[str, Wrong]:
    """Return every kind of wrong input by a name for it."""
    found: dict[str, Wrong] = {}
    for file, stages in READERS.items():
        for number, (name, harm) in enumerate(chain(_any_file().items(), _hostile(file), _this_file(file))):
            # A file that several stages read in the same way: each of them meets with some of it
            stage = "evaluate" if name == SIZES else stages[number % len(stages)]
            found[f"{file} {name}"] = Wrong(file, harm, stage)
    return found


def hostile_inputs() -> dict[str, Wrong]:
    """Return what nobody makes by mistake: what has no end, is larger than memory, or says two things at once."""
    every = wrong_inputs()
    return {f"{file} {name}": every[f"{file} {name}"] for file in READERS for name, _ in _hostile(file)}


def _hostile(file: str) -> Iterator[tuple[str, Harm]]:
    for name, make in _ENDLESS.items():
        yield name, partial(_instead, make)
    kinds = {TRAIN: _hostile_tables, TEST: _hostile_tables, MODEL: _hostile_models, PARAMS: _hostile_params}
    text = {METRICS: _hostile_metrics, TRUTH: _hostile_csv}
    yield from {**kinds, **text}.get(file, _hostile_csv)()


def _instead(make: Callable[[Path], object], path: Path) -> None:
    path.unlink()
    make(path)


_ENDLESS: Mapping[str, Callable[[Path], object]] = {
    "a named pipe": os.mkfifo,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)),
    "a device that never ends": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
}


def _before(data: bytes) -> Harm:
    return lambda path: path.write_bytes(data + path.read_bytes())


def _hostile_tables() -> Iterator[tuple[str, Harm]]:
    def repeated(path: Path) -> None:
        row = pq.read_table(path).slice(0, 1)
        pq.write_table(row.take(pa.array(np.zeros(400_000, np.int64))), path)

    yield "of very many equal rows in few bytes", repeated


def _hostile_models() -> Iterator[tuple[str, Harm]]:
    def header(path: Path) -> None:
        text = json.dumps({"__metadata__": {"a": "x" * 2_000_000}}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text)

    def twice(path: Path) -> None:
        path.write_bytes(path.read_bytes().replace(b'"attention":"{', b'"attention":"","attention":"{', 1))

    yield "of a header larger than it may be", header
    yield "with its metadata twice", twice


def _hostile_params() -> Iterator[tuple[str, Harm]]:
    def grid(values: str) -> Harm:
        def harm(path: Path) -> None:
            with path.open("w") as file:
                tree = YAML(typ="safe", pure=True).load(path_text)
                tree["study"]["grid"] = {"train.learning_rate": ["VALUES"]}
                YAML(typ="safe", pure=True).dump(tree, file)
            path.write_text(path.read_text().replace("VALUES", values))

        path_text = (Path(__file__).parents[2] / PARAMS).read_text()
        return harm

    yield "with a grid of a hundred thousand values", grid(",".join(f"{number}e-6" for number in range(1, 100_001)))
    yield "with a grid of thousands of wrong values", grid(",".join(map(str, range(-1, -9_000, -1))))
    yield "larger than it may be", _before(b"#" * 100_000 + b"\n")
    for depth in (500, 50_000):
        yield f"nested {depth} times", _text("a: " + "[" * depth + "]" * depth)
        yield f"nested {depth} times in mappings", _text("{a: " * depth + "1" + "}" * depth)
    yield "in another encoding", _before("# Größe\n".encode("latin-1"))
    yield "with a byte of zeros in a comment", _before(b"# \0\n")


def _hostile_metrics() -> Iterator[tuple[str, Harm]]:
    yield "larger than it may be", _before(b" " * 1_000_000)
    yield "with a byte order mark", _before("\ufeff".encode())
    yield "with a name twice", partial(_spoil_mean, '1.5, "mean": 2.5')
    yield "in UTF-16", lambda path: path.write_bytes(path.read_text().encode("utf-16"))


def _hostile_csv() -> Iterator[tuple[str, Harm]]:
    def columns(path: Path) -> None:
        header, *rows = path.read_text().splitlines(keepends=True)
        path.write_text("x," * 1_000_000 + header + "".join(rows))

    def row(path: Path) -> None:
        header, *rows = path.read_text().splitlines(keepends=True)
        path.write_text(header + "1," * 1_000_000 + "".join(rows))

    yield "of a million columns", columns
    yield "with a row of a million numbers", row
    yield "with a byte order mark", _before("\ufeff".encode())
    yield "in UTF-16", lambda path: path.write_bytes(path.read_text().encode("utf-16"))
    yield "with a terminal's escape in its header", _before(b"\x1b[2J\x1b]0;owned\x07")
    yield "with a header without an end", _before(b"x" * 3_000_000)


def _this_file(file: str) -> Iterator[tuple[str, Harm]]:
    kinds = {TRAIN: _tables, TEST: _tables, TRUTH: _truths, MODEL: _models, METRICS: _metrics, PARAMS: _params}
    return kinds.get(file, _csv_tables)()


def _text(text: str) -> Harm:
    return lambda path: path.write_text(text)


def _changing(change: Callable[[Any], Any]) -> Harm:
    return lambda path: pq.write_table(change(pq.read_table(path)), path)


def _describing(metadata: dict[str, str] | None) -> Harm:
    return lambda path: path.write_bytes(save(load_weights(path).arrays, metadata=metadata))


def _last_number(value: str, rows: list[str]) -> list[str]:
    return [*rows[:-1], rows[-1].rpartition(",")[0] + f",{value}\n"]


def _spoil_mean(value: str, path: Path) -> None:
    path.write_text(path.read_text().replace('"mean": ', f'"mean": {value}, "z": '))


def _any_file() -> dict[str, Harm]:
    return {
        "missing": lambda path: path.unlink(),
        "empty": lambda path: path.write_bytes(b""),
        "a folder": lambda path: (path.unlink(), path.mkdir()),
        "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
        "its first byte": lambda path: path.write_bytes(path.read_bytes()[:1]),
        "its first half": lambda path: path.write_bytes(_first_half(path.read_bytes())),
        "all zeros": lambda path: path.write_bytes(bytes(len(path.read_bytes()))),
        "random bytes": lambda path: path.write_bytes(np.random.default_rng(0).bytes(1000)),
        "a pickle": lambda path: path.write_bytes(pickle.dumps(Bomb())),
    }


class Bomb:
    """Whoever unpickles it makes a file `exploded`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def _first_half(data: bytes) -> bytes:
    return data[: len(data) // 2].rstrip(b"0123456789.\r\n")  # not by chance at the end of a row, nor of a number


def _params() -> Iterator[tuple[str, Harm]]:
    texts = {
        "a list": "[seed, 0]",
        "a word": "seed",
        "two documents": "seed: 0\n---\nseed: 1\n",
        "a tab for spaces": "data:\n\tn_train: 3\n",
        "an open bracket": "seed: [0",
        "a key given twice": "seed: 0\nseed: 1\n",
        "a Python object": "seed: !!python/object/apply:os.getcwd []",
        "an unknown tag": "seed: !nonesuch 0",
        "an unknown alias": "seed: *nonesuch",
        "a list inside itself": "seed: &a [*a]",
        "aliases that would fill the memory": "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True))
        + "seed: *k\n",
        "brackets without end": "[" * 5000,
        "a number of many digits": f"seed: 0x{'f' * 5000}\n",
    }
    for name, text in texts.items():
        yield name, _text(text)
    yield "in UTF-16", lambda path: path.write_bytes(path.read_text().encode("utf-16-be"))
    yield "with a byte that is no text", lambda path: path.write_bytes(path.read_bytes() + b"# \xff\xfe\n")
    values = {
        "missing": MISSING,
        "null": None,
        "a mapping": {"a": 1},
        "a list of lists": [[1]],
        "a mapping of many names": {f"name {k}\n" * 9: k for k in range(99)},
    }
    for key in known_keys(Params):
        for name, value in values.items():
            default = value is None or value is MISSING  # an option may be null, or not there at all
            null = value is None and key in ("compute.workers", "compute.address", "study.best")
            if not null and not (default and key.rpartition(".")[2] in DEFAULTED):
                yield f"{key}: {name}", _setting(key, value)
    for section in sorted({key.rpartition(".")[0] for key in known_keys(Params)} - {""}):
        for name, value in {"missing": MISSING, "null": None, "a number": 7, "a list": [7], "empty": {}}.items():
            yield f"{section}: {name}", _setting(section, value)
    others: dict[str, list[object]] = {
        "seed": [-1, 2**63, 1.0, True, "0", float("nan")],
        "data.n_train": [0, -5, 10**10, 7.5, "7", True],
        "data.n_test": [0, 10**30, float("inf")],
        "data.seq_len": [0, 1025, "eight"],
        "data.n_contexts": [0, 1025, False],
        "data.true_attention": ["Random", [], [1, 2], [2, 6, 7], [2, 6, -1], [2, 6, 3.0], [2, 6, "3"], 5],
        "data.task": ["recal", "", 5, None],
        "data.n_tokens": [0, "many", 16],  # 16: lookup has none
        "data.keys": ["", "content", 5, ["position"]],
        "model.attention": ["embeding", "Embedding", "", 5, True],
        "model.temperature": [0, 1001, "warm", True, 1.0],  # 1.0: embedding has none
        "model.width": [0, 2.5, 8],
        "train.epochs": [0, 10_001, 2.5, "4"],
        "train.batch_size": [0, 65_537, True],
        "train.learning_rate": [0, -0.1, 11, float("nan"), float("inf"), "0.01", True],
        "train.shuffle": [0, "yes", "true"],
        "train.engine": ["cuda", 0, ""],
        "study.seeds": [0, 100_001, 1.5],
        "study.grid": [
            *([], {"seed": [1]}, {"model.attention": []}, {"model.attention": ["softmx"]}, {5: [1]}),
            *({"train.epochs": [1, 1]}, {"train.epochs": 3}, {"train.epochs": [[1]]}, {"data.n_test": [{}, None]}),
            {"train.epochs": list(range(1, 1100)), "data.n_train": list(range(1, 1100))},
        ],
        "study.compare": ["pairs", None, True],
        "study.best": [[], {}, {"over": []}, {"over": [], "by": "mse"}, {"over": ["seed"], "by": "mse"}, "mse", 5],
        "compute.backend": ["threads", 5],
        "compute.workers": [0, 70_000, 1.5],
        "compute.address": ["", 5, "127.0.0.1:8786"],  # threads have none
        "tracking.experiment": ["", 5],
        "tracking.required": [1, "no"],
    }
    for key, wrong in others.items():
        for value in wrong:
            yield f"{key}: {value!r}", _setting(key, value)
    for unknown in (
        "sed",
        "data.n_trian",
        "n_train",
        "a name\nof two lines",
        "x" * 9999,
        "train.\x1b[31mred",
        7,
        None,
        2.5,
    ):
        yield f"unknown key {unknown!r:.30}", _setting(unknown, 1)


def _setting(key: object, value: object) -> Harm:
    def harm(path: Path) -> None:
        tree = YAML(typ="safe", pure=True).load(path.read_text())
        section, _, leaf = key.rpartition(".") if isinstance(key, str) else ("", "", key)
        place = tree[section] if section else tree
        if value is MISSING:
            del place[leaf]
        else:
            place[leaf] = value
        with path.open("w") as file:
            YAML(typ="safe", pure=True).dump(tree, file)

    return harm


def _tables() -> Iterator[tuple[str, Harm]]:
    changes: dict[str, Callable[[pa.Table], pa.Table]] = {
        "without a column": lambda t: t.drop_columns(["x_3"]),
        "without context": lambda t: t.drop_columns(["context"]),
        "with a column more": lambda t: t.append_column("z", t.column("y")),
        SIZES: lambda t: t.add_column(7, pa.field("x_7", pa.float32(), nullable=False), t.column("y")),
        "with columns in another order": lambda t: t.select(t.schema.names[::-1]),
        "with a name of two lines": lambda t: t.rename_columns(["x_0\nx_1", *t.schema.names[1:]]),
        "with two columns of a name": lambda t: t.rename_columns(["x_1", *t.schema.names[1:]]),
        "without rows": lambda t: t.slice(0, 0),
        "without columns": lambda t: t.select([]),
        "with rows repeated that disagree": lambda t: _with(pa.concat_tables([t, t]).combine_chunks(), "y", -1, 0.123),
    }
    for name, change in changes.items():
        yield name, _changing(change)
    for column, kind in (("x_2", pa.float64()), ("context", pa.int32()), ("context", pa.float32()), ("y", pa.string())):
        yield f"with {column} as {kind}", _casting(column, kind)
    for column, value in [
        *(("x_2", value) for value in (np.nan, np.inf, -np.inf, 1.0, -1e-9)),
        *(("context", value) for value in (-1, 3, 2**62)),
        *(("y", value) for value in (np.nan, 0.123, 2.0)),
    ]:
        for row in (0, -1):
            yield f"with {column} {value} in row {row}", _spoiling(column, row, value)
    yield "with a null", lambda path: pq.write_table(_with_null(pq.read_table(path)), path)
    yield "its last byte", lambda path: path.write_bytes(path.read_bytes()[:-1])
    yield "a byte more", lambda path: path.write_bytes(path.read_bytes() + b"\0")
    yield "its end alone", lambda path: path.write_bytes(b"PAR1" + path.read_bytes()[-500:])
    yield "numbers of its middle wiped out", lambda path: path.write_bytes(_wiped(path.read_bytes()))
    yield "a CSV table", lambda path: path.write_text("x_0,context,y\n0.5,0,0.5\n")


def _with(table: pa.Table, column: str, row: int, value: float) -> pa.Table:
    place = table.schema.get_field_index(column)
    numbers = table.column(column).to_numpy().copy()
    numbers[row] = value
    return table.set_column(place, table.schema.field(column), pa.array(numbers))


def _spoiling(column: str, row: int, value: float) -> Harm:
    return lambda path: pq.write_table(_with(pq.read_table(path), column, row, value), path)


def _casting(column: str, kind: pa.DataType) -> Harm:
    def harm(path: Path) -> None:
        table = pq.read_table(path)
        place = table.schema.get_field_index(column)
        field = pa.field(column, kind, nullable=False)
        pq.write_table(table.set_column(place, field, table.column(column).cast(kind)), path)

    return harm


def _with_null(table: pa.Table) -> pa.Table:
    numbers = [None, *table.column("x_0").to_pylist()[1:]]
    return table.set_column(0, pa.field("x_0", pa.float32()), pa.array(numbers, pa.float32()))


def _wiped(data: bytes) -> bytes:
    return data[: len(data) // 3] + bytes(200) + data[len(data) // 3 + 200 :]


def _truths() -> Iterator[tuple[str, Harm]]:
    texts = {
        "of other names": "context,place\n0,2\n1,6\n2,3\n",
        "without a header": "0,2\n1,6\n2,3\n",
        "the header alone": "context,position\n",
        "with a column more": "context,position,z\n0,2,1\n1,6,1\n2,3,1\n",
        "with a column less": "context\n0\n1\n2\n",
        "with a context less": "context,position\n0,2\n1,6\n",
        "with a context more": "context,position\n0,2\n1,6\n2,3\n3,3\n",
        "with a context twice": "context,position\n0,2\n1,6\n1,3\n",
        "in another order": "context,position\n1,6\n0,2\n2,3\n",
        "of another problem": "context,position\n0,2\n1,5\n2,3\n",
        "with a position too large": "context,position\n0,2\n1,7\n2,3\n",
        "with a negative position": "context,position\n0,2\n1,-1\n2,3\n",
        "with a position that is no whole number": "context,position\n0,2\n1,6.0\n2,3\n",
        "with a word": "context,position\n0,2\n1,six\n2,3\n",
        "with a position of many digits": f"context,position\n0,2\n1,{'6' * 5000}\n2,3\n",
        "with a position for a larger computer": f"context,position\n0,2\n1,{2**64}\n2,3\n",
        "with NaN": "context,position\n0,2\n1,nan\n2,3\n",
        "with an empty line": "context,position\n0,2\n\n1,6\n2,3\n",
        "with semicolons": "context;position\n0;2\n1;6\n2;3\n",
        "with a header of two lines": '"context\nof two",position\n0,2\n1,6\n2,3\n',
        "with a header without end": f"{'context,' * 9999}\n0,2\n1,6\n2,3\n",
        "with a cell too large": f"context,position\n0,{'2' * 200_000}\n",
        "with a byte of zeros": "context,position\n0,2\0\n1,6\n2,3\n",
    }
    for name, text in texts.items():
        yield name, _text(text)
    yield "with a byte that is no text", lambda path: path.write_bytes(path.read_bytes() + b"\xff\n")


def _models() -> Iterator[tuple[str, Harm]]:
    changes: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
        "without a parameter": lambda arrays, _: arrays.pop("linear.bias"),
        "with a parameter more": lambda arrays, _: arrays.update(z=np.zeros(1, np.float32)),
        "with many parameters more": lambda arrays, _: arrays.update(
            {f"z{k}": np.zeros(1, np.float32) for k in range(999)}
        ),
        "with a parameter turned": lambda arrays, _: arrays.update(
            {"attention.scores": arrays["attention.scores"].T.copy()}
        ),
        "in float64": lambda arrays, _: arrays.update({k: v.astype(np.float64) for k, v in arrays.items()}),
        "with NaN": lambda arrays, _: arrays["linear.weight"].fill(np.nan),
        "with infinity": lambda arrays, _: arrays["linear.bias"].fill(np.inf),
        "of an unknown function": lambda _, about: about.update(function="nonesuch"),
        "of a function that is a list": lambda _, about: about.update(function=["embedding"]),
        "of other sizes than it says": lambda _, about: about.update(n_contexts=5),
        "of sizes for a larger computer": lambda _, about: about.update(n_contexts=10**18, seq_len=10**18),
        "of negative sizes": lambda _, about: about.update(n_contexts=-3),
        "of sizes that are words": lambda _, about: about.update(seq_len="7"),
        "with the key of another": lambda _, about: about.update(key="0" * 32),
        "of another origin": lambda _, about: about["origin"]["parameters"].update(seed=1),
        "without an origin": lambda _, about: about.pop("origin"),
        "whose origin is a number": lambda _, about: about.update(origin=7),
    }
    for name, change in changes.items():
        yield name, _remaking(change)
    yield "of other sizes than the data", _resizing
    for name, metadata in {
        "of another project": None,
        "with other metadata": {"format": "pt"},
        "whose metadata are no JSON": {"attention": "{"},
        "whose metadata are a list": {"attention": "[]"},
        "whose metadata have no end": {"attention": "[" * 100_000},
    }.items():
        yield name, _describing(metadata)
    yield "its last byte", lambda path: path.write_bytes(path.read_bytes()[:-1])
    yield "a byte more", lambda path: path.write_bytes(path.read_bytes() + b"\0")
    yield "of a header for a larger computer", lambda path: path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
    yield "by torch.save", _saving_with_torch
    for kind in ("F4", "F8_E5M2", "BF16", "U64", "NONE"):
        yield f"of type {kind}", _retyping(kind)


def _remaking(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Harm:
    def harm(path: Path) -> None:
        weights = load_weights(path)
        arrays = {name: array.copy() for name, array in weights.arrays.items()}
        sizes = {"n_contexts": weights.n_contexts, "seq_len": weights.seq_len}
        about = {"function": weights.function, **sizes, "origin": dict(weights.origin), "key": weights.key}
        change(arrays, about)
        path.write_bytes(save(arrays, metadata={"attention": json.dumps(about)}))

    return harm


def _resizing(path: Path) -> None:
    def change(arrays: dict[str, Any], about: dict[str, Any]) -> None:
        about.update(n_contexts=2)
        arrays["attention.scores"] = arrays["attention.scores"][:2].copy()

    _remaking(change)(path)


def _saving_with_torch(path: Path) -> None:
    import torch

    torch.save({"linear.weight": torch.zeros(1, 7)}, path)


def _retyping(kind: str) -> Harm:
    def harm(path: Path) -> None:
        header = json.dumps({"linear.weight": {"dtype": kind, "shape": [1, 2], "data_offsets": [0, 8]}}).encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))

    return harm


def _csv_tables() -> Iterator[tuple[str, Harm]]:
    def lines(change: Callable[[list[str]], list[str]]) -> Harm:
        return lambda path: path.write_text("".join(change(path.read_text().splitlines(keepends=True))))

    yield "of other names", lines(lambda rows: [rows[0].replace("epoch", "step").replace("context", "c"), *rows[1:]])
    yield "the header alone", lines(lambda rows: rows[:1])
    yield "without a header", lines(lambda rows: rows[1:])
    yield "without its last row", lines(lambda rows: rows[:-1])
    yield "without its first row", lines(lambda rows: [rows[0], *rows[2:]])
    yield "with a row twice", lines(lambda rows: [*rows, rows[-1]])
    yield "all rows twice", lines(lambda rows: [*rows, *rows[1:]])
    yield "in another order", lines(lambda rows: [rows[0], *rows[:0:-1]])
    yield "with a longer row", lines(lambda rows: [*rows[:-1], rows[-1].strip() + ",1\n"])
    yield "with longer rows", lines(lambda rows: [rows[0], *(row.strip() + ",1\n" for row in rows[1:])])
    yield "with a shorter row", lines(lambda rows: [*rows[:-1], rows[-1].rpartition(",")[0] + "\n"])
    yield "with semicolons", lines(lambda rows: [row.replace(",", ";") for row in rows])
    yield "with a header of two lines", lines(lambda rows: ['"a\nb",' + rows[0], *("1," + row for row in rows[1:])])
    yield "with a header without end", lines(lambda rows: ["a," * 9999 + rows[0], *rows[1:]])
    yield "with an open quote", lines(lambda rows: [rows[0], '"' + rows[1], *rows[2:]])
    yield "with a byte of zeros", lines(lambda rows: [*rows, "\0\n"])
    yield "with a byte that is no text", lambda path: path.write_bytes(path.read_bytes() + b"\xff\xfe\n")
    for value in ("nan", "inf", "", "word", "1e999", "0x1p3"):
        yield f"with {value or 'nothing'} for a number", lines(partial(_last_number, value))


def _metrics() -> Iterator[tuple[str, Harm]]:
    texts = {
        "no JSON": "{",
        "a list": "[]",
        "null": "null",
        "a number": "7",
        "an empty mapping": "{}",
        "brackets without end": "[" * 100_000,
        "mappings without end": '{"a":' * 5000 + "1.0" + "}" * 5000,
        "a number of many digits": f'{{"mse": {"1" * 5000}}}',
        "a name of two lines": '{"a\\nb": null}',
        "a name without end": f'{{"{"a" * 9999}": null}}',
    }
    for name, text in texts.items():
        yield name, _text(text)
    for name, value in {
        "NaN": "NaN",
        "infinity": "-Infinity",
        "a word": '"0.1"',
        "null": "null",
        "true": "true",
    }.items():
        yield f"with {name} for a number", partial(_spoil_mean, value)
    yield "without the baselines", lambda path: path.write_text('{"mse": 0.5, "recovery": {"effective": 0.5}}')


def outputs(root: Path) -> dict[str, bytes]:
    """Return what all files of a project hold, but not what Python and MLflow keep for themselves."""
    own = ("__pycache__", ".git", "mlruns")
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if not path.is_symlink() and path.is_file() and not any(part in own for part in path.parts)
        if not path.name.startswith("mlflow.db")
    }


def do_harm(wrong: Wrong, project: Path, root: Path) -> None:
    """Make `root` a copy of a finished project with that harm done to it."""
    shutil.copytree(project / "data", root / "data")
    (root / "stages").symlink_to(project / "stages")  # a stage refuses to run with the code of another copy
    shutil.copy(project / PARAMS, root)
    wrong.harm(root / wrong.file)


def report(status: object, said: str, changed: bool) -> dict[str, Any]:
    """Return what is known of an attempt, ready for JSON."""
    return {"status": status, "said": said, "changed": changed}


def attempt(wrong: Wrong, project: Path) -> dict[str, Any]:
    """Do harm to a copy of the project, run the stage in this process, and tell how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        do_harm(wrong, project, root)
        before = outputs(root)
        said = io.StringIO()
        status: object = 0
        with contextlib.chdir(root), contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                runpy.run_path(f"stages/{wrong.stage}.py", run_name="__main__")
            except SystemExit as end:
                status = end.code
            except BaseException as error:  # a traceback, in a process of its own
                status = -1
                said.write(f"Traceback: {error!r}")
        return report(status, said.getvalue(), changed=outputs(root) != before)


def verdict(result: Mapping[str, Any]) -> str:
    """Return what is wrong with an answer to a wrong input; empty where nothing is."""
    lines = [line for line in result["said"].splitlines() if not line.startswith("warning: MLflow cannot be reached")]
    most = 30 if lines and lines[0].startswith(PARAMS) else 1  # there, a line for each problem
    problems = {
        f"status {result['status']}": result["status"] != 1,
        "a traceback": "Traceback" in result["said"],
        "outputs changed": result["changed"],
        f"{len(lines)} lines": not 1 <= len(lines) <= most,
        "not where": not all(line.startswith((PARAMS, "data/")) for line in lines),
        "not what to do": not all("; " in line for line in lines),
        "a line too long": any(len(line) > 500 for line in lines),
    }
    return ", ".join(name for name, wrong in problems.items() if wrong)


if __name__ == "__main__":
    project, *names = sys.argv[1:]
    sys.path[0] = str(Path(project).resolve() / "stages")
    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # nobody: what MLflow shows is not the matter here
    every = wrong_inputs()
    print(json.dumps({name: attempt(every[name], Path(project).resolve()) for name in names or every}))
