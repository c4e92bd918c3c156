"""Small plots for the admin page, drawn here as SVG: no script, no style of their own (colors and text come from the one CSS file),
each with its numbers in words for who can't see it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, ROW, LEFT, RIGHT = 420, 24, 110, 46


@dataclass(frozen=True)
class Plot:
    """One plot with a title and a sentence on how to read it."""

    title: str
    note: str
    svg: Markup


@dataclass(frozen=True)
class Dot:
    """A row of `dots`: a value with its interval."""

    name: str
    value: float
    low: float
    high: float
    odd: bool = False
    """Drawn in the color of faults."""


def bars(title: str, note: str, rows: Sequence[tuple[str, float]], unit: str = "") -> Plot:
    """One bar for each (name, value >= 0)."""
    most = max((value for _, value in rows), default=0.0) or 1.0
    across = (WIDTH - LEFT - RIGHT) / most
    parts = [_name(i, name) + _bar(i, value * across, f"{value:g}{unit}") for i, (name, value) in enumerate(rows)]
    said = "; ".join(f"{name} {value:g}{unit}" for name, value in rows)
    return Plot(title, note, _svg(ROW * len(rows) + 4, said, parts))


def dots(title: str, note: str, rows: Sequence[Dot], low: float = 0.0, high: float = 1.0, reference: float | None = None) -> Plot:
    """One dot with whiskers for each row, on a scale from `low` to `high`; a dashed line at `reference`."""
    span = (WIDTH - LEFT - RIGHT) / ((high - low) or 1.0)

    def x(value: float) -> float:
        return LEFT + (min(max(value, low), high) - low) * span

    height = ROW * len(rows) + 22
    parts = [
        _line(x(value), 0, x(value), height - 18, "axis") + _text(x(value), height - 4, f"{value:.2g}", "middle")
        for value in _ticks(low, high)
    ]
    if reference is not None:
        parts.append(_line(x(reference), 0, x(reference), height - 18, "reference"))
    for i, row in enumerate(rows):
        y, kind = ROW * i + ROW / 2, " odd" if row.odd else ""
        parts.append(_name(i, row.name) + _line(x(row.low), y, x(row.high), y, f"whisker{kind}"))
        parts.append(f'<circle class="dot{kind}" cx="{x(row.value):.1f}" cy="{y:.1f}" r="4.5"/>')
        parts.append(_text(WIDTH - RIGHT + 6, y + 4, f"{row.value:.2f}"))
    said = "; ".join(f"{row.name} {row.value:.2f} ({row.low:.2f} to {row.high:.2f})" for row in rows)
    return Plot(title, note, _svg(height, said, parts))


def line(title: str, note: str, points: Sequence[tuple[float, float]], labels: tuple[str, str], unit: str = "") -> Plot:
    """Values >= 0 over time, as a line; `labels` stand at its two ends."""
    height, bottom, top = 150, 126, 12
    most = max((y for _, y in points), default=0.0) or 1.0
    begin, end = points[0][0], points[-1][0]
    across, up = (WIDTH - 60) / ((end - begin) or 1.0), (bottom - top) / most
    path = " ".join(f"{40 + (x - begin) * across:.1f},{bottom - y * up:.1f}" for x, y in points)
    parts = [
        _line(40, bottom, WIDTH - 20, bottom, "axis"),
        _text(34, top + 4, f"{most:g}{unit}", "end"),
        _text(34, bottom + 4, "0", "end"),
        _text(40, height - 4, labels[0]),
        _text(WIDTH - 20, height - 4, labels[1], "end"),
        f'<polyline class="line" points="{path}"/>',
    ]
    return Plot(title, note, _svg(height, f"from {points[0][1]:g} to {points[-1][1]:g}{unit}", parts))


def _ticks(low: float, high: float) -> list[float]:
    return [low + (high - low) * share for share in (0, 0.5, 1)]


def _name(row: int, name: str) -> str:
    return _text(LEFT - 10, ROW * row + ROW / 2 + 4, name if len(name) <= 15 else name[:14] + "…", "end", "label")


def _bar(row: int, width: float, said: str) -> str:
    y = ROW * row + 4
    rect = f'<rect class="bar-fill" x="{LEFT}" y="{y}" width="{max(width, 1):.1f}" height="{ROW - 8}" rx="2"/>'
    return rect + _text(LEFT + width + 6, y + 12, said)


def _line(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, said: str, parts: Sequence[str]) -> Markup:
    inner = "".join(parts)
    return Markup(f'<svg class="plot" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(said)}">{inner}</svg>')
