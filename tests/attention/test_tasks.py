"""Every task: drawn alike in blocks of any size, true by another rule, lawful, kept on disk and refused when harmed."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from attention.tasks import TASKS
from attention.tasks.cases import read_cases, write_truth
from attention.tasks.entry import Columns, Feature, Sizes, Streams, Task, TaskError, constant
from attention.tasks.examples import open_examples, write_examples
from attention.tasks.problem import MOST_NUMBERS, Examples, Problem, draw_columns, draw_examples, make_problem
from workbench.stage.errors import DataError
from workbench.stage.streams import stream

ROWS = 211
AGAIN = "`dvc repro -f generate` writes it again"
OTHERS = [name for name in TASKS if name != "lookup"]  # whose truth stands in the table


def drawn(problem: Problem, n: int = ROWS, rows: int | None = None, seed: int = 3) -> dict[str, Any]:
    """Return the table of a problem in one piece."""
    blocks = list(draw_columns(problem, seed, "train", n, rows))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


# Another rule for each truth, for one example and in plain Python.


def _lookup(row: dict[str, Any], sizes: Sizes) -> int:
    return int(sizes["true_attention"][row["context"]])


def _recall(row: dict[str, Any], _: Sizes) -> int:
    return list(row["token"]).index(row["asked"])


def _successor(row: dict[str, Any], sizes: Sizes) -> int:
    return _recall(row, sizes) + 1


def _caption(row: dict[str, Any], _: Sizes) -> int:
    kinds = list(row["kind"])
    order = [0, *{0: (1, 2, 3), 1: (3, 1, 2), 2: (2, 3, 1)}[row["colour"][kinds.index(0)] % 3]]
    return kinds.index(order[row["word"]])


def _neighbour(row: dict[str, Any], _: Sizes) -> int:
    down, right = [(-1, 0), (1, 0), (0, -1), (0, 1)][row["direction"]]
    near, far = (5 * (2 + k * down) + 2 + k * right for k in (1, 2))
    assert row["colour"][near] != row["colour"][far]
    return int(near if row["colour"][near] == row["wanted"] else far)


def _biggest(row: dict[str, Any], _: Sizes) -> int:
    return max(range(len(row["size"])), key=lambda j: row["size"][j])


RULES = {
    "lookup": _lookup,
    "recall": _recall,
    "successor": _successor,
    "caption": _caption,
    "neighbour": _neighbour,
    "biggest": _biggest,
}


@pytest.mark.parametrize("task", RULES)
def test_the_truth_is_what_another_rule_says_and_the_target_stands_there(task: str) -> None:
    problem = make_problem(task)
    columns = drawn(problem)
    examples = problem.examples(columns)
    for row in range(ROWS):
        true = RULES[task]({name: column[row] for name, column in columns.items()}, problem.sizes)
        assert examples.truth[row] == true
        assert examples.targets[row] == columns[problem.entry.values][row, true]
    assert set(examples.truth.tolist()) == set(problem.entry.truth(columns, problem.sizes).tolist())


@pytest.mark.parametrize("task", TASKS)
def test_every_position_that_can_be_true_is(task: str) -> None:
    problem = make_problem(task)
    counts = np.bincount(problem.examples(drawn(problem, 2003)).truth, minlength=problem.seq_len)
    possible = counts[counts > 0]
    expected = {"lookup": 5, "recall": 8, "successor": 7, "caption": 9, "neighbour": 8, "biggest": 8}
    assert len(possible) == expected.get(task, len(possible))
    assert possible.min() > 2003 / len(possible) / 2


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("rows", [1, 13, 210, 211, 1009])
def test_examples_do_not_depend_on_the_size_of_the_blocks(task: str, rows: int) -> None:
    problem = make_problem(task)
    blocks = list(draw_examples(problem, 3, "train", ROWS, rows))
    assert [len(block.targets) for block in blocks[:-1]] == [rows] * (len(blocks) - 1)
    whole, parts = drawn(problem), drawn(problem, rows=rows)
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("task", TASKS)
def test_seeds_splits_and_tasks_have_examples_of_their_own_and_fewer_begin_alike(task: str) -> None:
    problem = make_problem(task)
    whole, fewer, other = drawn(problem), drawn(problem, 53), drawn(problem, seed=4)
    (test,) = draw_columns(problem, 3, "test", ROWS)
    for name in whole:
        assert np.array_equal(whole[name][:53], fewer[name])
        if name not in ("word", "context"):
            assert not np.array_equal(whole[name], other[name])
            assert not np.array_equal(whole[name], test[name])


def key_choices() -> Iterator[tuple[str, str]]:
    """Yield each task with each thing that its keys may hold, and with all that may stand together."""
    for task, entry in TASKS.items():
        names = [*entry.keys, "position"]
        together = [] if entry.real_keys or len(names) == 1 else ["+".join(names)]
        yield from ((task, keys) for keys in dict.fromkeys([entry.default_keys, *names, *together]))


@pytest.mark.parametrize(("task", "keys"), [*key_choices()])
def test_features_are_in_the_range_that_a_network_has_rows_for(task: str, keys: str) -> None:
    problem = make_problem(task, keys=keys)
    examples = problem.examples(drawn(problem, 1009))
    assert examples.values.dtype == np.float32
    assert examples.values.shape == (1009, problem.seq_len, *([problem.classes] if problem.classes else []))
    for features, number in ((examples.queries, problem.n_queries), (examples.keys, problem.n_keys)):
        if features.dtype == np.float32:
            assert features.shape[-1] == number
        else:
            assert features.dtype == np.int64
            named = {*np.unique(features).tolist()} - {-1}
            assert named <= set(range(number))
            assert len(named) > 0.9 * number  # so the number is not larger than it need be
    assert examples.keys.shape[0] == (problem.seq_len if keys == "position" else 1009)


def test_features_are_those_of_the_measured_prototype() -> None:
    found = {task: (make_problem(task).n_queries, make_problem(task).n_keys) for task in RULES}
    assert found == {
        "lookup": (5, 8),
        "recall": (16, 16),
        "successor": (16, 24),
        "caption": (25, 11),
        "neighbour": (8, 29),
        "biggest": (1, 1),
    }


def test_what_a_caption_has_said_so_far_by_hand() -> None:
    """The first object is blue (colour 4, order 3, 1, 2): the words are those of the kinds 0, 3, 1, 2."""
    picture = {
        "kind": np.array([[4, 1, 4, 0, 4, 4, 2, 4, 3]] * 4),
        "colour": np.array([[5, 2, 0, 4, 1, 1, 3, 0, 5]] * 4),
        "word": np.arange(4),
    }
    problem = make_problem("caption")
    examples = problem.examples(problem.complete(picture))
    assert examples.truth.tolist() == [3, 8, 1, 6]
    assert examples.targets.tolist() == [4, 5, 2, 3]
    always, said = 24, [0 * 6 + 4, 3 * 6 + 5, 1 * 6 + 2]
    assert examples.queries.tolist() == [[always, *said[:word], *[-1] * (3 - word)] for word in range(4)]
    assert examples.kinds.tolist() == [0, 1, 2, 3]
    assert examples.keys[0].tolist()[3] == [0, 5 + 4]
    assert examples.values[0, 3].tolist() == [0, 0, 0, 0, 1, 0]


def test_the_token_before_stands_in_a_key_by_hand() -> None:
    problem = make_problem("successor", {"seq_len": 3, "n_tokens": 5}, keys="content+before")
    columns = {
        "x": np.array([[0.5, 0.25, 0.75]], np.float32),
        "token": np.array([[2, 4, 0]]),
        "asked": np.array([4]),
    }
    examples = problem.examples(problem.complete(columns))
    assert (examples.truth.tolist(), examples.targets.tolist()) == ([2], [0.75])
    assert examples.keys.tolist() == [[[2, 5 + 5], [4, 5 + 2], [0, 5 + 4]]]
    assert problem.n_keys == 5 + 6


def test_keys_of_several_features_stand_beside_others_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two features one may be none: that is -1 whatever stands before it."""
    entry = TASKS["recall"]
    pair = Feature(constant(5), lambda columns, _: np.stack([columns["token"], columns["token"] * 0 - 1], axis=-1))
    monkeypatch.setitem(TASKS, "pairs", replace(entry, keys={**entry.keys, "pair": pair}))
    columns = {
        "x": np.array([[0.5, 0.25, 0.75]], np.float32),
        "token": np.array([[2, 4, 0]]),
        "asked": np.array([4]),
    }
    found = {}
    for keys in ("position+pair", "pair+content", "pair"):
        problem = make_problem("pairs", {"seq_len": 3, "n_tokens": 5}, keys=keys)
        found[keys] = problem.examples(problem.complete(columns)).keys.tolist()
    assert found == {
        "position+pair": [[[0, 3 + 2, -1], [1, 3 + 4, -1], [2, 3 + 0, -1]]],
        "pair+content": [[[2, -1, 5 + 2], [4, -1, 5 + 4], [0, -1, 5 + 0]]],
        "pair": [[[2, -1], [4, -1], [0, -1]]],
    }


