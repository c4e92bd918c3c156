"""The engine's own promises: splitting, clipping by role, rates, refusing what isn't finite."""

import copy
import math
from types import MappingProxyType

import pytest
import torch
from transformers import get_scheduler

from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine, split
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.rates import Rates
from tutelage.objectives.ppo import PPO
from tutelage.objectives.sft import SFT


def test_split_keeps_every_tree_once_and_parts_apart() -> None:
    trees = [Tree((1, 2), ((3,) * n,), part="ab"[n % 2]) for n in range(1, 9)]
    batches = split(trees, 10)
    assert sorted(t.length for b in batches for t in b) == sorted(t.length for t in trees)
    assert all(len({t.part for t in b}) == 1 for b in batches)
    assert all(sum(t.length for t in b) <= 10 or len(b) == 1 for b in batches)


def test_rates_rise_to_the_peak_and_fall_to_the_final_share() -> None:
    rates = Rates(learning_rate=1.0, warmup=0.1, schedule="cosine", final=0.1)
    curve = [rates.at(step, 100) for step in range(100)]
    assert curve[9] == pytest.approx(1.0) and max(curve) == pytest.approx(1.0)
    assert curve[0] == pytest.approx(0.1 + 0.09) and curve[-1] == pytest.approx(0.1)
    assert curve[:10] == sorted(curve[:10]) and curve[10:] == sorted(curve[10:], reverse=True)
    assert Rates(learning_rate=1.0, warmup=0.0, schedule="constant").at(0, 1) == 1.0


def test_each_role_has_its_own_rate_and_clip() -> None:
    objective = PPO()
    made = policy(Bench(), objective.needs)
    engine = Engine(made, objective, {"policy": Rates(1e-2, warmup=0.0, clip=1e-9), "value": Rates(1e-12, warmup=0.0)})
    before = {role: [p.detach().clone() for p in ps] for role, ps in engine.parameters.items()}
    engine.step(objective.specimens(), 0, 1)
    moved = {r: max(float((p - q).detach().abs().max()) for p, q in zip(engine.parameters[r], before[r], strict=True)) for r in before}
    assert moved["policy"] > 1e-4 and moved["value"] < 1e-10


def test_a_step_learns() -> None:
    objective = SFT()
    engine = Engine(policy(Bench(), objective.needs), objective, {"policy": Rates(1e-2, warmup=0.0, schedule="constant")})
    told = [engine.step(objective.specimens(), step, 20)["nll"] for step in range(20)]
    assert told[-1] < told[0] / 2


def test_a_gradient_that_is_not_finite_stops_before_the_weights() -> None:
    objective = SFT()
    engine = Engine(policy(Bench(), objective.needs), objective)
    first = engine.parameters["policy"][0]
    with torch.no_grad():
        first.view(-1)[0] = math.nan
    kept = [p.detach().clone() for p in engine.parameters["policy"][1:]]
    with pytest.raises(FloatingPointError, match="not finite"):
        engine.step(objective.specimens(), 0, 1)
    assert all(torch.equal(p, q) for p, q in zip(engine.parameters["policy"][1:], kept, strict=True))


def test_a_joint_statistic_with_gradient_is_refused() -> None:
    class Baseline:
        needs = prepare_needs = ("logp",)
        terms = MappingProxyType({"nll": 1.0})

        def needs_for(self, part):
            return self.needs

        def collate(self, trees):
            return SFT().collate(trees)

        def prepare(self, reads, batches):
            return [{"baseline_M": torch.ones(1, requires_grad=True) * 2} for _ in batches]

        def loss(self, read, batch):
            return {"nll": -(read["logp"] * batch["baseline_M"]).sum()}

    with pytest.raises(ValueError, match="constant"):
        Engine(policy(Bench(), ("logp",)), Baseline()).gradients(SFT().specimens())


def test_muon_steps_matrices_and_adamw_the_rest() -> None:
    made = policy(Bench(dtype=torch.float32), ("logp", "value@value"))
    engine = Engine(made, PPO(), {"policy": Rates(1e-2, warmup=0.0, optimizer="muon"), "value": Rates(1e-2, warmup=0.0)})
    adamw, muon = engine.optimizers
    inside = [p for group in muon.param_groups for p in group["params"]]
    assert {group["role"] for group in muon.param_groups} == {"policy"}
    assert all(p.dim() == 2 and id(p) not in made.word_vectors() for p in inside)
    stepped = [p for optimizer in (adamw, muon) for group in optimizer.param_groups for p in group["params"]]
    everything = [p for own in engine.parameters.values() for p in own]
    assert sorted(map(id, stepped)) == sorted(map(id, everything))
    objective = SFT()
    alone = Engine(policy(Bench(dtype=torch.float32), ("logp",)), objective, {"policy": Rates(1e-2, warmup=0.0, optimizer="muon")})
    told = [alone.step(objective.specimens(), step, 20)["nll"] for step in range(20)]
    assert told[-1] < told[0] / 2


def test_muons_state_comes_back() -> None:
    objective, rates = SFT(), {"policy": Rates(1e-2, warmup=0.0, optimizer="muon")}
    one = Engine(policy(Bench(dtype=torch.float32), ("logp",)), objective, rates)
    one.step(objective.specimens(), 0, 3)
    other = Engine(policy(Bench(dtype=torch.float32), ("logp",), seed=5), objective, rates)
    other.restore(copy.deepcopy(one.state()))  # what a checkpoint does
    for engine in (one, other):
        engine.step(objective.specimens(), 1, 3)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters["policy"], other.parameters["policy"], strict=True))


@pytest.mark.parametrize("kind, final", [("cosine", 0.0), ("linear", 0.0), ("constant_with_warmup", 1.0)])
@pytest.mark.parametrize("warmup, steps", [(0, 7), (3, 14), (10, 10), (2, 100)])
def test_counted_as_transformers_counts_every_rate_is_its_schedulers(kind: str, final: float, warmup: int, steps: int) -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
    scheduler = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    schedule = kind.removesuffix("_with_warmup")
    rates = Rates(3e-4, schedule=schedule, final=final, warmup_steps=warmup, counted="transformers")  # pyright: ignore[reportArgumentType]
    for step in range(steps):
        assert rates.at(step, steps) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12, abs=1e-18), step
        optimizer.step()
        scheduler.step()


def test_adamw_is_told_all_of_its_settings() -> None:
    objective = SFT()
    rates = Rates(1e-2, warmup=0.0, schedule="constant", beta1=0.8, beta2=0.99, epsilon=1e-6, weight_decay=0.1)
    engine = Engine(policy(Bench(), objective.needs), objective, {"policy": rates})
    (optimizer,) = engine.optimizers
    assert {group["betas"] for group in optimizer.param_groups} == {(0.8, 0.99)} and {g["eps"] for g in optimizer.param_groups} == {1e-6}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.1, 0.0}
    assert engine.step(objective.specimens(), 0, 2)["learning_rate"] == 1e-2
