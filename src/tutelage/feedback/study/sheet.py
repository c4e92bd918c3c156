"""What goes over the desk: the sheet that a person fills in, the receipt for it, and how far they are. Plain values, no HTTP.

A sheet is blind: its item says nothing of who wrote a response, of a known answer or of an AI's suggestion, and its item's id is the
person's own where an item comes back as a repeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tutelage.feedback.store.events import Purpose
from tutelage.feedback.study.items import Item
from tutelage.feedback.study.questions import Question


@dataclass(frozen=True)
class Voice:
    """What somebody else answered, for a reviewer; in letters of the reviewer's own screen."""

    who: str
    """"First", "Second", ...: not the pseudonym, so that nobody is judged by name."""
    said: Mapping[str, str]
    """{question: the answer as a sentence}."""
    flags: Mapping[str, tuple[tuple[int, str], ...]]
    """{question: (place on the screen, name of the flag), ...}."""
    note: str = ""


@dataclass(frozen=True)
class Sheet:
    """One item before one person."""

    item: Item
    """Blind."""
    shown: tuple[int, ...]
    """shown[place on the screen] = place in the item's responses."""
    questions: tuple[Question, ...]
    draft: Mapping[str, str]
    """The form's fields as last saved, or as answered; empty at first."""
    purpose: Purpose
    """Never told to an annotator, except practice."""
    submit: str
    """The token that the form carries back: posting it twice is one answer."""
    expires: float
    """Unix seconds: end of the lease, or, for an answer, of the time in which it may be edited."""
    answered: bool
    """Whether this is an own answer to be looked at or edited; else a lease."""
    voices: tuple[Voice, ...] = ()
    """What the others said; empty but for adjudication."""


@dataclass(frozen=True)
class Receipt:
    """An answer that is stored."""

    submit: str
    new: bool
    """False: this token was there already, and nothing was added."""
    explanation: str | None = None
    """Practice: why the answer is what it is."""
    expected: Mapping[str, str] = field(default_factory=dict[str, str])
    """Practice: {question: the expected answer as a sentence, in letters of the screen}."""
    agreed: bool | None = None
    """Practice: whether the answer was the expected one; None where it can't be compared, as of texts."""
    suggestion: str | None = None
    """What an AI had suggested."""


Phase = Literal["practice", "screening", "waiting", "work", "review", "over"]
"""`waiting`: the admin has yet to look at the screening. `over`: nothing is left for this person."""


@dataclass(frozen=True)
class Progress:
    """How far a person is in the phase that they are in."""

    phase: Phase
    done: int
    open: int
    """Items that are left for this person, the one on the screen among them."""

    @property
    def of(self) -> int:
        """`14 of 20`: done and open together."""
        return self.done + self.open


@dataclass(frozen=True)
class Entry:
    """A line of a person's own history, latest first."""

    item: str
    submit: str
    at: float
    """Unix seconds."""
    prompt: str
    """The last turn of the prompt, cut to 200 characters."""
    said: Mapping[str, str]
    """{question: the answer as a sentence}; empty for a skip."""
    skipped: bool
    until: float
    """Unix seconds: it may be edited until then."""


@dataclass(frozen=True)
class Talk:
    """A question to the admin, and the replies."""

    submit: str
    person: str
    item: str
    at: float
    text: str
    replies: tuple[str, ...] = ()
