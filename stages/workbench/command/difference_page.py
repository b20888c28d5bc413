"""A difference as one page of HTML that needs nothing else: no script, no network, pictures inside."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import PurePosixPath
from typing import Any

from workbench.command.difference import Compared
from workbench.command.difference_text import (
    SIDES,
    about,
    changed_files,
    differing_outputs,
    environment,
    measures,
    parameters,
    summary,
)
from workbench.stage.errors import printable
from workbench.tracking.secrets import without_secrets

KINDS = {".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
MOST_PICTURES = 8_000_000  # bytes in all
STYLE = """
:root { color-scheme: light dark; --line: #8886; --added: #2da44e33; --removed: #cf222e33; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem 1rem .2rem 0; }
tr { border-bottom: 1px solid var(--line); } td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .5rem; font-size: 13px; line-height: 1.4; }
pre span { display: block; } .added { background: var(--added); } .removed { background: var(--removed); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
figure { margin: 0 0 1rem; } img { max-width: 100%; background: #fff; } .wide { overflow-x: auto; }
"""


def page(report: Mapping[str, Any], outputs: Sequence[Compared]) -> str:
    """Return the page: measures and parameters, pictures side by side, files, and the patch."""
    names = {side: escape(about(report[side])) for side in SIDES}
    body = [
        f"<h1>What differs</h1><p><b>a</b> {names['a']}<br><b>b</b> {names['b']}</p>",
        *_table("Measures", ["measure", *SIDES, "difference"], measures(report)),
        *_table("Parameters", ["parameter", *SIDES], parameters(report)),
        *_table("Packages", ["package", *SIDES], environment(report)),
        *_list("Summary", summary(report)),
        *_pictures(outputs),
        *_list("Inputs and outputs that differ", differing_outputs(report)),
        *_list("Code that differs", changed_files(report)),
        *_patch(report["code"]["patch"]),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>What differs</title>'
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n<body>\n' + "\n".join(
        [*body, "</body></html>\n"]
    )


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    yield f'<h2>{title}</h2><div class="wide"><table><thead><tr>{names}</tr></thead><tbody>'
    for first, *others in rows:
        cells = "".join(f"<td>{escape(printable(cell))}</td>" for cell in others)
        yield f'<tr><th scope="row">{escape(printable(first))}</th>{cells}</tr>'
    yield "</tbody></table></div>"


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"<h2>{title}</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _pictures(outputs: Sequence[Compared]) -> Iterator[str]:
    """Yield the pictures that differ, side by side, as many as fit."""
    left, titled = MOST_PICTURES, False
    for one in outputs:
        kind = KINDS.get(PurePosixPath(one.path).suffix)
        left -= sum(map(len, one.contents.values())) if kind else 0
        if not kind or len(one.contents) < len(SIDES) or left < 0:
            continue
        if not titled:
            yield "<h2>Pictures that differ</h2>"
            titled = True
        path = escape(printable(without_secrets(one.path)))
        yield f'<h3>{path}</h3><div class="pair">'
        for side in SIDES:
            data = base64.b64encode(one.contents[side]).decode()
            image = f'<img alt="{path} of {side}" src="data:{kind};base64,{data}">'
            yield f"<figure><figcaption>{side}</figcaption>{image}</figure>"
        yield "</div>"


def _patch(patch: str) -> Iterator[str]:
    if patch:
        yield f"<h2>The patch from a to b</h2><pre>{''.join(map(_line, patch.splitlines()))}</pre>"


def _line(line: str) -> str:
    kind = {"+": "added", "-": "removed"}.get(line[:1], "")
    of_kind = f' class="{kind}"' if kind and line[:3] not in ("+++", "---") else ""
    return f"<span{of_kind}>{escape(printable(line.expandtabs())) or ' '}</span>"
