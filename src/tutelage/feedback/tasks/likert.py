"""How good each response is, on a scale of 1 to 7.

Source: InstructGPT (Ouyang et al. 2022), table 3: "overall quality (Likert scale; 1-7)", of each response by itself; it is also how its
screening and its final evaluation were scored. Training takes labels, 1 to 7 as 0 to 1 in even steps, so that they share a scale with
`binary` and `score`. Whole steps only: a mean of several people isn't a rating, it is made of ratings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from tutelage.core.errors import UserError
from tutelage.feedback.places import fits, letter, on_screen, stored
from tutelage.feedback.signals import Gives, Signal, labels_of
from tutelage.feedback.tasks.form import NONE, Field, NoOptions, Option, answers_to

LOWEST, HIGHEST = 1, 7
ENDS = {LOWEST: "1 (worst)", HIGHEST: "7 (best)"}
RATING = Field("value", "scale", "Rating", tuple(Option(str(n), ENDS.get(n, str(n)), str(n)) for n in range(1, 8)), each=True)


@dataclass(frozen=True)
class Likert:
    """`values[place]` is the rating of the response at a place, 1 to 7."""

    responses: ClassVar[range] = range(1, 27)
    gives: ClassVar[Gives] = "labels"
    Options: ClassVar[type[Any]] = NoOptions

    values: tuple[int, ...]

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Likert":
        """From {"values": [6, 3, ...]}. UserError where the answer has another form."""
        values: Any = answer.get("values")
        if set(answer) != {"values"} or not isinstance(values, list | tuple):
            raise UserError(f'a rating is {{"values": [1 to 7 for each response]}}; got {dict(answer)}')
        return cls(tuple(cast(list[int], values)))

    def to_answer(self) -> dict[str, Any]:
        return {"values": list(self.values)}

    def check(self, k: int) -> None:
        """UserError unless each of the k responses has a whole number from 1 to 7."""
        fits(k, self.responses, "a rating")
        if len(self.values) != k:
            raise UserError(f"a rating of {k} responses has {k} values; got {len(self.values)}")
        for place, value in enumerate(self.values):
            if type(value) is not int or not LOWEST <= value <= HIGHEST:
                raise UserError(f"a rating is a whole number from {LOWEST} to {HIGHEST}; got {value!r} for response {place}")

    def signals(self, k: int) -> list[Signal]:
        """One label for each response, in 0..1."""
        self.check(k)
        return labels_of([(value - LOWEST) / (HIGHEST - LOWEST) for value in self.values])

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return f"How good is {'this response' if k == 1 else 'each response'} as a whole, from 1 to 7?"

    @classmethod
    def form(cls, k: int, options: NoOptions = NONE) -> tuple[Field, ...]:
        """A scale on each card."""
        fits(k, cls.responses, "a rating")
        return (RATING,)

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: NoOptions = NONE) -> "Likert":
        """From {"value-0": "6", ...}. UserError in words for the annotator."""
        return cls(stored([int(said) for said in answers_to(RATING, values, len(shown))], shown))

    def to_form(self, shown: Sequence[int], options: NoOptions = NONE) -> dict[str, str]:
        """What a POST would have said."""
        return {f"value-{n}": str(value) for n, value in enumerate(on_screen(self.values, shown))}

    def said(self, shown: Sequence[int]) -> str:
        """In letters of the screen: "A 6, B 3"."""
        return ", ".join(f"{letter(n)} {value}" for n, value in enumerate(on_screen(self.values, shown)))
