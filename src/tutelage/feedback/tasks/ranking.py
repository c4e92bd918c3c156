"""Order K = 2..9 responses from best to worst; equally good ones share a tier.

Source: InstructGPT (Ouyang et al. 2022), section 3.5: labelers rank K = 4..9 responses, and all pairs of one ranking are one
unit of the reward model's loss. Ours keeps ties as ties: a pair inside a tier is no preference, and the weights of the others
still sum to 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.feedback.signals import Preference, Signal

FEWEST, MOST = 2, 9


@dataclass(frozen=True)
class Ranking:
    """`tiers[0]` holds the places of the best responses, the last tier those of the worst."""

    tiers: tuple[tuple[int, ...], ...]

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Ranking":
        """From {"tiers": [[2], [0, 3], [1]]}. UserError where the answer has another form."""
        tiers: Any = answer.get("tiers")
        if set(answer) != {"tiers"} or not isinstance(tiers, list | tuple) or not all(map(_is_tier, cast(list[Any], tiers))):
            raise UserError(f'a ranking is {{"tiers": [[best places], ..., [worst places]]}}; got {dict(answer)}')
        return cls(tuple(tuple(tier) for tier in cast(list[list[int]], tiers)))

    def to_answer(self) -> dict[str, Any]:
        return {"tiers": [list(tier) for tier in self.tiers]}

    def check(self, k: int) -> None:
        """UserError unless each of the k responses is in exactly one tier and k is 2 to 9."""
        if not FEWEST <= k <= MOST:
            raise UserError(f"a ranking needs {FEWEST} to {MOST} responses; got {k}")
        if () in self.tiers:
            raise UserError(f"a ranking has no empty tiers; got {self.to_answer()['tiers']}")
        if sorted(place for tier in self.tiers for place in tier) != list(range(k)):
            raise UserError(f"a ranking of {k} responses names each of 0 to {k - 1} once; got {self.to_answer()['tiers']}")

    def signals(self, k: int) -> list[Signal]:
        """One preference for each pair of different tiers, best tiers first; none when all are tied."""
        self.check(k)
        tier_of = {place: tier for tier, places in enumerate(self.tiers) for place in places}
        pairs = [(winner, loser) for winner in tier_of for loser in tier_of if tier_of[winner] < tier_of[loser]]
        return [Preference(winner, loser, weight=1 / len(pairs)) for winner, loser in pairs]

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return f"Order these {k} responses from best to worst. Responses that are equally good share a place."


def _is_tier(tier: Any) -> bool:
    return isinstance(tier, list | tuple) and all(type(place) is int for place in cast(list[Any], tier))
