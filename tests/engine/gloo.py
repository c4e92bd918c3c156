"""What each of several real processes does, for tests: gradients at equal weights and weights after some steps, of every objective, with
every adapter, whole or sharded.

    python -m tests.engine.gloo learn FILE WAY                     under torchrun's variables
    python -m tests.engine.gloo train FILE WAY FOLDER STOP         train, with checkpoints; STOP: the step at which it ends as if killed
"""

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from tutelage.core.progress import Silent
from tutelage.data.batch import PackedBatch
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.ranks import Ranks, ranks
from tutelage.engine.rates import Rates
from tutelage.engine.train import Fixed, train
from tutelage.models.policy import PLAIN, Fit, Policy
from tutelage.models.shards import shard_of
from tutelage.objectives.dpo import DPO
from tutelage.objectives.grpo import GRPO
from tutelage.objectives.mixture import with_text
from tutelage.objectives.ppo import PPO
from tutelage.objectives.reward import Reward
from tutelage.objectives.sft import SFT


class Weighed:
    """A joint statistic: each example weighs as all others of the step, of all processes, say."""

    needs = prepare_needs = ("logp",)
    terms: Mapping[str, float] = MappingProxyType({"nll": 1.0})

    def needs_for(self, part: str) -> tuple[str, ...]:
        return self.needs

    def collate(self, trees: Sequence[Tree]) -> PackedBatch:
        return SFT().collate(trees)

    def prepare(self, reads: Sequence[Mapping[str, Tensor]], batches: Sequence[PackedBatch]) -> list[dict[str, Tensor]]:
        mean = torch.cat([read["logp"] for read in reads]).mean()
        return [{"weight_M": (read["logp"] - mean).abs()} for read in reads]

    def loss(self, read: Mapping[str, Tensor], batch: PackedBatch) -> dict[str, Tensor]:
        return {"nll": -(read["logp"] * batch["weight_M"]).sum()}

    def specimens(self) -> list[Tree]:
        return SFT().specimens()


OBJECTIVES: dict[str, Any] = {
    "sft": SFT(),
    "reward": Reward(center=0.01),
    "dpo": DPO(),
    "ppo": PPO(entropy_coef=0.01),
    "grpo": GRPO(clip_high=0.3, kl_coef=0.05, entropy_coef=0.01),
    "grpo_response": GRPO(per="response", kl_coef=0.05),
    "joint": Weighed(),
    "ppo_ptx": with_text("ppo", PPO(), SFT(), 0.5),
}
PAIRS = [(name, adapter) for name in OBJECTIVES for adapter in ("", "lora")]
PAIRS += [("dpo", "prefix"), ("ppo", "prefix")]
PAIRS += [("sft", "nf4"), ("ppo", "nf4"), ("reward", "int8")] if find_spec("bitsandbytes") else []
ROUNDED = [pair for pair in PAIRS if pair in (("sft", ""), ("dpo", "lora"), ("sft", "nf4"))]
STEPS = 20
WAYS = {"whole": PLAIN, "shards": Fit(shard=True), "shards+": Fit(shard=True, recompute=True, offload=True), "offload": Fit(offload=True)}
RATES = {"policy": Rates(learning_rate=3e-3, weight_decay=0.01), "value": Rates(learning_rate=1e-3, clip=0.5)}


def engine(name: str, bench: Bench, way: str, place: Ranks, rates: Mapping[str, Rates] = RATES) -> Engine:
    """Of an objective, on networks that are a function of the bench; small streams, so that each process reads another number of them."""
    objective = OBJECTIVES[name]
    made = policy(bench, (*objective.needs, *objective.prepare_needs))
    if way != "whole":
        made = Policy(made.roles, attention=made.attention, fit=WAYS[way])
    return Engine(made, objective, rates, micro_tokens=30, ranks=place)


def gradients(way: str, place: Ranks) -> dict[str, Tensor]:
    """In float32, at equal weights."""
    found: dict[str, Tensor] = {}
    for name, adapter in PAIRS:
        own = engine(name, Bench(adapter=adapter, dtype=torch.float32), way, place)
        own.gradients(own.objective.specimens())
        found[f"{name} {adapter}"] = flat(own, gradient=True)
    return found


def weights(way: str, place: Ranks, steps: int = STEPS) -> dict[str, Tensor]:
    """In float64, after some steps of a few examples each."""
    found: dict[str, Tensor] = {}
    for name, adapter in PAIRS:
        own = engine(name, Bench(adapter=adapter), way, place)
        for step in range(steps):
            own.step(examples(own, step), step, steps)
        found[f"{name} {adapter}"] = flat(own)
    return found


def examples(own: Engine, step: int) -> list[Any]:
    """Other ones in each step, of each part: sometimes fewer than processes."""
    trees = own.objective.specimens()
    parts = list(dict.fromkeys(tree.part for tree in trees))
    return [tree for part in parts for tree in [t for t in trees if t.part == part][step % 2 :]]


def rounded(way: str, place: Ranks) -> dict[str, Tensor]:
    """Gradients where networks compute in bfloat16, and what the policy would write with."""
    found: dict[str, Tensor] = {}
    for name, adapter in ROUNDED:
        objective = OBJECTIVES[name]
        made = policy(Bench(adapter=adapter, dtype=torch.float32), objective.needs)
        made = Policy(made.roles, precision="bf16", fit=WAYS[way])
        own = Engine(made, objective, RATES, micro_tokens=30, ranks=place)
        own.gradients(objective.specimens())
        found[f"{name} {adapter}"] = flat(own, gradient=True)
        with made.speaking("policy") as role:
            found[f"{name} {adapter} speaks"] = torch.cat([p.detach().float().flatten() for p in role.network.parameters()])
    return found


def flat(own: Engine, gradient: bool = False) -> Tensor:
    """All that is trained, or its gradient, as one vector."""
    parts: list[Tensor] = []
    for parameters in own.parameters.values():
        for p in parameters:
            x = p.grad if gradient else p.detach()
            x, shard = torch.zeros_like(p) if x is None else x, shard_of(p)
            parts.append((x if shard is None else shard.whole(x)).flatten())
    return torch.cat(parts).detach().clone()


def trained(way: str, place: Ranks, folder: Path, stop: int) -> Tensor:
    """Weights after 12 steps of PPO-ptx by AdamW and Muon in float64, with a checkpoint after the sixth; none where it stops before."""
    name = "ppo_ptx"
    own = engine(name, Bench(), way, place, {**RATES, "policy": Rates(learning_rate=3e-3, optimizer="muon")})

    def at(step: int) -> list[Any]:
        if step == stop:
            raise SystemExit
        return examples(own, step)

    train(own, Fixed(at), 12, folder, Silent(), name, every=6)
    return flat(own)


def main() -> None:
    torch.set_num_threads(1)
    what, file, way = sys.argv[1:4]
    place = ranks()
    if what == "learn":
        torch.save({"gradients": gradients(way, place), "weights": weights(way, place), "rounded": rounded(way, place)}, file)
    else:
        torch.save(trained(way, place, Path(sys.argv[4]), int(sys.argv[5])), file)


if __name__ == "__main__":
    main()
