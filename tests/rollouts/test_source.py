import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.rollouts.table import Table
from tutelage.core.errors import UserError
from tutelage.core.text import ask
from tutelage.data.batch import pack
from tutelage.data.tree import Tree
from tutelage.models.sampler import Sampling
from tutelage.objectives.ppo import PPO
from tutelage.rollouts.collect import Collector, Phases
from tutelage.rollouts.credit import Credit
from tutelage.rollouts.group import GroupCredit
from tutelage.rollouts.monitor import exact_kl
from tutelage.rollouts.rewards import RewardModel
from tutelage.rollouts.source import Rollouts

PROMPTS = [(ask(f"question {n}"), (2, *range(10, 10 + n % 3), 20 + n)) for n in range(7)]
PLAN = Phases(prompts=4, samples=3, epochs=2, minibatches=2, seed=5)


def collector(policy=None, **changes):
    policy = policy or Table(words=40)
    made = Collector(policy, policy, PROMPTS, [RewardModel()], Sampling(max_tokens=12), PLAN, Credit(kl_coef=0.1))
    return replace(made, **changes)


def learn(source, step, rate=2.0):
    """One plain step of gradient descent on what the source gives."""
    policy, objective = source.collector.policy, PPO()
    batch = objective.collate([t for t in source.trees(step) if not t.part])
    sums = objective.loss(policy.read(batch, objective.needs), batch)
    weights = [policy.logits["policy"], policy.values["value"]]
    total = sums["policy"] / batch.counts["policy"] + sums["value"] / batch.counts["value"]
    with torch.no_grad():
        for weight, slope in zip(weights, torch.autograd.grad(total, weights)):
            weight -= rate * slope


def test_a_phase_reads_each_role_once_and_prompts_once_each():
    made = collector()
    phase = made.collect(0)
    assert made.policy.traversals == [("logp", "logp@reference", "value@value", "score@reward")]
    assert len(phase.trees) == 4 and all(len(t.responses) == 3 for t in phase.trees)
    assert len({t.id for t in phase.trees}) == 4


@pytest.mark.parametrize(
    "credit, words",
    [
        (GroupCredit(), ("logp",)),
        (GroupCredit(kl_coef=0.1), ("logp", "logp@reference")),
        (GroupCredit(kept=("logp@reference",)), ("logp", "logp@reference")),
    ],
)
def test_without_a_value_no_role_is_read_that_nothing_asks_for(credit, words):
    made = collector(credit=credit)
    phase = made.collect(0)
    assert made.policy.traversals == [(*words, "score@reward")]
    assert ("kl" in phase.figures) == ("logp@reference" in words) and "value_explained" not in phase.figures
    assert set(phase.trees[0].columns) == {"logp", "advantage", *credit.kept}


def test_what_was_read_of_the_reference_travels_with_the_trees_through_a_checkpoint():
    made = collector(credit=GroupCredit(kept=("logp@reference",)))
    source = Rollouts(made)
    source.trees(0)
    again = Rollouts(made)
    again.restore(json.loads(json.dumps(source.state(1))))
    batch = pack(again.trees(1))
    read = made.policy.read(batch, ("logp@reference",))
    assert torch.equal(batch.brought["logp@reference"], read["logp@reference"]) and len(made.policy.traversals) == 2


def test_groups_are_compared_over_the_whole_phase_and_each_sums_to_nothing():
    phase = collector(credit=GroupCredit(scale="batch"), phases=replace(PLAN, cut_score=None)).collect(0)
    scores = np.array([[r.score for r in group.rollouts] for group in phase.groups])
    first = np.array([[rows[0] for rows in tree.columns["advantage"]] for tree in phase.trees])
    assert first == pytest.approx((scores - scores.mean(1, keepdims=True)) / (scores.std(ddof=1) + 1e-4))
    assert np.abs(first.sum(1)).max() < 1e-12 and np.abs(first).max() > 0.5


def test_before_any_learning_the_log_ratio_to_the_reference_is_exactly_zero():
    phase = collector().collect(0)
    assert phase.figures["kl"] == 0.0 and phase.figures["gap"] < 1e-12
    assert not any(exact_kl(Table(words=40), phase.trees))


def test_rewards_lie_on_the_last_written_token_and_cut_responses_are_marked_down():
    made = collector(credit=Credit(kl_coef=0.0, trace=0.0), sampling=Sampling(max_tokens=6))
    phase = made.collect(0)
    assert 0 < phase.figures["finished"] < 1
    for group, tree in zip(phase.groups, phase.trees):
        for k, rollout in enumerate(group.rollouts):
            value, returned = tree.columns["value"][k], tree.columns["return"][k]
            # With trace 0 a return is the token's own reward plus the next value: only the last one holds the score.
            assert returned[:-1] == pytest.approx(value[1:])
            raw = sum(float(made.policy.scores["reward"][i]) for i in rollout.ids)
            assert rollout.scores["reward"] == pytest.approx(raw)
            assert returned[-1] == pytest.approx(raw if rollout.finished else -1.0)
            assert rollout.finished == (rollout.ids[-1] == made.policy.end) and len(rollout.ids) <= 6