# The law: what tells where to look must not tell what to say.


def leaks(problem: Problem, seed: int = 0, n: int = 4001) -> list[str]:
    """Return what tells the target besides the value at the true position.

    Another value there must change neither where to look nor what is asked. And put the true position aside: of all
    that is left, least squares on half of the examples must not do better on the other half than the mean.
    """
    found = []
    columns = drawn(problem, n, seed=seed)
    before = problem.examples(columns)
    rows = np.arange(n)
    values = problem.entry.values
    changed = columns[values].copy()
    other = (changed[rows, before.truth] + 1) % problem.classes if problem.classes else 1 - changed[rows, before.truth]
    changed[rows, before.truth] = np.minimum(other, problem.classes or np.float32(1 - 2**-24))
    facts = {name: column for name, column in columns.items() if name not in ("y", "truth")}
    after = problem.examples(problem.complete({**facts, values: changed}))
    if not np.array_equal(before.truth, after.truth):
        found.append("the value decides where to look")
    if not np.array_equal(before.queries, after.queries):
        found.append("the query holds the value")
    target = np.eye(problem.classes)[before.targets] if problem.classes else before.targets[:, None].astype(float)
    seen = np.column_stack([np.ones(n), *_put_aside(before, problem)]).astype(float)
    half = n // 2
    fit = np.linalg.solve(seen[:half].T @ seen[:half] + np.eye(seen.shape[1]), seen[:half].T @ target[:half])
    error = np.square(seen[half:] @ fit - target[half:]).sum()
    by_mean = np.square(target[:half].mean(axis=0) - target[half:]).sum()
    if error < 0.99 * by_mean:
        found.append("what is beside the true position tells the target")
    return found


