"""What to watch while a policy learns from its own words: how far it has gone, what it earns, and whether the numbers agree.

KL here is k1 at the policy that sampled, in nats per response (summed over its tokens); `exact_kl`, for evals, sums over the whole
vocabulary at each token instead and has less noise. `gap` compares the sampler's log-probabilities with the trainer's for the same
weights: it should be rounding, and anything larger means that the policy learns from words it did not say.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tutelage.data.tree import Tree
from tutelage.rollouts.reading import read_responses
from tutelage.rollouts.rollout import Reader, Rollout

Array = NDArray[np.float64]


def figures(
    rollouts: Sequence[Rollout], logp: Sequence[Array], reference: Sequence[Array], value: Sequence[Array], returns: Sequence[Array]
) -> dict[str, float]:
    """Of one rollout phase, before its first update.

    kl (nats per response), score (scaled, cut responses marked down), score/NAME (each scorer's own mean over all responses),
    length (tokens the policy wrote), finished (share), entropy (nats per token: the mean of -log pi, unbiased at temperature 1),
    gap (mean |log pi of sampler - of trainer| per token), value_explained (1 - Var(G - V) / Var(G), over tokens).
    """
    sampled = np.concatenate([np.asarray(r.logp)[list(r.written)] for r in rollouts])
    own, goal, guess = (np.concatenate(arrays) for arrays in (logp, returns, value))
    names = rollouts[0].scores
    return {
        "kl": float(np.mean([(a - b).sum() for a, b in zip(logp, reference, strict=True)])),
        "score": float(np.mean([r.score for r in rollouts])),
        **{f"score/{name}": float(np.mean([r.scores[name] for r in rollouts])) for name in names},
        "length": float(np.mean([len(r.written) for r in rollouts])),
        "finished": float(np.mean([r.finished for r in rollouts])),
        "entropy": float(-own.mean()),
        "gap": float(np.abs(sampled - own).mean()),
        "value_explained": float(1 - (goal - guess).var() / goal.var()) if goal.var() > 0 else 0.0,
    }


def exact_kl(policy: Reader, trees: Sequence[Tree], tokens: int = 8192) -> list[float]:
    """KL(policy || reference) of each response in nats: at each of its tokens the sum over the vocabulary, summed over tokens."""
    return [float(kl.sum()) for kl in read_responses(policy, trees, ("kl@reference",), tokens)["kl@reference"]]
