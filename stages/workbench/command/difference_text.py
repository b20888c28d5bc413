"""A difference as lines for a terminal, and as markdown; made from its report."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.command.report import few, table
from workbench.stage.errors import printable, show_name, show_value

MOST_LINES = 60  # of a patch on a terminal
MISSING = "–"
SIDES = ("a", "b")

Report = Mapping[str, Any]


def as_text(report: Report) -> str:
    """Return what differs, a section each: numbers rounded, and the patch where it is short."""
    lines = [f"{side}  {about(report[side])}" for side in SIDES]
    for header, rows in (
        (["parameter", *SIDES], parameters(report)),
        (["measure", *SIDES, "difference"], measures(report)),
        (["package", *SIDES], environment(report)),
    ):
        lines += ["", *table(header, rows)] if rows else []
    lines += ["", *summary(report)]
    lines += [f"  {line}" for line in (*changed_files(report), *differing_outputs(report))]
    patch = [printable(line.expandtabs()) for line in report["code"]["patch"].splitlines()]
    if 0 < len(patch) <= MOST_LINES:
        lines += ["", *patch]
    elif patch:
        lines += ["", f"the patch has {len(patch):,} lines; `--html FILE` and `--json` show it"]
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(report: Report) -> str:
    """Return what differs as markdown: measures first, then parameters, pictures, other outputs and code."""
    parts = [f"### What differs\n\nCompared: {_code(about(report['a']))} (a) with {_code(about(report['b']))} (b)."]
    for header, rows in (
        (["measure", *SIDES, "difference"], measures(report)),
        (["parameter", *SIDES], parameters(report)),
        (["package", *SIDES], environment(report)),
    ):
        if rows:
            lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    parts.append("\n".join(f"- {_cell(line)}" for line in summary(report)))
    for title, files in (("Files", changed_files(report)), ("Outputs", differing_outputs(report))):
        if files:
            parts.append(f"**{title}**\n\n" + "\n".join(f"- {_code(file)}" for file in files))
    return "\n\n".join(parts)


def about(state: Report) -> str:
    """Return what a state is called, and where it is from."""
    name = show_name(printable(state["name"]), 200)
    told = [name] if state["commit"].startswith(state["name"]) else [name, f"commit {state['commit'][:7]}"]
    told += ["with changes that are in no commit"] * state["changed"]
    return ", ".join([*told, *([printable(state["source"])] if state["source"] else [])])


def parameters(report: Report) -> list[list[str]]:
    """Return a row for each parameter that differs."""
    return _rows(report["parameters"])


def environment(report: Report) -> list[list[str]]:
    """Return a row for each package whose version differs."""
    return _rows(report["environment"])


def measures(report: Report) -> list[list[str]]:
    """Return a row for each measure that differs, with the difference and, of positive numbers, the ratio."""
    rows = []
    for name, pair in report["measures"].items():
        if pair.get("a") != pair.get("b") or len(pair) < 2:
            rows.append([name, *(_shown(pair, side) for side in SIDES), _difference(pair)])
    return rows


def summary(report: Report) -> list[str]:
    """Return a line for each kind of thing: how much of it differs."""
    lines = []
    for kind, word in (("parameters", "parameters"), ("environment", "packages")):
        if not report[kind]:
            lines.append(f"{word}: the same")
    lines.append(_measured(report))
    used, others = report["code"]["files"], report["other_files"]
    lines.append(f"code: {len(used)} of the stages' files differ" if used else "code: the same in every stage")
    if others:
        named = few([show_name(printable(one["path"])) for one in others])
        lines.append(f"other files: {len(others)} that no stage declares differ: {named}")
    lines += [_counted(kind, report[kind]) for kind in ("inputs", "outputs") if report[kind]]
    return [*lines, *_left_out(report)]


def changed_files(report: Report) -> list[str]:
    """Return a line for each file of code that differs."""
    return [
        f"{one['kind']} {printable(one['path'])}"
        + (
            " (binary)"
            if one["added"] is None
            else f" (+{one['added']} -{one['removed']})"
            if one["added"] or one["removed"]
            else " (no line)"
        )
        for one in report["code"]["files"]
    ]


def differing_outputs(report: Report) -> list[str]:
    """Return a line for each table that differs, with how far apart its numbers are, and one for each other folder."""
    files = [one for one in (*report["inputs"], *report["outputs"]) if one["verdict"] == "different"]
    others: dict[str, list[str]] = {}
    for one in files:
        if not one["apart"]:
            folder, _, name = one["path"].rpartition("/")
            others.setdefault(folder, []).append(show_name(printable(name)))
    lines = [f"different {printable(one['path'])}{_apart(one)}" for one in files if one["apart"]]
    return [*lines, *(f"different in {printable(folder or '.')}/: {few(names)}" for folder, names in others.items())]


def _apart(one: Report) -> str:
    far = [f"{show_name(printable(name))} by {value:.2g}" for name, value in one["apart"].items()]
    return f" (at most: {few(far)})" if far else ""


def _rows(pairs: Mapping[str, Report]) -> list[list[str]]:
    return [[key, *(_shown(pair, side) for side in SIDES)] for key, pair in pairs.items()]


def _shown(pair: Report, side: str) -> str:
    if side not in pair:
        return MISSING
    value = pair[side]
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else show_name(value)
        if isinstance(value, str)
        else show_value(value)
    )


def _difference(pair: Report) -> str:
    if "difference" not in pair or pair["difference"] is None:
        return ""
    ratio = f" (× {pair['b'] / pair['a']:.3g})" if pair["a"] > 0 and pair["b"] > 0 else ""
    return f"{pair['difference']:+.3g}{ratio}"


def _measured(report: Report) -> str:
    pairs = report["measures"]
    if lacking := [side for side in SIDES if not any(side in pair for pair in pairs.values())]:
        return f"measures: not recorded in {' and '.join(lacking)}"
    differ = len(measures(report))
    return f"measures: {differ} of {len(pairs)} differ" if differ else f"measures: the same {len(pairs)}"


def _counted(kind: str, files: Sequence[Report]) -> str:
    verdicts = [one["verdict"] for one in files]
    same, different = verdicts.count("same"), verdicts.count("different")
    one_sided = {verdict: verdicts.count(verdict) for verdict in verdicts if verdict not in ("same", "different")}
    told = [f"{different} of {same + different} differ"] if different else [f"the same {same}"] if same else []
    return f"{kind}: {', '.join([*told, *(f'{count} recorded {verdict}' for verdict, count in one_sided.items())])}"


def _left_out(report: Report) -> Iterator[str]:
    for side in SIDES:
        if report[side]["here"] and not report[side]["outdated"]:
            yield f"{side}: dvc.lock is current: every stage ran with this code and these parameters"
        if outdated := report[side]["outdated"]:
            names = few([printable(name) for name in outdated])
            mend = "; `dvc repro` runs them" if report[side]["here"] else ""
            yield f"{side}: {names} did not run with this code and these parameters; what they made is left out{mend}"


def _code(text: str) -> str:
    return f"`{printable(text).replace('`', chr(39))}`"


def _cell(text: str) -> str:
    """Return a text as a cell of a table can have it: neither markup nor a link."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>|#!&" else c for c in printable(text))
