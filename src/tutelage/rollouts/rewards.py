"""What a response is worth: scorers (a reward model, rules), summed, and the one rule that every scorer shares.

A response that was cut at the length limit has said nothing whole: whatever its scorers think, it earns `cut` (-1, one standard
deviation below a demonstration, in the reward model's scaled units). Otherwise the policy learns to talk until it is cut off.
The reward is placed on the last token that the policy wrote: the end token of a finished response.
"""

import importlib
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

from tutelage.core.errors import UserError
from tutelage.core.text import Prompt, Response
from tutelage.rollouts.rollout import Group, Reward, Rollout

Rule = Callable[[Prompt, Response], float]


class Scorer(Protocol):
    """Gives each response one number, in scaled units."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float:
        """What its number is multiplied by in the sum."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """What it wants read, per response: ("score@reward",); empty where it reads text alone."""
        ...

    def score(self, prompt: Prompt, rollout: Rollout, read: Sequence[float]) -> float:
        """`read` holds one number for each of `needs`."""
        ...


@dataclass(frozen=True)
class RewardModel:
    """The role's head already scores in scaled units: demonstrations 0, one standard deviation of samples 1."""

    role: str = "reward"
    weight: float = 1.0

    @property
    def name(self) -> str:
        return self.role

    @property
    def needs(self) -> tuple[str, ...]:
        return (f"score@{self.role}",)

    def score(self, prompt: Prompt, rollout: Rollout, read: Sequence[float]) -> float:
        return read[0]


@dataclass(frozen=True)
class RuleReward:
    """A function of what was asked and answered. Its units are its own: make 1 a large difference."""

    name: str
    rule: Rule
    decode: Callable[[Sequence[int]], str]
    """Ids to text, without the end token."""
    weight: float = 1.0
    needs: tuple[str, ...] = ()

    def score(self, prompt: Prompt, rollout: Rollout, read: Sequence[float]) -> float:
        text = self.decode(rollout.ids)
        value = float(self.rule(prompt, Response(text, ids=rollout.ids, finished=rollout.finished, by=rollout.version)))
        if not math.isfinite(value):
            raise UserError(f"reward {self.name}: {value} for prompt {prompt.id}; a reward must be a finite number.")
        return value


def load_rule(path: str) -> Rule:
    """The function at `package.module:function`, in the current folder or among installed packages. UserError where there is none."""
    module, _, name = path.partition(":")
    if not module or not name:
        raise UserError(f"reward {path!r}: a rule is named by import path, as package.module:function.")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{module}.".startswith(f"{missing.name}."):
            raise  # the module is there, and it misses something itself
        raise UserError(f"reward {path!r}: no module named {missing.name!r} can be imported from here.") from missing
    rule = getattr(found, name, None)
    if not callable(rule):
        raise UserError(f"reward {path!r}: module {module} has no function {name!r}.")
    return cast(Rule, rule)


def rewarded(groups: Sequence[Group], reads: Sequence[Sequence[float]], scorers: Sequence[Scorer], cut: float | None) -> list[Group]:
    """`groups` with scores and rewards. `reads` [R] holds for each response one number for each need of each scorer, in order.

    `cut` replaces the whole reward of an unfinished response; None leaves it as it was scored.
    """
    row = iter(reads)
    return [replace(g, rollouts=tuple(_rewarded(g.prompt, r, next(row), scorers, cut) for r in g.rollouts)) for g in groups]


def _rewarded(prompt: Prompt, rollout: Rollout, read: Sequence[float], scorers: Sequence[Scorer], cut: float | None) -> Rollout:
    scores: dict[str, float] = {}
    for scorer in scorers:
        own, read = read[: len(scorer.needs)], read[len(scorer.needs) :]
        scores[scorer.name] = scorer.score(prompt, rollout, own)
    last = rollout.written[-1]
    rewards = tuple(Reward(last, scorer.weight * scores[scorer.name], scorer.name) for scorer in scorers)
    if cut is not None and not rollout.finished:
        rewards = (Reward(last, cut, "cut"),)
    return replace(rollout, scores=scores, rewards=rewards)
