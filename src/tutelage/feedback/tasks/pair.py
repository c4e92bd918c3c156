"""Which of two responses is better, and (optionally) by how much or how surely.

Source: Christiano et al. 2017 (one of two, or a tie); strength as in Llama 2 (Touvron et al. 2023, section 3.2.1), whose four
answers from "negligibly" to "significantly better" become a margin of 0 to 3; "both bad" as in Chatbot Arena (Zheng et al. 2023): it
says something of the two together and nothing of their order, so training takes nothing from it.

With the option `strength` the form asks both at once on a scale of -3 to 3 whose middle is a tie: one key, not two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.feedback.places import fits, letter_of
from tutelage.feedback.signals import Gives, Preference, Signal
from tutelage.feedback.tasks.form import Field, Option, answer_to

FIELDS = ("winner", "strength", "probability")
WORDS = {1: "slightly", 2: "clearly", 3: "significantly"}
NEITHER = {"tie": "Equally good", "both_bad": "Both bad"}
WINNER = Field(
    "winner",
    "choice",
    "Better response",
    (
        Option("a", "A is better", "1"),
        Option("b", "B is better", "2"),
        Option("tie", "Equally good", "3"),
        Option("both_bad", "Both bad", "4"),
    ),
)
HOW_MUCH = Field(
    "winner",
    "choice",
    "Better response",
    (
        *(Option(f"a{n}", f"A {WORDS[n]} better", str(4 - n)) for n in (3, 2, 1)),
        Option("tie", "Equally good", "4"),
        *(Option(f"b{n}", f"B {WORDS[n]} better", str(4 + n)) for n in (1, 2, 3)),
        Option("both_bad", "Both bad", "0"),
    ),
)


@dataclass(frozen=True)
class PairOptions:
    """What a study may set."""

    strength: bool = False
    """Ask how much better, too: -3 to 3."""


DEFAULT = PairOptions()


@dataclass(frozen=True)
class Pair:
    """`winner` is the place of the better response, or "tie" or "both_bad"."""

    responses: ClassVar[range] = range(2, 3)
    gives: ClassVar[Gives] = "preferences"
    Options: ClassVar[type[Any]] = PairOptions

    winner: int | Literal["tie", "both_bad"]
    strength: float = 0.0
    """How much better: 0 negligibly or not asked, 1 slightly, 2 clearly, 3 significantly."""
    probability: float = 1.0
    """That the winner is the better one, in (0.5, 1]: a soft label, of a judge say."""

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Pair":
        """From {"winner": 0 | 1 | "tie" | "both_bad", "strength": 0..3, "probability": 0.5..1}. UserError where it has another form."""
        for name in answer:
            if name not in FIELDS:
                raise UserError(f"a pair's answer has no field {name!r}{closest(name, FIELDS)}")
        if "winner" not in answer:
            raise UserError(f"a pair's answer needs a winner: 0, 1, 'tie' or 'both_bad'; got {dict(answer)}")
        return cls(answer["winner"], answer.get("strength", 0.0), answer.get("probability", 1.0))

    def to_answer(self) -> dict[str, Any]:
        """Only what was said: a strength of 0 and a probability of 1 are left out."""
        answer: dict[str, Any] = {"winner": self.winner}
        if self.strength != 0:
            answer["strength"] = self.strength
        if self.probability != 1:
            answer["probability"] = self.probability
        return answer

    def check(self, k: int) -> None:
        """UserError unless there are two responses and each field is in its range."""
        fits(k, self.responses, "a pair")
        if type(self.winner) is bool or self.winner not in (0, 1, *NEITHER):
            raise UserError(f"a pair's winner is 0, 1, 'tie' or 'both_bad'; got {self.winner!r}")
        if not _is_number(self.strength) or not 0 <= self.strength <= 3:
            raise UserError(f"a pair's strength is a number from 0 to 3; got {self.strength!r}")
        if not _is_number(self.probability) or not 0.5 < self.probability <= 1:
            raise UserError(f"a pair's probability is above 0.5 and at most 1 (at 0.5 the winner is 'tie'); got {self.probability!r}")
        if self.winner in NEITHER and (self.strength, self.probability) != (0, 1):
            raise UserError(f"a tie has neither strength nor probability, nor has 'both_bad'; got {self.to_answer()}")

    def signals(self, k: int) -> list[Signal]:
        """One preference, or none for a tie and for two bad ones."""
        self.check(k)
        if self.winner == "tie" or self.winner == "both_bad":
            return []
        return [Preference(self.winner, 1 - self.winner, margin=float(self.strength), probability=float(self.probability))]

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return "Which of these two responses is better, or are they equally good?"

    @classmethod
    def form(cls, k: int, options: PairOptions = DEFAULT) -> tuple[Field, ...]:
        """One choice: A, B, tie, both bad; with `strength` one of eight."""
        fits(k, cls.responses, "a pair")
        return (HOW_MUCH if options.strength else WINNER,)

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: PairOptions = DEFAULT) -> "Pair":
        """From {"winner": "a"}, or "a2" with `strength`. UserError in words for the annotator."""
        said = answer_to(cls.form(len(shown), options)[0], values)
        if said == "tie" or said == "both_bad":
            return cls(said)
        return cls(shown["ab".index(said[0])], int(said[1:] or 0))

    def to_form(self, shown: Sequence[int], options: PairOptions = DEFAULT) -> dict[str, str]:
        """What a POST would have said; without `strength`, and for a strength that isn't whole, only who is better."""
        if isinstance(self.winner, str):
            return {"winner": self.winner}
        strength = str(int(self.strength)) if options.strength and self.strength in WORDS else ""
        return {"winner": letter_of(self.winner, shown).lower() + strength}

    def said(self, shown: Sequence[int]) -> str:
        """In letters of the screen: "B over A, clearly"."""
        if self.winner == "tie":
            return "A = B"
        if self.winner == "both_bad":
            return "A and B both bad"
        much = f", {WORDS[int(self.strength)]}" if self.strength in WORDS else ""
        return f"{letter_of(self.winner, shown)} over {letter_of(1 - self.winner, shown)}{much}"


def _is_number(x: object) -> bool:
    return type(x) in (int, float)
