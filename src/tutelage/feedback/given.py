"""What was judged, found in a row of another tool: which of its fields are the prompt, which the responses.

No tool says so: a field is named as whoever set the project up liked. Names that say it are understood (`prompt`, `instruction`,
`response-2`, `output_b`, a list `responses`); where they don't, whoever imports names the fields (`Given`). Fields are never guessed
from their texts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from tutelage.core.conversations import messages, prompt, spoken, turns
from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, kind
from tutelage.core.text import Message, Prompt, Response, ask
from tutelage.feedback.annotation import Annotation

PROMPTS = (
    *("instruction", "prompt", "question", "query", "user_input", "context", "input", "passage", "document", "article", "source"),
    *("conversation", "messages", "chat", "dialogue", "history", "text", "source_text"),
)
LISTS = ("responses", "answers", "outputs", "completions", "generations", "candidates", "items", "options", "choices", "translations")
NAMED = re.compile(r"(response|answer|output|completion|generation|generated|reply|candidate|summary|prediction)([-_ ]?([0-9]+|[a-z]))?")
NUMBERED = re.compile(r"(text|model|option|item|doc|side)[-_ ]?([0-9]+|[a-z])")
BASES = ("", "response", "answer", "output", "completion", "option", "model", "assistant", "candidate", "text", "item", "summary", "reply")
SIDES = (("left", "right"), ("chosen", "rejected"))
TIES = ("tie", "tied", "equal", "same", "draw", "nopreference", "equallygood", "bothgood")
BOTH_BAD = ("bothbad", "tiebothbad", "botharebad", "neither", "none", "equallybad")


@dataclass(frozen=True)
class Given:
    """What a file doesn't tell of itself, told by whoever imports it. Empty: names of fields tell."""

    prompt: tuple[str, ...] = ()
    """Fields whose texts make up the prompt, in this order."""
    responses: tuple[str, ...] = ()
    """Fields that hold a response each, in the order of places; or one that holds a list of them."""
    without: tuple[str, ...] = ()
    """Questions that are left out."""
    items: Mapping[str, Row] = field(default_factory=dict[str, Row])
    """What was judged, by id, where the export doesn't hold it itself (Potato)."""


@dataclass(frozen=True)
class Passed:
    """Something in a row that is no annotation or that no task of ours can hold: not read, and said so."""

    where: str
    why: str


@dataclass(frozen=True)
class Repeat:
    """A judgement of which the file itself says that the person was asked it again."""

    annotation: Annotation


@dataclass(frozen=True)
class Judged:
    """A prompt, its K responses, and what the file calls each of them."""

    prompt: Prompt
    responses: tuple[Response, ...]
    names: tuple[str, ...]

    @cached_property
    def _numbers(self) -> tuple[str, ...]:
        return tuple(_ending(name) for name in self.names)

    def place(self, word: str) -> int | None:
        """The place of the response that a word means: its field's name, that name's number or letter, 1.., A.., left or right."""
        plain = squeezed(word)
        names = [squeezed(name) for name in self.names]
        if plain in names:
            return names.index(plain)
        end = _ending(word)
        if end and plain.removesuffix(end) not in (*BASES, *(name.removesuffix(_ending(name)) for name in names)):
            return None
        if end in self._numbers and len(set(self._numbers)) == len(self.names):
            return self._numbers.index(end)
        k = len(self.names)
        if end.isdecimal() and 1 <= int(end) <= k:
            return int(end) - 1
        if len(end) == 1 and 0 <= ord(end) - ord("a") < k:
            return ord(end) - ord("a")
        if k == 2 and plain in ("left", "right", "first", "second", "chosen", "rejected"):
            return int(plain in ("right", "second", "rejected"))
        return None


def squeezed(word: str) -> str:
    """Lower-case letters and digits alone: `Response-2` and `response_2` are one name."""
    return "".join(letter for letter in word.lower() if letter.isalnum())


def is_tie(word: str) -> bool:
    """Whether a choice says that two responses are equally good."""
    return squeezed(word) in TIES


def is_both_bad(word: str) -> bool:
    """Whether a choice says that two responses are equally bad."""
    return squeezed(word) in BOTH_BAD


def _ending(name: str) -> str:
    """`2` of `response_2`, `b` of `output-b` and of `B`; nothing of `left`."""
    found = re.search(r"(?:^|[^a-z0-9])([a-z]|[0-9]+)$|(?<=[a-z])([0-9]+)$", name.lower().strip())
    return (found[1] or found[2]) if found else ""


def annotator(record: Record, value: object, field: str) -> str:
    """A person's name or number as text. Raises UserError where there is none."""
    name = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name or not name.isprintable():
        raise record.error(field, f"names the annotator: expected a name or a number, got {kind(value)}")
    return name


def prompt_of(record: Record, value: object, field: str, tags: Mapping[str, str] | None = None) -> Prompt:
    """A prompt from text (a turn of the user, or an HH-RLHF conversation) or from a list of messages."""
    if isinstance(value, str):
        text = record.as_text(value, field)
        said = turns(text) if spoken(text) else ask(text).messages
        made = prompt(record, field, said[:-1] if spoken(text) and said[-1] == Message("assistant", ("",)) else said)
    else:
        made = prompt(record, field, messages(Record({field: value}, record.where), field))
    return Prompt(made.messages, dict(tags or {}))


