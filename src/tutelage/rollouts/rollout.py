"""What the policy said when it was asked, and what that earned: values that can be saved, read again and learnt from once.

A rollout is a list of tokens, each with its writer: the policy, or someone it talked with (a tool, another speaker), whose words
earn and train nothing. A plain prompt is a partner who ends after one turn: then all tokens are the policy's. Rewards are a list
of (place, value, name), so that a score on the last token is the one-element case.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tutelage.core.randomness import Key
from tutelage.core.text import Prompt
from tutelage.data.batch import PackedBatch
from tutelage.data.tree import POLICY, Tree
from tutelage.models.sampler import Sampled, Sampling
from tutelage.objectives.objective import Read


@dataclass(frozen=True)
class Reward:
    """What one token earned, and why."""

    place: int
    """The token of the response that earns it, from 0."""
    value: float
    """In scaled units: 1 is the standard deviation of the score over the SFT model's samples."""
    name: str


@dataclass(frozen=True)
class Rollout:
    """One response that the policy sampled, in full."""

    prompt_id: str
    sample: int
    """Which of the responses to this prompt in its phase, from 0."""
    ids: tuple[int, ...]
    """With the end token where the response ended by itself."""
    logp: tuple[float, ...]
    """Of each token under the policy that sampled it, at the sampling temperature, in nats; 0 for another writer's."""
    finished: bool
    version: str
    """The weights that sampled it."""
    writers: tuple[int, ...] = ()
    """POLICY or OTHER per token; the policy throughout where not said."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """What each scorer said, before a cut response was marked down."""
    rewards: tuple[Reward, ...] = ()

    def __post_init__(self) -> None:
        if not self.writers:
            object.__setattr__(self, "writers", (POLICY,) * len(self.ids))
        if not len(self.ids) == len(self.logp) == len(self.writers) or POLICY not in self.writers:
            raise ValueError(
                f"rollout {self.prompt_id}/{self.sample}: each token needs a log-probability and a writer, the policy among them"
            )

    @property
    def written(self) -> tuple[int, ...]:
        """Places of the tokens that the policy wrote."""
        return tuple(i for i, writer in enumerate(self.writers) if writer == POLICY)

    @property
    def score(self) -> float:
        """All it earned, without the KL."""
        return sum(reward.value for reward in self.rewards)


@dataclass(frozen=True)
class Group:
    """One prompt and the responses that were sampled for it: one tree."""

    prompt: Prompt
    ids: tuple[int, ...]
    """The prompt as the policy reads it, with the mark after which it speaks."""
    rollouts: tuple[Rollout, ...]

    def tree(self, part: str = "", columns: Mapping[str, tuple[tuple[float, ...], ...]] | None = None) -> Tree:
        """`columns` hold one tuple per response with a value per token."""
        return Tree(
            prompt=self.ids,
            responses=tuple(r.ids for r in self.rollouts),
            writers=tuple(r.writers for r in self.rollouts),
            finished=tuple(r.finished for r in self.rollouts),
            columns=columns or {},
            part=part,
            id=self.prompt.id,
        )


@dataclass(frozen=True)
class Version:
    """Weights that sample."""

    name: str
    behind: int = 0
    """Rounds since the policy had them."""


class Speaker(Protocol):
    """Whatever can continue prompts: `models.sampler.Sampler`, or a server."""

    def generate(self, prompts: Sequence[Sequence[int]], addresses: Sequence[tuple[Key, ...]], sampling: Sampling) -> Sequence[Sampled]: ...


class Reader(Protocol):
    """Whatever can be read: `models.policy.Policy`, or a table."""

    def read(self, batch: PackedBatch, needs: Sequence[str]) -> Read: ...

    def rounds(self, own: int) -> int:
        """How often it must be read where this process has `own` things to read: more often, where processes read together."""
        ...
