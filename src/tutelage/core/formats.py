"""A row of any common kind of file as a prompt, a demonstration, a pair, a label or a document.

TRL's dataset types, standard and conversational (prompt and completion, messages, chosen and rejected with the prompt given or inside,
prompt alone, text, label); Alpaca (instruction, input, output); Dolly (instruction, context, response); ShareGPT; HH-RLHF. Which one is
told by the fields of each row; fields that no form knows are left alone.
"""

from collections.abc import Mapping
from typing import Any, cast

from tutelage.core.conversations import message, messages, prompt, spoken, turns
from tutelage.core.rows import Record, kind
from tutelage.core.text import Demonstration, Document, Message, Prompt, Response, ask

CONVERSATIONS = ("messages", "conversations")
ANSWERS = ("completion", "output", "response")
AWAITED = Message("assistant", ("",))
"""How a prompt of HH-RLHF ends."""

Pair = tuple[Prompt, tuple[Response, Response], Mapping[str, Any]]
"""Prompt, the two responses, and the answer of the task `pair`."""


def document(record: Record) -> Document:
    return Document(record.text("text"))


def demonstration(record: Record, skip_empty: bool = False) -> Demonstration | None:
    """Raises UserError where the row is none, or where its response is empty: that would teach to say nothing. With `skip_empty`
    None for the latter."""
    if record.has("chosen", "rejected"):
        raise record.error("chosen", "a row of preferences, not a demonstration; give this file as preferences")
    if isinstance(record.values.get("label"), bool):
        raise record.error("label", "a labelled response, not a demonstration; keep the rows to imitate and remove this field")
    asked, answer, field = _exchange(record)
    if answer.text.strip():
        return Demonstration(asked, answer)
    if not skip_empty:
        raise record.error(field, "the response is empty; a demonstration needs one: fill it in or remove the row")
    return None


def label(record: Record) -> tuple[Prompt, Response, bool]:
    """TRL's unpaired preference: a response and whether it is wanted."""
    if not isinstance(value := record.values.get("label"), bool):
        raise record.error("label", f"expected true or false, got {kind(value)}")
    asked, answer, _ = _exchange(record)
    return asked, answer, value


def pair(record: Record) -> Pair:
    """Chosen first: the answer is always {"winner": 0}."""
    for field in ("chosen", "rejected"):
        if not record.has(field):
            raise record.unlike(f"the field '{field}' is missing; a preference has chosen and rejected", "chosen", "rejected")
    field = record.first("prompt", "instruction", *CONVERSATIONS)
    if field:
        asked = _asked(record, field)
        chosen, rejected = (_answer_to(record, asked, name) for name in ("chosen", "rejected"))
    else:
        asked, chosen, rejected = _apart(record)
    return asked, (chosen, rejected), {"winner": 0}


def prompt_of(record: Record) -> Prompt:
    """The prompt of any row: its own, or what was asked before the response, the pair, the last turn of the assistant."""
    if record.has("chosen", "rejected"):
        return pair(record)[0]
    field = record.first("prompt", "instruction", *CONVERSATIONS)
    if field is None:
        wanted = "no prompt; expected prompt, messages, conversations, instruction, or chosen and rejected"
        raise record.unlike(wanted, "prompt", "instruction", *CONVERSATIONS)
    if field not in CONVERSATIONS:
        return _asked(record, field)
    said = messages(record, field)
    return prompt(record, field, said[:-1] if said[-1].role == "assistant" else said)


def _exchange(record: Record) -> tuple[Prompt, Response, str]:
    """Prompt, response, and the field in which the response stands."""
    if field := record.first(*CONVERSATIONS):
        said = messages(record, field)
        if said[-1].role != "assistant":
            raise record.error(field, f"the last turn is the {said[-1].role}'s; the last turn is the response and must be the assistant's")
        return prompt(record, field, said[:-1]), _response(record, said[-1], field), field
    asked, answer = record.first("prompt", "instruction"), record.first(*ANSWERS)
    if not asked or not answer:
        wanted = "expected messages, conversations, prompt and completion, or instruction and output (or response)"
        raise record.unlike(wanted, "prompt", "instruction", *ANSWERS, *CONVERSATIONS)
    made = _asked(record, asked)
    return made, _answer_to(record, made, answer), answer


def _asked(record: Record, field: str) -> Prompt:
    """The prompt in a field of its own."""
    if field == "instruction":
        return _instruction(record)
    value = record.values[field]
    if not isinstance(value, str):
        return prompt(record, field, messages(record, field))
    text = record.text(field)
    if not spoken(text):
        return prompt(record, field, ask(text).messages)
    said = turns(text)
    return prompt(record, field, said[:-1] if said[-1:] == (AWAITED,) else said)


def _instruction(record: Record) -> Prompt:
    """Alpaca's and Dolly's: the instruction, and below it what it is about."""
    about = record.first("input", "context")
    texts = [record.text("instruction")] + ([record.text(about)] if about else [])
    return prompt(record, "instruction", ask("\n\n".join(text for text in texts if text.strip())).messages)


def _answer_to(record: Record, asked: Prompt, field: str) -> Response:
    """The response in a field: text, a message, or a conversation that begins with the prompt."""
    value = record.values[field]
    if isinstance(value, dict):
        return _response(record, message(record, cast(object, value), field), field)
    if isinstance(value, str) and not spoken(value):
        return Response(record.text(field), by=record.by)
    said = _conversation(record, field)
    if said[:-1] not in ((), asked.messages):
        raise record.error(field, "does not begin with the prompt; give the response alone, or the same turns as in the prompt before it")
    return _response(record, said[-1], field)


def _conversation(record: Record, field: str) -> tuple[Message, ...]:
    """Turns as HH-RLHF or as a list of messages."""
    value = record.values[field]
    return turns(value) if isinstance(value, str) and spoken(value) else messages(record, field)


def _response(record: Record, said: Message, field: str) -> Response:
    if said.role != "assistant":
        raise record.error(field, f"ends with a turn of the {said.role}; a response is the assistant's")
    if said.tool_calls:
        raise record.error(field, "the response calls a tool; such responses are not read yet")
    return Response(said.text, by=record.by)


def _apart(record: Record) -> tuple[Prompt, Response, Response]:
    """The prompt is what chosen and rejected have in common at their beginning."""
    values = [record.values[field] for field in ("chosen", "rejected")]
    if all(isinstance(value, str) and not spoken(value) for value in values):
        return _texts_apart(record, record.text("chosen"), record.text("rejected"))
    chosen, rejected = (_conversation(record, field) for field in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1]:
        raise record.error("rejected", "differs from chosen before the last turn; the two must answer the same conversation")
    asked = prompt(record, "chosen", chosen[:-1])
    return asked, _response(record, chosen[-1], "chosen"), _response(record, rejected[-1], "rejected")


def _texts_apart(record: Record, chosen: str, rejected: str) -> tuple[Prompt, Response, Response]:
    """As TRL does it: the longest common beginning, in whole words; the space stays with the responses."""
    common = next((at for at, (a, b) in enumerate(zip(chosen, rejected)) if a != b), min(len(chosen), len(rejected)))
    while common > 0 and not (chosen[common : common + 1].isspace() and rejected[common : common + 1].isspace()):
        common -= 1
    if not chosen[:common].strip():
        raise record.error("chosen", "shares no beginning with rejected to be the prompt; give the prompt in a field 'prompt'")
    asked = prompt(record, "chosen", ask(chosen[:common]).messages)
    return asked, Response(chosen[common:], by=record.by), Response(rejected[common:], by=record.by)
