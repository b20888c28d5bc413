"""The schema of params.yaml."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from workbench.stage.params import PARAMS_FILE, Section, TrackingParams, read_params, whole


class CountParams(Section):
    """Which words count."""

    min_length: Annotated[int, whole(1, 100)]
    lowercase: Annotated[bool, Field(description="true or false")]


class MeasureParams(Section):
    """What is measured."""

    top: Annotated[int, whole(1, 1000)]


class Params(Section):
    """All of params.yaml."""

    seed: Annotated[int, whole(0, 2**32 - 1)]
    count: CountParams
    measure: MeasureParams
    tracking: TrackingParams


def load_params(path: str | Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml; ParamsError tells each problem in a line."""
    return read_params(Params, path)
