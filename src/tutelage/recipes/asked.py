"""What a user's page says of a stage's study, and what follows where it is edited after people answered.

Another question gives answers that mean something else: the page's questions (tasks, words, options, aspects, flags) enter the stage's
address as settings do, so that it is asked anew, and the old answers are found again when the page is changed back. Guidelines are advice,
and each answer is stamped with the version that it followed; how many are asked is no matter of meaning. These never make people's finished
work be done again: the artifact stays, and the run says in a line what was edited.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tutelage.core.settings import Plain, to_plain
from tutelage.feedback.study.study import Study
from tutelage.recipes import people
from tutelage.recipes.stage import Context

MACHINES = ("synthetic:annotators", "judge")
"""The studies of annotators who are no people."""
ADVICE = ("guidelines", "overlap")
"""What may be edited under finished work."""


class MayAskPeople(Protocol):
    """As much of a stage as is checked here."""

    @property
    def by(self) -> str: ...
    @property
    def study(self) -> str | None: ...
    @property
    def enough(self) -> float: ...


def check(stage: MayAskPeople, context: Context) -> None:
    """A fault in what is said of people where none are asked is the context's."""
    for name in ("study", "enough"):
        if stage.by != "people" and getattr(stage, name) != getattr(type(stage), name):
            raise context.fault(name, "is about people; set by: people, or leave it out")


def said_by(study: Study) -> dict[str, Any]:
    """What a study's page says: `questions` by name, the version of the guidelines, the overlap. Keys that tick flags mean nothing."""
    questions: dict[str, Plain] = {}
    for question in study.questions:
        flags: list[Plain] = [{"name": flag.name, "label": flag.label} for flag in question.flags]
        plain = to_plain(question)
        assert isinstance(plain, dict)
        questions[question.name] = {**plain, "flags": flags}
    return {"questions": questions, "guidelines": study.guideline.version, "overlap": study.overlap}


def said_now(page: str | None, own: Mapping[str, Plain]) -> dict[str, Any] | None:
    """The same of the page as it is now; None where the stage has none. UserError for a fault in it."""
    return said_by(people.read_page(Path(page), own)) if page else None


def edited(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which of ADVICE differ; of a page that an earlier release noted nothing of, none."""
    return [name for name in ADVICE if name in before and before[name] != now[name]]


def remark(stage: str, page: object, results: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The line for people where the page of a finished stage was edited and its answers stand; empty where it wasn't."""
    names = edited(results.get("page") or {}, now)
    if not names:
        return ""
    answers = sum((results.get("annotators") or {}).values())
    return (
        f"{stage}: {' and '.join(names)} of {page} changed after people answered; their {answers:,} answers stand. "
        "To have all of it asked anew, save the page under another name and set study to that."
    )


def left(last_results: Mapping[str, Any], where: str) -> str:
    """What is said of an earlier artifact's answers when its stage must run again; empty where people gave none."""
    by_people = last_results.get("study", MACHINES[0]) not in MACHINES
    answers = sum((last_results.get("annotators") or {}).values()) if by_people else 0
    stays = f"; what people answered before ({answers:,} answers) stays in {where}, and is used again when this is changed back"
    return stays if answers else ""
