"""Which response did better than the others to its prompt: advantages without a value model.

    R_k = score_k - beta sum_t (log pi_old(y_t) - log pi_ref(y_t))                 all that response k earned, the KL as PPO's (k1)
    A_k = R_k - mean of R over the group                                           GRPO, Shao et al., 2402.03300, section 4.1.2
    A_k = R_k - mean of R over the others of the group                             RLOO, Ahmadian et al., 2402.14740

GRPO divides by the standard deviation of its group, so that a prompt whose responses hardly differ moves the policy as far as one whose
responses differ much; `batch` divides all groups by one number, `none` by nothing (Dr. GRPO, Liu et al., 2503.20783). Deviations are
those of a sample (n - 1), with 1e-4 added, as in TRL and veRL: without it two readings of one sentence, equal up to rounding, would
become advantages of +1 and -1. Statistics are those of the whole phase, over all processes: constants, like everything that joins units.

Pure functions on float64 arrays: K responses of one group, L tokens that the policy wrote in one response.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from tutelage.rollouts.credit import Array, Numbers, kl_reward
from tutelage.rollouts.rollout import Group

Baseline = Literal["mean", "leave_one_out"]
Scale = Literal["group", "batch", "none"]
LEAST = 1e-4
"""Added to a standard deviation before it divides."""
REFERENCE = "logp@reference"


def relative(earned: Sequence[Array], baseline: Baseline = "mean", scale: Scale = "group") -> list[Array]:
    """[K] advantages for the [K] rewards of each group; exactly 0 for a group that earned the same throughout.

    ValueError for a group of one, which has no others.
    """
    if min(map(len, earned)) < 2:
        raise ValueError("a group needs two responses or more, because each is measured by the others")
    centered = [_centered(group, baseline) for group in earned]
    if scale == "none":
        return centered
    if scale == "batch":
        return [group / (np.concatenate(earned).std(ddof=1) + LEAST) for group in centered]
    return [group / (rewards.std(ddof=1) + LEAST) for group, rewards in zip(centered, earned, strict=True)]


def _centered(earned: Array, baseline: Baseline) -> Array:
    if earned.min() == earned.max():  # the mean of equal numbers may differ from them in the last bit
        return np.zeros(len(earned))
    from_mean = earned - earned.mean()
    k = len(earned)
    return from_mean if baseline == "mean" else from_mean * k / (k - 1)


@dataclass(frozen=True)
class GroupCredit:
    """How what a group earned becomes advantages."""

    kl_coef: Annotated[float, Ge(0.0)] = 0.0
    """beta, in scaled units of reward per nat; 0 or more. With 0 the reference isn't read for it."""
    baseline: Baseline = "mean"
    scale: Scale = "group"
    kept: tuple[str, ...] = ()
    """Readings that the loss wants again, of roles that don't train ("logp@reference"): read once here, they travel with the trees."""

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(("logp", *((REFERENCE,) if self.kl_coef else ()), *self.kept)))

    def columns(self, groups: Sequence[Group], read: Numbers) -> Numbers:
        """The log-probabilities that sampled, advantages, and what is kept."""
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        total = np.array([rollout.score for rollout in rollouts])
        if self.kl_coef:
            total += [kl_reward(own, other, self.kl_coef).sum() for own, other in zip(read["logp"], read[REFERENCE], strict=True)]
        ends = np.cumsum([len(group.rollouts) for group in groups])
        of_response = np.concatenate(relative(np.split(total, ends[:-1]), self.baseline, self.scale))
        advantage = [np.full(len(own), a) for own, a in zip(read["logp"], of_response, strict=True)]
        return {"logp": read["logp"], "advantage": advantage, **{name: read[name] for name in self.kept}}
