"""Known answers, of practice, screening and gold: a task's answer, and beside it the flags that are right.

    "answer": {"order": {"tiers": [[1], [0]], "flags": [[0, "violent"]]}}            flags: [place in the row's responses, name of a flag]

`flags` lists all that are right, so an empty list says that there are none; without it nothing is said of flags, and none are compared.
Agreement on flags of sensitive content is one of InstructGPT's two criteria for taking labelers on (appendix B.1), agreement on rankings
the other. A response whose flags are the same is one judgement that agrees: counting each flag that nobody set as one would let whoever
sets none agree with everybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tutelage.core.building import closest
from tutelage.core.errors import UserError
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.places import letter, screen_place
from tutelage.feedback.study.questions import Question

FLAGS = "flags"


@dataclass(frozen=True)
class Known:
    """One question's known answer."""

    answer: Mapping[str, Any]
    """As the task stores it."""
    flags: tuple[tuple[int, str], ...] | None
    """(place stored, name of a flag), sorted; None: nothing is said of them."""

    def beside(self, a: Annotation) -> Annotation:
        """The annotation that would have been right in the place of `a`."""
        return Annotation(a.prompt, a.responses, a.task, self.answer, "", flags=self.flags or ())

    def flagged(self, a: Annotation) -> list[bool]:
        """For each response whether its flags are the right ones; nothing where they aren't known."""
        wanted = set(self.flags or ())
        places = range(len(a.responses)) if self.flags is not None else ()
        return [{flag for at, flag in a.flags if at == place} == {flag for at, flag in wanted if at == place} for place in places]

    def said(self, question: Question, shown: tuple[int, ...]) -> str:
        """As a sentence, in letters of the screen: "A over B; B: Violent content"."""
        names = {flag.name: flag.label or flag.name for flag in question.flags}
        flags = sorted((screen_place(place, shown), names.get(flag, flag)) for place, flag in self.flags or ())
        return "; ".join([question.said(self.answer, shown), *(f"{letter(place)}: {label}" for place, label in flags)])


def known(answer: Mapping[str, Any]) -> Known:
    """A question's part of a row's `answer`."""
    flags = cast("list[tuple[int, str]] | None", answer.get(FLAGS))
    own = {name: value for name, value in answer.items() if name != FLAGS}
    return Known(own, None if flags is None else tuple(sorted((place, flag) for place, flag in flags)))


def check(question: Question, answer: Mapping[str, Any], k: int) -> None:
    """UserError unless it is an answer to the question about k responses, with flags that the question has."""
    if FLAGS in answer:
        _check_flags(question, answer[FLAGS], k)
    question.kind.from_answer(known(answer).answer).check(k)


def _check_flags(question: Question, flags: object, k: int) -> None:
    names = [flag.name for flag in question.flags]
    form = f'flags: expected [[place of a response, from 0, "name of a flag"], ...]; got {flags!r}'
    if not isinstance(flags, list):
        raise UserError(form)
    for one in cast(list[object], flags):
        if not isinstance(one, list | tuple) or len(cast(list[object], one)) != 2:
            raise UserError(form)
        place, flag = cast(list[object], one)
        if type(place) is not int or place not in range(k) or not isinstance(flag, str):
            raise UserError(form)
        if flag not in names:
            raise UserError(f"flags: the question has no flag {flag!r}{closest(flag, names) or '; it has ' + (', '.join(names) or 'none')}")
