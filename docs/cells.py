"""Run a notebook as Jupyter would, without Jupyter: each cell in turn, what it prints and shows put below it."""

import ast
import base64
import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any


def run_notebook(text: str) -> str:
    """Return a notebook with the outputs that its cells have now; a cell that fails fails here.

    What a cell shows is the value of its last line: text, a table as HTML too, a matplotlib figure as a picture.
    """
    notebook, names = json.loads(text), {"__name__": "__main__"}
    number = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            number += 1
            cell["execution_count"], cell["outputs"] = number, _run("".join(cell["source"]), names, number)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _run(code: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)  # noqa: S102 - this is what a notebook is for
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": _lines(printed.getvalue())})
    if value is not None:
        result = {"output_type": "execute_result", "execution_count": number, "metadata": {}}
        outputs.append({**result, "data": _shown(value)})
    return outputs


def _shown(value: Any) -> dict[str, Any]:
    from matplotlib.figure import Figure

    if isinstance(value, Figure):
        from attention.pictures.style import save_figure

        with tempfile.TemporaryDirectory() as folder:
            save_figure(Path(folder) / "figure.png", value)
            picture = (Path(folder) / "figure.png").read_bytes()
        return {"image/png": base64.b64encode(picture).decode(), "text/plain": ["a figure"]}
    html = {"text/html": _lines(value._repr_html_())} if hasattr(value, "_repr_html_") else {}
    return {**html, "text/plain": _lines(repr(value))}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
