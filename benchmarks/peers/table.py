"""What a comparison found, as figures and as Markdown."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from benchmarks.peers.works import Work


@dataclass(frozen=True)
class Figures:
    """`rates`: units per second by side, a figure for each turn; `before` and `after`: GEMM in FLOP/s."""

    work: Work
    size: str
    rates: Mapping[str, Sequence[float]]
    before: float
    after: float

    @property
    def drift(self) -> float:
        return abs(self.after / self.before - 1)

    def share(self, side: str) -> float:
        """Useful FLOP/s of the median turn, of GEMM."""
        return statistics.median(self.rates[side]) * self.work.flops(self.size) / ((self.before + self.after) / 2)

    def ratio(self, side: str) -> tuple[float, float, float]:
        """(geometric mean, low, high) of ours over `side`, paired by turn."""
        ours = self.rates[self.work.sides[0].name]
        logs = [math.log(a / b) for a, b in zip(ours, self.rates[side], strict=True)]
        middle = statistics.mean(logs)
        if len(logs) < 2:
            return math.exp(middle), 0.0, math.inf
        half = float(stats.t.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / len(logs) ** 0.5
        return math.exp(middle), math.exp(middle - half), math.exp(middle + half)

    def plain(self) -> dict[str, Any]:
        sides = {
            side: {"rates": list(rates), "gflops": statistics.median(rates) * self.work.flops(self.size) / 1e9, "share": self.share(side)}
            for side, rates in self.rates.items()
        }
        ratios = {side.name: dict(zip(("ratio", "low", "high"), self.ratio(side.name))) for side in self.work.sides[1:]}
        gemm = {"before": self.before, "after": self.after}
        return {"work": self.work.name, "size": self.size, "unit": self.work.unit, "sides": sides, "ratios": ratios, "gemm": gemm}


def table(found: Sequence[Figures]) -> str:
    lines = [
        "| work | side | median (range) | useful GFLOP/s | share of GEMM | ours is faster by |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for figures in found:
        for side in figures.work.sides:
            rates = figures.rates[side.name]
            middle, work = statistics.median(rates), figures.work
            told = "" if side is work.sides[0] else "{:.2f} ({:.2f} to {:.2f})".format(*figures.ratio(side.name))
            spread = f"{middle:,.1f} ({min(rates):,.1f} to {max(rates):,.1f}) {work.unit}"
            useful = middle * work.flops(figures.size) / 1e9
            lines.append(
                f"| {work.name} {figures.size} | {side.name} | {spread} | {useful:,.0f} | {figures.share(side.name):.0%} | {told} |"
            )
    gemms = [rate / 1e9 for figures in found for rate in (figures.before, figures.after)]
    return "\n".join([*lines, "", f"GEMM {min(gemms):,.0f} to {max(gemms):,.0f} GFLOP/s; {len(next(iter(found[0].rates.values())))} turns"])
