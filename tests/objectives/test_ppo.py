import math
from dataclasses import replace

import pytest
import torch

from tests.rollouts.table import Table
from tutelage.data.tree import POLICY
from tutelage.objectives.ppo import PPO
from tutelage.objectives.surrogate import clipped_policy_loss

FULL = PPO(entropy_coef=0.3, value_coef=0.7)


def gradient(objective, policy, groups, mean_of_means=False):
    """One division by the whole count, over `groups` of trees; or, planted, each group's mean averaged."""
    batches = [objective.collate(trees) for trees in groups]
    total = 0.0
    for batch in batches:
        sums = objective.loss(policy.read(batch, objective.needs), batch)
        for term, weight in objective.terms.items():
            count = batch.counts[term] * len(batches) if mean_of_means else sum(b.counts[term] for b in batches)
            total = total + weight * sums[term] / count
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, [policy.logits["policy"], policy.values["value"]])])


def test_the_sums_equal_the_equations_written_token_by_token():
    objective, policy = FULL, Table()
    trees = objective.specimens()
    batch = objective.collate(trees)
    sums = objective.loss(policy.read(batch, objective.needs), batch)
    logp_VV = policy.logits["policy"].log_softmax(-1).tolist()
    policy_sum = value_sum = clipped = written = 0
    for tree in trees:
        for k, ids in enumerate(tree.responses):
            for i, (before, token) in enumerate(zip((tree.prompt[-1], *ids), ids)):
                if tree.writers[k][i] != POLICY:
                    continue
                old, advantage, target, old_value = (tree.columns[c][k][i] for c in ("logp", "advantage", "return", "value"))
                ratio, value = math.exp(logp_VV[before][token] - old), policy.values["value"][before].item()
                limited = min(max(ratio, 0.8), 1.2)
                policy_sum += -min(ratio * advantage, limited * advantage)
                clipped += ratio * advantage > limited * advantage
                near = min(max(value, old_value - 0.2), old_value + 0.2)
                value_sum += max((value - target) ** 2, (near - target) ** 2) / 2
                written += 1
    assert sums["policy"].item() == pytest.approx(policy_sum, abs=1e-12)
    assert sums["value"].item() == pytest.approx(value_sum, abs=1e-12)
    assert float(sums["clip_share"]) == clipped > 0
    assert set(batch.counts) == set(sums) and set(batch.counts.values()) == {written}


def test_clipping_stops_the_gradient_only_where_it_would_lead_further_away():
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.0], requires_grad=True)
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    clipped_policy_loss(ratio, advantage, 0.2).sum().backward()
    assert ratio.grad.tolist() == [0.0, 1.0, -1.0, 0.0, -1.0]


def test_no_split_of_the_batch_changes_the_gradient_but_a_mean_of_means_does():
    policy, trees = Table(), FULL.specimens()
    whole = gradient(FULL, policy, [trees])
    for groups in ([[t] for t in trees], [trees[:1], trees[1:]], [trees[3:], trees[:3]]):
        assert torch.allclose(gradient(FULL, policy, groups), whole, atol=1e-13, rtol=0)
    assert (gradient(FULL, policy, [[t] for t in trees], mean_of_means=True) - whole).norm() > 0.05 * whole.norm()


def test_every_term_has_a_gradient_on_the_specimens_and_none_of_the_figures_has():
    policy, batch = Table(), FULL.collate(FULL.specimens())
    sums = FULL.loss(policy.read(batch, FULL.needs), batch)
    weights = [policy.logits["policy"], policy.values["value"]]
    for term in FULL.terms:
        found = torch.autograd.grad(sums[term], weights, retain_graph=True, allow_unused=True)
        assert any(g is not None and g.norm() > 0.1 for g in found), term
    assert all(not total.requires_grad for name, total in sums.items() if name not in FULL.terms)


def test_a_tools_words_inside_a_response_move_nothing():
    tree = FULL.specimens()[-1]
    place = tree.writers[0].index(0)
    columns = {name: ((*c[0][:place], 99.0, *c[0][place + 1 :]), *c[1:]) for name, c in tree.columns.items()}
    policy = Table()
    batches = [FULL.collate([t]) for t in (tree, replace(tree, columns=columns))]
    one, other = (FULL.loss(policy.read(b, FULL.needs), b) for b in batches)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_before_any_update_the_ratio_is_one_and_nothing_is_clipped():
    policy, objective = Table(), PPO()
    batch = objective.collate(objective.specimens())
    batch = batch.with_columns(logp_old_M=policy.read(batch, ("logp",))["logp"].detach())
    sums = objective.loss(policy.read(batch, objective.needs), batch)
    assert float(sums["ratio"]) == batch.counts["ratio"] and float(sums["clip_share"]) == float(sums["k1"]) == float(sums["k3"]) == 0
    assert sums["policy"].item() == pytest.approx(-float(batch["advantage_M"].sum()))


def test_specimens_are_ragged_cut_and_of_one_to_four_responses():
    trees = PPO().specimens()
    assert {len(t.responses) for t in trees} == {1, 2, 3, 4}
    assert {f for t in trees for f in t.finished} == {True, False}
    assert min(len(r) for t in trees for r in t.responses) == 1
    assert max(i for t in trees for r in (t.prompt, *t.responses) for i in r) < 64
    assert trees == PPO().specimens()
