"""How every picture looks, and the file that it becomes."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from workbench.stage.outputs import writing

matplotlib.rc_file(Path(__file__).with_suffix(".mplstyle"))  # else a user's own matplotlibrc would change the bytes

RUNS = 3  # zlib's Z_RLE


def save_figure(path: str | Path, figure: Figure) -> None:
    """Write a PNG without the version and date that matplotlib would add.

    Compressed by runs of equal bytes alone: of what else to look for, zlib and zlib-ng, one of which is the system's or
    came with Pillow, have ideas of their own.
    """
    canvas: Any = FigureCanvasAgg(figure)  # savefig would lay out and draw everything twice
    with writing(path) as beside:
        canvas.print_png(beside, metadata={"Software": None}, pil_kwargs={"compress_type": RUNS})
