"""Which of K >= 3 responses is best, and which is worst.

Source: best-worst scaling (Louviere & Woodworth 1991; Kiritchenko & Mohammad 2017 find it more reliable than rating scales at the same
cost). Two keys say 2 K - 3 of the K (K - 1) / 2 pairs: the best over all others, and all others over the worst. Of those between them
nothing is known, which isn't the same as a tie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tutelage.core.errors import UserError
from tutelage.feedback.places import fits, letter_of
from tutelage.feedback.signals import Gives, Signal, preferences_of
from tutelage.feedback.tasks.form import NONE, Field, NoOptions, answer_to, options_of_responses


@dataclass(frozen=True)
class BestWorst:
    """The places of the best and of the worst response."""

    responses: ClassVar[range] = range(3, 10)
    gives: ClassVar[Gives] = "preferences"
    Options: ClassVar[type[Any]] = NoOptions

    best: int
    worst: int

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "BestWorst":
        """From {"best": 2, "worst": 0}. UserError where the answer has another form."""
        if set(answer) != {"best", "worst"}:
            raise UserError(f'a best-worst choice is {{"best": place, "worst": place}}; got {dict(answer)}')
        return cls(answer["best"], answer["worst"])

    def to_answer(self) -> dict[str, Any]:
        return {"best": self.best, "worst": self.worst}

    def check(self, k: int) -> None:
        """UserError unless best and worst are two of the k responses."""
        fits(k, self.responses, "a best-worst choice")
        for name, place in self.to_answer().items():
            if type(place) is not int or place not in range(k):
                raise UserError(f"a best-worst choice among {k} responses names places from 0 to {k - 1}; got {place!r} as {name}")
        if self.best == self.worst:
            raise UserError(f"the best response can't be the worst as well; got {self.best} for both")

    def signals(self, k: int) -> list[Signal]:
        """2 k - 3 preferences: the best over all others, all others over the worst."""
        self.check(k)
        between = [place for place in range(k) if place not in (self.best, self.worst)]
        over = [(self.best, place) for place in between] + [(place, self.worst) for place in between]
        return preferences_of([(self.best, self.worst), *over])

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return f"Which of these {k} responses is best, and which is worst?"

    @classmethod
    def form(cls, k: int, options: NoOptions = NONE) -> tuple[Field, ...]:
        """Two choices among the responses."""
        fits(k, cls.responses, "a best-worst choice")
        return tuple(Field(name, "choice", label, options_of_responses(k)) for name, label in (("best", "Best"), ("worst", "Worst")))

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: NoOptions = NONE) -> "BestWorst":
        """From {"best": "c", "worst": "a"}. UserError in words for the annotator."""
        best, worst = (shown["abcdefghi".index(answer_to(field, values))] for field in cls.form(len(shown)))
        if best == worst:
            raise UserError("The best response can't be the worst as well; pick two.")
        return cls(best, worst)

    def to_form(self, shown: Sequence[int], options: NoOptions = NONE) -> dict[str, str]:
        """What a POST would have said."""
        return {name: letter_of(place, shown).lower() for name, place in (("best", self.best), ("worst", self.worst))}

    def said(self, shown: Sequence[int]) -> str:
        """In letters of the screen: "C best, A worst"."""
        return f"{letter_of(self.best, shown)} best, {letter_of(self.worst, shown)} worst"
