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


def _reward(k: int) -> Callable[[str], float]:
    """A comparison's share of reading the prompt once and each of its k responses once."""
    return lambda size: 6 * shapes.body(size) * (shapes.PROMPT + k * shapes.RESPONSE) / (k * (k - 1) / 2)


def _dpo(size: str) -> float:
    """6 for the policy, 2 for its reference."""
    return 8 * (shapes.body(size) * (shapes.PROMPT + 2 * shapes.RESPONSE) + shapes.head(size) * 2 * shapes.RESPONSE)


def _sample(size: str) -> float:
    return 2 * (shapes.body(size) + shapes.head(size))


def _against(name: str, unit: str, flops: Callable[[str], float], **peers: str) -> Work:
    sides = [Side("Tutelage", HERE, OURS, name), *(Side(peer, TRL_NOW, TRL, work) for peer, work in peers.items())]
    return Work(name, unit, tuple(sides), flops)


WORKS = {
    work.name: work
    for work in (
        _against("sft", "tokens/s", _sft, **{"TRL bf16": "sft", "TRL bf16, packing": "sft packed"}),
        _against("reward K=4", "comparisons/s", _reward(4), **{"TRL, all pairs": "reward K=4"}),
        _against("reward K=9", "comparisons/s", _reward(9), **{"TRL, all pairs": "reward K=9"}),
        _against("dpo", "pairs/s", _dpo, TRL="dpo"),
        _against("sample", "tokens/s", _sample, **{"transformers generate": "sample"}),
    )
}
