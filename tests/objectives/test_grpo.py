import math
from dataclasses import replace

import pytest
import torch

from tests.objectives.test_ppo import gradient
from tests.rollouts.table import Table
from tutelage.data.tree import POLICY
from tutelage.objectives.grpo import GRPO, k3
from tutelage.objectives.surrogate import clipped_policy_loss

FULL = GRPO(clip=0.1, clip_high=0.3, kl_coef=0.2, entropy_coef=0.3)
BY_RESPONSE = replace(FULL, per="response")


def told(objective, policy, trees):
    """The loss as the engine forms it, and its sums."""
    batch = objective.collate(trees)
    sums = objective.loss(policy.read(batch, objective.needs), batch)
    return sum(weight * sums[term] / batch.counts[term] for term, weight in objective.terms.items()), sums, batch


def by_hand(objective, policy, trees):
    """[(policy loss, k3, entropy) of each token] of each response, from the equations."""
    own_VV, other_VV = (policy.logits[role].log_softmax(-1).tolist() for role in ("policy", "reference"))
    found = []
    for tree in trees:
        for k, ids in enumerate(tree.responses):
            rows = []
            for i, (before, token) in enumerate(zip((tree.prompt[-1], *ids), ids)):
                if tree.writers[k][i] != POLICY:
                    continue
                old, advantage = tree.columns["logp"][k][i], tree.columns["advantage"][k][i]
                ratio = math.exp(own_VV[before][token] - old)
                limited = min(max(ratio, 1 - objective.clip), 1 + objective.clip_high)
                u = math.exp(other_VV[before][token] - own_VV[before][token])
                entropy = -sum(math.exp(x) * x for x in own_VV[before])
                rows.append((-min(ratio * advantage, limited * advantage), u - 1 - math.log(u), entropy))
            found.append(rows)
    return found


def policy_away_from_its_reference():
    policy = Table()
    policy.logits["reference"] = policy.logits["reference"].roll(1, 0)
    return policy


@pytest.mark.parametrize("objective", [FULL, BY_RESPONSE], ids=lambda o: o.per)
def test_the_loss_is_the_papers_mean_over_tokens_or_over_responses(objective):
    policy, trees = policy_away_from_its_reference(), objective.specimens()
    responses = by_hand(objective, policy, trees)
    if objective.per == "token":
        means = [sum(row[n] for rows in responses for row in rows) / sum(map(len, responses)) for n in range(3)]
    else:
        means = [sum(sum(row[n] for row in rows) / len(rows) for rows in responses) / len(responses) for n in range(3)]
    loss, sums, batch = told(objective, policy, trees)
    assert loss.item() == pytest.approx(means[0] + 0.2 * means[1] - 0.3 * means[2], abs=1e-12)
    assert min(abs(mean) for mean in means) > 1e-3 and set(batch.counts) == set(sums)
    assert batch.counts["clip_share"] == sum(map(len, responses)) and 0 < sums["clip_share"] < batch.counts["clip_share"]


def test_the_two_denominators_differ_where_lengths_do():
    policy = policy_away_from_its_reference()
    assert abs(told(FULL, policy, FULL.specimens())[0] - told(BY_RESPONSE, policy, FULL.specimens())[0]) > 1e-3


@pytest.mark.parametrize("objective", [FULL, BY_RESPONSE], ids=lambda o: o.per)
def test_no_split_of_the_batch_changes_the_gradient_but_a_mean_of_means_does(objective):
    policy, trees = policy_away_from_its_reference(), objective.specimens()
    policy.values = {"value": policy.logits["policy"]}  # there is no value: its place is taken by the same weights
    whole = gradient(objective, policy, [trees])
    for groups in ([[t] for t in trees], [trees[:1], trees[1:]], [trees[3:], trees[:3]]):
        assert torch.allclose(gradient(objective, policy, groups), whole, atol=1e-13, rtol=0)
    assert (gradient(objective, policy, [[t] for t in trees], mean_of_means=True) - whole).norm() > 0.05 * whole.norm()


def test_the_upper_limit_is_its_own():
    def slopes(high):
        ratio = torch.tensor([1.25, 1.25, 0.75, 0.75], requires_grad=True)
        clipped_policy_loss(ratio, torch.tensor([1.0, -1.0, 1.0, -1.0]), 0.2, high).sum().backward()
        return ratio.grad.tolist()

    assert slopes(None) == slopes(0.2) == [0.0, 1.0, -1.0, 0.0] and slopes(0.28) == [-1.0, 1.0, -1.0, 0.0]


def test_k3_is_never_negative_and_on_average_the_kl_but_its_slope_is_the_other_kls():
    policy = policy_away_from_its_reference()
    logits_V = policy.logits["policy"][3].detach().requires_grad_()
    logp_V, reference_V = logits_V.log_softmax(-1), policy.logits["reference"][3].log_softmax(-1)
    of_each_V = k3(logp_V, reference_V)
    assert float(of_each_V.detach().min()) >= 0
    kl, other = ((a.exp() * (a - b)).sum() for a, b in ((logp_V, reference_V), (reference_V, logp_V)))
    assert (logp_V.exp() * of_each_V).sum().item() == pytest.approx(kl.item(), abs=1e-12) and kl > 0.1
    (slope,) = torch.autograd.grad((logp_V.detach().exp() * of_each_V).sum(), logits_V, retain_graph=True)
    (right,) = torch.autograd.grad(other, logits_V, retain_graph=True)
    (reverse,) = torch.autograd.grad(kl, logits_V)
    assert torch.allclose(slope, right, atol=1e-14) and (slope - reverse).norm() > 0.1 * reverse.norm()


def test_the_reference_is_wanted_only_where_its_kl_is_priced():
    assert GRPO().needs == ("logp",) and GRPO().terms == {"policy": 1.0}
    assert FULL.needs == ("logp", "logp@reference", "entropy") and FULL.terms["k3@reference"] == 0.2


def test_every_term_has_a_gradient_on_the_specimens_and_none_of_the_figures_has():
    policy = policy_away_from_its_reference()
    _, sums, _ = told(FULL, policy, FULL.specimens())
    for term in FULL.terms:
        (found,) = torch.autograd.grad(sums[term], [policy.logits["policy"]], retain_graph=True)
        assert found.norm() > 0.1, term
    assert all(not total.requires_grad for name, total in sums.items() if name not in FULL.terms)


def test_an_advantage_of_zero_moves_nothing_and_is_not_called_clipped():
    tree = FULL.specimens()[3]
    still = replace(tree, columns={**tree.columns, "advantage": tuple((0.0,) * len(r) for r in tree.responses)})
    policy = Table()
    _, sums, _ = told(GRPO(), policy, [still])
    (found,) = torch.autograd.grad(sums["policy"], [policy.logits["policy"]])
    assert not found.any() and sums["clip_share"] == 0