def _put_aside(examples: Examples, problem: Problem) -> Iterator[Any]:
    """Yield the features of queries, and keys and values of all positions, zero at the true one."""
    n, truth = len(examples.truth), examples.truth
    others = np.arange(problem.seq_len) != truth[:, None]
    yield _hot(examples.queries.reshape(n, -1), problem.n_queries).sum(axis=1)
    if examples.keys.dtype == np.float32:
        yield examples.keys[..., 0] * others
    elif examples.keys.ndim > 1:
        keys = _hot(examples.keys.reshape(n, problem.seq_len, -1), problem.n_keys).sum(axis=2)
        yield (keys * others[..., None]).reshape(n, -1)
    yield (examples.values.reshape(n, problem.seq_len, -1) * others[..., None]).reshape(n, -1)


def _hot(features: Any, number: int) -> Any:
    return (features[..., None] == np.arange(number)).astype(np.float32)


@pytest.mark.parametrize("task", TASKS)
def test_what_tells_where_to_look_does_not_tell_what_to_say(task: str) -> None:
    assert leaks(make_problem(task)) == []


def _says_it_twice(streams: Streams, rows: int, sizes: Sizes) -> Columns:
    """Draw as `recall` does, but the answer stands at the next position too."""
    columns = TASKS["recall"].draw(streams, rows, sizes)
    truth, values = TASKS["recall"].truth(columns, sizes), columns["x"].copy()
    values[np.arange(rows), (truth + 1) % sizes["seq_len"]] = values[np.arange(rows), truth]
    return {**columns, "x": values}


def _asks_with_the_answer() -> Task:
    """Return a caption whose query holds the word to be said: the first attempt at that task."""
    entry = TASKS["caption"]
    said = entry.queries.of

    def of(columns: Columns, sizes: Sizes) -> Any:
        answer = columns["colour"][np.arange(len(columns["word"])), entry.truth(columns, sizes)]
        return np.column_stack([said(columns, sizes), answer])

    return replace(entry, queries=entry.queries._replace(of=of))


def _looks_at_the_largest_value() -> Task:
    """Return a task whose true position is where the largest value stands."""
    return replace(TASKS["biggest"], truth=lambda columns, _: columns["x"].argmax(axis=1))


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (replace(TASKS["recall"], draw=_says_it_twice), ["what is beside the true position tells the target"]),
        (
            _asks_with_the_answer(),
            ["the query holds the value", "what is beside the true position tells the target"],
        ),
        (
            _looks_at_the_largest_value(),
            ["the value decides where to look", "what is beside the true position tells the target"],
        ),
    ],
)
def test_a_task_that_leaks_is_told(entry: Task, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "leaky", entry)
    assert leaks(make_problem("leaky")) == found


