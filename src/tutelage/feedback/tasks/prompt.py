"""Write a prompt for the assistant: plain, few-shot, or for a use case.

Source: InstructGPT (Ouyang et al. 2022), section 3.2 and appendix A.1: before there were users, labelers wrote prompts of three kinds.
Plain: any task, with enough variety; few-shot: an instruction and several queries with answers to it; use case: after one that people
on the waiting list had asked for. The annotation's own prompt is the brief that the labeler read; `feedback/written.py` makes prompts of
what was written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.feedback.places import fits
from tutelage.feedback.signals import Gives, Signal
from tutelage.feedback.tasks.form import NONE, Field, NoOptions, Option, answer_to, is_text, words

Kind = Literal["plain", "few_shot", "use_case"]
FIELDS = ("kind", "text", "use_case")
NAMES = {"plain": "Plain", "few_shot": "Few-shot", "use_case": "Use case"}
KIND = Field(
    "kind",
    "choice",
    "Kind",
    tuple(Option(kind, NAMES[kind], str(n)) for n, kind in enumerate(NAMES, start=1)),
    help="Plain: any task. Few-shot: an instruction, then several queries with answers. Use case: what somebody wants an assistant for.",
)
TEXT = Field("text", "text", "Prompt")
USE_CASE = Field("use_case", "text", "Use case", required=False, help="Only for that kind: what it is")


@dataclass(frozen=True)
class Prompt:
    """What was written, and of which kind it is."""

    responses: ClassVar[range] = range(1)  # none: a range of K = 0 alone
    gives: ClassVar[Gives] = "texts"
    Options: ClassVar[type[Any]] = NoOptions

    kind: Kind
    text: str
    use_case: str = ""
    """What it is for; only where the kind is "use_case"."""

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Prompt":
        """From {"kind": "plain", "text": "..."}. UserError where the answer has another form."""
        for name in answer:
            if name not in FIELDS:
                raise UserError(f"a written prompt has no field {name!r}{closest(name, FIELDS)}")
        for name in ("kind", "text"):
            if name not in answer:
                raise UserError(f"a written prompt needs the field {name!r}")
        return cls(answer["kind"], answer["text"], answer.get("use_case", ""))

    def to_answer(self) -> dict[str, Any]:
        return {"kind": self.kind, "text": self.text, **({"use_case": self.use_case} if self.use_case else {})}

    def check(self, k: int) -> None:
        """UserError unless something of a known kind was written, with a use case exactly where the kind is one."""
        fits(k, self.responses, "a written prompt")
        if self.kind not in get_args(Kind):
            kinds = get_args(Kind)
            raise UserError(f"a written prompt's kind is {', '.join(kinds)}; got {self.kind!r}{closest(str(self.kind), kinds)}")
        if not is_text(self.text):
            raise UserError("a written prompt's text is blank, too long or not text")
        if (self.kind == "use_case") != is_text(self.use_case) or not (self.use_case == "" or is_text(self.use_case)):
            raise UserError(f"a written prompt names its use case exactly where its kind is 'use_case'; got {self.kind!r}")

    def signals(self, k: int) -> list[Signal]:
        """None: there is nothing to compare."""
        self.check(k)
        return []

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return "Write a prompt that somebody might give the assistant."

    @classmethod
    def form(cls, k: int, options: NoOptions = NONE) -> tuple[Field, ...]:
        """The kind, the text, and the use case where it is one."""
        fits(k, cls.responses, "a written prompt")
        return (KIND, TEXT, USE_CASE)

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: NoOptions = NONE) -> "Prompt":
        """From {"kind": "plain", "text": "...", "use_case": ""}. UserError in words for the annotator."""
        kind, text, use_case = (answer_to(field, values) for field in (KIND, TEXT, USE_CASE))
        if kind == "use_case" and not use_case:
            raise UserError("Use case: write what the assistant is wanted for.")
        if kind != "use_case" and use_case:
            raise UserError("Use case: leave it empty, or pick the kind Use case.")
        return cls.from_answer({"kind": kind, "text": text, "use_case": use_case})

    def to_form(self, shown: Sequence[int], options: NoOptions = NONE) -> dict[str, str]:
        """What a POST would have said."""
        return {"kind": self.kind, "text": self.text, "use_case": self.use_case}

    def said(self, shown: Sequence[int]) -> str:
        """What was written: "Few-shot prompt of 12 words"."""
        return f"{NAMES[self.kind]} prompt of {words(self.text)}"
