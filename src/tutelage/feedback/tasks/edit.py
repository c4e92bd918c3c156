"""Correct a response: change what is wrong, keep what is right.

Source: the edits of Label Studio's and Argilla's feedback templates; the corrected text is a demonstration (as in InstructGPT's step 1)
and, beside the original, a preference without a doubt about its direction (`feedback/written.py`). The answer itself gives no signals,
since the better text isn't one of the annotation's responses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tutelage.core.errors import UserError
from tutelage.feedback.places import fits, letter_of, screen_place
from tutelage.feedback.signals import Gives, Signal
from tutelage.feedback.tasks.form import NONE, Field, NoOptions, answer_to, is_text, options_of_responses, words

TEXT = Field("text", "text", "Corrected text", each=True, initial="response")


@dataclass(frozen=True)
class Edit:
    """Which response was corrected, and what it should have been."""

    responses: ClassVar[range] = range(1, 10)
    gives: ClassVar[Gives] = "texts"
    Options: ClassVar[type[Any]] = NoOptions

    response: int
    text: str

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Edit":
        """From {"response": 0, "text": "..."}. UserError where the answer has another form."""
        if set(answer) != {"response", "text"}:
            raise UserError(f'an edit is {{"response": place, "text": "..."}}; got {", ".join(answer) or "nothing"}')
        return cls(answer["response"], answer["text"])

    def to_answer(self) -> dict[str, Any]:
        return {"response": self.response, "text": self.text}

    def check(self, k: int) -> None:
        """UserError unless the response is there and something was written."""
        fits(k, self.responses, "an edit")
        if type(self.response) is not int or self.response not in range(k):
            raise UserError(f"an edit names one of the responses from 0 to {k - 1}; got {self.response!r}")
        if not is_text(self.text):
            raise UserError("an edit's text is blank, too long or not text")

    def signals(self, k: int) -> list[Signal]:
        """None: the better text isn't among the responses."""
        self.check(k)
        return []

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        which = "this response" if k == 1 else "one of the responses"
        return f"Correct {which}: change what is wrong, keep what is right."

    @classmethod
    def form(cls, k: int, options: NoOptions = NONE) -> tuple[Field, ...]:
        """A text on each card, and with more than one the choice of which counts."""
        fits(k, cls.responses, "an edit")
        return (TEXT,) if k == 1 else (Field("response", "choice", "Response to correct", options_of_responses(k)), _optional())

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: NoOptions = NONE) -> "Edit":
        """From {"response": "b", "text-0": "...", "text-1": "..."}, or {"text-0": "..."} where there is one. UserError in words for the
        annotator."""
        place = "abcdefghi".index(answer_to(cls.form(len(shown))[0], values)) if len(shown) > 1 else 0
        return cls(shown[place], answer_to(TEXT, values, place))

    def to_form(self, shown: Sequence[int], options: NoOptions = NONE) -> dict[str, str]:
        """What a POST would have said: of the other responses nothing."""
        place = screen_place(self.response, shown)
        which = {} if len(shown) == 1 else {"response": letter_of(self.response, shown).lower()}
        return {**which, f"text-{place}": self.text}

    def said(self, shown: Sequence[int]) -> str:
        """In letters of the screen: "B corrected, 12 words"."""
        return f"{letter_of(self.response, shown)} corrected, {words(self.text)}"


def _optional() -> Field:
    """The text of a card that may stay as it is."""
    return Field(TEXT.name, TEXT.kind, TEXT.label, each=True, required=False, initial="response")
