"""Order K = 2..9 responses from best to worst; equally good ones share a tier.

Source: InstructGPT (Ouyang et al. 2022), section 3.5: labelers rank K = 4..9 responses, and all pairs of one ranking are one
unit of the reward model's loss. Ours keeps ties as ties: a pair inside a tier is no preference, and the weights of the others
still sum to 1.

A ranking is typed: `2 1 = 3` says that the second response on the screen is best, the first and the third share the next place. Nine
responses have nine digits (or letters), so blanks, commas and `>` between places may be left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from tutelage.core.errors import UserError
from tutelage.feedback.places import fits, letter_of, numbered, screen_place
from tutelage.feedback.signals import Gives, Signal, preferences_of
from tutelage.feedback.tasks.form import NONE, Field, NoOptions, clean

Tiers = tuple[tuple[int, ...], ...]
SIGNS = ("123456789", "ABCDEFGHI", "abcdefghi")
ORDER = Field("order", "order", "Order", help="Type the numbers, best first, = between equals: 2 1 = 3")


@dataclass(frozen=True)
class Ranking:
    """`tiers[0]` holds the places of the best responses, the last tier those of the worst."""

    responses: ClassVar[range] = range(2, 10)
    gives: ClassVar[Gives] = "preferences"
    Options: ClassVar[type[Any]] = NoOptions

    tiers: Tiers

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
        fits(k, self.responses, "a ranking")
        if () in self.tiers:
            raise UserError(f"a ranking has no empty tiers; got {self.to_answer()['tiers']}")
        if sorted(place for tier in self.tiers for place in tier) != list(range(k)):
            raise UserError(f"a ranking of {k} responses names each of 0 to {k - 1} once; got {self.to_answer()['tiers']}")

    def signals(self, k: int) -> list[Signal]:
        """One preference for each pair of different tiers, best tiers first; none when all are tied."""
        self.check(k)
        tier_of = {place: tier for tier, places in enumerate(self.tiers) for place in places}
        return preferences_of([(winner, loser) for winner in tier_of for loser in tier_of if tier_of[winner] < tier_of[loser]])

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return f"Order these {k} responses from best to worst. Responses that are equally good share a place."

    @classmethod
    def form(cls, k: int, options: NoOptions = NONE) -> tuple[Field, ...]:
        """One field, in which the order is typed."""
        fits(k, cls.responses, "a ranking")
        return (ORDER,)

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: NoOptions = NONE) -> "Ranking":
        """From {"order": "2 1 = 3"}. UserError in words for the annotator."""
        tiers = parse_order(values.get("order", ""), len(shown))
        return cls(tuple(tuple(sorted(shown[place] for place in tier)) for tier in tiers))

    def to_form(self, shown: Sequence[int], options: NoOptions = NONE) -> dict[str, str]:
        """What a POST would have said."""
        numbers = [sorted(screen_place(place, shown) + 1 for place in tier) for tier in self.tiers]
        return {"order": " ".join(" = ".join(map(str, tier)) for tier in numbers)}

    def said(self, shown: Sequence[int]) -> str:
        """In letters of the screen: "B over A = C over D"."""
        return " over ".join(" = ".join(sorted(letter_of(place, shown) for place in tier)) for tier in self.tiers)


def parse_order(text: str, k: int) -> Tiers:
    """Tiers of places on the screen (from 0), best first, from what was typed about k <= 9 responses: numbers from 1 or letters,
    `=` between equals; blanks, `,` or `>` between places, or nothing. UserError in words for the annotator."""
    tiers: list[list[int]] = []
    between = ""
    for sign in "".join(clean(text).split()):
        if sign in "=>,":
            if between or not tiers:
                raise UserError(f"The order has a '{sign}' without a response before it.")
            between = sign
            continue
        place = _place(sign, k)
        if any(place in tier for tier in tiers):
            raise UserError(f"{numbered([place])} stands in the order twice.")
        if between == "=":
            tiers[-1].append(place)
        else:
            tiers.append([place])
        between = ""
    if between:
        raise UserError(f"The order has a '{between}' without a response after it.")
    missing = sorted(set(range(k)) - {place for tier in tiers for place in tier})
    if missing:
        raise UserError(f"{numbered(missing)} {'has' if len(missing) == 1 else 'have'} no rank yet.")
    return tuple(tuple(tier) for tier in tiers)


def _place(sign: str, k: int) -> int:
    for signs in SIGNS:
        if sign in signs[:k]:
            return signs.index(sign)
    raise UserError(f"There is no response '{sign.lower()}'; type numbers from 1 to {k}, best first: 2 1 = 3.")


def _is_tier(tier: Any) -> bool:
    return isinstance(tier, list | tuple) and all(type(place) is int for place in cast(list[Any], tier))
