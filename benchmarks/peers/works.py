"""What is compared, with whom, and the useful FLOPs of one unit: 6 per weight and token learnt from; no attention, no padding."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.peers import shapes

OURS, TRL = "benchmarks.peers.ours", "benchmarks.peers.trl_now"
HERE, TRL_NOW = "here", "trl-1.16.0"


@dataclass(frozen=True)
class Side:
    name: str
    environment: str
    module: str
    work: str


@dataclass(frozen=True)
class Work:
    """The first side is ours."""

    name: str
    unit: str
    sides: tuple[Side, ...]
    flops: Callable[[str], float]
    """Useful FLOPs of a unit, by size."""


def _sft(size: str) -> float:
    return 6 * (shapes.body(size) + 2 / 3 * shapes.head(size))


WORKS = {
    work.name: work
    for work in (
        Work(
            "sft",
            "tokens/s",
            (
                Side("Tutelage", HERE, OURS, "sft"),
                Side("TRL bf16", TRL_NOW, TRL, "sft"),
                Side("TRL bf16, packing", TRL_NOW, TRL, "sft packed"),
            ),
            _sft,
        ),
    )
}
