"""Charts as small pieces of SVG, written by hand: they follow the page's colors in light and dark, and print as lines, not pixels.

Each eval is a panel of its own with one row per stage (dot: mean; line: 95 % interval), so nothing needs a legend, and panels flow
beside each other on a wide page and below each other on a phone. Colors are those of Okabe and Ito (2008), told apart by readers of
every color vision; rows and lines are also labelled in words. All text passes through `escape`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from tutelage.evals.eval import Result
from tutelage.evals.findings import Findings, Point, number, span

WIDTH, LABEL, VALUE, ROW, TOP, BOTTOM = 340, 96, 44, 24, 6, 22


@dataclass(frozen=True, slots=True)
class Axis:
    """Values to pixels; `ticks` are round values inside."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        step = nice((self.high - self.low) / 4)
        first = math.ceil(self.low / step - 1e-9)
        return [round(k * step, 10) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def nice(size: float) -> float:
    """The round number (1, 2, 2.5, 5 times a power of ten) next to `size`."""
    power = 10 ** math.floor(math.log10(size))
    return min((1, 2, 2.5, 5, 10), key=lambda k: abs(math.log(k * power / size))) * power


def axis(values: Sequence[float], start: float, end: float, limits: tuple[float, float] | None = None) -> Axis:
    """Around `values` with a little room; or `limits`, where they hold the values."""
    if limits and all(limits[0] <= v <= limits[1] for v in values):
        return Axis(*limits, start, end)
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.5 * abs(high) or 0.5
    return Axis(low - room, high + room, start, end)


def panel(found: Findings, results: Sequence[Result], main: str) -> str:
    """One eval: a row per stage. [figure as <svg>]"""
    measure = results[0].measure
    means = [r.mean for r in results]
    inside = measure.limits and all(measure.limits[0] <= mean <= measure.limits[1] for mean in means)
    # An interval may reach beyond what is possible (a t interval near 0): it is then drawn up to the limit.
    ends = means if inside else [v for r in results for v in (r.low, r.mean, r.high) if math.isfinite(v)]
    x = axis(ends, LABEL + 8, WIDTH - VALUE - 12, measure.limits)
    floor = TOP + ROW * len(results)
    parts = [
        f'<line class="grid" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{TOP}" y2="{floor}"/>'
        f'<text class="tick" x="{x(t):.1f}" y="{floor + 15}" text-anchor="middle">{t:g}</text>'
        for t in x.ticks
    ]
    for place, result in enumerate(results):
        y = TOP + ROW * (place + 0.5)
        parts.append(row(found, result, x, y, result.stage == main))
    described = f"{measure.title}: " + "; ".join(
        f"{found.label(r.stage)} {number(r.mean, measure)} ({span(r.low, r.high, measure)})" for r in results
    )
    return svg(WIDTH, floor + BOTTOM, described, "".join(parts))


def row(found: Findings, result: Result, x: Axis, y: float, strong: bool) -> str:
    color = f"s{found.order.index(result.stage) % 8}"
    weight = " strong" if strong else ""
    label = found.label(result.stage)
    low, high = (v if math.isfinite(v) else result.mean for v in (result.low, result.high))
    return (
        f'<text class="name{weight}" x="0" y="{y + 4:.1f}">{escape(short(label, 16))}</text>'
        f'<line class="whisker {color}" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<circle class="dot {color}" cx="{x(result.mean):.1f}" cy="{y:.1f}" r="{5 if strong else 4}"/>'
        f'<text class="value{weight}" x="{WIDTH - 2}" y="{y + 4:.1f}" text-anchor="end">{number(result.mean, result.measure)}</text>'
    )


def curve_panel(
    found: Findings,
    lines: Mapping[str, Sequence[tuple[float, Point]]],
    baselines: Mapping[str, float],
    x_title: str,
    limits: tuple[float, float] | None = None,
) -> str:
    """Lines by stage, each point (x, point); `baselines` are dashed lines across, with their names.

    Point labels stand at the end of each line, pushed apart where they would overlap.
    """
    width, height, left, right, top, bottom = 400, 250, 38, 96, 10, 40
    points = [(px, p) for line in lines.values() for px, p in line]
    ys = [v for _, p in points for v in (p["value"], p.get("low", p["value"]), p.get("high", p["value"]))]
    x = axis([0.0, *(px for px, _ in points)], left, width - right)
    x = Axis(0.0, x.high, left, width - right)
    y = axis([*ys, *baselines.values()], height - bottom, top, limits)
    parts = [
        f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text class="tick" x="{left - 6}" y="{y(t) + 4:.1f}" text-anchor="end">{t:g}</text>'
        for t in y.ticks
    ]
    parts += [f'<text class="tick" x="{x(t):.1f}" y="{height - bottom + 16}" text-anchor="middle">{t:g}</text>' for t in x.ticks]
    parts.append(f'<text class="tick" x="{(left + width - right) / 2:.0f}" y="{height - 6}" text-anchor="middle">{escape(x_title)}</text>')
    ends = []
    for name, value in baselines.items():
        parts.append(f'<line class="base" x1="{left}" x2="{width - right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        ends.append((y(value), found.label(name), "base"))
    for name, line in lines.items():
        color = f"s{found.order.index(name) % 8 if name in found.order else 7}"
        parts.append(drawn(line, x, y, color))
        ends.append((y(line[-1][1]["value"]), found.label(name), color))
    for place, label, color in apart(ends):
        parts.append(f'<text class="end {color}" x="{width - right + 8}" y="{place + 4:.1f}">{escape(short(label, 15))}</text>')
    return svg(width, height, f"{', '.join(found.label(n) for n in lines)} by {x_title}", "".join(parts))


def drawn(line: Sequence[tuple[float, Point]], x: Axis, y: Axis, color: str) -> str:
    """One line with its band, and a dot at each point."""
    path = " ".join(f"{x(px):.1f},{y(p['value']):.1f}" for px, p in line)
    out = ""
    if len(line) > 1 and all("low" in p and "high" in p for _, p in line):
        upper = [f"{x(px):.1f},{y(p['high']):.1f}" for px, p in line]
        lower = [f"{x(px):.1f},{y(p['low']):.1f}" for px, p in reversed(line)]
        out += f'<polygon class="band {color}" points="{" ".join(upper + lower)}"/>'
    out += f'<polyline class="line {color}" points="{path}"/>'
    return out + "".join(f'<circle class="dot {color}" cx="{x(px):.1f}" cy="{y(p["value"]):.1f}" r="2.5"/>' for px, p in line)


def apart(ends: Sequence[tuple[float, str, str]], gap: float = 14.0) -> list[tuple[float, str, str]]:
    """The same labels, at least `gap` below one another."""
    placed: list[tuple[float, str, str]] = []
    for place, label, color in sorted(ends):
        least = placed[-1][0] + gap if placed else place
        placed.append((max(place, least), label, color))
    return placed


def svg(width: float, height: float, described: str, inside: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(described)}" '
        f'xmlns="http://www.w3.org/2000/svg">{inside}</svg>'
    )


def short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "\u2026"
