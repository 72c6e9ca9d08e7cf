"""One look for every plot: fonts, colours, sizes, and text that comes from outside.

Figures are made without pyplot and without touching matplotlib's global settings, so plots can be drawn in any thread,
leave nothing open, and look the same whatever style the user has chosen for plots of their own.
"""

import io
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from netwright.errors import MachineError
from netwright.files.atomic import explained, write_atomic

# Okabe and Ito, "Color universal design" (2008): told apart with every common colour blindness.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
INK = "#222222"
MUTED = "#595959"  # 7 : 1 against white
FAINT = "#E3E3E3"
PAPER = "#FFFFFF"

DPI = 120
POINTS_PER_INCH = 72
SMALL, NORMAL, LARGE = 8.0, 9.5, 12.0

# Asked for only by characters that DejaVu Sans (matplotlib's own) lacks; the first that is installed is used.
_OTHER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei", "PingFang SC", "Hiragino Sans",
    "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Noto Sans",
)  # fmt: skip


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """Make an empty white figure with its own Agg canvas; its PNG is `DPI` pixels an inch."""
    figure = Figure((width_inches, height_inches), dpi=DPI, facecolor=PAPER, edgecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """Draw the figure as a PNG."""
    buffer = io.BytesIO()
    # print_png, not savefig: savefig follows the user's settings for size, background and cropping.
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG, atomically; its folder is made where missing.

    Raises:
        MachineError: the disk is full, the folder can't be written or made, or the file would replace a folder.
    """
    content = png_bytes(figure)
    try:
        with explained(path, len(content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise MachineError(f"the plot {path} can't be written: {error.strerror}; choose another file name") from None


def words(size: float = NORMAL, colour: str = INK, **others: Any) -> dict[str, Any]:
    """Return the arguments of a piece of text; `$` and backslashes in it are ordinary characters."""
    return {
        "fontfamily": list(_families()), "fontsize": size, "color": colour,
        "parse_math": False, "usetex": False, **others,
    }  # fmt: skip


def dress(axes: Axes, *, spines: Sequence[str] = ("left", "bottom"), grid: bool = False) -> None:
    """Give axes the common look: only the lines that are asked for, quiet ticks, no decoration."""
    axes.set_facecolor(PAPER)
    axes.grid(False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(True, axis="y", color=FAINT, linewidth=0.8, linestyle="-")
    for side, spine in axes.spines.items():
        spine.set(visible=side in spines, color=MUTED, linewidth=0.8)
    axes.tick_params(
        which="both", direction="out", color=MUTED, labelcolor=INK, labelsize=NORMAL, labelfontfamily=list(_families()),
        width=0.8, length=3, top=False, right=False, left="left" in spines, bottom="bottom" in spines,
    )  # fmt: skip


def blank(axes: Axes) -> None:
    """Leave nothing of the axes but what is drawn in them."""
    dress(axes, spines=())
    axes.set_xticks([])
    axes.set_yticks([])


def plain(text: object) -> str:
    """Return text from outside (a class name, a file name) as one line that can be drawn without a warning.

    Control characters and line breaks become spaces, invisible marks (which may reverse the direction of what
    follows) are dropped; characters that no installed font has are written as Python writes them (`\\u732b`), so
    that names stay different.
    """
    kinds = ((c, unicodedata.category(c)) for c in str(text))
    visible = "".join(" " if kind in ("Cc", "Zl", "Zp") else c for c, kind in kinds if kind != "Cf")
    line = " ".join(visible.split())
    known = _characters(*_families())
    return "".join(c if ord(c) in known else c.encode("unicode_escape").decode() for c in line)


def fitted(text: object, width_points: float, size: float = NORMAL, **font: Any) -> str:
    """Return `plain(text)`, with its middle left out where it would be wider than `width_points`.

    The middle goes because names of one data set often begin alike (`n02123045_tabby`).
    """
    line = plain(text)[:1000]
    properties = FontProperties(family=list(_families()), size=size, **font)
    if _width(line, properties) <= width_points:
        return line
    low, high = 0, len(line) - 1  # characters kept: low fits (or is nothing), more than high does not
    while low < high:
        middle = (low + high + 1) // 2
        if _width(_shortened(line, middle), properties) <= width_points:
            low = middle
        else:
            high = middle - 1
    return _shortened(line, low)


def _shortened(line: str, kept: int) -> str:
    """Return the first and last characters of a line, `kept` in all, around an ellipsis."""
    return line[: (kept + 1) // 2].rstrip() + "…" + line[len(line) - kept // 2 :].lstrip()


def _width(line: str, font: FontProperties) -> float:
    """Return the width in points."""
    return float(text_to_path.get_text_width_height_descent(line, font, ismath=False)[0])


@lru_cache(maxsize=1)
def _families() -> tuple[str, ...]:
    """Return the font families in use, first choice first."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *[name for name in _OTHER_FONTS if name in installed][:2])


@lru_cache(maxsize=1)
def _characters(*families: str) -> frozenset[int]:
    """Return the code points that some of the font families have."""
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in families]
    return frozenset(code for font in fonts for code in font.get_charmap())
