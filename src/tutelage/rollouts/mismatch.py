"""What another program's sampler does differently, put right: truncated importance sampling.

    w_t = min( pi(y_t) / mu(y_t), C ),   loss_t = - w_t min(rho_t A_t, clip(rho_t) A_t)

pi is the policy as the trainer reads it before the update, mu what the server says it sampled by (other kernels, other precision, weights
some rounds old), rho the ratio to pi as in PPO. Source: Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL
training", its truncated importance sampling; C = 2 by default. Without it the policy learns from words it did not say, as if it had.

w is a constant and never negative, so w min(rho A, clip(rho) A) = min(rho w A, clip(rho) w A): it multiplies the advantage, after
whitening, and no objective knows of it. Counts stay what they are: a token of weight 0 is still a token. With a sampler that agrees every
weight is 1 and the update that of our own.

L tokens that the policy wrote in one response.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tutelage.rollouts.credit import Array, Numbers
from tutelage.rollouts.rollout import Group

LARGE = 0.1
"""Mean |log pi - log mu| in nats a token above which something other than rounding is at work (Axolotl's guide: below 0.1 in health)."""


def log_ratios(groups: Sequence[Group], logp: Sequence[Array]) -> list[Array]:
    """[L] log pi - log mu of each response's tokens. `logp` [L] is the trainer's, before the update."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    return [own - np.asarray(r.logp)[list(r.written)] for r, own in zip(rollouts, logp, strict=True)]


def corrected(columns: Numbers, log_ratio: Sequence[Array], cap: float) -> tuple[Numbers, dict[str, float]]:
    """The columns with advantages weighed, and figures of the phase: mismatch_k3 (KL(mu || pi) by Schulman's k3, nats per token), weight
    (mean of w), capped (share of tokens whose ratio was cut at `cap`)."""
    weights = [np.minimum(np.exp(x), cap) for x in log_ratio]
    advantage = [a * w for a, w in zip(columns["advantage"], weights, strict=True)]
    every, weight = np.concatenate(log_ratio), np.concatenate(weights)
    told = {
        "mismatch_k3": float((np.expm1(every) - every).mean()),
        "weight": float(weight.mean()),
        "capped": float((np.exp(every) > cap).mean()),
    }
    return {**columns, "advantage": advantage}, told


def sentence(figures: Mapping[str, float]) -> str:
    """What to say of a phase whose sampler differs by more than rounding; empty where it doesn't."""
    if figures["gap"] <= LARGE:
        return ""
    capped = f"; {figures['capped']:.0%} of the ratios were cut at the cap" if "capped" in figures else ""
    why = "its weights are some rounds old" if figures.get("behind") else "does it serve these very weights, in a like precision?"
    return (
        f"the sampler's log-probabilities are {figures['gap']:.2f} nats a token away from the policy's (healthy: {LARGE:g}){capped}; {why}"
    )
