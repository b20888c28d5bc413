"""Change the entries of dvc.yaml; its comments, its order and its layout stay."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from workbench.command.use import WRITTEN, Changes, names
from workbench.stage.outputs import writing


def edit_pipeline(path: Path, changes: Mapping[str, Changes]) -> None:
    """Add and remove entries, stage by stage."""
    yaml, tree = _round_trip(path.read_text(encoding="utf-8"))
    for name, kinds in changes.items():
        stage = tree["stages"][name]
        for kind, (more, less) in kinds.items():
            for one in WRITTEN if kind == "outs" else (kind,):
                _edit(stage, one, more if one == kind else [], {*less})
    with writing(path) as beside, beside.open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)


def _round_trip(text: str) -> tuple[Any, Any]:
    """Read a file so that writing it leaves the layout of its lists as it is."""
    from ruamel.yaml import YAML

    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    indents = [len(line) - len(line.lstrip()) for line in lines]
    steps = [
        indents[n] - indents[n - 1]
        for n, line in enumerate(lines)
        if n and line.lstrip().startswith("- ") and lines[n - 1].rstrip().endswith(":")
    ]
    offset = steps[0] if steps else 0
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 16
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml, yaml.load(text)


def _edit(stage: Any, kind: str, more: Sequence[str], less: set[str]) -> None:
    """Change one list of a stage; what is new goes to its sorted place among its nearest neighbours."""
    from ruamel.yaml.comments import CommentedSeq

    below = _take_below(stage.get(kind, stage))  # the blank line between two stages, say, stays below the list
    if kind not in stage and more:
        stage[kind] = CommentedSeq()
    entries = stage.get(kind, [])
    for index in reversed(range(len(entries))):
        if isinstance(entries[index], str | Mapping) and names([entries[index]]) <= less:
            del entries[index]
    for one in more:
        entries.insert(_place([_path(kind, entry) for entry in entries], _path(kind, one)), one)
    if kind in stage and not entries:
        del stage[kind]
    _put_below(entries or stage, below)


def _path(kind: str, entry: Any) -> PurePosixPath:
    """Return what tells neighbours: a parameter's section is its folder."""
    name = min(names([entry]))
    return PurePosixPath(name.replace(".", "/") if kind == "params" else name)


def _place(entries: Sequence[PurePosixPath], new: PurePosixPath) -> int:
    for folder in new.parents:
        if beside := [n for n, one in enumerate(entries) if folder in one.parents]:
            return next((n for n in beside if entries[n] > new), beside[-1] + 1)
    return len(entries)


def _take_below(entries: Any) -> str:
    """Take what stands between the end of a list and what comes next: blank lines and comments of their own."""
    node, key, slot = _last(entries)
    tokens = node.ca.items.get(key)
    if not tokens or not tokens[slot]:
        return ""
    beside, _, below = tokens[slot].value.partition("\n")
    tokens[slot].value = f"{beside}\n"
    if not beside:
        del node.ca.items[key]
    return str(below)


def _put_below(entries: Any, below: str) -> None:
    from ruamel.yaml.error import CommentMark
    from ruamel.yaml.tokens import CommentToken

    node, key, slot = _last(entries)
    tokens = node.ca.items.setdefault(key, [None] * 4)
    if below and tokens[slot]:
        tokens[slot].value += below
    elif below:
        tokens[slot] = CommentToken(f"\n{below}", CommentMark(0), None)


def _last(node: Any) -> tuple[Any, Any, int]:
    """Return where the parser keeps what follows a list or mapping: with its very last value, however deep."""
    key = len(node) - 1 if isinstance(node, list) else list(node)[-1]
    inner = isinstance(node[key], list | Mapping) and node[key] and not node[key].fa.flow_style()
    return _last(node[key]) if inner else (node, key, 0 if isinstance(node, list) else 2)
