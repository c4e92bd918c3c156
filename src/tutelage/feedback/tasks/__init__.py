"""Annotation tasks: what a person is asked, what form the answer has, and what training may take from it.

A task is one file in this folder. Its name in a recipe is the file's name; its class is that name in capitals (`best_worst.py`
holds `BestWorst`). An outsider's task is named by its import path, `package.module:Class`.

A form and what it posts are by place on the screen, an answer is by place in the annotation's responses; `shown` (place on the screen
to place stored) takes one to the other, both ways: from_form(to_form(shown), shown) is the answer again.
"""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, cast

from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.signals import Gives, Signal
from tutelage.feedback.tasks.form import Field

NO_TASKS = {"form"}
"""Files of this folder that are no tasks."""


class Answer(Protocol):
    """An answer to a task: a frozen dataclass."""

    responses: ClassVar[range]
    """How many responses it can be asked about."""
    gives: ClassVar[Gives]
    """What training takes from it: preferences between responses, labels of each, or texts that people wrote (`feedback/written.py`)."""
    Options: ClassVar[type[Any]]
    """What a study may set, a frozen dataclass whose fields all have defaults; `NoOptions` where nothing."""

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Answer":
        """From plain JSON; UserError where it has another form."""
        ...

    def to_answer(self) -> dict[str, Any]:
        """As plain JSON."""
        ...

    def check(self, k: int) -> None:
        """UserError unless the answer makes sense for k responses."""
        ...

    def signals(self, k: int) -> list[Signal]:
        """What training takes from it: weights sum to 1, or no signals at all (all tied)."""
        ...

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        ...

    @classmethod
    def form(cls, k: int, options: Any = ...) -> tuple[Field, ...]:
        """What the page shows for k responses; UserError where the task can't be asked about so many."""
        ...

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: Any = ...) -> "Answer":
        """From what a POST carried under the names of `form`; `shown` has a place for each response. UserError in the annotator's words."""
        ...

    def to_form(self, shown: Sequence[int], options: Any = ...) -> dict[str, str]:
        """What a POST would have carried: how a page shows an answer again, to be changed."""
        ...

    def said(self, shown: Sequence[int]) -> str:
        """The answer in one sentence, in letters of the screen: "B over A = C over D"."""
        ...


PARTS = (
    *("responses", "gives", "Options", "from_answer", "to_answer", "check", "signals"),
    *("question", "form", "from_form", "to_form", "said"),
)


def names() -> list[str]:
    """The tasks of this package."""
    return sorted({module.name for module in pkgutil.iter_modules(__path__)} - NO_TASKS)


def load(name: str) -> type[Answer]:
    """The class of a task, by its file's name or by import path. UserError when there is none."""
    if ":" in name:
        return _outsider(name)
    if name not in names():
        raise UserError(f"there is no annotation task {name!r}{closest(name, names()) or '; there are ' + ', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    return cast(type[Answer], getattr(module, "".join(word.capitalize() for word in name.split("_"))))


def answer_of(annotation: Annotation) -> Answer:
    """The annotation's answer, checked, and its flags with it. UserError names the annotation."""
    k = len(annotation.responses)
    try:
        answer = load(annotation.task).from_answer(annotation.answer)
        answer.check(k)
        for place, flag in annotation.flags:
            if place not in range(k):
                raise UserError(f"the flag {flag!r} is on response {place}, but there are {k}, counted from 0")
    except UserError as error:
        raise UserError(f"annotation {annotation.id} by {annotation.annotator}: {error}") from error
    return answer


def signals_of(annotation: Annotation) -> list[Signal]:
    """What training takes from the annotation, all of it about its `aspect`; its `weight` is not in here, it multiplies the whole unit."""
    signals = answer_of(annotation).signals(len(annotation.responses))
    return signals if annotation.aspect == "overall" else [replace(signal, aspect=annotation.aspect) for signal in signals]


def _outsider(path: str) -> type[Answer]:
    module, _, name = path.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"annotation task {path!r} can't be imported: {error}") from error
    lacking = [part for part in PARTS if not hasattr(found, part)]
    if lacking:
        raise UserError(f"annotation task {path!r} lacks {', '.join(lacking)}")
    return cast(type[Answer], found)
