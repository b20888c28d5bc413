"""The pictures: what they show, and that they are the same bytes for the same arrays."""

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, clean_environment
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from attention.pictures.colours import EFFECTIVE, RAW, TRUTH
from attention.pictures.figures import (
    MAPPED_PANELS,
    Floats,
    attention_figure,
    epoch_figure,
    growth_figure,
    mse_figure,
    save_animation,
)
from attention.pictures.style import save_figure

PNG = b"\x89PNG\r\n\x1a\n"


def matrices(contexts: int, positions: int) -> tuple[Floats, Floats, Floats]:
    """Return a truth and two random matrices whose rows sum to 1."""
    random = np.random.default_rng(47)
    truth = np.eye(positions)[random.integers(0, positions, contexts)]
    normalized, effective = random.dirichlet(np.ones(positions), (2, contexts))
    return truth, normalized, effective


def chunks(png: bytes) -> list[bytes]:
    names, place = [], len(PNG)
    while place < len(png):
        names.append(png[place + 4 : place + 8])
        place += 12 + int.from_bytes(png[place : place + 4], "big")
    return names


def test_the_article_s_figure_has_bars_of_learned_attention_and_a_frame_at_the_truth_for_each_context() -> None:
    truth, normalized, effective = matrices(3, 7)
    figure = attention_figure(truth, normalized, effective)
    assert len(figure.axes) == 3
    for context, panel in enumerate(figure.axes):
        assert panel.get_ylabel() == f"context {context}"
        *bars, frame = [bar for bar in panel.patches if isinstance(bar, Rectangle)]
        expected = [
            [colour, height] for colour, row in ((RAW, normalized), (EFFECTIVE, effective)) for height in row[context]
        ]
        assert [[to_hex(bar.get_facecolor()), bar.get_height()] for bar in bars] == expected
        assert np.round([middle(bar) for bar in bars]).tolist() == [0, 1, 2, 3, 4, 5, 6] * 2
        assert all(bool(bar.get_hatch()) == (to_hex(bar.get_facecolor()) == RAW) for bar in bars), "told apart in grey"
        assert (middle(frame), frame.get_height()) == (truth[context].argmax(), 1)
        assert (to_hex(frame.get_edgecolor()), frame.get_fill()) == (TRUTH, False)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "learned |a|, normalized",
        "effective |a·w|, normalized",
        "true attention",
    ]


def middle(bar: Rectangle) -> float:
    return float(np.round(bar.get_x() + bar.get_width() / 2, 9))


@pytest.mark.parametrize(("contexts", "images"), [(MAPPED_PANELS, 0), (MAPPED_PANELS + 1, 3)])
def test_many_contexts_are_drawn_as_maps(contexts: int, images: int) -> None:
    given = matrices(contexts, 7)
    figure = attention_figure(*given)
    shown = [np.asarray(image.get_array()) for panel in figure.axes for image in panel.images]
    assert len(shown) == images
    assert all(np.array_equal(a, b) for a, b in zip(shown, given, strict=False))
    assert all(image.get_clim() == (0, 1) for panel in figure.axes for image in panel.images)


def test_the_error_is_drawn_on_a_log_axis_beside_the_baselines() -> None:
    mse = np.array([0.0529509, 0.0029285, 0.0000126, 0.0000125])
    (panel,) = mse_figure(mse, {"mean": 0.083, "linear": 0.065}).axes
    assert panel.get_yscale() == "log"
    curve, *baselines = panel.lines
    assert np.array_equal(np.asarray(curve.get_xydata()), np.column_stack([range(4), mse]))
    assert [np.unique(line.get_ydata()).tolist() for line in baselines] == [[0.083], [0.065]]
    assert [line.get_label() for line in baselines] == ["no attention: mean (0.083)", "no attention: linear (0.065)"]
    assert len({line.get_linestyle() for line in panel.lines}) == 3
    assert [text.get_text() for text in panel.texts] == ["0.053", "1.25e-05"]


def test_growth_draws_a_line_a_position_with_the_true_one_apart() -> None:
    truth, *_ = matrices(3, 7)
    attention = np.random.default_rng(53).normal(size=(5, 3, 7))
    figure = growth_figure(attention, truth)
    assert len(figure.axes) == 3
    for context, panel in enumerate(figure.axes):
        _, *lines = panel.lines
        position = int(truth[context].argmax())
        blue = [line for line in lines if line.get_color() == EFFECTIVE]
        orange = [line for line in lines if line.get_color() == RAW]
        assert [np.asarray(line.get_ydata()).tolist() for line in blue] == [attention[:, context, position].tolist()]
        others = np.delete(attention[:, context], position, axis=1)
        assert [np.asarray(line.get_ydata()).tolist() for line in orange] == others.T.tolist()


@pytest.mark.parametrize(
    ("contexts", "panels", "title"),
    [
        (7, 7, "thick blue: the true position; thin orange: the others"),
        (23, 20, "thick blue: the true position; thin orange: the others (contexts 0 to 19 of 23)"),
    ],
)
def test_growth_says_when_it_shows_only_the_first_contexts(contexts: int, panels: int, title: str) -> None:
    truth, *_ = matrices(contexts, 5)
    figure = growth_figure(np.zeros((2, contexts, 5)), truth)
    assert [panel.get_title(loc="left") for panel in figure.axes] == [f"context {c}" for c in range(panels)]
    assert figure.get_suptitle() == title


