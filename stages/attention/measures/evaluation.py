"""All that is measured of a trained network."""

from typing import Any, NamedTuple

from attention.measures.cases import Attend, recovery_by_kind
from attention.measures.prediction import Errors, baseline_errors, network_errors
from attention.tasks.examples import Table
from attention.tasks.problem import Examples
from attention.weights import Weights


class Evaluation(NamedTuple):
    """What metrics.json holds, and the tables beside it."""

    metrics: dict[str, Any]
    errors: dict[str, Errors]  # of the network and of each baseline
    by_kind: dict[str, Any]  # recovery: the columns of a table, a row a kind of case

    @property
    def flat(self) -> dict[str, float]:
        """The metrics by dotted names."""
        plain = {name: value for name, value in self.metrics.items() if not isinstance(value, dict)}
        within = {name: value for name, value in self.metrics.items() if isinstance(value, dict)}
        return plain | {f"{name}.{one}": value for name, values in within.items() for one, value in values.items()}


def evaluation(attend: Attend, weights: Weights, train: Table, test: Table, cases: Examples) -> Evaluation:
    """Measure a network on new data.

    Args:
        attend: what the network attends to.
        weights: its numbers.
        train: what the baselines are fitted to.
        test: the new data. Recovery is that of all of them, but of lookup that of every context once.
        cases: these contexts.

    """
    lookup = test.problem.task == "lookup"
    errors = {"network": network_errors(attend, weights, test), **baseline_errors(train, test)}
    recovered, by_kind = recovery_by_kind(attend, weights.output, [cases] if lookup else test.blocks())
    baselines = {name: error for name, error in errors.items() if name != "network"}
    first, *more = errors["network"]
    metrics = {
        **errors["network"],
        "recovery": recovered,
        "baseline": {name: error[first] for name, error in baselines.items()},
        **{f"baseline_{one}": {name: error[one] for name, error in baselines.items()} for one in more},
    }
    kinds: dict[str, Any] = {test.problem.entry.kind[0]: by_kind.pop("kind")}
    if lookup:
        kinds["position"] = cases.truth
        del by_kind["cases"]
    return Evaluation(metrics, errors, {**kinds, **by_kind})
