"""Annotation tasks: what a person is asked, what form the answer has, and what training may take from it.

A task is one file in this folder. Its name in a recipe is the file's name; its class is that name in capitals (`best_worst.py`
holds `BestWorst`). An outsider's task is named by its import path, `package.module:Class`.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, Protocol, cast

from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.signals import Signal


class Answer(Protocol):
    """An answer to a task: a frozen dataclass."""

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


def names() -> list[str]:
    """The tasks of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> type[Answer]:
    """The class of a task, by its file's name or by import path. UserError when there is none."""
    if ":" in name:
        return _outsider(name)
    if name not in names():
        raise UserError(f"there is no annotation task {name!r}{closest(name, names()) or '; there are ' + ', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    return cast(type[Answer], getattr(module, "".join(word.capitalize() for word in name.split("_"))))


def answer_of(annotation: Annotation) -> Answer:
    """The annotation's answer, checked. UserError names the annotation."""
    try:
        answer = load(annotation.task).from_answer(annotation.answer)
        answer.check(len(annotation.responses))
    except UserError as error:
        raise UserError(f"annotation {annotation.id} by {annotation.annotator}: {error}") from error
    return answer


def signals_of(annotation: Annotation) -> list[Signal]:
    """What training takes from the annotation; its `weight` is not in here, it multiplies the whole unit."""
    return answer_of(annotation).signals(len(annotation.responses))


def _outsider(path: str) -> type[Answer]:
    module, _, name = path.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"annotation task {path!r} can't be imported: {error}") from error
    lacking = [part for part in ("from_answer", "to_answer", "check", "signals", "question") if not hasattr(found, part)]
    if lacking:
        raise UserError(f"annotation task {path!r} lacks {', '.join(lacking)}")
    return cast(type[Answer], found)