def response_of(record: Record, value: object, field: str, by: str = "") -> Response:
    """A response from text, a message, or an item of a list ({"text": ...}). Kept as it is, whatever it holds; UserError where it is
    no text."""
    if isinstance(value, dict):
        parts = cast(dict[str, Any], value)
        name = next((n for n in ("content", "text", "response", "output", "body", "html", "title") if isinstance(parts.get(n), str)), None)
        if name is None:
            raise record.error(field, f"expected a response's text, got an object with {', '.join(parts) or 'no fields'}")
        by = by or str(parts.get("model") or parts.get("by") or "")
        return Response(record.as_text(parts[name], f"{field}.{name}"), by=by)
    return Response(record.as_text(value, field), by=by)


def judged(record: Record, fields: Mapping[str, Any], place: str, given: Given, tags: Mapping[str, str]) -> Judged:
    """What the fields of a row (`place`: where in the row they stand) were asked about."""
    names = response_fields(record, fields, place, given)
    if len(names) == 1 and isinstance(fields[names[0]], list) and not _is_chat(fields[names[0]]):
        values = cast(list[Any], fields[names[0]])
        called = tuple(_called(value, n) for n, value in enumerate(values))
        responses = tuple(response_of(record, value, f"{place}{names[0]}[{n}]") for n, value in enumerate(values))
    else:
        called = names
        responses = tuple(response_of(record, fields[name], f"{place}{name}") for name in names)
    return Judged(_prompt(record, fields, names, place, given, tags), responses, called)


def response_fields(record: Record, fields: Mapping[str, Any], place: str, given: Given) -> tuple[str, ...]:
    """The names of the fields that hold responses, in the order of places; none where no name says so."""
    for name in (*given.responses, *given.prompt):
        if name not in fields:
            raise record.error(f"{place}{name}", f"is missing; there are {', '.join(fields) or 'no fields'}")
    if given.responses:
        return given.responses
    left = [name for name in fields if name not in given.prompt and fields[name] is not None]
    for name in left:
        if name.lower() in LISTS and isinstance(fields[name], list) and not _is_chat(fields[name]):
            return (name,)
    for sides in SIDES:
        if set(sides) <= set(left):
            return sides
    found = [name for name in left if NAMED.fullmatch(name.lower())] or [name for name in left if NUMBERED.fullmatch(name.lower())]
    return tuple(sorted(found, key=_order))


def _order(name: str) -> tuple[int, int, str]:
    """By number, then by letter."""
    end = _ending(name)
    return (0, int(end), "") if end.isdecimal() else (1, 0, end)


def _prompt(
    record: Record, fields: Mapping[str, Any], responses: Sequence[str], place: str, given: Given, tags: Mapping[str, str]
) -> Prompt:
    left = [name for name, value in fields.items() if name not in responses and value not in (None, "")]
    names = list(given.prompt) or [name for name in left if name.lower() in PROMPTS]
    if not names and len(left) == 1:
        names = left
    if not names:
        told = f"; there are {', '.join(left)}" if left else ""
        raise UserError(f"{record.where}: none of the fields is known to be the prompt{told}; name it with --prompt FIELD")
    if len(names) == 1:
        return prompt_of(record, fields[names[0]], f"{place}{names[0]}", tags)
    for name in names:
        if not isinstance(fields[name], str):
            raise record.error(f"{place}{name}", f"is not text, and the prompt is made of {', '.join(names)}; name one with --prompt FIELD")
    texts = [record.as_text(fields[name], f"{place}{name}") for name in names]
    return prompt_of(record, "\n\n".join(text for text in texts if text.strip()), f"{place}{names[0]}", tags)


def _is_chat(value: object) -> bool:
    """Whether a list holds messages rather than responses."""
    first = cast(list[Any], value)[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and ("role" in first or "from" in first)


def _called(value: object, n: int) -> str:
    """What an item of a list is called: its id, else its number from 1."""
    named = cast(dict[str, Any], value).get("id") if isinstance(value, dict) else None
    return str(named) if named is not None else str(n + 1)


def asked(prompt: Prompt) -> str | list[dict[str, Any]]:
    """A prompt as a field of a row: one turn of the user as text, anything else as messages. UserError for tool calls, which other
    tools don't hold."""
    if any(m.tool_calls or m.name for m in prompt.messages):
        raise UserError(f"prompt {prompt.id} holds tool calls or names of speakers, which this format can't hold")
    only = prompt.messages[0]
    if len(prompt.messages) == 1 and only.role == "user" and len(only.content) == 1 and not spoken(only.text):
        return only.text
    return [{"role": m.role, "content": _content(m)} for m in prompt.messages]


def _content(message: Message) -> Any:
    return message.text if len(message.content) == 1 else [{"type": "text", "text": part} for part in message.content]
