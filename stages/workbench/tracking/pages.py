"""What MLflow's pages show first: tags that its pages read, and the address that opens them so."""

import json
from collections.abc import Sequence

NOTE = "mlflow.note.content"  # of an experiment or a run: its description
KIND = ("mlflow.experimentKind", "custom_model_development")  # opens at the list of runs, not at traces of agents
VIEW = "runs"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"  # what the list of runs shows, for who opens it by `page_of`
COLOUR = "mlflow.runColor"
# Okabe and Ito's colours, which most people tell apart, without yellow and black.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def experiment_tags(about: str, columns: Sequence[str]) -> dict[str, str]:
    """Return the tags of an experiment: its description, and that its list of runs has these columns.

    A column is called as in a search: params.`name` or metrics.`name`.
    """
    view = {"selectedColumns": list(columns)}
    return {NOTE: about, KIND[0]: KIND[1], VIEW_TAG: json.dumps(view)}


def page_of(server: str, experiment_id: str) -> str:
    """Return the address of an experiment's list of runs."""
    return f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def colour_after(colour: str | None) -> str:
    """Return the next colour of the palette, so that runs that follow each other differ."""
    last = PALETTE.index(colour) if colour in PALETTE else -1
    return PALETTE[(last + 1) % len(PALETTE)]
