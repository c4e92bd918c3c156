"""Write the answer that the assistant should have given.

Source: InstructGPT (Ouyang et al. 2022), section 3.2, step 1: labelers' demonstrations are what the model is first fine-tuned on. There
is nothing to compare, so there are no signals; `feedback/written.py` makes demonstrations of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tutelage.core.errors import UserError
from tutelage.feedback.places import fits
from tutelage.feedback.signals import Gives, Signal
from tutelage.feedback.tasks.form import NONE, Field, NoOptions, answer_to, is_text, words

TEXT = Field("text", "text", "Answer")


@dataclass(frozen=True)
class Demonstration:
    """What was written."""

    responses: ClassVar[range] = range(1)  # none: a range of K = 0 alone
    gives: ClassVar[Gives] = "texts"
    Options: ClassVar[type[Any]] = NoOptions

    text: str

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Demonstration":
        """From {"text": "..."}. UserError where the answer has another form."""
        if set(answer) != {"text"}:
            raise UserError(f'a demonstration is {{"text": "..."}}; got {", ".join(answer) or "nothing"}')
        return cls(answer["text"])

    def to_answer(self) -> dict[str, Any]:
        return {"text": self.text}

    def check(self, k: int) -> None:
        """UserError unless something was written; there are no responses beside it."""
        fits(k, self.responses, "a demonstration")
        if not is_text(self.text):
            raise UserError("a demonstration's text is blank, too long or not text")

    def signals(self, k: int) -> list[Signal]:
        """None: there is nothing to compare."""
        self.check(k)
        return []

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return "Write the answer that the assistant should give."

    @classmethod
    def form(cls, k: int, options: NoOptions = NONE) -> tuple[Field, ...]:
        """A text."""
        fits(k, cls.responses, "a demonstration")
        return (TEXT,)

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: NoOptions = NONE) -> "Demonstration":
        """From {"text": "..."}. UserError in words for the annotator."""
        return cls(answer_to(TEXT, values))

    def to_form(self, shown: Sequence[int], options: NoOptions = NONE) -> dict[str, str]:
        """What a POST would have said."""
        return {"text": self.text}

    def said(self, shown: Sequence[int]) -> str:
        """How much was written: "An answer of 12 words"."""
        return f"An answer of {words(self.text)}"
