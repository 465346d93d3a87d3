"""A report on paper: one A4 page, or two, drawn by matplotlib without a browser, with text that can be searched."""

import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure as Drawing
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.patches import FancyBboxPatch

from dashboard import charts

# DejaVu comes with matplotlib, and writes Latin, Greek, Cyrillic, Armenian and Georgian.
FONTS = Path(mpl.get_data_path()) / "fonts" / "ttf"
REGULAR, BOLD = FONTS / "DejaVuSans.ttf", FONTS / "DejaVuSans-Bold.ttf"
WIDTH, HEIGHT, MARGIN = 595.28, 841.89, 42.0  # of A4, in points
INNER = WIDTH - 2 * MARGIN
MUTED = "#5b6475"
LINE = "#d5d9e2"
CARD_HEIGHT, TREND_HEIGHT, ROW_HEIGHT = 62.0, 150.0, 15.0
COLUMNS = (0.0, 0.20, 0.62, 0.78, 0.90)  # where those of the leaders begin, in widths of the page
DATES_SHOWN, STEPS = 6, 4

mpl.rcParams["pdf.fonttype"] = 42  # text stays text; nothing else in this process draws with matplotlib


Figure = tuple[str, str, str, bool | None]  # label, figure, change, and whether that is welcome
Leader = tuple[str, str, str, str, str]  # by what, who, how much, share, change


@dataclass(frozen=True)
class Sheet:
    """The content of the paper, written out.

    `trend` has a name for each point in its first column, and a line in each other one; `foot` and `note` may be empty.
    """

    title: str
    dates: str
    filters: str
    sentences: Sequence[str]
    note: str
    figures: Sequence[Figure]
    trend_title: str
    trend: pd.DataFrame
    from_zero: bool  # whether it is drawn from zero on
    axis: Callable[[float], str]
    leaders_title: str
    headings: Leader
    leaders: Sequence[Leader]
    foot: str


def draw(sheet: Sheet) -> bytes:
    """The PDF."""
    file = io.BytesIO()
    about = {"Title": sheet.title, "Creator": "Sales dashboard", "CreationDate": datetime.now(UTC)}
    with PdfPages(file, metadata=about) as pages:
        page = _Page()
        page.write(sheet.title, 18, bold=True)
        page.write(sheet.dates, 10)
        page.write(sheet.filters, 9, color=MUTED)
        page.skip(10)
        page.write(" ".join(sheet.sentences), 10.5)
        if sheet.note:
            page.skip(4)
            page.write(sheet.note, 9, bold=True)
        page.skip(12)
        _cards(page, sheet)
        page.skip(16)
        page.write(sheet.trend_title, 11, bold=True)
        _trend(page, sheet)
        page.skip(18)
        for done in _leaders(page, sheet):
            _end(done, sheet, pages)
    return file.getvalue()


class _Page:
    """A sheet of A4 that is filled from the top; `y`: how far from its upper edge the next thing stands, in points."""

    def __init__(self) -> None:
        self.figure = Drawing(figsize=(WIDTH / 72, HEIGHT / 72))
        self.y = MARGIN

    @property
    def room(self) -> float:
        return HEIGHT - MARGIN - 14 - self.y

    def skip(self, points: float) -> None:
        self.y += points

    def put(
        self, text: str, x: float, size: float, *, bold: bool = False, color: str = charts.INK, **looks: Any
    ) -> None:
        """A line of text at `x` points from the left edge, its foot on the line below `y`."""
        x, y = x / WIDTH, 1 - (self.y + size) / HEIGHT
        self.figure.text(
            x, y, text, fontproperties=_font(bold), fontsize=size, color=color, parse_math=False, va="baseline", **looks
        )

    def write(self, text: str, size: float, *, bold: bool = False, color: str = charts.INK) -> None:
        """A paragraph, as many lines as it takes."""
        for line in _lines(text, size, bold, INNER):
            self.put(line, MARGIN, size, bold=bold, color=color)
            self.skip(size * 1.45)

    def area(self, height: float) -> tuple[float, float, float, float]:
        """The next so many points over the whole width, as matplotlib places axes."""
        return MARGIN / WIDTH, 1 - (self.y + height) / HEIGHT, INNER / WIDTH, height / HEIGHT


def _cards(page: _Page, sheet: Sheet) -> None:
    gap = 8.0
    width = (INNER - gap * (len(sheet.figures) - 1)) / len(sheet.figures)
    colors = {True: charts.UP, False: charts.DOWN, None: MUTED}
    top = page.y
    for place, (label, figure, change, good) in enumerate(sheet.figures):
        x = MARGIN + place * (width + gap)
        page.y = top
        page.figure.add_artist(
            FancyBboxPatch(
                (x / WIDTH, 1 - (top + CARD_HEIGHT) / HEIGHT), width / WIDTH, CARD_HEIGHT / HEIGHT,
                boxstyle="square,pad=0", facecolor="none", edgecolor=LINE, linewidth=0.8,
            )
        )  # fmt: skip
        page.skip(6)
        page.put(_cut(label, 8, bold=False, width=width - 12), x + 6, 8, color=MUTED)
        page.skip(14)
        # A figure that is cut would be another one.
        size = next((size for size in (14, 12, 10, 8) if _width(figure, size, bold=True) <= width - 12), 6)
        page.put(figure, x + 6, size, bold=True)
        page.skip(14)
        for line in _lines(change, 7, False, width - 12)[:2]:
            page.skip(3)
            page.put(line, x + 6, 7, color=colors[good])
            page.skip(7)
    page.y = top + CARD_HEIGHT


