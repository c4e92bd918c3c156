"""Questions of a study: a task, how it is asked, its options and flags; and how a posted form becomes annotations.

    - {task: pair, name: better, ask: "Which one would you send?", strength: true, flags: [off_topic, {name: rude, label: Rude, key: r}]}

A task's options stand beside the question's own settings; both are strict. Fields of the form carry the question's name:
`better.winner`, `better.values-2` for the third response on the screen, `better.flag.0.rude` = "on" for a flag of the first.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from tutelage.core.building import closest
from tutelage.core.errors import UserError
from tutelage.core.settings import Located, Place, Plain, build, located
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.flags import TABLE_3, Flag, checked
from tutelage.feedback.places import screen_place
from tutelage.feedback.tasks.form import Field

OWN = ("task", "name", "aspect", "ask", "flags")
LONGEST = 1 << 20
"""Characters of one field of a form."""


@dataclass(frozen=True)
class Question:
    """One question; several may be asked together about an item."""

    task: str
    """A file in `feedback/tasks/` (ranking, pair, likert, ...) or an outsider's `package.module:Class`. Its own settings stand beside
    these: `strength: true` of a pair, `low` and `high` of a score."""
    name: str = field(metadata={"default": "the task's"})
    """How files and forms call it; by default the task's name. Letters, digits, `_` and `-`."""
    aspect: str = "overall"
    """What is judged: helpful, honest, ...; stamped on every annotation. Where several questions of one task leave it out, each has its
    name for it, so that their answers can be told apart."""
    ask: str = ""
    """The words; empty: the task's own."""
    flags: tuple[Flag, ...] = ()
    """What may be ticked on each response: `table_3` (InstructGPT's), or a list."""
    options: Any = field(default=None, metadata={"beside": True})
    """The task's own settings, an instance of its `Options`."""

    def __post_init__(self) -> None:
        if not self.name or not all(letter.isalnum() or letter in "_-" for letter in self.name):
            raise ValueError(f"the name {self.name!r} has other letters than a-z, 0-9, _ and -; give the question a name: of its own")
        object.__setattr__(self, "flags", checked(self.flags))

    @cached_property
    def kind(self) -> type[tasks.Answer]:
        """The task's class."""
        return tasks.load(self.task)

    def words(self, k: int) -> str:
        """What the annotator is asked about k responses."""
        return self.ask or self.kind.question(k)

    def form(self, k: int) -> tuple[Field, ...]:
        """The fields for k responses, without the question's name before theirs. UserError where the task can't be asked of k."""
        return self.kind.form(k, self.options)

    def answer(self, values: Mapping[str, str], shown: Sequence[int]) -> tasks.Answer:
        """What a form says, in stored places. UserError in words for the annotator."""
        return self.kind.from_form(self.own(values), shown, self.options)

    def flagged(self, values: Mapping[str, str], shown: Sequence[int]) -> tuple[tuple[int, str], ...]:
        """The flags that are ticked: (stored place, name), sorted. UserError for one that the study doesn't have."""
        known = {flag.name for flag in self.flags}
        found: list[tuple[int, str]] = []
        for name, value in self.own(values).items():
            if not name.startswith("flag.") or not value:
                continue
            place, _, flag = name.removeprefix("flag.").partition(".")
            if flag not in known or place not in (str(n) for n in range(len(shown))):
                raise UserError(f"There is no flag {flag!r} on response {place} here.")
            found.append((shown[int(place)], flag))
        return tuple(sorted(found))

    def form_of(self, annotation: Annotation, shown: Sequence[int]) -> dict[str, str]:
        """The form's fields that would say this answer again, flags and all, with the question's name before theirs."""
        values = self.kind.from_answer(annotation.answer).to_form(shown, self.options)
        flags = {f"flag.{screen_place(place, shown)}.{flag}": "on" for place, flag in annotation.flags}
        return {f"{self.name}.{name}": value for name, value in {**values, **flags}.items()}

    def said(self, answer: Mapping[str, Any], shown: Sequence[int]) -> str:
        """A stored answer as a sentence, in letters of the screen."""
        return self.kind.from_answer(answer).said(shown)

    def own(self, values: Mapping[str, str]) -> dict[str, str]:
        """The part of a form that belongs to this question, without its name."""
        start = f"{self.name}."
        return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def normal(given: Plain, file: Located, at: Place) -> Plain:
    """A question as written, with its options built and its flags and words filled in: what `build` makes a `Question` of."""
    if not isinstance(given, dict) or not isinstance(given.get("task"), str):
        return given  # `build` says what is missing
    task = str(given["task"])
    try:
        kind = tasks.load(task)
    except UserError as error:
        raise UserError(f"{located((*at, 'task'), file.name, file.lines)}: {error}") from None
    theirs = {name: value for name, value in given.items() if name not in OWN}
    options = {field.name for field in dataclasses.fields(kind.Options)}
    for name in theirs:
        if name not in options:
            near = closest(name, {*OWN, *options}) or f"; known are {', '.join([*OWN, *sorted(options)])}"
            raise UserError(f"{located((*at, name), file.name, file.lines)}: unknown setting of the task {task}{near}")
    own: dict[str, Any] = {name: value for name, value in given.items() if name in OWN}
    own.setdefault("name", task.rpartition(":")[2].lower())
    own["options"] = build(kind.Options, theirs, file.name, file.lines, at)
    own["flags"] = _flags(given.get("flags"))
    return own


def apart(given: list[Plain]) -> list[Plain]:
    """Questions in normal form, with their names for aspects where several of one task would have the same."""
    bare = Counter(str(one["task"]) for one in given if isinstance(one, dict) and "task" in one and "aspect" not in one)
    return [
        {**one, "aspect": one["name"]} if isinstance(one, dict) and "aspect" not in one and bare[str(one.get("task"))] > 1 else one
        for one in given
    ]


def _flags(given: Plain) -> Plain:
    """The list of flags, each with a label; names that InstructGPT's table has take their label and key from it."""
    table: list[Plain] = [_plain(flag) for flag in TABLE_3]
    if given is None or given == "table_3":
        return table if given else []
    if not isinstance(given, list):
        return given
    standard = {flag.name: _plain(flag) for flag in TABLE_3}
    return [standard.get(one, _plain(Flag(one, one.replace("_", " ").capitalize()))) if isinstance(one, str) else one for one in given]


def _plain(flag: Flag) -> Plain:
    return {"name": flag.name, "label": flag.label, "key": flag.key}


def check_values(values: Mapping[str, str]) -> None:
    """UserError, in words for the annotator, for what no store can keep: half a character, a field of more than a million."""
    for name, value in values.items():
        text = cast(object, value)
        if not isinstance(text, str):
            raise UserError(f"The field {name!r} is no text.")
        if len(text) > LONGEST:
            raise UserError(f"{len(text):,} characters are too many in one field; {LONGEST:,} fit.")
        if any("\ud800" <= letter <= "\udfff" for letter in name + text if letter > "\ud7ff"):
            raise UserError("The text holds half a surrogate pair, which is no character. Type it again, please.")
