"""How fast a cost grows: the slope of its logarithm over that of what grew, and the table of such slopes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.growth.points import AXES
from benchmarks.publish import table

GIB = 2**30


@dataclass(frozen=True)
class Measured:
    at: float
    seconds: float
    bytes: float
    """Beyond what the process held before the work."""


def exponent(at: Sequence[float], cost: Sequence[float]) -> tuple[float, float, float]:
    """(slope, low, high) of a line through all points: 1 is proportional, 0 is constant. The interval (95 %) tells how well a line fits."""
    x, y = (np.log(np.asarray(numbers, dtype=float)) for numbers in (at, cost))
    x -= x.mean()
    slope = float(x @ y / (x @ x))
    left = y - y.mean() - slope * x
    freedom = len(at) - 2
    half = float(stats.t.ppf(0.975, freedom)) * float(left @ left / freedom / (x @ x)) ** 0.5
    return slope, slope - half, slope + half


def last(at: Sequence[float], cost: Sequence[float]) -> float:
    """The slope between the last two points, where fixed costs weigh least."""
    return math.log(cost[-1] / cost[-2]) / math.log(at[-1] / at[-2])


def told(found: Mapping[str, Sequence[Measured]]) -> str:
    head = ["what grows", "from, to", "cost of", "seconds", "exponent; at the end", "memory of the work, GiB", "exponent; at the end"]
    return table(head, [row(name, points) for name, points in found.items()])


def row(name: str, points: Sequence[Measured]) -> list[str]:
    at, seconds, memory = zip(*((p.at, p.seconds, p.bytes) for p in points), strict=True)
    return [
        AXES[name].grows,
        f"{short(at[0])} to {short(at[-1])}",
        AXES[name].cost,
        f"{seconds[0]:.3g} to {seconds[-1]:.3g}",
        growth(at, seconds),
        f"{memory[0] / GIB:.2f} to {memory[-1] / GIB:.2f}",
        growth(at, memory),
    ]


def short(amount: float) -> str:
    return f"{amount / 1e6:.1f}M" if amount >= 1e6 else f"{amount:,.0f}"


def growth(at: Sequence[float], cost: Sequence[float]) -> str:
    if min(cost) <= 0:  # the work fitted into what the process held already
        return "none"
    return "{:.2f} ({:.2f} to {:.2f}); {:.2f}".format(*exponent(at, cost), last(at, cost))