def _trend(page: _Page, sheet: Sheet) -> None:
    names, lines = list(sheet.trend.iloc[:, 0]), sheet.trend.iloc[:, 1:].astype(float)
    left, bottom, width, height = page.area(TREND_HEIGHT)
    axes = page.figure.add_axes((left + 44 / WIDTH, bottom + 14 / HEIGHT, width - 44 / WIDTH, height - 26 / HEIGHT))
    for name, color, style in zip(lines, (charts.ACCENT, charts.MUTED), ("-", "--"), strict=False):
        marker = "o" if len(names) == 1 else None
        axes.plot(
            range(len(names)), lines[name].to_numpy(), style, color=color, linewidth=1.4, label=name, marker=marker
        )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.grid(axis="y", color=LINE, linewidth=0.5)
    axes.tick_params(length=0)
    axes.margins(x=0.01)
    axes.locator_params(axis="y", nbins=STEPS)
    if sheet.from_zero:
        axes.set_ylim(bottom=min(0.0, float(lines.min().min())))
    ticks = [tick for tick in axes.get_yticks() if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
    looks: dict[str, Any] = {"fontproperties": _font(bold=False), "fontsize": 7, "color": MUTED, "parse_math": False}
    axes.set_yticks(ticks, [sheet.axis(tick) for tick in ticks], **looks)
    shown = sorted({round(place * (len(names) - 1) / (DATES_SHOWN - 1)) for place in range(DATES_SHOWN)})
    axes.set_xticks(shown, [names[place] for place in shown], **looks)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, borderaxespad=0,
        prop=FontProperties(fname=str(REGULAR), size=7),
    )  # fmt: skip
    page.skip(TREND_HEIGHT)


def _leaders(page: _Page, sheet: Sheet) -> Iterator[_Page]:
    """The table, on more pages where it needs them; yields each page that is full, and the last one."""
    groups = [list(rows) for _, rows in itertools.groupby(sheet.leaders, key=lambda row: row[0])]
    if groups:
        if page.room < 24 + ROW_HEIGHT * (1 + len(groups[0])):
            yield page
            page = _Page()
        page.write(sheet.leaders_title, 11, bold=True)
        for column, text in enumerate(sheet.headings):
            _cell(page, column, text, MUTED)
        page.skip(ROW_HEIGHT)
    for group in groups:
        if page.room < ROW_HEIGHT * len(group):  # who belongs together stays together
            yield page
            page = _Page()
        for place, row in enumerate(group):
            page.figure.add_artist(
                mpl.lines.Line2D(
                    [MARGIN / WIDTH, 1 - MARGIN / WIDTH], [1 - page.y / HEIGHT] * 2, color=LINE, linewidth=0.5
                )
            )
            page.skip(3)
            for column, text in enumerate(row):
                if column > 0 or place == 0:
                    _cell(page, column, text, charts.INK if column else MUTED)
            page.skip(ROW_HEIGHT - 3)
        page.skip(4)
    yield page


def _cell(page: _Page, column: int, text: str, color: str) -> None:
    begin = COLUMNS[column] * INNER
    end = (COLUMNS[column + 1] if column + 1 < len(COLUMNS) else 1) * INNER
    if column < 2:
        page.put(_cut(text, 8.5, bold=False, width=end - begin - 6), MARGIN + begin, 8.5, color=color)
    else:
        page.put(text, MARGIN + end, 8.5, color=color, ha="right")


def _end(page: _Page, sheet: Sheet, pages: PdfPages) -> None:
    page.y = HEIGHT - MARGIN - 4
    page.put(_cut(sheet.foot, 6.5, bold=False, width=INNER), MARGIN, 6.5, color=MUTED)
    pages.savefig(page.figure)  # type: ignore[no-untyped-call]


def _font(bold: bool) -> FontProperties:
    return FontProperties(fname=str(BOLD if bold else REGULAR))


def _width(text: str, size: float, bold: bool) -> float:
    """In points."""
    font = get_font(str(BOLD if bold else REGULAR))
    font.set_size(size, 72)
    font.set_text(text)
    return float(font.get_width_height()[0]) / 64


def _lines(text: str, size: float, bold: bool, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width(longer, size, bold) > width:
            lines.append(_cut(word, size, bold, width))
        else:
            lines[-1] = longer
    return lines


def _cut(text: str, size: float, bold: bool, width: float) -> str:
    """As much of the text as has room, with three dots where some has not."""
    if _width(text, size, bold) <= width:
        return text
    while text and _width(f"{text}…", size, bold) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"
