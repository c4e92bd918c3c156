"""Every invariant over every objective, shape and adapter; and the planted faults, which must be caught."""

from dataclasses import replace

import pytest
import torch

from tutelage.data.batch import PackedBatch
from tutelage.engine.engine import Engine, split
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.invariants.checks import CHECKS, EXACT, distance, gradient
from tutelage.engine.invariants.checks import _engine as engine_of
from tutelage.objectives.dpo import DPO
from tutelage.objectives.grpo import GRPO
from tutelage.objectives.mixture import with_text
from tutelage.objectives.ppo import PPO
from tutelage.objectives.reward import Reward
from tutelage.objectives.sft import SFT

OBJECTIVES = {
    "sft": SFT(),
    "reward": Reward(center=0.01),
    "dpo": DPO(),
    "ppo": PPO(entropy_coef=0.01),
    "grpo": GRPO(clip_high=0.3, kl_coef=0.05, entropy_coef=0.01),
    "grpo_response": GRPO(per="response", kl_coef=0.05),
    "ppo_ptx": with_text("ppo", PPO(), SFT(), 0.5),
}
BENCHES = [Bench(shape, adapter) for shape in ("llama", "gpt2", "qwen3", "gemma3") for adapter in ("", "lora")]
BENCHES += [Bench("llama", "nf4"), Bench("gpt2", "nf4"), Bench("llama", "int8")]


@pytest.mark.parametrize("bench", BENCHES, ids=lambda b: b.name)
@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("check", CHECKS)
def test_invariant(check: str, name: str, bench: Bench) -> None:
    outcome = CHECKS[check](OBJECTIVES[name], bench)
    assert outcome.holds, outcome


class MeanOfMeans(Engine):
    """The planted fault that every trainer had once: each micro-batch divided by its own count, then averaged."""

    def gradients(self, trees):
        parts = split(trees, self.micro_tokens)
        for part in parts:
            batch = self.objective.collate(part)
            sums = self.objective.loss(self.policy.read(batch, self.objective.needs_for(batch.part)), batch)
            sum(w * sums[n] / batch.counts[n] / len(parts) for n, w in self.objective.terms.items() if n in sums).backward()
        return {}


@pytest.mark.parametrize("name", ["sft", "reward", "dpo", "ppo", "grpo", "grpo_response"])
def test_mean_of_means_is_caught(name: str) -> None:
    objective, made = OBJECTIVES[name], policy(Bench(), OBJECTIVES[name].needs)
    whole = gradient(MeanOfMeans(made, objective), objective.specimens())
    assert distance(gradient(MeanOfMeans(made, objective, micro_tokens=20), objective.specimens()), whole) > 1e-3


class TokenBefore:
    """The planted fault of packed trees: a response's first token predicted by the token that stands before it in the stream."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def collate(self, trees) -> PackedBatch:
        batch = self.inner.collate(trees)
        return replace(batch, previous_T=torch.arange(len(batch.tokens_T)) - 1)


@pytest.mark.parametrize("name", ["dpo", "ppo"])
@pytest.mark.parametrize("check", ["tree", "neighbors"])
def test_the_token_before_is_caught(name: str, check: str) -> None:
    assert not CHECKS[check](TokenBefore(OBJECTIVES[name]), Bench()).holds


class TrainsEverything:
    """A planted mask fault: the user's and the tool's words are trained as well."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def collate(self, trees) -> PackedBatch:
        batch = self.inner.collate(trees)
        rows_M = (batch.previous_T >= 0).nonzero()[:, 0]
        return replace(batch, rows_M=rows_M, counts={"nll": float(len(rows_M))})


def test_training_others_words_is_caught() -> None:
    assert not CHECKS["mask"](TrainsEverything(SFT()), Bench()).holds


def test_an_untrained_end_is_caught() -> None:
    class NoEnd(TrainsEverything):
        def collate(self, trees):
            batch = self.inner.collate(trees)
            keep_M = ~torch.isin(batch.rows_M, batch.last_R)
            return replace(batch, rows_M=batch.rows_M[keep_M], response_M=batch.response_M[keep_M])

    assert not CHECKS["mask"](NoEnd(SFT()), Bench()).holds


def test_a_weight_per_example_count_is_caught_by_duplication() -> None:
    """A loss that divides by nothing doubles when the examples do."""
    objective = SFT()
    made = policy(Bench(), objective.needs)
    engine = engine_of(objective, Bench(), made)
    engine.ranks = _CountsNothing()
    once = gradient(engine, objective.specimens())
    assert distance(gradient(engine, objective.specimens() * 2), once) > 0.5


class _CountsNothing:
    rank, size = 0, 1

    def share(self, items):
        return list(items)

    def sum_counts(self, own):
        return dict.fromkeys(own, 1.0)

    def sum_gradients(self, parameters):
        pass


def test_a_reference_kept_of_the_policy_after_a_step_is_caught() -> None:
    """The planted fault of a reading that is made too late: the reference's column holds the policy's own words."""

    class Late(DPO):
        def loss(self, read, batch):
            kept = read["logp"].detach() if batch.brought else read["logp@reference"]
            return super().loss({**read, "logp@reference": kept}, batch)

    assert not CHECKS["kept"](Late(), Bench()).holds


def test_bounds_are_not_loose() -> None:
    assert EXACT <= 1e-10
