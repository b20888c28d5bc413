"""All that is measured of a trained network."""

from typing import Any, NamedTuple

from attention.functions import ATTENTION_FUNCTIONS
from attention.measures.cases import Attend, by_kind, recovery_by_kind
from attention.measures.faithfulness import faithfulness, first_of
from attention.measures.prediction import Errors, baseline_errors, network_errors
from attention.tasks.examples import Table
from attention.tasks.problem import Examples
from attention.weights import Weights


class Evaluation(NamedTuple):
    """What metrics.json holds, and the tables beside it."""

    metrics: dict[str, Any]
    errors: dict[str, Errors]  # of the network and of each baseline
    recovery: dict[str, Any]  # the columns of a table, a row a kind of case
    faithfulness: dict[str, Any]  # the same

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
        test: the new data. Recovery is that of all of them, but of lookup that of every context once; faithfulness
            that of the first of them.
        cases: these contexts.

    """
    lookup = test.problem.task == "lookup"
    errors = {"network": network_errors(attend, weights, test), **baseline_errors(train, test)}
    recovered, recovery = recovery_by_kind(attend, weights.output, [cases] if lookup else test.blocks())
    shared = ATTENTION_FUNCTIONS[weights.function].values_with(weights.options) == "shares"
    faithful, explained = by_kind(
        lambda block: faithfulness(attend(block), weights.output, block, shared)._asdict(), first_of(test)
    )
    baselines = {name: error for name, error in errors.items() if name != "network"}
    first, *more = errors["network"]
    metrics = {
        **errors["network"],
        "recovery": recovered,
        "faithfulness": faithful,
        "baseline": {name: error[first] for name, error in baselines.items()},
        **{f"baseline_{one}": {name: error[one] for name, error in baselines.items()} for one in more},
    }
    kind = test.problem.entry.kind[0]
    of_kinds: dict[str, Any] = {kind: recovery.pop("kind")}
    if lookup:
        of_kinds["position"] = cases.truth
        del recovery["cases"]
    return Evaluation(metrics, errors, {**of_kinds, **recovery}, {kind: explained.pop("kind"), **explained})
