"""Which responses would you send to a customer as they are? Each of these is better than each that you would hold back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tutelage.core.errors import UserError
from tutelage.feedback.places import fits, letter, on_screen, stored
from tutelage.feedback.signals import Gives, Signal, preferences_of
from tutelage.feedback.tasks.form import NONE, Field, NoOptions, Option, answers_to

VERDICT = Field("send", "choice", "Verdict", (Option("yes", "Send", "1"), Option("no", "Hold back", "2")), each=True)


@dataclass(frozen=True)
class Sendable:
    responses: ClassVar[range] = range(2, 10)
    gives: ClassVar[Gives] = "preferences"
    Options: ClassVar[type[Any]] = NoOptions

    send: tuple[bool, ...]

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Sendable":
        if set(answer) != {"send"} or not all(type(said) is bool for said in answer["send"]):
            raise UserError(f'the answer is {{"send": [true or false for each response]}}; got {dict(answer)}')
        return cls(tuple(answer["send"]))

    def to_answer(self) -> dict[str, Any]:
        return {"send": list(self.send)}

    def check(self, k: int) -> None:
        fits(k, self.responses, "a choice of what to send")
        if len(self.send) != k:
            raise UserError(f"{k} responses have {k} of true and false; got {len(self.send)}")

    def signals(self, k: int) -> list[Signal]:
        self.check(k)
        return preferences_of([(a, b) for a in range(k) for b in range(k) if self.send[a] and not self.send[b]])

    @classmethod
    def question(cls, k: int) -> str:
        return "Which of these responses would you send to a customer as they are?"

    @classmethod
    def form(cls, k: int, options: NoOptions = NONE) -> tuple[Field, ...]:
        fits(k, cls.responses, "a choice of what to send")
        return (VERDICT,)

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: NoOptions = NONE) -> "Sendable":
        return cls(stored([said == "yes" for said in answers_to(VERDICT, values, len(shown))], shown))

    def to_form(self, shown: Sequence[int], options: NoOptions = NONE) -> dict[str, str]:
        return {f"send-{n}": "yes" if send else "no" for n, send in enumerate(on_screen(self.send, shown))}

    def said(self, shown: Sequence[int]) -> str:
        return "Send " + (", ".join(letter(n) for n, send in enumerate(on_screen(self.send, shown)) if send) or "none")
