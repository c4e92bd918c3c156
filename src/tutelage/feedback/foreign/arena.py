"""Chatbot Arena's battles (LMSYS, FastChat): two hidden models answer, a visitor votes.

    {"question_id": ..., "model_a": ..., "model_b": ..., "winner": "model_a" | "model_b" | "tie" | "tie (bothbad)", "judge": ...,
     "conversation_a": [{"role": "user", "content": ...}, ...], "conversation_b": [...], "turn": 1, "language": ..., "tstamp": ...}

Held: who voted, when, both models' names, all four votes; the order shown is the stored one, a on the left. Not held: how long it took,
the guideline. A battle of several turns in which the models' earlier answers differ has no common prompt: no annotation of ours is that,
and it is passed over and counted. Where the earlier turns agree, the last answers are the responses.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from tutelage.core.conversations import messages, prompt
from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, kind
from tutelage.core.text import Message, Prompt, Response
from tutelage.feedback.annotation import ANONYMOUS, Annotation
from tutelage.feedback.beside import BESIDE, beside, with_beside
from tutelage.feedback.foreign import tags_of
from tutelage.feedback.given import Given, Passed, annotator

WINNERS: dict[str, int | str] = {"model_a": 0, "model_b": 1, "tie": "tie", "tie (bothbad)": "both_bad", "both_bad": "both_bad"}
WRITTEN = {0: "model_a", 1: "model_b", "tie": "tie", "both_bad": "tie (bothbad)"}
TAGS = ("question_id", "language")


def recognize(row: Row) -> bool:
    """Rows with two conversations and a winner."""
    return "winner" in row and "conversation_a" in row and "conversation_b" in row


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One pair a battle."""
    row = record.values
    winner = row.get("winner")
    if not isinstance(winner, str) or winner not in WINNERS:
        raise record.error("winner", f"{winner!r} is no vote; a vote is one of {', '.join(WINNERS)}")
    sides = [messages(record, f"conversation_{side}") for side in "ab"]
    for side, said in zip("ab", sides):
        if said[-1].role != "assistant":
            raise record.error(f"conversation_{side}", f"ends with a turn of the {said[-1].role}; it must end with the model's answer")
    if sides[0][:-1] != sides[1][:-1]:
        yield Passed(record.where, "battles whose conversations differ before the last answer")
        return
    asked = Prompt(prompt(record, "conversation_a", sides[0][:-1]).messages, tags_of(row, *TAGS))
    responses = tuple(Response(said[-1].text, by=str(row.get(f"model_{side}") or "")) for side, said in zip("ab", sides))
    judge = next((name for name in ("judge", "judge_hash", "user_id") if row.get(name) is not None), None)
    who = annotator(record, row[judge], judge) if judge else ANONYMOUS
    made = Annotation(asked, responses, "pair", {"winner": WINNERS[winner]}, who, at=_time(record))
    yield with_beside(made, record, row.get(BESIDE))


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A battle for each pair."""
    for a in annotations:
        if a.task != "pair":
            raise UserError(f"annotation {a.id} by {a.annotator}: a battle can't hold the task {a.task}; write raw rows instead")
        if any(m.role not in ("user", "assistant", "system") or m.tool_calls for m in a.prompt.messages):
            raise UserError(f"annotation {a.id} by {a.annotator}: a battle can't hold calls of tools; write raw rows instead")
        row: Row = {"question_id": a.prompt.tags.get("question_id", a.id)}
        for side, response in zip("ab", a.responses):
            row[f"model_{side}"] = response.by
            row[f"conversation_{side}"] = [{"role": m.role, "content": _content(m)} for m in a.prompt.messages]
            row[f"conversation_{side}"].append({"role": "assistant", "content": response.text})
        row |= {"winner": WRITTEN[a.answer["winner"]], "turn": sum(m.role == "user" for m in a.prompt.messages)}
        row |= {"judge": a.annotator} if a.annotator != ANONYMOUS else {}
        row |= {"language": a.prompt.tags["language"]} if "language" in a.prompt.tags else {}
        row |= {"tstamp": datetime.fromisoformat(a.at).timestamp()} if a.at else {}
        told = beside(a, "at", "by", tags=TAGS)
        yield row | ({BESIDE: told} if told else {})


def _content(message: Message) -> Any:
    return message.text if len(message.content) == 1 else [{"type": "text", "text": part} for part in message.content]


def _time(record: Record) -> str:
    """`tstamp` (seconds since 1970) or `timestamp` (the same, or ISO 8601) as ISO 8601 in UTC."""
    field = record.first("tstamp", "timestamp")
    value = record.values[field] if field else None
    if value is None:
        return ""
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value).isoformat()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        pass
    raise record.error(field or "tstamp", f"expected seconds since 1970 or a time like 2026-11-22T14:00:00, got {kind(value)} ({value!r})")
