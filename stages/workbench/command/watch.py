"""Run a stage as `python stages/<stage>.py` does, and write down which of the project's files and parameters it uses.

    python <path of>/watch.py REPORT SCHEMA LOADING SCRIPT [ARGUMENT …]

The kernel tells of the files (inotify), so that pyarrow's and safetensors' own opens are seen as well as Python's, and
imports too. Bytecode would hide that a module's source is read: run where the project has none, with
PYTHONDONTWRITEBYTECODE. SCHEMA names the pydantic model of params.yaml as `module:class`; a parameter is seen where an
attribute of the model or of one of its sections is read, other than by the modules (or packages) that LOADING names,
with commas between.
"""

import ctypes
import json
import os
import re
import runpy
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

OPEN, CLOSE_WRITE, CLOSE_NOWRITE, MOVED_TO = 0x20, 0x8, 0x10, 0x80  # inotify(7)
EVENTS = OPEN | CLOSE_WRITE | CLOSE_NOWRITE | MOVED_TO
IS_DIR, OVERFLOW, NONBLOCK = 0x40000000, 0x4000, 0o4000
BESIDE = re.compile(r"\..+\.\d+(-[\w-]+)?")  # an output on its way: workbench.stage.outputs.writing
UNWATCHED = {".git", ".dvc", ".venv", "__pycache__"}
PARAMETERS = {"params.yaml"}  # seen key by key
WHOLE = {"__dict__", "__iter__", "__repr_args__", "__pydantic_serializer__", "model_dump", "model_dump_json"}


class FileWatch:
    """Opens and writes in the folders that exist at the start, in the order in which they happen."""

    def __init__(self, root: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._root = root
        self._queue = libc.inotify_init1(NONBLOCK)
        self._folders: dict[int, Path] = {}
        for folder in _folders(root):
            watch = libc.inotify_add_watch(self._queue, os.fsencode(folder), EVENTS)
            if watch < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
            self._folders[watch] = folder.relative_to(root)

    def report(self) -> dict[str, list[str]]:
        """Return the files opened to be read before the stage itself had written them, and the files written."""
        opened, written = set[str](), set[str]()
        unknown = Counter[str]()  # opens that have not told yet, by their close, what they were for
        for folder, mask, name in self._events():
            file = (self._folders[folder] / name).as_posix()
            if mask & IS_DIR or BESIDE.fullmatch(name):
                continue
            if mask & OPEN:
                unknown[file] += file not in written
            elif mask & CLOSE_NOWRITE:
                opened |= {file} if unknown[file] > 0 or file not in written else set()
                unknown[file] -= 1
            else:
                unknown[file] -= bool(mask & CLOSE_WRITE)
                written.add(file)
        opened |= {*+unknown}
        new = {folder.relative_to(self._root) for folder in _folders(self._root)} - {*self._folders.values()}
        inside = (file for folder in new for file in (self._root / folder).iterdir() if file.is_file())
        written |= {file.relative_to(self._root).as_posix() for file in inside}
        return {"opened": sorted(opened - PARAMETERS), "written": sorted(written)}

    def _events(self) -> list[tuple[int, int, str]]:
        events: list[tuple[int, int, str]] = []
        while True:
            try:
                data = os.read(self._queue, 1 << 20)
            except BlockingIOError:
                return events
            while data:
                watch, mask, _, length = struct.unpack_from("iIII", data)
                if mask & OVERFLOW:
                    raise OverflowError("more events than the kernel keeps")
                events.append((watch, mask, os.fsdecode(data[16 : 16 + length].rstrip(b"\0"))))
                data = data[16 + length :]


def _folders(root: Path) -> Iterator[Path]:
    for folder, inner, _ in os.walk(root):
        inner[:] = sorted(set(inner) - UNWATCHED)
        yield Path(folder)


def watch_parameters(schema: str, loading: frozenset[str]) -> set[str]:
    """Return a set to which every parameter that is read from now on, other than by the loading itself, is added."""
    read: set[str] = set()
    from pydantic import BaseModel  # here, where the script's folder is first on the path, no longer this module's

    plain = BaseModel.__getattribute__
    module, _, root = schema.partition(":")

    def watched(section: BaseModel, name: str) -> Any:
        reader: FrameType = sys._getframe(1)
        while reader.f_back and (reader.f_code.co_filename == __file__ or _is_property(section, reader)):
            reader = reader.f_back  # whoever asked the section for it
        model = getattr(sys.modules.get(module), root, None)  # none yet while its own module is imported
        prefix = _prefixes(model).get(type(section)) if model else None
        if model and prefix is not None and not _parents(reader.f_globals.get("__name__", "")) & loading:
            leaves = {key for key in leaf_keys(model) if key.startswith(prefix)}
            read.update(leaves if name in WHOLE else {prefix + name} & leaves)
        return plain(section, name)

    BaseModel.__getattribute__ = watched  # type: ignore[method-assign, assignment]
    return read


def leaf_keys(model: "type[BaseModel]") -> list[str]:
    """Return the dotted key of every parameter that is no section."""
    return [
        prefix + name
        for section, prefix in _prefixes(model).items()
        for name, field in section.model_fields.items()
        if field.annotation not in _prefixes(model)
    ]


@cache
def _prefixes(section: "type[BaseModel]", prefix: str = "") -> "dict[Any, str]":
    found = {section: prefix}
    for name, field in section.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            found |= _prefixes(field.annotation, f"{prefix}{name}.")  # type: ignore[arg-type]
    return found


def _parents(module: str) -> set[str]:
    parts = module.split(".")
    return {".".join(parts[: n + 1]) for n in range(len(parts))}


def _is_property(section: "BaseModel", reader: FrameType) -> bool:
    """Whether the reader is a property of the section, or a comprehension within one."""
    name = reader.f_code.co_qualname.partition(".<locals>")[0].rpartition(".")[2]
    return isinstance(getattr(type(section), name, None), property)


def main() -> None:
    """Run the stage, and write the report however it ends."""
    report, schema, loading, script = sys.argv[1:5]
    sys.argv = sys.argv[4:]
    sys.path[0] = str(Path(script).resolve().parent)
    read, files = watch_parameters(schema, frozenset(loading.split(","))), FileWatch(Path.cwd())
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        Path(report).write_text(json.dumps({**files.report(), "read": sorted(read)}), encoding="utf-8")


if __name__ == "__main__":
    main()
