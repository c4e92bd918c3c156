"""What is compared, with whom, and the useful FLOPs of one unit: 6 per weight and token learnt from (4 where adapters alone learn), 2 where
it is only read; no attention, no padding."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.peers import shapes
from benchmarks.peers.environments import HERE, TRL_NOW, TRL_PPO

OURS, OUR_ROLLOUTS = "benchmarks.peers.ours", "benchmarks.peers.ours_rollouts"
TRL, TRL_OF_PPO, TRL_OF_GRPO = "benchmarks.peers.trl_now", "benchmarks.peers.trl_ppo", "benchmarks.peers.trl_grpo"
Flops = Callable[[str], float]
"""Useful FLOPs of a unit, by size."""


@dataclass(frozen=True)
class Side:
    name: str
    environment: str
    module: str
    work: str
    flops: Flops


@dataclass(frozen=True)
class Work:
    """Every one of our sides is compared with every peer."""

    name: str
    unit: str
    ours: tuple[Side, ...]
    peers: tuple[Side, ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        return self.ours + self.peers


def _sft(size: str) -> float:
    return 6 * (shapes.body(size) + 2 / 3 * shapes.head(size))


def _lora(size: str) -> float:
    """4 of the weights that no gradient is made for; adapters are less than a hundredth."""
    return 4 * (shapes.body(size) + shapes.head(size))


def _reward(k: int) -> Flops:
    """A comparison's share of reading the prompt once and each of its k responses once."""
    return lambda size: 6 * shapes.body(size) * (shapes.PROMPT + k * shapes.RESPONSE) / (k * (k - 1) / 2)


def _dpo(size: str) -> float:
    """6 for the policy, 2 for its reference."""
    return 8 * (shapes.body(size) * (shapes.PROMPT + 2 * shapes.RESPONSE) + shapes.head(size) * 2 * shapes.RESPONSE)


def _sample(size: str) -> float:
    return 2 * (shapes.body(size) + shapes.head(size))


def _ppo(samples: int, learnt: int, bodies: int) -> Flops:
    """An episode, with its share of a prompt that `samples` responses hang from: sampling; reference, reward model and value read it;
    `bodies` of them learn from it in every epoch, at `learnt` FLOPs per weight and token."""

    def flops(size: str) -> float:
        body, words = _response(size, samples)
        return 2 * (body + words) + 2 * (3 * body + words) + shapes.EPOCHS * learnt * (bodies * body + words)

    return flops


def _grpo(size: str) -> float:
    """A completion: 2 for sampling, 2 for the reference, 6 for the policy."""
    return 10 * sum(_response(size, shapes.GROUP))


def _response(size: str, samples: int) -> tuple[float, float]:
    """(weights of the body, of the words) that a response's tokens pass through, with its share of its prompt."""
    return shapes.body(size) * shapes.SAMPLED * (1 + 1 / samples), shapes.head(size) * shapes.SAMPLED


def _against(name: str, unit: str, flops: Flops, peers: Mapping[str, str]) -> Work:
    """One side of ours and TRL's current trainers."""
    sides = (Side(peer, TRL_NOW, TRL, work, flops) for peer, work in peers.items())
    return Work(name, unit, (Side("Tutelage", HERE, OURS, name, flops),), tuple(sides))


def _by_ppo(name: str, samples: int) -> Work:
    """With four networks and with fewer, against TRL's four networks."""
    whole, head, adapters, both = (_ppo(samples, learnt, bodies) for learnt in (6, 4) for bodies in (2, 1))
    ours = (
        Side("Tutelage, four networks", HERE, OUR_ROLLOUTS, name, whole),
        Side("Tutelage, value a head on the policy", HERE, OUR_ROLLOUTS, f"{name}, value head", head),
        Side("Tutelage, one base with adapters", HERE, OUR_ROLLOUTS, f"{name}, one base", adapters),
        Side("Tutelage, one base, value a head on the policy", HERE, OUR_ROLLOUTS, f"{name}, one base and value head", both),
    )
    peers = (
        Side("TRL 0.29.1 bf16", TRL_PPO, TRL_OF_PPO, name, whole),
        Side("TRL 0.29.1, weights in bfloat16", TRL_PPO, TRL_OF_PPO, f"{name}, narrow", whole),
    )
    return Work(name, "episodes/s", ours, peers)


def _by_grpo() -> Work:
    peers = (
        Side("TRL bf16", TRL_NOW, TRL_OF_GRPO, "grpo", _grpo),
        Side("TRL, weights in bfloat16", TRL_NOW, TRL_OF_GRPO, "grpo, narrow", _grpo),
    )
    return Work("grpo", "completions/s", (Side("Tutelage", HERE, OUR_ROLLOUTS, "grpo", _grpo),), peers)


ON_GPU = shapes.device().type == "cuda"
SFT = {"TRL bf16": "sft", "TRL bf16, packing": "sft packed", **({"TRL bf16, packing, flex": "sft packed flex"} if ON_GPU else {})}
WORKS = {
    work.name: work
    for work in (
        _against("sft", "tokens/s", _sft, SFT),
        *([_against("sft lora", "tokens/s", _lora, {"TRL bf16": "sft lora"})] if ON_GPU else []),
        _against("reward K=4", "comparisons/s", _reward(4), {"TRL, all pairs": "reward K=4"}),
        _against("reward K=9", "comparisons/s", _reward(9), {"TRL, all pairs": "reward K=9"}),
        _against("dpo", "pairs/s", _dpo, {"TRL": "dpo"}),
        _against("sample", "tokens/s", _sample, {"transformers generate": "sample"}),
        _by_ppo("ppo", 1),
        _by_ppo("ppo G=4", 4),
        _by_grpo(),
    )
}
