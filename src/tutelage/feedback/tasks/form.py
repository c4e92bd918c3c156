"""What a page asks of an annotator, as data: a task says it once; the page, its keys and what a plain POST may carry follow from it.

Everything in a form is in terms of places on the screen: the field `value` of the response at place 2 is posted as `value-2`, and an
option that means a response has its letter as its value. Faults are sentences for the annotator, who knows responses by their letters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tutelage.core.errors import UserError
from tutelage.feedback.places import letter, lettered

Kind = Literal["order", "choice", "scale", "number", "text"]
MOST_CHARACTERS = 200_000
"""Of a text that a person writes: a book's chapter, and no attack on the store."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\ud800-\udfff]")
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?[0-9]{1,13}(\.[0-9]{1,12})?")


@dataclass(frozen=True)
class Option:
    """One answer of several."""

    value: str
    label: str
    key: str = ""
    """The single key that picks it."""


@dataclass(frozen=True)
class Field:
    """One thing that a page asks."""

    name: str
    """In the POST; with `each`, `NAME-0`, `NAME-1`, ... by place on the screen."""
    kind: Kind
    label: str
    """A noun: "Rating"; faults name the field by it."""
    options: tuple[Option, ...] = ()
    """Of a choice, or of a scale from worst to best."""
    each: bool = False
    """Asked of every response, on its card."""
    required: bool = True
    low: float | None = None
    """Lowest number."""
    high: float | None = None
    """Highest number."""
    initial: Literal["", "response"] = ""
    """What a text begins with: the response's own text, to be corrected."""
    help: str = ""
    """One line below the field."""


@dataclass(frozen=True)
class NoOptions:
    """The options of a task that has none."""


NONE = NoOptions()


def options_of_responses(k: int) -> tuple[Option, ...]:
    """One option for each response on the screen: value a, label A, key 1, and so on."""
    return tuple(Option(letter(n).lower(), letter(n), str(n + 1) if n < 9 else "") for n in range(k))


def answer_to(field: Field, values: Mapping[str, str], place: int | None = None) -> str:
    """What a POST says to a field (of the response at a place on the screen), without blanks around it; "" where nothing is and need
    not be. UserError where something is missing, or is not what the field takes."""
    text = clean(values.get(field.name if place is None else f"{field.name}-{place}", ""))
    who = field.label if place is None else f"{field.label} of response {place + 1}"
    if not text:
        if field.required:
            raise UserError(f"{who}: {_wanted(field)}.")
        return ""
    if field.kind in ("choice", "scale") and text not in {option.value for option in field.options}:
        raise UserError(f"{who}: '{_short(text)}' is no choice here; {_wanted(field)}.")
    if field.kind == "number" and not _is_within(text, field):
        raise UserError(f"{who}: '{_short(text)}' won't do; {_wanted(field)}.")
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"{who}: {len(text):,} characters are too many; {MOST_CHARACTERS:,} is the most.")
    return text


def answers_to(field: Field, values: Mapping[str, str], k: int) -> list[str]:
    """What a POST says to a field that is asked of each of k responses, by place on the screen. UserError as in `answer_to`; whatever
    is missing is named at once."""
    missing = [n for n in range(k) if not clean(values.get(f"{field.name}-{n}", ""))]
    if missing and field.required:
        raise UserError(f"{lettered(missing)} {'has' if len(missing) == 1 else 'have'} no {field.label.lower()} yet.")
    return [answer_to(field, values, n) for n in range(k)]


def clean(text: str) -> str:
    """Text as it is kept: line ends are \\n (a browser posts \\r\\n), no blanks around it, and no control characters, which nobody
    can see or means to write and which some databases and encodings refuse."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def is_text(text: object) -> bool:
    """May this be stored as what a person wrote: not blank, not endless, and storable everywhere?"""
    return isinstance(text, str) and bool(text.strip()) and len(text) <= MOST_CHARACTERS and not _UNSTORABLE.search(text)


def words(text: str) -> str:
    """How long a text is: "1 word", "1,200 words"."""
    n = len(text.split())
    return f"{n:,} word{'' if n == 1 else 's'}"


def _wanted(field: Field) -> str:
    match field.kind:
        case "choice" | "scale":
            return f"pick one of {', '.join(option.label for option in field.options)}"
        case "number" if field.low is not None and field.high is not None:
            return f"write a number from {field.low:g} to {field.high:g}, such as {(field.low + field.high) / 2:g}"
        case "number":
            return "write a number, such as 7.5"
        case "order":
            return "type the responses' numbers, best first: 2 1 = 3"
        case "text":
            return "write something"


def _is_within(text: str, field: Field) -> bool:
    if not _NUMBER.fullmatch(text):
        return False
    low, high = (-float("inf") if field.low is None else field.low), (float("inf") if field.high is None else field.high)
    return low <= float(text) <= high


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "..."
