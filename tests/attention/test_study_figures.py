"""The pictures of a study: what they show of which grid."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from conftest import ROOT
from made_up import configuration, outcome
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from attention.params import load_study
from attention.pictures.colours import EFFECTIVE, RAW
from attention.studies.axes import axes_of, series
from attention.studies.curves import CURVE_PANELS, curves_figure
from attention.studies.figures import LINES, ROWS, errors_figure, recovery_figure
from attention.studies.groups import ARTICLE_MSE, Group
from attention.studies.trainings import Outcome

RATES = (0.001, 0.01, 0.1)


def along(line: Any) -> tuple[list[float], list[float]]:
    """Return where a line goes."""
    return list(line.get_xdata()), list(line.get_ydata())


def heights(band: Any) -> tuple[float, float]:
    """Return how far down and up a band goes."""
    (path,) = band.get_paths()
    return path.vertices[:, 1].min(), path.vertices[:, 1].max()


def trained(histories: Sequence[Sequence[float]], **values: Any) -> Group:
    """Return a configuration with these training errors by epoch."""
    group = configuration([0.5] * len(histories), **values)
    params = group.params.model_copy(
        update={"train": group.params.train.model_copy(update={"epochs": len(histories[0])})}
    )
    rows = [Outcome([[error, 0.5, 0.5, 1.0] for error in own], own[-1], True) for own in histories]
    return replace(group, params=params, outcomes=rows)


def test_curves_have_the_median_the_bands_the_first_run_and_the_article_s_marks() -> None:
    mse = np.linspace(1, 3, 21)[:, None] * [10.0, 1.0, 0.1]  # 21 trainings of three epochs
    _, (article, *_) = load_study(ROOT / "params.yaml")
    ours = replace(trained(mse.tolist(), model__attention="embedding"), values=article.values)
    other = trained(mse[:5].tolist(), model__attention="softmax")
    other = replace(
        other,
        params=other.params.model_copy(update={"model": ours.params.model.model_copy(update={"attention": "softmax"})}),
    )
    other = replace(other, outcomes=[Outcome([[9.0, 0, 0, 0], [8.0, 0, 0, 0]], None, False), *other.outcomes[1:]])
    figure = curves_figure([ours, other])
    left, right = figure.axes
    assert [panel.get_title(loc="left").replace("\N{NO-BREAK SPACE}", " ") for panel in figure.axes] == [
        "embedding", "softmax, 1 of 5 diverged",
    ]  # fmt: skip
    median, run, marks = left.lines
    assert np.allclose(along(median)[1], [20, 2, 0.2])
    assert np.allclose(along(run)[1], [10, 1, 0.1])
    assert along(marks) == ([0, 1, 2], [*ARTICLE_MSE[:3]])  # as far as it was trained
    assert np.allclose([heights(band) for band in left.collections], [(0.11, 29), (0.15, 25)])
    assert along(right.lines[1]) == ([0, 1], [9, 8])
    assert len(right.lines) == 2
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "90 % of the trainings", "half of them", "median", "seed 0", "the article",
    ]  # fmt: skip


def test_one_epoch_is_drawn_in_the_middle_with_bands_that_have_a_width() -> None:
    values = {"model__attention": "softmax", "train__epochs": "1", "train__learning_rate": "0.003"}
    group = trained(np.linspace(1, 3, 21)[:, None].tolist(), **values, data__true_attention="random")
    figure = curves_figure([group])
    (panel,) = figure.axes
    figure.draw_without_rendering()
    assert [tick for tick in panel.get_xticks() if -0.5 <= tick <= 0.5] == [0]
    assert {x for band in panel.collections for x in np.asarray(band.get_paths()[0].vertices)[:, 0]} == {-0.2, 0.2}
    lines = panel.get_title(loc="left").replace("\N{NO-BREAK SPACE}", " ").split("\n")
    assert lines == ["softmax, epochs 1, learning_rate 0.003,", "true_attention random"]


def test_where_every_training_diverged_the_pictures_say_so() -> None:
    groups = [configuration([None] * 5, model__attention="hard"), configuration([0.5] * 5, model__attention="dot")]
    texts = [[text.get_text() for text in panel.texts] for panel in curves_figure(groups).axes]
    assert texts == [["every training diverged"], []]
    errors, found = errors_figure(groups).axes
    assert [text.get_text() for text in errors.texts] == ["diverged"]
    assert not found.texts


def test_a_row_has_a_dot_an_interval_and_the_quartiles() -> None:
    """Of nine seeds the interval goes from the second to the eighth; 6 of 9 found the truth."""
    group = configuration([0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4, 0.5], model__attention="softmax")
    group = replace(group, outcomes=[*group.outcomes[:6], *(outcome(one.mse, 0.25) for one in group.outcomes[6:])])
    other = configuration([0.5] * 9, model__attention="dot")
    errors, found = errors_figure([group, other]).axes
    assert [label.get_text() for label in errors.get_yticklabels()] == ["softmax", "dot"]
    assert errors.get_ylim()[0] > errors.get_ylim()[1]  # the first one on top
    assert errors.get_xscale() == "log"
    drawn = [(to_hex(line.get_color()), along(line)[0]) for line in errors.lines[:3]]
    assert drawn == [(EFFECTIVE, [0.3, 0.7]), (EFFECTIVE, [0.2, 0.8]), (EFFECTIVE, [0.5])]
    assert along(found.lines[2])[0] == [6 / 9]
    normalized, seen = recovery_figure([group, other]).axes
    assert (normalized.get_xscale(), to_hex(normalized.lines[0].get_color())) == ("logit", RAW)
    assert along(seen.lines[2])[0] == [0.75]


def test_a_share_of_0_or_1_stands_at_the_end_of_an_axis_that_has_neither() -> None:
    _, seen = recovery_figure([configuration([0.5], 1.0, model__attention="dot")]).axes
    assert along(seen.lines[2])[0] == [1 - 1e-6]
    _, seen = recovery_figure([configuration([0.5], 0.0, model__attention="dot")]).axes
    assert along(seen.lines[2])[0] == [1e-3]


def over_rates(*attention: str, rates: Sequence[float] = RATES, **values: Any) -> list[Group]:
    return [
        configuration(
            [10 * rate * factor for factor in range(1, 6)], model__attention=name, train__learning_rate=rate, **values
        )
        for name in attention
        for rate in rates
    ]


def test_a_number_of_the_grid_is_an_axis_from_three_values_on() -> None:
    assert axes_of(over_rates("dot", rates=(0.1, 0.2))) == []
    assert axes_of(over_rates("dot")) == ["train.learning_rate"]
    assert axes_of([configuration([0.5], train__shuffle=value) for value in (True, False)]) == []
    assert axes_of([configuration([0.5], model__width=value) for value in (None, 2, 4)]) == []
    both = [
        configuration([0.5], model__width=width, train__learning_rate=rate)
        for width in range(1, 6)
        for rate in range(1, 7)
    ]
    assert axes_of(both) == ["train.learning_rate", "model.width"]
    assert axes_of([one for one in both if one.values["model.width"] < 5]) == ["train.learning_rate"]
    assert list(series(both[:8], ["train.learning_rate"])) == ["width 1", "width 2"]


def test_a_line_a_function_along_the_rate_with_a_band_of_the_interval() -> None:
    groups = over_rates("dot", "softmax")
    figure = errors_figure([groups[2], groups[0], groups[1], *groups[3:]])  # in whatever order the grid has
    errors, found = figure.axes
    assert np.allclose(along(errors.lines[0]), (RATES, (0.03, 0.3, 3)))
    assert heights(errors.collections[0]) == (0.01, 5)
    assert (errors.get_xscale(), errors.get_yscale(), found.get_yscale()) == ("log", "log", "linear")
    assert errors.get_xlabel() == "train.learning_rate"
    figure.draw_without_rendering()
    assert [label.get_text() for label in errors.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    assert [line.get_marker() for line in errors.lines] == ["o", "s"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["dot", "softmax"]


def test_two_numbers_of_the_grid_make_a_map() -> None:
    rates, widths = (0.001, 0.01, 0.1, 1.0, 10.0), (2, 4, 6, 8, 10)
    groups = [
        configuration([rate * width], model__attention="dot", model__width=width, train__learning_rate=rate)
        for width in widths
        for rate in rates
    ]
    groups[0] = replace(groups[0], outcomes=[Outcome([], None, False)])
    figure = errors_figure(groups)
    errors = figure.axes[0]
    (cells,) = errors.collections
    values: Any = np.ma.asarray(cells.get_array())
    assert (errors.get_xscale(), errors.get_yscale()) == ("log", "log")
    assert axes_of(groups) == ["model.width", "train.learning_rate"]
    assert values.shape == (5, 5)
    assert values.mask[0, 0]  # it diverged
    assert not values.mask[1:].any()
    assert values[1, 2] == 0.01 * 6  # the rate upwards, the width across
    assert [figure.get_supxlabel(), figure.get_supylabel()] == ["model.width", "train.learning_rate"]


def test_of_a_large_study_the_pictures_show_the_first_and_say_how_many_there_are() -> None:
    groups = [configuration([0.5] * 3, data__true_attention=str(number)) for number in range(99)]
    curves = curves_figure(groups)
    assert len(curves.axes) == CURVE_PANELS
    assert curves.get_supxlabel() == f"epoch (the first {CURVE_PANELS} configurations of 99)"
    rows = recovery_figure(groups)
    assert len(rows.axes[0].get_yticklabels()) == ROWS
    assert title(rows).endswith(f"(the first {ROWS} configurations of 99)")
    lines = errors_figure(over_rates(*(str(number) for number in range(30))))
    assert len(lines.axes[0].lines) == LINES
    assert title(lines).endswith(f"(the first {LINES} configurations of 30)")


def title(figure: Figure) -> str:
    return str(figure.get_suptitle())
