"""What to watch while a policy learns from its own words: how far it has gone, what it earns, and whether the numbers agree.

KL here is k1 at the policy that sampled, in nats per response (summed over its tokens); `exact_kl`, for evals, sums over the whole
vocabulary at each token instead and has less noise. `gap` compares the sampler's log-probabilities with the trainer's for the same
weights: it should be rounding, and anything larger means that the policy learns from words it did not say.
"""

from collections.abc import Sequence

import numpy as np

from tutelage.data.tree import Tree
from tutelage.rollouts.credit import Numbers
from tutelage.rollouts.reading import read_responses
from tutelage.rollouts.rollout import Group, Reader

ROUNDING = 1e-6
"""Scores that are nearer to each other than this are the same, read in other streams."""


def figures(groups: Sequence[Group], read: Numbers, columns: Numbers) -> dict[str, float]:
    """Of one rollout phase, before its first update, from what was read of it and what is learnt from.

    score (scaled, cut responses marked down), score/NAME (each scorer's own mean over all responses), length (tokens the policy
    wrote), finished (share), entropy (nats per token: the mean of -log pi, unbiased at temperature 1), gap (mean |log pi of sampler -
    of trainer| per token); where there are several responses to a prompt: equal (share of prompts whose responses all scored the
    same); where the reference was read: kl (nats per response); where there is a value: value_explained (1 - Var(G - V) / Var(G),
    over tokens).
    """
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    sampled = np.concatenate([np.asarray(r.logp)[list(r.written)] for r in rollouts])
    own = np.concatenate(read["logp"])
    told = {
        "score": float(np.mean([r.score for r in rollouts])),
        **{f"score/{name}": float(np.mean([r.scores[name] for r in rollouts])) for name in rollouts[0].scores},
        "length": float(np.mean([len(r.written) for r in rollouts])),
        "finished": float(np.mean([r.finished for r in rollouts])),
        "entropy": float(-own.mean()),
        "gap": float(np.abs(sampled - own).mean()),
    }
    if len(rollouts) > len(groups):
        told["equal"] = float(np.mean([np.ptp([r.score for r in group.rollouts]) < ROUNDING for group in groups]))
    if "logp@reference" in read:
        told["kl"] = float(np.mean([(a - b).sum() for a, b in zip(read["logp"], read["logp@reference"], strict=True)]))
    if "value" in columns:
        goal, guess = np.concatenate(columns["return"]), np.concatenate(columns["value"])
        told["value_explained"] = float(1 - (goal - guess).var() / goal.var()) if goal.var() > 0 else 0.0
    return told


def exact_kl(policy: Reader, trees: Sequence[Tree], tokens: int = 8192) -> list[float]:
    """KL(policy || reference) of each response in nats: at each of its tokens the sum over the vocabulary, summed over tokens."""
    return [float(kl.sum()) for kl in read_responses(policy, trees, ("kl@reference",), tokens)["kl@reference"]]
