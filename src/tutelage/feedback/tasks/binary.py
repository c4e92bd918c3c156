"""Whether each response is good or bad.

Source: the unpaired data of KTO (Ethayarajh et al. 2024), and every thumb under an answer. Training takes labels, good 1 and bad 0. What
is wrong with a response is said by flags (`feedback/flags.py`), not here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from tutelage.core.errors import UserError
from tutelage.feedback.places import fits, letter, on_screen, stored
from tutelage.feedback.signals import Gives, Signal, labels_of
from tutelage.feedback.tasks.form import NONE, Field, NoOptions, Option, answers_to

VERDICT = Field("good", "choice", "Verdict", (Option("good", "Good", "1"), Option("bad", "Bad", "2")), each=True)


@dataclass(frozen=True)
class Binary:
    """`good[place]` is whether the response at a place is good."""

    responses: ClassVar[range] = range(1, 27)
    gives: ClassVar[Gives] = "labels"
    Options: ClassVar[type[Any]] = NoOptions

    good: tuple[bool, ...]

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Binary":
        """From {"good": [true, false, ...]}. UserError where the answer has another form."""
        good: Any = answer.get("good")
        if set(answer) != {"good"} or not isinstance(good, list | tuple):
            raise UserError(f'a verdict is {{"good": [true or false for each response]}}; got {dict(answer)}')
        return cls(tuple(cast(list[bool], good)))

    def to_answer(self) -> dict[str, Any]:
        return {"good": list(self.good)}

    def check(self, k: int) -> None:
        """UserError unless each of the k responses is good or bad."""
        fits(k, self.responses, "a verdict")
        if len(self.good) != k:
            raise UserError(f"a verdict on {k} responses has {k} of true and false; got {len(self.good)}")
        for place, good in enumerate(self.good):
            if type(good) is not bool:
                raise UserError(f"a verdict is true (good) or false (bad); got {good!r} for response {place}")

    def signals(self, k: int) -> list[Signal]:
        """One label for each response: 1 or 0."""
        self.check(k)
        return labels_of(self.good)

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return f"Is {'this response' if k == 1 else 'each response'} good or bad?"

    @classmethod
    def form(cls, k: int, options: NoOptions = NONE) -> tuple[Field, ...]:
        """A choice on each card."""
        fits(k, cls.responses, "a verdict")
        return (VERDICT,)

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: NoOptions = NONE) -> "Binary":
        """From {"good-0": "good", "good-1": "bad", ...}. UserError in words for the annotator."""
        return cls(stored([said == "good" for said in answers_to(VERDICT, values, len(shown))], shown))

    def to_form(self, shown: Sequence[int], options: NoOptions = NONE) -> dict[str, str]:
        """What a POST would have said."""
        return {f"good-{n}": "good" if good else "bad" for n, good in enumerate(on_screen(self.good, shown))}

    def said(self, shown: Sequence[int]) -> str:
        """In letters of the screen: "A good, B bad"."""
        return ", ".join(f"{letter(n)} {'good' if good else 'bad'}" for n, good in enumerate(on_screen(self.good, shown)))
