"""The colours of pictures and charts, Okabe and Ito's: told apart with any colour vision.

`style.mplstyle` has those of text and axes, `page.css` those of a page.
"""

TRUTH, RAW, EFFECTIVE, GREY = "#222222", "#e69f00", "#0072b2", "#666666"
GREEN = "#009e73"
LINES = (EFFECTIVE, RAW, GREEN, "#cc79a7", TRUTH, "#d55e00", "#56b4e9")  # one after the other, as many as there are
