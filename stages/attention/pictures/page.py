"""A page that opens anywhere: charts, controls and tables in one HTML file that asks no network for anything.

Vega draws the charts; its scripts are in the page. A policy in the page's head lets these scripts run and no other, and
lets no request out, whatever text a parameter brought.
"""

import base64
import hashlib
import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import altair as alt
import jinja2
import vl_convert
from markupsafe import Markup

from attention.pictures.charts import Specification
from workbench.cache import cache_folder, keep, kept
from workbench.stage.outputs import writing

OWN_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
STYLE = Path(__file__).with_suffix(".css").read_text(encoding="utf-8")
TEMPLATE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
TEMPLATE.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":"), "allow_nan": False}
PAGE = TEMPLATE.from_string(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Chart:
    """A chart and what a person should see in it.

    Attributes:
        name: of the file when the chart is saved, and of its place in the page.
        specification: the chart, for Vega-Lite.
        caption: what is drawn, and how to read it.
        steered: the names of the controls that it follows.

    """

    name: str
    specification: Specification
    caption: str
    steered: Sequence[str] = ()


@dataclass(frozen=True)
class Control:
    """What a person can turn: the parameter of that name in the charts becomes the number of the option chosen.

    Attributes:
        kind: a range steps through the options, a select has one of them, checks have any: then a list of numbers.
        name: of the parameter.
        label: for people.
        options: what each option is called.
        start: the number of the option chosen at first; of checks all are.

    """

    kind: Literal["range", "select", "checks"]
    name: str
    label: str
    options: Sequence[str]
    start: int = 0


@dataclass(frozen=True)
class Table:
    """A table of texts: the first column names the row."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[tuple[int, int]] = frozenset()  # (row, column) of cells in a frame
    numbers: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading; `folded` tables open on request."""

    heading: str
    text: str = ""
    controls: Sequence[Control] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    folded: bool = False
    lines: Sequence[str] = ()
    commands: Sequence[tuple[str, str]] = ()  # a command, and what it does


def save_page(path: str | Path, title: str, lead: Sequence[str], sections: Sequence[Section], made_by: str) -> None:
    """Write a page; equal contents give equal bytes, on any machine."""
    scripts = [_vega(), OWN_SCRIPT]
    page = PAGE.render(
        title=title,
        lead=lead,
        sections=sections,
        made_by=made_by,
        style=Markup(STYLE),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        digests=[base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts],
    )
    with writing(path) as beside:
        beside.write_text(page, encoding="utf-8", newline="\n")


def _vega() -> str:
    """Return Vega's scripts; what vl-convert takes a second to bundle is kept for the next page."""
    version = ".".join(alt.VEGALITE_VERSION.split(".")[:2])
    name = f"vega-{importlib.metadata.version('vl-convert-python')}-{version}.js"
    if found := kept(name, cache_folder()):
        return found.decode()
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    keep(name, cache_folder(), script.encode())
    return script