# Sizes and keys.


@pytest.mark.parametrize(
    ("task", "sizes", "keys", "told"),
    [
        ("recal", {}, None, f"task: got 'recal'; allowed: one of: {', '.join(TASKS)}"),
        (
            "recall",
            {"n_contexts": 7},
            None,
            "n_contexts: got 7; allowed: null, as the task has no such size (it has: seq_len, n_tokens); "
            "set it to null",
        ),
        ("recall", {"n_tokens": 0}, None, "n_tokens: got 0; allowed: null, or a whole number from 1 to 1024"),
        ("recall", {"n_tokens": True}, None, "n_tokens: got true; allowed: null, or a whole number from 1 to 1024"),
        (
            "recall",
            {"n_tokens": 7},
            None,
            "n_tokens: got 7; allowed: at least 8, as many as there are positions (data.seq_len)",
        ),
        ("successor", {"seq_len": 1}, None, "seq_len: got 1; allowed: null, or a whole number from 2 to 1024"),
        ("caption", {"side": 33}, None, "side: got 33; allowed: null, or a whole number from 2 to 32"),
        (
            "lookup",
            {"true_attention": [2, 7]},
            None,
            "true_attention: got [2, 7]; allowed: the word random, or a list of 5 positions (one for each of "
            "data.n_contexts), each from 0 to 7 (data.seq_len - 1)",
        ),
        ("lookup", {}, "content", "keys: got 'content'; allowed: null, or one of: position"),
        (
            "recall",
            {},
            "content+content",
            "keys: got 'content+content'; allowed: null, or one of: content, position, "
            "or several of them joined by a +",
        ),
        (
            "neighbour",
            {},
            "offset",
            "keys: got 'offset'; allowed: null, or one of: colour, position, or several of them joined by a +",
        ),
        ("biggest", {}, "size+position", "keys: got 'size+position'; allowed: null, or one of: size, position"),
    ],
)
def test_what_a_task_cannot_be_made_with_is_refused(task: str, sizes: Sizes, keys: str | None, told: str) -> None:
    with pytest.raises(TaskError) as caught:
        make_problem(task, sizes, keys)
    assert str(caught.value) == told


def test_an_example_without_a_true_position_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(TASKS["recall"], truth=lambda columns, _: np.full(len(columns["asked"]), -1))
    monkeypatch.setitem(TASKS, "nowhere", entry)
    with pytest.raises(TaskError) as caught:
        next(draw_examples(make_problem("nowhere"), 0, "train", 3))
    told = "nowhere: got -1 as the true position of a drawn example; allowed: 0 to 7; draw none without one"
    assert str(caught.value) == told


@pytest.mark.parametrize("task", TASKS)
def test_the_largest_of_a_task_is_drawn_in_small_blocks(task: str) -> None:
    sizes = {name: size.high for name, size in TASKS[task].sizes.items() if name != "true_attention"}
    problem = make_problem(task, {**sizes, **({"true_attention": "random"} if task == "lookup" else {})})
    assert problem.block_rows * problem.seq_len * (problem.classes or 1) <= 1 << 27
    (block,) = draw_examples(problem, 0, "train", 3)
    assert block.values.shape[1] == problem.seq_len


def test_each_number_of_a_real_key_counts_as_memory_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Feature(constant(1031), lambda columns, _: columns["size"][..., None].repeat(1031, -1), real=True)
    monkeypatch.setitem(TASKS, "wide", replace(TASKS["biggest"], keys={"size": wide}))
    problem = make_problem("wide", {"seq_len": 101})
    numbers = 101 * (1 + 1031) + 3  # of an example: values, keys, and its columns
    assert problem.block_rows == MOST_NUMBERS // numbers == 645


# Tables on disk.


