"""Which token earned what: from rewards and KL to an advantage and a return for each token the policy wrote.

    r_t = rewards placed at t - beta (log pi_old(y_t) - log pi_ref(y_t))           InstructGPT, 2203.02155, eq. 2 and its appendix C.4
    delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1}    GAE, Schulman et al., 1506.02438, eq. 16
    G_t = A_t + V_t                                                                what the value learns

The KL is k1, said at the policy that sampled. V_t is the value before token t; after the last token it is 0, for a cut response
too: its reward says already that it was cut. Advantages are whitened over the whole rollout batch, so that the minibatch a
response falls into changes nothing; rewards are never whitened, because that would make their scale against beta a matter of chance.

Pure functions on float64 arrays, one array per response [L]: the tokens that the policy wrote, in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from annotated_types import Ge, Interval
from numpy.typing import NDArray

from tutelage.rollouts.rollout import Group, Reward, Rollout

Array = NDArray[np.float64]
Numbers = Mapping[str, Sequence[Array]]
"""By name, one array [L] per response."""


class Crediting(Protocol):
    """A way from what was earned to what is learnt: with a value (`Credit`) or by comparison (`group.GroupCredit`)."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it wants read of every token before the update, "logp" among it."""
        ...

    def columns(self, groups: Sequence[Group], read: Numbers) -> Numbers:
        """What the objective finds in the trees' columns, from what `needs` names, for a whole rollout batch."""
        ...


@dataclass(frozen=True)
class Credit:
    """How what was earned is shared out among tokens."""

    kl_coef: Annotated[float, Ge(0.0)] = 0.05
    """beta, in scaled units of reward per nat; 0 or more, usually 0.01-0.2."""
    discount: Annotated[float, Interval(gt=0.0, le=1.0)] = 1.0
    """gamma per token; (0, 1], 1 for language."""
    trace: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.95
    """lambda: 1 trusts what was earned (no bias), 0 trusts the value (little variance)."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ("logp", "logp@reference", "value@value")

    def columns(self, groups: Sequence[Group], read: Numbers) -> Numbers:
        """What `objectives.ppo.COLUMNS` names."""
        logp, reference, value = (read[need] for need in self.needs)
        made = credit([rollout for group in groups for rollout in group.rollouts], logp, reference, value, self)
        return {"logp": logp, "advantage": made.advantage, "return": made.returns, "value": value}


@dataclass(frozen=True)
class Credited:
    """Per response [L] over the tokens that the policy wrote."""

    advantage: tuple[Array, ...]
    """Whitened."""
    returns: tuple[Array, ...]
    """In scaled units of reward."""


def credit(rollouts: Sequence[Rollout], logp: Sequence[Array], reference: Sequence[Array], value: Sequence[Array], by: Credit) -> Credited:
    """The whole rollout batch at once. `logp` and `reference` [L] in nats, `value` [L] in scaled units, all before the update."""
    advantages: list[Array] = []
    for rollout, own, other, guess in zip(rollouts, logp, reference, value, strict=True):
        earned = placed(rollout.rewards, rollout.written) + kl_reward(own, other, by.kl_coef)
        advantages.append(gae(earned, guess, by.discount, by.trace))
    returns = tuple(a + v for a, v in zip(advantages, value, strict=True))
    return Credited(tuple(whiten(advantages, moments(advantages))), returns)


def kl_reward(logp: Array, reference: Array, kl_coef: float) -> Array:
    """[L] what each token pays for being likelier than under the reference."""
    return -kl_coef * (logp - reference)


def placed(rewards: Sequence[Reward], written: Sequence[int]) -> Array:
    """[L] each reward at its token, or, where another wrote that token, at the policy's last token before it."""
    earned = np.zeros(len(written))
    for reward in rewards:
        before = [n for n, place in enumerate(written) if place <= reward.place]
        if not before:
            raise ValueError(f"reward {reward.name!r} at token {reward.place}: the policy had written nothing yet")
        earned[before[-1]] += reward.value
    return earned


def gae(earned: Array, value: Array, discount: float, trace: float) -> Array:
    """[L] advantages of one response, not whitened."""
    advantage = np.zeros(len(earned))
    following = after = 0.0
    for t in reversed(range(len(earned))):
        following = earned[t] + discount * after - value[t] + discount * trace * following
        advantage[t], after = following, value[t]
    return advantage


@dataclass(frozen=True)
class Moments:
    """Of a set of numbers; those of two sets add up, so ranks can exchange them."""

    n: int
    total: float
    squares: float

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        return self.total / self.n

    @property
    def deviation(self) -> float:
        return max(self.squares / self.n - self.mean**2, 0.0) ** 0.5


def moments(arrays: Sequence[Array]) -> Moments:
    """Of all numbers of all arrays together."""
    every = np.concatenate(arrays)
    return Moments(len(every), float(every.sum()), float((every**2).sum()))


def whiten(arrays: Sequence[Array], over: Moments) -> list[Array]:
    """Mean 0 and standard deviation 1 over all tokens that `over` counted; left at 0 where they were all equal."""
    return [(array - over.mean) / (over.deviation + 1e-8) for array in arrays]
