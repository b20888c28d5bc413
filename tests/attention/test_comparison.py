"""Which of two configurations is better: counted by hand, said in a sentence, and chosen without deceiving oneself."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from made_up import configuration, outcome

from attention.params.schema import BestParams, StudyParams
from attention.studies.answers import answers
from attention.studies.best import best_of, compare
from attention.studies.comparison import compare_pairs, pairs, show_power
from attention.studies.groups import MEASURES, Group
from attention.studies.report import closing, description
from attention.studies.tables import best_columns, comparison_columns, summary_columns


def names(*attention: str) -> list[Group]:
    return [configuration([0.5] * 5, model__attention=name) for name in attention]


class TestPairs:
    def test_neighbours_differ_in_one_key(self) -> None:
        groups = [
            configuration([0.5], model__attention=name, train__learning_rate=rate, train__epochs=2)
            for name in ("softmax", "dot")
            for rate in (0.1, 0.2, 0.3)
        ]
        assert pairs(groups, "neighbours") == [
            (0, 1), (0, 2), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (3, 5), (4, 5),
        ]  # fmt: skip
        assert len(pairs(groups, "all")) == 15
        assert pairs(groups, "none") == []

    def test_a_single_configuration_has_no_pair(self) -> None:
        assert pairs(names("dot"), "neighbours") == pairs(names("dot"), "all") == []
        assert compare_pairs(names("dot"), []) == []


class TestComparison:
    def test_seven_seeds_counted_by_hand(self) -> None:
        """Below in 4, above in 1, a tie of equal errors and one of two that diverged: p = 2·P(B ≤ 2) = 58/128."""
        first = configuration([0.1, 0.1, 0.1, 0.5, 0.2, None, 0.01], 0.75, model__attention="softmax")
        second = configuration([1.0, 1.0, None, 0.05, 0.2, None, 0.1], 0.25, model__attention="dot")
        (pair,) = compare_pairs([first, second], [(0, 1)])
        assert (pair.lower, pair.higher) == (4, 1)
        assert pair.p == pair.p_holm == pytest.approx(58 / 128)
        # -∞, -1, -1, -1, 0, 0, 1 in order; the interval goes from the first to the last, a little inwards
        assert pair.log10_error[0] == pytest.approx(-1)
        assert pair.log10_error[1] == -math.inf
        assert 0 < pair.log10_error[2] < 1
        assert pair.effective[0] == pytest.approx(0.5)
        assert (pair.first.found, pair.second.found, pair.second.diverged) == (6, 0, 2)
        assert pair.says == (
            "softmax and dot: no difference in error that 7 seeds show "
            "(the first is lower in 4 of 7 seeds, 2 ties; p 0.45); truth found in 6 and 0"
        )

    def test_the_lower_one_comes_first_in_the_sentence(self) -> None:
        errors = np.geomspace(1e-6, 1e-3, 11)
        groups = [
            configuration(list(errors * factor), model__attention="dot", train__learning_rate=rate)
            for factor, rate in ((2, 0.1), (1, 0.01))
        ]
        (pair,) = compare_pairs(groups, [(0, 1)])
        assert pair.differs
        assert pair.says == (
            "dot: learning_rate 0.01 is below learning_rate 0.1 in 11 of 11 seeds "
            "(median ratio of the errors 0.5, 90 % interval 0.5 to 0.5; p 0.00098)"
        )

    def test_pairs_are_corrected_together_and_however_many_are_in_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        random = np.random.default_rng(0)
        groups = [
            configuration(list(random.random(9) * scale), model__attention=name)
            for name, scale in {"softmax": 1, "dot": 1, "additive": 1e-3, "cosine": 1}.items()
        ]
        every = compare_pairs(groups, pairs(groups, "all"))
        alone = [compare_pairs(groups, [pair])[0] for pair in pairs(groups, "all")]
        monkeypatch.setattr("attention.studies.comparison.AT_ONCE", 20)
        assert [pair.says for pair in compare_pairs(groups, pairs(groups, "all"))] == [pair.says for pair in every]
        assert [pair.p for pair in every] == [pair.p for pair in alone]
        assert {pair.p_holm for pair in every if pair.differs} == {6 * min(pair.p for pair in alone)}
        assert [(pair.first.name, pair.second.name) for pair in every if pair.differs] == [
            ("softmax", "additive"), ("dot", "additive"), ("additive", "cosine"),
        ]  # fmt: skip

    def test_a_ratio_that_no_float_holds_is_shown(self) -> None:
        """Of all errors that there are, from 5e-324 to 1.8e308; and of a training that diverged."""
        groups = [
            configuration([error] * 9, model__attention=name)
            for name, error in (("dot", 5e-324), ("hard", 1.7e308), ("cosine", None))
        ]
        least, none, less = (pair.says for pair in compare_pairs(groups, pairs(groups, "all")))
        assert "(median ratio of the errors 2.9e-632, 90 % interval 2.9e-632 to 2.9e-632; p " in least
        assert all("(median ratio of the errors 0, 90 % interval 0 to 0; p " in says for says in (none, less))

    def test_powers_of_ten_are_shown_as_floats_are(self) -> None:
        shown = {
            -0.0004: "0.9991",
            -299.5: "3.2e-300",
            -4.5: "3.2e-05",
            -0.3010299956639812: "0.5",
            0.0: "1",
            3.5: "3,162",
            301.0: "1.0e+301",
        }
        assert {power: show_power(power) for power in shown} == shown
        assert (show_power(math.inf), show_power(-math.inf)) == ("inf", "0")

    def test_with_four_seeds_there_is_no_interval(self) -> None:
        groups = [
            configuration([0.1 * factor] * 4, model__attention=name) for factor, name in ((1, "dot"), (2, "hard"))
        ]
        study = StudyParams(seeds=4, grid={"model.attention": ["dot", "hard"]}, compare="all", best=None)
        columns = comparison_columns(compare(groups, study)[1], study)
        assert math.isnan(columns["log10_error.low"][0])
        assert (columns["lower"], columns["differs"]) == ([4], ["false"])
        assert math.isnan(summary_columns(groups)["mse.low"][0])


class TestBest:
    RATES = (0.001, 0.01, 0.1)

    def candidates(self, errors: list[list[float]], **values: Any) -> list[Group]:
        return [
            configuration(own, train__learning_rate=rate, **values)
            for own, rate in zip(errors, self.RATES, strict=True)
        ]

    def test_it_is_chosen_on_every_second_seed_and_reported_on_the_others(self) -> None:
        """With seeds 0, 2 … the second is best, with 1, 3 … the third, and the first never."""
        errors = [[0.9, 0.8] * 6, [0.1, 0.5] * 6, [0.2, 0.01] * 6]
        (best,) = best_of(self.candidates(errors), BestParams(over=["train.learning_rate"], by="mse"))
        assert best.chosen == {"train.learning_rate": 0.01}
        assert best.group.seeds == range(1, 12, 2)
        assert best.group.values == {}
        assert best.group.spread["mse"][0] == 0.5
        assert best.at_edge == []
        assert [one["train.learning_rate"] for one in best.near] == [0.001, 0.01, 0.1]  # 6 seeds cannot tell two pairs

    def test_its_table_says_how_sharp_it_is_and_whether_it_is_at_the_edge(self) -> None:
        errors = [[0.01] * 20, [0.02] * 20, [0.01] * 20]
        study = StudyParams(
            seeds=20,
            grid={"model.attention": ["dot"], "train.learning_rate": list(self.RATES)},
            compare="neighbours",
            best=BestParams(over=["train.learning_rate"], by="mse"),
        )
        best, comparisons = compare(self.candidates(errors, model__attention="dot"), study)
        columns = best_columns(best, study)
        assert comparisons == []
        assert {name: values for name, (*values,) in columns.items() if "." not in name or name.startswith("t")} == {
            "train.learning_rate": ["0.001"], "choosing": [10], "candidates": [3], "near": ["[0.001, 0.1]"],
            "at_edge": ["train.learning_rate"], "trainings": [10], "diverged": [0], "found": [1.0],
        }  # fmt: skip

    def test_by_effective_recovery_more_is_better(self) -> None:
        groups = [
            configuration([0.1] * 4, share, train__learning_rate=rate) for share, rate in ((0.6, 0.1), (0.7, 0.2))
        ]
        (best,) = best_of(groups, BestParams(over=["train.learning_rate"], by="effective"))
        assert best.chosen == {"train.learning_rate": 0.2}

    @pytest.mark.parametrize(("by", "near"), [("mse", [0.001, 0.01, 0.1]), ("effective", [0.01])])
    def test_what_is_near_the_best_is_told_by_the_measure_that_chose(self, by: Any, near: list[float]) -> None:
        """Equal errors, and recoveries that ten seeds tell apart: 2 · 2 / 1024 after the correction."""
        groups = [
            configuration([0.1] * 20, share, train__learning_rate=rate)
            for share, rate in zip((0.6, 0.7, 0.5), self.RATES, strict=True)
        ]
        (best,) = best_of(groups, BestParams(over=["train.learning_rate"], by=by))
        assert [one["train.learning_rate"] for one in best.near] == near

    def test_it_is_chosen_by_any_measure_of_a_study(self) -> None:
        assert get_args(BestParams.model_fields["by"].annotation) == MEASURES

    def test_choosing_and_reporting_on_the_same_seeds_would_be_optimistic_and_this_is_not(self) -> None:
        """Twelve candidates that differ in nothing: the error of each has the median 1, at whatever rate."""
        random = np.random.default_rng(5)
        same, ours = [], []
        for _ in range(300):
            groups = [
                configuration(list(random.lognormal(size=10)), train__learning_rate=rate)
                for rate in np.geomspace(1e-3, 1, 12).tolist()
            ]
            same.append(min(group.spread["mse"][0] for group in groups))
            (best,) = best_of(groups, BestParams(over=["train.learning_rate"], by="mse"))
            ours.append(best.group.spread["mse"][0])
        assert np.median(same) < 0.7
        assert 0.9 < np.median(ours) < 1.1

    def test_functions_are_compared_at_their_best_with_the_seeds_that_report(self) -> None:
        groups = [
            *self.candidates([[0.3] * 40, [0.1] * 40, [0.4] * 40], model__attention="dot"),
            *self.candidates([[0.05] * 40, [0.4] * 40, [0.5] * 40], model__attention="cosine"),
        ]
        study = StudyParams(
            seeds=40, grid={}, compare="neighbours", best=BestParams(over=["train.learning_rate"], by="mse")
        )
        best, (pair,) = compare(groups, study)
        assert [each.chosen["train.learning_rate"] for each in best] == [0.01, 0.001]
        assert pair.says.startswith("cosine is below dot in 20 of 20 seeds (median ratio of the errors 0.5,")
        assert closing(groups, [pair], best).splitlines()[:2] == [
            "study: at its best, chosen with 20 seeds and compared with the others: "
            "dot at learning_rate 0.01; cosine at learning_rate 0.001",
            f"study: {pair.says}",
        ]


class TestReport:
    def test_a_stage_ends_with_what_was_found(self) -> None:
        errors = np.geomspace(1e-6, 1e-3, 11)
        groups = [
            configuration([*errors], model__attention="dot"),
            configuration([*errors[:9] * 2, None, None], model__attention="hard"),
        ]
        comparisons = compare_pairs(groups, [(0, 1)])
        assert closing(groups, comparisons).splitlines() == [
            f"study: {comparisons[0].says}",
            "study: 2 configurations, 11 seeds each; truth found by 11 of 11 dot, 9 of 11 hard (2 diverged)",
        ]
        assert description("abc", groups, comparisons).splitlines() == [
            "Truth found by 11 of 11 dot, 9 of 11 hard (2 diverged). "
            "[Errors with intervals](get-artifact?path=study/errors.png&run_uuid=abc)",
            "",
            "- more than half of the trainings find the truth with every function; the median error is lowest with dot "
            "(3.2e-05)",
            "",
            "1 of 1 pairs of configurations differ in error:",
            f"- {comparisons[0].says}",
        ]

    def test_of_many_configurations_it_counts_what_differs(self) -> None:
        groups = [configuration([0.5 + number, None], train__epochs=number) for number in range(1, 12)]
        comparisons = compare_pairs(groups, pairs(groups, "neighbours"))
        assert closing(groups, comparisons).splitlines() == [
            "study: whether more than half of the trainings find the truth is undecided at every epochs",
            "study: 0 of 55 pairs of configurations differ in error; `attention study` shows them",
            "study: 11 configurations, 2 seeds each; truth found by 11 of 22 trainings (11 diverged)",
        ]
        assert description("abc", groups, comparisons).splitlines()[-1] == "All of them are in `study/comparison.csv`."


class TestAnswers:
    def says(self, groups: Sequence[Group]) -> list[str]:
        """Return the sentences, which the columns and their texts in a file give alike."""
        columns = summary_columns(groups)
        texts = {name: [str(one) for one in values] for name, values in columns.items()}
        assert answers(texts) == answers(columns)
        return answers(columns)

    def test_along_a_number_it_says_from_where_to_where(self) -> None:
        """Of 20 trainings all, none, and half: an interval above, below, and around one half."""
        shares = {1: [0.1] * 20, 2: [0.1, 0.9] * 10, 4: [0.9] * 20, 8: [0.9] * 20, 16: [0.9] * 20, 32: [0.1] * 20}
        groups = [
            replace(
                configuration([error / width] * 20, model__attention=name, model__width=width),
                outcomes=[outcome(error / width, one) for one in own],
            )
            for name, error in (("dot", 1e-5), ("cosine", 1e-3))
            for width, own in reversed(shares.items())
        ]
        said = (
            "more than half of the trainings find the truth at width 4 to 16; less than half at width 1, 32; "
            "whether more than half do is undecided at width 2; the median error is lowest at width 32"
        )
        groups[-1] = replace(groups[-1], outcomes=[outcome(None)] * 20)
        assert self.says(groups) == [
            f"dot: {said} (3.1e-07), highest at width 1 (1e-05)",
            f"cosine: {said} (3.1e-05), highest at width 1 (diverged)",
        ]

    def test_where_no_number_varies_it_names_the_values_of_the_last_key(self) -> None:
        groups = [
            configuration([0.1] * 9, share, data__keys=keys, model__attention=name)
            for keys, shares in {"colour": (0.1, 0.9, 0.9), "position": (0.1, 0.1, 0.1)}.items()
            for name, share in zip(("dot", "hard", "cosine"), shares, strict=True)
        ]
        assert self.says(groups) == [
            "keys colour: more than half of the trainings find the truth with hard, cosine; less than half with dot; "
            "the median error is lowest with dot (0.1)",
            "keys position: less than half of the trainings find the truth with every function; "
            "the median error is lowest with dot (0.1)",
        ]

    def test_of_a_map_it_counts(self) -> None:
        groups = [
            configuration([rate] * 9, 0.9 if rate > 0.1 * width else 0.1, train__learning_rate=rate, model__width=width)
            for width in range(1, 6)
            for rate in (0.1, 0.2, 0.3, 0.4, 0.5)
        ]
        assert self.says(groups) == [
            "more than half of the trainings find the truth at 10 of 25 pairs of learning_rate and width; "
            "less than half at 15 of 25 pairs of learning_rate and width; "
            "the median error is lowest at learning_rate 0.1, width 1 (0.1)"
        ]

    def test_a_single_configuration_answers_nothing_and_one_that_diverged_is_no_best(self) -> None:
        assert self.says([configuration([0.1] * 9, model__attention="dot")]) == []
        assert self.says([configuration([None] * 9, model__attention=name) for name in ("dot", "hard")]) == [
            "less than half of the trainings find the truth with every function"
        ]
