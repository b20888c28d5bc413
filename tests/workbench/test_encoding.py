"""Files are read and written as UTF-8 whatever the locale: under LC_ALL=C two stages lost MLflow."""

import ast
from collections.abc import Iterator

from conftest import ROOT

OPENING = {"open", "fdopen", "read_text", "write_text"}


def without_encoding(text: str) -> Iterator[int]:
    """Yield the lines that open a file as text and do not say in what encoding."""
    for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        owner = getattr(getattr(call.func, "value", None), "id", "")
        values = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
        modes = {value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)}
        binary = any("b" in mode and len(mode) <= 3 for mode in modes)
        said = any(keyword.arg == "encoding" for keyword in call.keywords)
        if name in OPENING and owner not in ("os", "Image") and not binary and not said:
            yield call.lineno


def test_every_text_says_its_encoding() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / "stages").rglob("*.py")
        for line in without_encoding(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_one_that_does_not_is_seen() -> None:
    code = "open(x)\nPath(x).read_text()\nx.open('w')\nx.open('rb')\nopen(x, encoding='utf-8')\nx.write_text('rb text')"
    assert sorted(without_encoding(code)) == [1, 2, 3, 6]
