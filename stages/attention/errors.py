"""Mistakes that a user can mend: one class each, every message one line a problem."""


class AttentionError(Exception):
    """Base class: the message names the file or key, what was got, what is allowed and what to do next."""


class ParamsError(AttentionError):
    """params.yaml does not say what it must."""


class OptionError(AttentionError):
    """An attention function is asked for with an option that it does not have, or of a value that it cannot take."""


class DataError(AttentionError):
    """A data file is missing, damaged, or disagrees with the others."""


class ModelError(AttentionError):
    """A model file is missing, damaged, or not one of ours."""


class RestoreError(AttentionError):
    """A state of the project cannot be found or made again."""


class TrackingError(AttentionError):
    """MLflow is needed and cannot be reached, or holds less than is needed."""


class TrainingError(AttentionError):
    """Training cannot go on."""
