"""The ways in which files write down a conversation, read into messages.

    [{"role": "user", "content": ...}, ...]        content is text or a list of text parts; tool calls are kept
    [{"from": "human", "value": ...}, ...]         ShareGPT
    "\\n\\nHuman: ...\\n\\nAssistant: ..."             HH-RLHF (Bai et al. 2022)

In HH-RLHF turns of the same speaker in a row are one turn; white space around a turn is the format's, not the speaker's. What
would be lost is refused by name: images, reasoning fields, definitions of functions.
"""

import json
import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any, cast

from tutelage.core.building import closest
from tutelage.core.rows import Record, kind
from tutelage.core.text import Message, Prompt

ROLES = ("system", "user", "assistant", "tool")
CALL = "function_call"
"""Who speaks where ShareGPT has the assistant call a function."""
SHAREGPT = {"human": "user", "gpt": "assistant", "system": "system", CALL: "assistant", "observation": "tool", "tool": "tool"}
UNREAD = ("images", "image", "audio", "videos", "reasoning_content", "thinking", "function_call")
SPEAKER = re.compile(r"\n\n(Human|Assistant):")


def messages(record: Record, field: str) -> tuple[Message, ...]:
    """A field that holds a list of messages; at least one. Raises UserError with the number of the message at fault."""
    value = record.values[field]
    if not isinstance(value, list):
        raise record.error(field, f"expected a list of messages, got {kind(value)}")
    if not value:
        raise record.error(field, "expected a list of messages, got an empty list")
    if record.values.get("tools") not in (None, "", "[]", []):
        raise record.error("tools", "definitions of functions are not read yet; remove the field to do without them")
    return tuple(message(record, one, f"{field}[{number}]") for number, one in enumerate(cast(list[object], value)))


def message(record: Record, value: object, field: str) -> Message:
    """One message, of either spelling."""
    if not isinstance(value, dict):
        raise record.error(field, f'expected a message like {{"role": "user", "content": "..."}}, got {kind(value)}')
    given = cast(dict[str, Any], value)
    for name in UNREAD:
        if given.get(name):
            raise record.error(f"{field}.{name}", "is not read yet; messages are text and tool calls")
    if "from" in given and "role" not in given:
        return _sharegpt(record, given, field)
    role = given.get("role")
    if role not in ROLES:
        near = closest(role, ROLES) if isinstance(role, str) else ""
        raise record.error(f"{field}.role", f"{json.dumps(role)} is no role; roles are {', '.join(ROLES)}{near}")
    calls = tuple(_canonical(call) for call in given.get("tool_calls") or ())
    if calls and given.get("content") is None:
        return Message(role, (), calls, given.get("name"))
    return Message(role, _parts(record, given.get("content"), f"{field}.content"), calls, given.get("name"))


def _sharegpt(record: Record, given: dict[str, Any], field: str) -> Message:
    speaker = given["from"]
    if speaker not in SHAREGPT:
        raise record.error(f"{field}.from", f"{json.dumps(speaker)} is no speaker; speakers are {', '.join(SHAREGPT)}")
    text = record.as_text(given.get("value"), f"{field}.value")
    if speaker == CALL:
        return Message("assistant", (), tuple(_canonical(call) for call in calls(record, text, f"{field}.value")))
    return Message(SHAREGPT[speaker], (text,))


def calls(record: Record, text: str, field: str) -> list[Any]:
    """What a turn of ShareGPT's `function_call` says: {"name": ..., "arguments": {...}}, or several in a list. Raises UserError."""
    try:
        found = json.loads(text)
    except ValueError:
        raise record.error(field, f"a call of a function is written as JSON, not as {json.dumps(text[:40], ensure_ascii=False)}") from None
    return cast(list[Any], found) if isinstance(found, list) else [found]


def _parts(record: Record, content: object, field: str) -> tuple[str, ...]:
    if not isinstance(content, list):
        return (record.as_text(content, field),)
    parts: list[str] = []
    for number, part in enumerate(cast(list[object], content)):
        given = cast(dict[str, Any], part) if isinstance(part, dict) else {"type": kind(part)}
        if given.get("type") != "text" or "text" not in given:
            raise record.error(f"{field}[{number}]", f"a part of type {json.dumps(given.get('type'))} is not read yet; parts are text")
        parts.append(record.as_text(given["text"], f"{field}[{number}].text"))
    return tuple(parts)


def _canonical(call: object) -> str:
    return json.dumps(call, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def spoken(text: str) -> bool:
    """Whether a text is an HH-RLHF conversation."""
    return text.startswith("\n\nHuman:")


def turns(text: str) -> tuple[Message, ...]:
    """The turns of an HH-RLHF conversation (one that is `spoken`), at least one; "\\n\\nAssistant:" at the end is an empty turn."""
    parts = SPEAKER.split(text)[1:]
    said = zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True)
    joined = ((speaker, "\n\n".join(words for _, words in run)) for speaker, run in groupby(said, key=lambda turn: turn[0]))
    return tuple(Message("user" if speaker == "Human" else "assistant", (words,)) for speaker, words in joined)


def prompt(record: Record, field: str, conversation: Iterable[Message]) -> Prompt:
    """A conversation that awaits the assistant. Raises UserError where it is empty or the assistant spoke last."""
    said = tuple(conversation)
    if not any(one.text.strip() for one in said):
        raise record.error(field, "the prompt is empty; it needs at least one turn of the user")
    if said[-1].role not in ("user", "tool"):
        raise record.error(field, f"the prompt ends with a turn of the {said[-1].role}; it must end with the user's (or a tool's)")
    return Prompt(said, _tags(record))


def _tags(record: Record) -> dict[str, str]:
    tags: object = record.values.get("tags")
    if not isinstance(tags, dict):
        return {}  # none, or other people's: lists of words, say
    return {str(name): value for name, value in cast(dict[str, object], tags).items() if isinstance(value, str)}
