"""One question, thirty-two answers of one token: the optimum of E[r] - beta KL(pi || ref) is known exactly, pi ~ ref exp(r / beta),
and its value is beta log E_ref[exp(r / beta)]. PPO and GRPO, through the whole path of sampling, credit and clipped loss, have to come
near it. With the KL in GRPO's loss the optimum is another, known as well."""

import pytest
import torch
from scipy.optimize import brentq

from tests.rollouts.table import Table
from tutelage.core.text import ask
from tutelage.models.sampler import Sampling
from tutelage.objectives.grpo import GRPO
from tutelage.objectives.ppo import PPO
from tutelage.rollouts.collect import Collector, Phases
from tutelage.rollouts.credit import Credit
from tutelage.rollouts.group import GroupCredit
from tutelage.rollouts.rewards import RewardModel
from tutelage.rollouts.source import Rollouts

BETA, ANSWERS = 0.5, 32
REWARD = {
    "ppo": (PPO(), Credit(kl_coef=BETA)),
    "grpo": (GRPO(), GroupCredit(kl_coef=BETA)),
    "grpo, batch": (GRPO(per="response"), GroupCredit(kl_coef=BETA, scale="batch")),
    "rloo": (GRPO(clip_high=0.28), GroupCredit(kl_coef=BETA, baseline="leave_one_out", scale="none")),
}


def trained(objective, credit, steps=120):
    policy = Table(words=ANSWERS, seed=3, width=1.0)
    plan = Phases(prompts=1, samples=128, epochs=2, minibatches=1, cut_score=None)
    collector = Collector(policy, policy, [(ask("one"), (0,))], [RewardModel()], Sampling(max_tokens=1), plan, credit)
    source = Rollouts(collector)
    optimizer = torch.optim.Adam([policy.logits["policy"], policy.values["value"]], lr=0.1)
    for step in range(steps):
        batch = objective.collate(source.trees(step))
        sums = objective.loss(policy.read(batch, objective.needs), batch)
        sum(weight * sums[term] / batch.counts[term] for term, weight in objective.terms.items()).backward()
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
    return policy


def logp(policy, role="policy"):
    return policy.logits[role][0].log_softmax(-1).detach()


def objective_value(logp_V, policy, beta):
    return float((logp_V.exp() * (policy.scores["reward"] - beta * (logp_V - logp(policy, "reference")))).sum())


@pytest.mark.parametrize("method", REWARD)
def test_it_comes_within_five_percent_of_the_exact_regularised_optimum(method):
    policy = trained(*REWARD[method])
    reference_V, reward_V = logp(policy, "reference"), policy.scores["reward"]
    best_V = (reference_V + reward_V / BETA).log_softmax(-1)
    best = objective_value(best_V, policy, BETA)
    assert best == pytest.approx(float(BETA * (reference_V + reward_V / BETA).logsumexp(-1)))
    start = objective_value(reference_V, policy, BETA)
    found = objective_value(logp(policy), policy, BETA)
    assert found <= best + 1e-9
    assert found > best - 0.05 * abs(best) and found > start + 0.9 * (best - start)


@pytest.mark.parametrize("objective, credit", [(PPO(), Credit(kl_coef=BETA / 10)), (GRPO(), GroupCredit(kl_coef=BETA / 10))])
def test_a_wrong_kl_coefficient_misses_that_optimum(objective, credit):
    """The planted fault: a tenth of the KL leads to another policy, well outside of the 5 %."""
    policy = trained(objective, credit)
    best = float(BETA * (logp(policy, "reference") + policy.scores["reward"] / BETA).logsumexp(-1))
    assert objective_value(logp(policy), policy, BETA) < best - 0.05 * abs(best)


def test_the_kl_in_the_loss_leads_to_the_optimum_of_the_other_kl():
    """k3's gradient is that of KL(ref || pi), so E[r] - beta KL(ref || pi) is what is maximised: pi = beta ref / (lambda - r)."""
    policy = trained(GRPO(kl_coef=BETA), GroupCredit(scale="none", kept=("logp@reference",)), steps=240)
    reference_V, reward_V = logp(policy, "reference").exp(), policy.scores["reward"]
    top = float(reward_V.max())
    of = brentq(lambda level: float((BETA * reference_V / (level - reward_V)).sum()) - 1, top + 1e-9, top + 100)
    forward_V, reverse_V = BETA * reference_V / (of - reward_V), (logp(policy, "reference") + reward_V / BETA).softmax(-1)

    def far(best_V):
        return float((logp(policy).exp() - best_V).abs().sum() / 2)

    assert far(forward_V) < 0.02 and far(reverse_V) > 0.2