@pytest.fixture(params=OTHERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The data of a task, drawn small."""
    problem = make_problem(request.param)
    write_examples(tmp_path / "train.parquet", draw_columns(problem, 0, "train", ROWS, 47), problem)
    write_truth(tmp_path / "truth.csv", problem, 0)
    return tmp_path


@pytest.mark.parametrize("rows", [7, 210, 1009])
def test_what_is_written_is_read_without_loss(folder: Path, rows: int) -> None:
    table = open_examples(folder, "train")
    read = list(table.blocks(rows))
    expected = list(draw_examples(table.problem, 0, "train", ROWS, rows))
    assert len(table) == ROWS
    for one, other in zip(read, expected, strict=True):
        for name in Examples._fields:
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
            assert getattr(one, name).dtype == getattr(other, name).dtype, name


def test_equal_examples_give_equal_bytes_and_say_of_which_task_they_are(folder: Path, tmp_path: Path) -> None:
    problem = open_examples(folder, "train").problem
    again = tmp_path / "again.parquet"
    write_examples(again, draw_columns(problem, 0, "train", ROWS, 47), problem)
    assert again.read_bytes() == (folder / "train.parquet").read_bytes()
    assert make_problem(problem.task) == problem
    other = make_problem(problem.task, keys="position")
    write_examples(again, draw_columns(other, 0, "train", ROWS, 47), other)
    assert again.read_bytes() != (folder / "train.parquet").read_bytes()  # what keys hold changes a training


def test_cases_are_read_as_they_were_drawn(folder: Path) -> None:
    problem = open_examples(folder, "train").problem
    cases = read_cases(folder / "truth.csv", problem)
    (expected,) = draw_examples(problem, 0, "cases", 64)
    assert all(np.array_equal(getattr(cases, name), getattr(expected, name)) for name in Examples._fields)


def _spoiled(path: Path, name: str, row: int, value: float) -> None:
    table = pq.read_table(path)
    place = table.schema.get_field_index(name)
    numbers = table.column(name).to_numpy().copy()
    numbers[row] = value
    pq.write_table(table.set_column(place, table.schema.field(name), pa.array(numbers)), path)


def harms(problem: Problem) -> Iterator[tuple[str, float, str]]:
    """Yield a column, a value that it cannot have in row 100, and what is said of it."""
    for name, below, wide in problem.columns:
        column = f"{name}_{problem.seq_len - 1}" if wide else name
        if name == "y":
            yield column, 0.123 if below is None else below, "y is "
        elif below is None:
            for value in (np.nan, np.inf, -0.25, 1.0):
                yield column, value, f"{column} is {value}; allowed: 0 up to, not including, 1"
        else:
            for value in (-1, below, 2**62):
                yield column, value, f"{column} is {value}; allowed: 0 to {below - 1}"
    truth = int(drawn(problem, seed=0)["truth"][100])
    wrong = (truth + 1) % problem.seq_len
    yield "truth", wrong, f"truth is {wrong}, but of {problem.task}, {problem.entry.equation}, it is {truth}"


def test_every_kind_of_harm_to_a_number_has_its_line(folder: Path) -> None:
    path = folder / "train.parquet"
    whole = path.read_bytes()
    for column, value, told in harms(open_examples(folder, "train").problem):
        path.write_bytes(whole)
        _spoiled(path, column, 100, value)
        with pytest.raises(DataError) as caught:
            list(open_examples(folder, "train").blocks(13))
        said = str(caught.value)
        assert said.startswith(f"{path}: row 100: {told}"), said
        assert said.endswith(f"; {AGAIN}")
        assert "\n" not in said


@pytest.mark.parametrize("task", ["recall", "successor", "neighbour"])
def test_an_example_that_has_no_true_position_is_refused(task: str, tmp_path: Path) -> None:
    problem = make_problem(task)
    columns = drawn(problem, 53)
    if task == "neighbour":
        columns["colour"][40] = columns["wanted"][40]
    else:
        columns["token"][40] = (columns["asked"][40] + 1 + np.arange(8)) % 16
    write_examples(tmp_path / "train.parquet", [columns], problem)
    with pytest.raises(DataError, match=rf"row 40: truth is \d+, but of {task}, y = .*, it is nowhere; "):
        list(open_examples(tmp_path, "train").blocks())


def test_other_columns_are_refused(folder: Path) -> None:
    path = folder / "train.parquet"
    table = pq.read_table(path)
    first = table.schema.names[0]
    pq.write_table(table.drop_columns([first]), path)
    with pytest.raises(DataError, match=f"in the place of {first}; allowed: {first}, .* nothing else; "):
        open_examples(folder, "train")


def _about(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[bytes, bytes]], dict[bytes, bytes]]:
    def harm(metadata: dict[bytes, bytes]) -> dict[bytes, bytes]:
        about = json.loads(metadata[b"task"])
        change(about)
        return {b"task": json.dumps(about).encode()}

    return harm


@pytest.mark.parametrize(
    "harm",
    [
        lambda _: {b"task": b"{"},
        lambda _: {b"task": b"\xff"},
        lambda _: {b"task": b"[]"},
        lambda _: {b"task": b'{"task": "recall"}'},
        lambda _: {b"task": b'{"task": "recall", "task": "lookup"}'},
        lambda _: {b"task": b"[" * 100_000},
        _about(lambda about: about.update(task="nonesuch")),
        _about(lambda about: about.update(task="lookup", sizes={}, keys=None)),
        _about(lambda about: about.update(task=["recall"])),
        _about(lambda about: about.update(keys="nonesuch")),
        _about(lambda about: about.update(keys=None)),
        _about(lambda about: about.update(more=1)),
        _about(lambda about: about["sizes"].update(nonesuch=3)),
        _about(lambda about: about["sizes"].update({next(iter(about["sizes"])): 10**9})),
        _about(lambda about: about["sizes"].update({next(iter(about["sizes"])): "8"})),
    ],
)
def test_metadata_that_name_no_task_are_refused(
    folder: Path, harm: Callable[[dict[bytes, bytes]], dict[bytes, bytes]]
) -> None:
    path = folder / "train.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(harm(table.schema.metadata)), path)
    with pytest.raises(DataError) as caught:
        open_examples(folder, "train")
    assert str(caught.value) == f"{path}: its metadata name no task of this project; {AGAIN}"


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda rows: rows[1:], "got column 0 in the place of case; allowed: case, "),
        (lambda rows: [rows[0].replace("y", "z"), *rows[1:]], "got column z in the place of y; allowed: case, "),
        (lambda rows: rows[:1], "not a CSV table of numbers"),
        (lambda rows: rows[:-1], "got 63 rows; allowed: 64 cases, 0, 1, 2 … in order"),
        (lambda rows: [rows[0], rows[2], rows[1], *rows[3:]], "got 64 rows; allowed: 64 cases, 0, 1, 2 … in order"),
        (lambda rows: [*rows[:-1], rows[-1] + ",1"], "not a CSV table of numbers"),
        (lambda rows: [*rows[:-1], rows[-1].rpartition(",")[0] + ",x"], "not a CSV table of numbers"),
        (lambda rows: [*rows[:-1], rows[-1].rpartition(",")[0] + f",{2**70}"], "not a CSV table of numbers"),
        (lambda rows: [*rows[:-1], rows[-1].rpartition(",")[0] + ",-1"], "row 63: truth is -1; allowed: 0 to "),
    ],
)
def test_cases_that_are_none_are_refused(folder: Path, harm: Callable[[list[str]], list[str]], told: str) -> None:
    path = folder / "truth.csv"
    problem = open_examples(folder, "train").problem
    path.write_text("\n".join(harm(path.read_text().splitlines())) + "\n")
    with pytest.raises(DataError) as caught:
        read_cases(path, problem)
    assert str(caught.value).startswith(f"{path}: {told}")
    assert str(caught.value).endswith(f"; {AGAIN}")


def test_streams_have_names_of_their_own() -> None:
    """Of one name two tasks would share their numbers, and two columns theirs."""
    used: dict[str, list[str]] = {}
    for task in TASKS:
        streams = Streams(0, "train")
        make_problem(task).entry.draw(streams, 7, make_problem(task).sizes)
        for purpose in streams._begun:
            used.setdefault(purpose, []).append(task)
    assert [purpose for purpose, tasks in used.items() if len(tasks) > 1] == []
    first = stream(0, "train recall values").random((7, 8), dtype=np.float32)
    assert np.array_equal(drawn(make_problem("recall"), 7, seed=0)["x"], first)


def test_the_task_of_one_s_own_on_the_page_of_tasks_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = (ROOT / "docs/tasks.md").read_text(encoding="utf-8")
    module: dict[str, Any] = {}
    exec(page.partition("```python\n")[2].partition("```")[0], module)  # noqa: S102 - our own page
    monkeypatch.setitem(TASKS, "first", module["TASKS"]["first"])
    problem = make_problem("first", {"seq_len": 7})
    assert leaks(problem) == []
    write_examples(tmp_path / "train.parquet", draw_columns(problem, 0, "train", ROWS, 47), problem)
    table = open_examples(tmp_path, "train")
    assert table.problem == problem
    assert sum(len(block.targets) for block in table.blocks(13)) == ROWS
