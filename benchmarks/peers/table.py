"""What a comparison found, as figures and as Markdown."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from scipy import stats

from benchmarks.peers.works import Side, Work

TOLD = ("mean", "low", "high")


def paired(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """(geometric mean, low, high) of the ratio, turn by turn; 95 % by Student's t on logarithms."""
    logs = [math.log(a / b) for a, b in zip(ours, theirs, strict=True)]
    middle = statistics.mean(logs)
    if len(logs) < 2:
        return math.exp(middle), 0.0, math.inf
    half = float(stats.t.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / len(logs) ** 0.5
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


@dataclass(frozen=True)
class Figures:
    """`rates`: units per second by side, a figure for each turn; `gemms`: GEMM in FLOP/s, before each turn and after the last."""

    work: Work
    size: str
    rates: Mapping[str, Sequence[float]]
    gemms: Sequence[float]

    @property
    def drift(self) -> float:
        return abs(self.gemms[-1] / self.gemms[0] - 1)

    def useful(self, side: Side) -> float:
        """FLOP/s of the median turn."""
        return statistics.median(self.rates[side.name]) * side.flops(self.size)

    def share(self, side: Side) -> tuple[float, float, float]:
        """(geometric mean, low, high) of useful FLOP/s over what GEMM was around each turn."""
        around = [(a + b) / 2 for a, b in pairwise(self.gemms)]
        return paired([rate * side.flops(self.size) for rate in self.rates[side.name]], around)

    def ratio(self, ours: Side, peer: Side) -> tuple[float, float, float]:
        """(geometric mean, low, high) of ours over the peer's, paired by turn."""
        return paired(self.rates[ours.name], self.rates[peer.name])

    def plain(self) -> dict[str, Any]:
        work = self.work
        sides = {
            side.name: {"rates": list(self.rates[side.name]), "gflops": self.useful(side) / 1e9, "share": dict(zip(TOLD, self.share(side)))}
            for side in work.sides
        }
        ratios = [
            {"ours": ours.name, "peer": peer.name, **dict(zip(("ratio", *TOLD[1:]), self.ratio(ours, peer)))}
            for ours in work.ours
            for peer in work.peers
        ]
        return {"work": work.name, "size": self.size, "unit": work.unit, "sides": sides, "ratios": ratios, "gemm": list(self.gemms)}

    def row(self, side: Side) -> str:
        """A line of the table; a peer's says how much faster each of our sides is, in their order."""
        rates, work = self.rates[side.name], self.work
        spread = f"{statistics.median(rates):,.1f} ({min(rates):,.1f} to {max(rates):,.1f}) {work.unit}"
        told = "" if side in work.ours else "; ".join("{:.2f} ({:.2f} to {:.2f})".format(*self.ratio(ours, side)) for ours in work.ours)
        cells = (
            f"{work.name} {self.size}",
            side.name,
            spread,
            f"{self.useful(side) / 1e9:,.0f}",
            "{:.0%} ({:.0%} to {:.0%})".format(*self.share(side)),
            told,
        )
        return f"| {' | '.join(cells)} |"


def table(found: Sequence[Figures]) -> str:
    lines = [
        "| work | side | median (range) | useful GFLOP/s | share of GEMM | ours is faster by |",
        "| --- | --- | --- | --- | --- | --- |",
        *(figures.row(side) for figures in found for side in figures.work.sides),
    ]
    gemms = [rate / 1e9 for figures in found for rate in figures.gemms]
    return "\n".join([*lines, "", f"GEMM {min(gemms):,.0f} to {max(gemms):,.0f} GFLOP/s; {len(next(iter(found[0].rates.values())))} turns"])
