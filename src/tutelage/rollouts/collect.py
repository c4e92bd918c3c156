"""One phase of learning from one's own words: sample, read once, score, credit; out come trees to learn from.

One reading of the phase's trees, before its first update, gives the trainer's log-probabilities, the reference's, the value and the
score. The KL and the ratio's denominator use the trainer's log-probabilities of the weights that sampled: equal to the sampler's up
to rounding (watched as `gap`), and exactly equal to the reference's while nothing has been learnt.

Every random number is a function of (seed, phase, prompt, place in the phase, sample, token), and every phase is credited whole, so
neither the number of processes nor anything that happened before changes what a phase is, given the weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Protocol, TypeVar

from annotated_types import Ge

from tutelage.core.errors import UserError
from tutelage.core.randomness import permutation
from tutelage.core.text import Prompt
from tutelage.data.tree import Tree
from tutelage.models.sampling import Sampling
from tutelage.rollouts.credit import Credit, Crediting, Numbers
from tutelage.rollouts.mismatch import corrected, log_ratios
from tutelage.rollouts.monitor import figures
from tutelage.rollouts.reading import laid, read_responses
from tutelage.rollouts.rewards import Scorer, rewarded
from tutelage.rollouts.rollout import Group, Reader, Rollout, Speaker, Version

T = TypeVar("T")


@dataclass(frozen=True)
class Phases:
    """What one phase is made of."""

    prompts: Annotated[int, Ge(1)] = 32
    """Prompts per phase; 32-512."""
    samples: Annotated[int, Ge(1)] = 4
    """Responses per prompt, which share its reading; 1-16."""
    epochs: Annotated[int, Ge(1)] = 1
    """Times each response is learnt from before new ones are sampled; 1-4."""
    minibatches: Annotated[int, Ge(1)] = 1
    """Optimiser steps per epoch; at most `prompts`; 1-4."""
    cut_score: float | None = -1.0
    """What a response that was cut at the length limit earns, in scaled units; null: what it is scored."""
    seed: int = 0
    """Of the order of prompts, of the sampling and of the minibatches."""

    @property
    def steps(self) -> int:
        """Optimiser steps per phase."""
        return self.epochs * self.minibatches


class Together(Protocol):
    """The processes that share a phase: `engine.ranks.Ranks`."""

    def share(self, items: Sequence[T]) -> list[T]: ...
    def gather(self, own: Sequence[T]) -> list[T]: ...


class Alone:
    """One process."""

    def share(self, items: Sequence[T]) -> list[T]:
        return list(items)

    def gather(self, own: Sequence[T]) -> list[T]:
        return list(own)


@dataclass(frozen=True)
class Phase:
    """What was sampled at one phase, what it earned, and what is learnt from it."""

    number: int
    groups: tuple[Group, ...]
    trees: tuple[Tree, ...]
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Collector:
    """How a phase is made; it holds nothing that changes but the policy's weights."""

    policy: Reader
    speaker: Speaker
    prompts: Sequence[tuple[Prompt, tuple[int, ...]]]
    """Each with its ids, as the policy reads it."""
    scorers: Sequence[Scorer]
    sampling: Sampling
    phases: Phases = field(default_factory=Phases)
    credit: Crediting = field(default_factory=Credit)
    part: str = ""
    """Of the trees, in a mixture."""
    tokens: int = 8192
    """Longest stream of a reading; changes no number beyond rounding."""
    together: Together = field(default_factory=Alone)
    refresh: Callable[[int], Version] = lambda number: Version(str(number))
    """Which weights the speaker samples phase `number` by; a server may be given new ones here."""
    cap: float | None = None
    """Of the correction for a sampler that isn't ours (rollouts/mismatch.py); None: none."""

    def __post_init__(self) -> None:
        plan, draw = self.phases, self.sampling
        if draw.temperature != 1 or draw.truncates:
            raise UserError(f"rollouts are sampled at temperature 1, untruncated: only then are they the policy's own; got {draw}.")
        if plan.minibatches > plan.prompts:
            raise UserError(f"minibatches: {plan.minibatches} is more than the {plan.prompts} prompts of a phase; at most one per prompt.")
        if not self.prompts or not self.scorers:
            raise UserError("rollouts need at least one prompt and at least one reward.")

    def collect(self, number: int) -> Phase:
        """Sample phase `number` with the weights as they are now, and credit it."""
        slots, version = list(enumerate(self._asked(number))), self.refresh(number)
        own = self._read(self._sampled(number, self.together.share(slots), version.name))
        whole = sorted(self.together.gather(own), key=lambda item: item[0])
        groups = tuple(group for _, group, _ in whole)
        numbers = {name: [array for _, _, found in whole for array in found[name]] for name in self.credit.needs}
        phase = self._credited(number, groups, numbers)
        return replace(phase, figures={**phase.figures, "behind": float(version.behind)}) if self.cap else phase

    def _asked(self, number: int) -> list[int]:
        """The prompt of each slot: all prompts in a new order every round, phases taking them up one after another."""
        n = len(self.prompts)
        places = range(number * self.phases.prompts, (number + 1) * self.phases.prompts)
        orders = {turn: permutation(n, "prompts", self.phases.seed, turn) for turn in {place // n for place in places}}
        return [orders[place // n][place % n] for place in places]

    def _sampled(self, number: int, slots: Sequence[tuple[int, int]], version: str = "") -> list[tuple[int, Group]]:
        """One group per (slot, prompt), all drawn in one call."""
        k, seed = self.phases.samples, self.phases.seed
        asked = [(slot, *self.prompts[which], sample) for slot, which in slots for sample in range(k)]
        addresses = [("rollout", seed, number, prompt.id, slot, sample) for slot, prompt, _, sample in asked]
        drawn = self.speaker.generate([ids for _, _, ids, _ in asked], addresses, self.sampling)
        rollouts = [
            Rollout(prompt.id, sample, d.ids, d.logp, d.finished, version=version)
            for (_, prompt, _, sample), d in zip(asked, drawn, strict=True)
        ]
        return [(slot, Group(*self.prompts[which], tuple(rollouts[n * k : (n + 1) * k]))) for n, (slot, which) in enumerate(slots)]

    def _read(self, slots: Sequence[tuple[int, Group]]) -> list[tuple[int, Group, Numbers]]:
        """Every role once over the trees; rewards at once, so that only numbers travel between processes."""
        wanted = tuple(need for scorer in self.scorers for need in scorer.needs)
        trees = [group.tree() for _, group in slots]
        read = read_responses(self.policy, trees, tuple(dict.fromkeys((*self.credit.needs, *wanted))), self.tokens)
        scores = [[float(read[need][n][0]) for need in wanted] for n in range(len(read["logp"]))]
        groups = rewarded([group for _, group in slots], scores, self.scorers, self.phases.cut_score)
        k = self.phases.samples
        return [
            (slot, group, {name: read[name][n * k : (n + 1) * k] for name in self.credit.needs})
            for n, ((slot, _), group) in enumerate(zip(slots, groups, strict=True))
        ]

    def _credited(self, number: int, groups: tuple[Group, ...], numbers: Numbers) -> Phase:
        columns, told = self.credit.columns(groups, numbers), {}
        if self.cap:
            columns, told = corrected(columns, log_ratios(groups, numbers["logp"]), self.cap)
        writers = [rollout.writers for group in groups for rollout in group.rollouts]
        rows = {name: [laid(*both) for both in zip(writers, arrays, strict=True)] for name, arrays in columns.items()}
        k = self.phases.samples
        trees = tuple(
            group.tree(self.part, {name: tuple(own[n * k : (n + 1) * k]) for name, own in rows.items()}) for n, group in enumerate(groups)
        )
        return Phase(number, groups, trees, {**figures(groups, numbers, columns), **told})
