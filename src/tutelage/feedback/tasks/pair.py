"""Which of two responses is better, and (optionally) by how much or how surely.

Source: Christiano et al. 2017 (one of two, or a tie); strength as in Llama 2 (Touvron et al. 2023, section 3.2.1), whose four
answers from "negligibly" to "significantly better" become a margin of 0 to 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.feedback.signals import Preference, Signal

FIELDS = ("winner", "strength", "probability")


@dataclass(frozen=True)
class Pair:
    """`winner` is the place of the better response, or "tie"."""

    winner: int | Literal["tie"]
    strength: float = 0.0
    """How much better: 0 negligibly or not asked, 1 slightly, 2 clearly, 3 significantly."""
    probability: float = 1.0
    """That the winner is the better one, in (0.5, 1]: a soft label, of a judge say."""

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Pair":
        """From {"winner": 0 | 1 | "tie", "strength": 0..3, "probability": 0.5..1}. UserError where the answer has another form."""
        for name in answer:
            if name not in FIELDS:
                raise UserError(f"a pair's answer has no field {name!r}{closest(name, FIELDS)}")
        if "winner" not in answer:
            raise UserError(f"a pair's answer needs a winner: 0, 1 or 'tie'; got {dict(answer)}")
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
        if k != 2:
            raise UserError(f"a pair needs 2 responses; got {k}")
        if type(self.winner) is bool or self.winner not in (0, 1, "tie"):
            raise UserError(f"a pair's winner is 0, 1 or 'tie'; got {self.winner!r}")
        if not _is_number(self.strength) or not 0 <= self.strength <= 3:
            raise UserError(f"a pair's strength is a number from 0 to 3; got {self.strength!r}")
        if not _is_number(self.probability) or not 0.5 < self.probability <= 1:
            raise UserError(f"a pair's probability is above 0.5 and at most 1 (at 0.5 the winner is 'tie'); got {self.probability!r}")
        if self.winner == "tie" and (self.strength, self.probability) != (0, 1):
            raise UserError(f"a tie has neither strength nor probability; got {self.to_answer()}")

    def signals(self, k: int) -> list[Signal]:
        """One preference, or none for a tie."""
        self.check(k)
        if self.winner == "tie":
            return []
        return [Preference(self.winner, 1 - self.winner, margin=float(self.strength), probability=float(self.probability))]

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return "Which of these two responses is better, or are they equally good?"


def _is_number(x: object) -> bool:
    return type(x) in (int, float)
