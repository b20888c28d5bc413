"""Run a stage as `python stages/<stage>.py` does, and write down which of the project's files and parameters it uses.

    python <path of>/watch.py report.json stages/train.py

The kernel tells of the files (inotify), so that pyarrow's and safetensors' own opens are seen as well as Python's, and
imports too. Bytecode would hide that a module's source is read: run where the project has none, with
PYTHONDONTWRITEBYTECODE. Parameters are seen where an attribute of a section of params.yaml is read.
"""

import ctypes
import json
import os
import re
import runpy
import struct
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

OPEN, CLOSE_WRITE, MOVED_TO = 0x20, 0x8, 0x80  # inotify(7)
IS_DIR, OVERFLOW, NONBLOCK = 0x40000000, 0x4000, 0o4000
BESIDE = re.compile(r"\..+\.\d+")  # an output on its way: workbench.stage.outputs.writing
UNWATCHED = {".git", ".dvc", ".venv", "__pycache__"}
LOADING = {"schema.py", "grid.py", "params.py"}
WHOLE = {"__dict__", "__iter__", "__repr_args__", "__pydantic_serializer__", "model_dump", "model_dump_json"}


class FileWatch:
    """Opens and writes in the folders that exist at the start, in the order in which they happen."""

    def __init__(self, root: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._queue = libc.inotify_init1(NONBLOCK)
        self._folders: dict[int, Path] = {}
        for folder, inner, _ in os.walk(root):
            inner[:] = sorted(set(inner) - UNWATCHED)
            watch = libc.inotify_add_watch(self._queue, os.fsencode(folder), OPEN | CLOSE_WRITE | MOVED_TO)
            if watch < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
            self._folders[watch] = Path(folder).relative_to(root)

    def report(self) -> dict[str, list[str]]:
        """Return the files opened before the stage itself had written them, and the files written."""
        opened, written = set[str](), set[str]()
        for folder, mask, name in self._events():
            file = (self._folders[folder] / name).as_posix()
            if mask & IS_DIR or BESIDE.fullmatch(name):
                continue
            if mask & OPEN:
                opened |= {file} - written
            else:
                written.add(file)
        return {"opened": sorted(opened - {"params.yaml"}), "written": sorted(written)}

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


def watch_parameters() -> set[str]:
    """Return a set to which every parameter that is read from now on, other than by the loading itself, is added."""
    read: set[str] = set()
    plain = BaseModel.__getattribute__

    def watched(section: BaseModel, name: str) -> Any:
        schema = sys.modules[type(section).__module__]
        reader = sys._getframe(1)
        while reader.f_code.co_filename == __file__ or _is_property(section, reader.f_code.co_name):
            reader = reader.f_back  # type: ignore[assignment]  # whoever asked the section for it
        if schema.__name__ == "attention.params.schema" and Path(reader.f_code.co_filename).name not in LOADING:
            prefix = _prefixes(schema.Params)[type(section)]
            leaves = [key for key in schema.known_keys() if key.startswith(prefix)]
            read.update(leaves if name in WHOLE else {prefix + name} & set(leaves))
        return plain(section, name)

    BaseModel.__getattribute__ = watched  # type: ignore[method-assign, assignment]
    return read


def _is_property(section: BaseModel, name: str) -> bool:
    code = {"<dictcomp>": "options"}.get(name, name)  # a comprehension has a frame of its own before Python 3.12
    return isinstance(getattr(type(section), code, None), property)


def _prefixes(section: type[BaseModel], prefix: str = "") -> dict[type, str]:
    found: dict[type, str] = {section: prefix}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= _prefixes(field.annotation, f"{prefix}{name}.")
    return found


if __name__ == "__main__":
    report, script = sys.argv[1:]
    sys.argv = [script]
    sys.path[0] = str(Path(script).resolve().parent)
    read, files = watch_parameters(), FileWatch(Path.cwd())
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        Path(report).write_text(json.dumps({**files.report(), "read": sorted(read)}))