def test_the_map_of_an_epoch_rings_the_true_positions() -> None:
    truth, normalized, _ = matrices(3, 7)
    panel = epoch_figure(11, normalized, truth).axes[0]
    assert np.array_equal(np.asarray(panel.images[0].get_array()), normalized)
    rings = np.asarray(panel.collections[0].get_offsets())
    assert rings.tolist() == [[float(truth[c].argmax()), float(c)] for c in range(3)]
    assert panel.get_title(loc="left") == "after epoch 11: |a|, normalized; rings: truth"


def small_figures() -> list[Figure]:
    truth, normalized, effective = matrices(1, 1)
    return [
        attention_figure(truth, normalized, effective),
        mse_figure(np.array([0.5]), {"mean": 0.25}),
        growth_figure(np.zeros((1, 1, 1)), truth),
        epoch_figure(0, normalized, truth),
    ]


@pytest.mark.parametrize("which", range(4))
def test_the_smallest_problem_can_be_drawn_twice_with_the_same_bytes(tmp_path: Path, which: int) -> None:
    for name in ("one.png", "other.png"):
        save_figure(tmp_path / name, small_figures()[which])
    png = (tmp_path / "one.png").read_bytes()
    assert png.startswith(PNG)
    assert png == (tmp_path / "other.png").read_bytes()
    assert set(chunks(png)) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}  # no tEXt or tIME: no version and no date


def test_an_animation_holds_every_figure_in_turn_with_the_same_bytes(tmp_path: Path) -> None:
    truth, *_ = matrices(3, 7)
    epochs = np.random.default_rng(59).dirichlet(np.ones(7), (5, 3))
    stills = [tmp_path / f"{epoch}.png" for epoch in range(5)]
    for epoch, path in enumerate(stills):
        save_figure(path, epoch_figure(epoch, epochs[epoch], truth))
    for name in ("one.gif", "other.gif"):
        save_animation(tmp_path / name, stills, seconds=0.5)
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "other.gif").read_bytes()
    with Image.open(tmp_path / "one.gif") as animation:
        assert (animation.n_frames, animation.info["loop"]) == (5, 0)  # type: ignore[attr-defined]
        for number, path in enumerate(stills):
            animation.seek(number)
            assert animation.info["duration"] == 500
            with Image.open(path) as still:
                away = np.asarray(animation.convert("RGB"), float) - np.asarray(still.convert("RGB"), float)
            assert np.abs(away).mean() < 3, "256 colours are close to all"


def test_the_bytes_do_not_depend_on_a_matplotlibrc_of_one_s_own(tmp_path: Path) -> None:
    drawn = []
    for style in ("", "font.size: 30\naxes.facecolor: red\nsavefig.dpi: 30\n"):
        (tmp_path / "matplotlibrc").write_text(style)
        subprocess.run(
            [sys.executable, "-c", DRAW],
            cwd=tmp_path,
            env=clean_environment(PYTHONPATH=str(ROOT / "stages")),
            check=True,
        )
        drawn.append((tmp_path / "a.png").read_bytes())
    assert drawn[0] == drawn[1]


DRAW = """
import numpy as np
from attention.pictures.figures import mse_figure
from attention.pictures.style import save_figure
save_figure("a.png", mse_figure(np.array([0.5, 0.25]), {"mean": 0.25}))
"""


def test_a_large_problem_can_be_drawn(tmp_path: Path) -> None:
    save_figure(tmp_path / "a.png", attention_figure(*matrices(10, 61)))
    save_figure(tmp_path / "b.png", attention_figure(*matrices(97, 101)))
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png"}


def test_the_error_of_a_single_epoch_stands_alone() -> None:
    (alone,) = mse_figure(np.array([0.25]), {"mean": 0.5}).axes
    assert [text.get_text() for text in alone.texts] == ["0.25"]


def test_no_library_s_idea_of_compression_reaches_a_picture(tmp_path: Path) -> None:
    """Its bytes are those of runs alone, with which zlib and zlib-ng agree: here Python's zlib against Pillow's."""
    save_figure(tmp_path / "a.png", mse_figure(np.array([0.05, 0.003, 1e-5]), {"mean": 0.1}))
    stream = deflated((tmp_path / "a.png").read_bytes())
    again = [zlib.compressobj(strategy=strategy, memLevel=9) for strategy in (zlib.Z_RLE, zlib.Z_DEFAULT_STRATEGY)]
    runs, any_match = (way.compress(zlib.decompress(stream)) + way.flush() for way in again)
    assert stream[2:] == runs[2:]  # after the header, in which each library says how hard it tried
    assert stream[2:] != any_match[2:]


def deflated(png: bytes) -> bytes:
    """Return what a PNG's IDAT chunks hold."""
    found, at = b"", 8
    while at < len(png):
        size, kind = int.from_bytes(png[at : at + 4]), png[at + 4 : at + 8]
        found += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    return found
