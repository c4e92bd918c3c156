"""One question, thirty-two answers of one token: the optimum of E[r] - beta KL(pi || ref) is known exactly, pi ~ ref exp(r / beta),
and its value is beta log E_ref[exp(r / beta)]. PPO, through the whole path of sampling, credit and clipped loss, has to come near it."""

import pytest
import torch

from tests.rollouts.table import Table
from tutelage.core.text import ask
from tutelage.models.sampler import Sampling
from tutelage.objectives.ppo import PPO
from tutelage.rollouts.collect import Collector, Phases
from tutelage.rollouts.credit import Credit
from tutelage.rollouts.rewards import RewardModel
from tutelage.rollouts.source import Rollouts

BETA, ANSWERS = 0.5, 32


def trained(kl_coef):
    policy, objective = Table(words=ANSWERS, seed=3, width=1.0), PPO()
    plan = Phases(prompts=1, samples=128, epochs=2, minibatches=1, cut_score=None)
    collector = Collector(policy, policy, [(ask("one"), (0,))], [RewardModel()], Sampling(max_tokens=1), plan, Credit(kl_coef=kl_coef))
    source, steps = Rollouts(collector), 120
    weights = [policy.logits["policy"], policy.values["value"]]
    optimizer = torch.optim.Adam(weights, lr=0.1)
    for step in range(steps):
        batch = objective.collate(source.trees(step))
        sums = objective.loss(policy.read(batch, objective.needs), batch)
        (sums["policy"] / batch.counts["policy"] + sums["value"] / batch.counts["value"]).backward()
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
    return policy


def objective_value(logp_V, policy, beta):
    reference_V = policy.logits["reference"][0].log_softmax(-1)
    return float((logp_V.exp() * (policy.scores["reward"] - beta * (logp_V - reference_V))).sum())


def test_ppo_comes_within_five_percent_of_the_exact_regularised_optimum():
    policy = trained(BETA)
    reference_V, reward_V = policy.logits["reference"][0].log_softmax(-1), policy.scores["reward"]
    best_V = (reference_V + reward_V / BETA).log_softmax(-1)
    best = objective_value(best_V, policy, BETA)
    assert best == pytest.approx(float(BETA * (reference_V + reward_V / BETA).logsumexp(-1)))
    start = objective_value(reference_V, policy, BETA)
    found = objective_value(policy.logits["policy"][0].log_softmax(-1).detach(), policy, BETA)
    assert found <= best + 1e-9
    assert found > best - 0.05 * abs(best) and found > start + 0.9 * (best - start)


def test_a_wrong_kl_coefficient_misses_that_optimum():
    """The planted fault: a tenth of the KL leads to another policy, well outside of the 5 %."""
    policy = trained(BETA / 10)
    best = float(BETA * (policy.logits["reference"][0].log_softmax(-1) + policy.scores["reward"] / BETA).logsumexp(-1))
    assert objective_value(policy.logits["policy"][0].log_softmax(-1).detach(), policy, BETA) < best - 0.05 * abs(best)