def test_a_planted_shift_of_five_in_the_scores_is_seen():
    class Shifted(Table):
        def _one(self, batch, what, role="policy"):
            return super()._one(batch, what, role) + (5.0 if what == "score" else 0.0)

    plain, shifted = (collector(kind(words=40), credit=Credit(kl_coef=0.1, trace=1.0)).collect(0) for kind in (Table, Shifted))
    share = plain.figures["finished"]
    assert shifted.figures["score/reward"] == pytest.approx(plain.figures["score/reward"] + 5)
    assert shifted.figures["score"] == pytest.approx(plain.figures["score"] + 5 * share)
    for one, other, group in zip(plain.trees, shifted.trees, plain.groups):
        for k, rollout in enumerate(group.rollouts):
            moved = np.subtract(other.columns["return"][k], one.columns["return"][k])
            assert moved == pytest.approx(5.0 if rollout.finished else 0.0)


def test_advantages_are_white_over_the_phase_and_not_within_a_minibatch():
    source = Rollouts(collector())
    steps = [[x for t in source.trees(step) for row in t.columns["advantage"] for x in row] for step in (0, 1)]
    both = np.concatenate(steps)
    assert both.mean() == pytest.approx(0, abs=1e-12) and both.std() == pytest.approx(1, abs=1e-6)
    assert all(abs(np.mean(step)) > 1e-3 for step in steps)


def test_every_epoch_learns_from_each_tree_once_and_every_round_asks_each_prompt_once():
    source = Rollouts(collector())
    for epoch in (0, 2):
        assert len({t.id for step in (epoch, epoch + 1) for t in source.trees(step)}) == 4
    ids = [t.id for phase in range(7) for t in source.collector.collect(phase).trees]
    for turn in range(4):
        assert set(ids[7 * turn : 7 * turn + 7]) == {prompt.id for prompt, _ in PROMPTS}
    assert ids[:7] != ids[7:14]


def test_a_prompt_that_comes_twice_in_a_phase_is_answered_twice():
    made = collector(prompts=PROMPTS[:1] * 2, phases=replace(PLAN, prompts=2))
    one, other = (tree.responses for tree in made.collect(0).trees)
    assert one != other and len(set(one)) > 1


@pytest.mark.parametrize("stop", range(9))
def test_killed_before_any_step_and_restored_it_goes_on_as_if_nothing_had_happened(stop):
    whole = Rollouts(collector())
    for step in range(stop):
        learn(whole, step)
    saved = json.loads(json.dumps(whole.state(stop)))
    assert bool(saved) == bool(stop % PLAN.steps)
    policy = Table(words=40)
    with torch.no_grad():
        policy.logits["policy"].copy_(whole.collector.policy.logits["policy"])
        policy.values["value"].copy_(whole.collector.policy.values["value"])
    again = Rollouts(collector(policy))
    again.restore(saved)
    for step in range(stop, 10):
        assert again.trees(step) == whole.trees(step)
        learn(whole, step)
        learn(again, step)
    assert torch.equal(policy.logits["policy"], whole.collector.policy.logits["policy"])


def test_a_phase_cannot_be_entered_in_its_middle_without_its_state():
    with pytest.raises(ValueError, match="restore its state"):
        Rollouts(collector()).trees(1)


def test_processes_that_share_a_phase_make_the_phase_of_one():
    class Pair:
        """Two processes in one: what the other would have read is computed beside it."""

        def __init__(self, rank):
            self.rank, self.own = rank, []

        def share(self, items):
            self.all = list(items)
            return self.all[self.rank :: 2]

        def gather(self, own):
            other = collector(together=Pair(1 - self.rank))
            rest = other._read(other._sampled(3, self.all[1 - self.rank :: 2]))
            return [*own, *rest] if self.rank == 0 else [*rest, *own]

    alone = collector().collect(3)
    for rank in (0, 1):
        shared = collector(together=Pair(rank)).collect(3)
        assert shared.trees == alone.trees and shared.figures == alone.figures


def test_text_beside_the_rollouts_and_figures_at_a_phases_first_step():
    told = []
    source = Rollouts(collector(part="ppo"), beside=lambda step: [Tree((), ((3, 4 + step),), part="ptx")], listen=told.append)
    trees = source.trees(0)
    assert [t.part for t in trees] == ["ppo", "ppo", "ptx"]
    assert source.figures(0)["score"] == told[0].figures["score"]
    source.trees(1)
    assert source.figures(1) == {} and len(told) == 1


def test_settings_that_would_learn_from_anothers_words_are_refused():
    for changes in (
        {"sampling": Sampling(temperature=0.7)},
        {"sampling": Sampling(top_p=0.9)},
        {"phases": replace(PLAN, minibatches=5)},
        {"prompts": []},
    ):
        with pytest.raises(UserError):
            collector(**changes)


def test_learning_moves_the_score_up_and_the_kl_with_it():
    source = Rollouts(collector())
    for step in range(24):
        learn(source, step, rate=20.0)
    before, after = collector().collect(6).figures, source.collector.collect(6).figures
    assert after["score"] > before["score"] + 0.2 and after["kl"] > 0.05
    exact = np.mean(exact_kl(source.collector.policy, source.collector.collect(6).trees))
    assert exact > 0.05
