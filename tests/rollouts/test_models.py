"""The whole path on small transformers: sampler, reading, credit, engine."""

import json
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tutelage.core.text import ask
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, network, policy
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.models.sampler import Sampling
from tutelage.objectives.grpo import GRPO
from tutelage.objectives.mixture import with_text
from tutelage.objectives.ppo import PPO
from tutelage.objectives.sft import SFT
from tutelage.rollouts.collect import Collector, Phases
from tutelage.rollouts.group import GroupCredit
from tutelage.rollouts.monitor import exact_kl
from tutelage.rollouts.rewards import RewardModel, RuleReward
from tutelage.rollouts.source import Rollouts
from tutelage.rollouts.speaker import RoleSpeaker

NEEDS = ("logp", "logp@reference", "value@value", "score@reward")
PROMPTS = [(ask(f"question {n}"), (3, *range(10, 10 + n % 3), 20 + n)) for n in range(5)]
PLAN = Phases(prompts=4, samples=3, epochs=2, minibatches=2)


def collector(made, **changes):
    made = Collector(made, RoleSpeaker(made, end=0), PROMPTS, [RewardModel()], Sampling(max_tokens=8), PLAN)
    return replace(made, **changes)


def with_adapters(bench):
    """One network: the policy is its adapter, the reference the bare base, the value a second adapter."""
    rest = policy(bench, NEEDS)
    made = get_peft_model(network(bench, 0), LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    made.add_adapter("value", LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    made = made.to(bench.dtype)
    for name, p in made.named_parameters():
        if "lora_B.value" in name:
            p.data.normal_(0.0, 0.3)
    roles = {"policy": Role(made, "default", trains=True), "reference": Role(made, None)}
    return Policy({**roles, "value": Role(made, "value", rest.roles["value"].head, True), "reward": rest.roles["reward"]})


@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_the_trainer_reads_what_the_sampler_said_and_the_reference_agrees_exactly(shape, dtype, bound):
    made = policy(Bench(shape, dtype=dtype), NEEDS, same_reference=True)
    phase = collector(made).collect(0)
    assert phase.figures["gap"] < bound and phase.figures["kl"] == 0.0
    assert not any(exact_kl(made, phase.trees))
    assert {rollout.finished for group in phase.groups for rollout in group.rollouts} == {True, False}


def test_roles_that_share_a_network_do_not_speak_for_each_other():
    made = with_adapters(Bench())
    assert collector(made).collect(0).figures["kl"] == 0.0
    for name, p in made.roles["policy"].network.named_parameters():
        if "lora_B.default" in name:
            p.data.normal_(0.0, 0.3)
    phase = collector(made).collect(0)  # after readings of the reference and of the value
    assert phase.figures["gap"] < 1e-12 and phase.figures["kl"] > 1e-3


def test_resumed_at_any_step_the_engine_ends_with_the_same_weights():
    def start():
        made = policy(Bench("gpt2", dtype=torch.float32), NEEDS, same_reference=True)
        text = [Tree((), ((30, 31, 32, 33),), part="ptx"), Tree((), ((40, 41),), part="ptx")]
        source = Rollouts(collector(made, part="ppo"), beside=lambda step: text[step % 2 :][:1])
        return Engine(made, with_text("ppo", PPO(), SFT(), 0.5), micro_tokens=40), source

    engine, source = start()
    states = []
    for step in range(6):
        # Copied as a checkpoint on disk would be.
        states.append((json.loads(json.dumps(source.state(step))), torch.load(saved(engine.state()))))
        told = {**engine.step(source.trees(step), step, 6), **source.figures(step)}
        assert {"ppo/policy", "ppo/value", "ptx/nll", "ppo/clip_share"} <= set(told) and ("kl" in told) == (step % 4 == 0)
    for step in (1, 4, 5):
        again, later = start()
        later.restore(states[step][0])
        again.restore(states[step][1])
        for n in range(step, 6):
            again.step(later.trees(n), n, 6)
        for role, weights in engine.parameters.items():
            assert all(torch.equal(a, b) for a, b in zip(weights, again.parameters[role])), (step, role)


@pytest.mark.parametrize(
    "objective, credit",
    [
        (GRPO(), GroupCredit(kl_coef=0.1)),
        (GRPO(kl_coef=0.1), GroupCredit(kept=("logp@reference",))),
    ],
    ids=["kl in the reward", "kl in the loss"],
)
def test_between_rollout_and_update_no_role_is_read_twice(objective, credit, monkeypatch):
    """One epoch of one minibatch: each role once for the phase, then the policy alone, whose ratio to what sampled is 1."""
    made, read = policy(Bench("gpt2", dtype=torch.float32), (*NEEDS[:2], NEEDS[3]), same_reference=True), []
    hidden = Policy._hidden
    monkeypatch.setattr(Policy, "_hidden", lambda self, name, *rest: read.append(name) or hidden(self, name, *rest))
    source = Rollouts(collector(made, phases=replace(PLAN, epochs=1, minibatches=1), credit=credit))
    engine = Engine(made, objective)
    for step in range(3):
        read.clear()
        told = engine.step(source.trees(step), step, 3)
        assert sorted(read) == ["policy", "policy", "reference", "reward"]
        assert told["ratio"] == pytest.approx(1, abs=1e-5) and told["clip_share"] == 0 and abs(told["k1"]) < 1e-5
        assert ("k3@reference" in told) == bool(objective.kl_coef)


def saved(state):
    from io import BytesIO

    file = BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def test_a_rule_alone_is_learnt_with_and_without_kl():
    """The rule likes the first half of the words. With a large KL coefficient the policy stays near the reference."""
    rule = RuleReward("low", lambda prompt, response: 4.0 * sum(i < 32 for i in response.ids) / len(response.ids), decode=str)
    told = {}
    for kl_coef in (0.0, 5.0):
        made = policy(Bench("gpt2", dtype=torch.float32), (*NEEDS[:3],), same_reference=True)
        first = collector(made, scorers=[rule], phases=replace(PLAN, samples=8, epochs=2, cut_score=None))
        source = Rollouts(replace(first, credit=replace(first.credit, kl_coef=kl_coef)))
        engine = Engine(made, PPO())
        for step in range(32):
            engine.step(source.trees(step), step, 32)
        told[kl_coef] = source.collector.collect(99).figures
    assert told[0.0]["score"] > told[5.0]["score"] + 0.1 and told[0.0]["kl"] > 5 * told[5.0]["kl"]
