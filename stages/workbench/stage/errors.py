"""Mistakes that a user can mend: one class each, every message one line a problem."""

import reprlib

_SHOWN = 80  # characters of a value in a message


class UserError(Exception):
    """Base class: the message names the file or key, what was got, what is allowed and what to do next."""


class StartError(UserError):
    """A stage is started so that it would not run its own code."""


class ParamsError(UserError):
    """params.yaml does not say what it must."""


class DataError(UserError):
    """A data file is missing, damaged, or disagrees with the others."""


class OutputError(UserError):
    """An output cannot be written."""


class SelectionError(UserError):
    """Trainings are asked for by a field that there is not."""


class RestoreError(UserError):
    """A state of the project cannot be found or made again."""


class TrackingError(UserError):
    """MLflow is needed and cannot be reached, or holds less than is needed."""


class ComputeError(UserError):
    """A study cannot be computed where `compute` in params.yaml says."""


def show_value(value: object) -> str:
    """Return a value as a message can hold it, whatever a hostile file made of it: on one line, not too long."""
    try:
        return _cut(_repr.repr(value))  # whole, a few lines of YAML aliases would fill the memory
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number of thousands of digits"


def show_name(name: object, most: int = _SHOWN) -> str:
    """Return a name out of a file as a message can hold it: without quotes, on one line, not too long."""
    text = str(name)
    return _cut(text if text.isprintable() else repr(text)[1:-1], most)


def printable(text: str) -> str:
    """Return a text from elsewhere as a terminal may have it: no escape of its own, no second line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str, most: int = _SHOWN) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


class _AsInYaml(reprlib.Repr):
    """Says null and true, as the files do."""

    def repr_NoneType(self, _: None, __: int) -> str:  # noqa: N802 - found by the name of the type
        return "null"

    def repr_bool(self, value: bool, _: int) -> str:
        return "true" if value else "false"


_repr = _AsInYaml()
_repr.maxlevel = 4
_repr.maxdict = _repr.maxlist = _repr.maxtuple = _repr.maxset = _repr.maxfrozenset = 12
_repr.maxstring = _repr.maxlong = _repr.maxother = 1_000  # `_cut` is what cuts
