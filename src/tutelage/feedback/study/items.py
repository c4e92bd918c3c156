"""Items: a prompt and the responses that people judge, read from rows of files.

    {"prompt": "..." | [messages], "responses": ["...", {"text": "...", "by": "runs/demo:sft", "finished": true}], "id": "q-17",
     "category": "medical", "expertise": "nurse", "overlap": 3, "warning": "describes an injury", "suggestion": "B is better"}

Only the prompt must be there; it may have any of the forms that other files of prompts have. Rows of gold, practice and screening
add `answer`, {question: answer as the task stores it, with `flags` where they are known}, and may add `explanation`; practice and screening
of what is written need no answer. An unknown field is an error, because a misspelt
`expertise` would send a question to the wrong people.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from tutelage.core import formats
from tutelage.core.building import closest
from tutelage.core.errors import UserError
from tutelage.core.rows import Record, kind, records
from tutelage.core.text import Prompt, Response, content_id

Role = Literal["work", "gold", "practice", "screening"]
"""What an item is for: gold is work whose answer is known, which nobody is told."""

FIELDS = ("id", "responses", "category", "expertise", "overlap", "warning", "suggestion", "answer", "explanation", "tags")
ASKED = ("prompt", "instruction", "input", "context", "messages", "conversations")
RESPONSE = ("text", "by", "finished")


@dataclass(frozen=True)
class Item:
    """What is judged. Two rows with the same prompt and responses are the same item, unless they have ids."""

    id: str
    prompt: Prompt
    responses: tuple[Response, ...] = ()
    role: Role = "work"
    category: str = ""
    """Of its content; people may opt out of a category."""
    expertise: str = ""
    """Who may judge it: only those who declared this; empty: everybody."""
    overlap: int | None = None
    """How many people judge it; None: as many as the study says."""
    warning: str = ""
    """What the page warns of before it shows the item."""
    suggestion: str = ""
    """What an AI suggests; shown after the vote only."""
    answer: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]], hash=False)
    """{question: answer}, in stored places; of gold, practice and screening (`known.py`)."""
    explanation: str = ""
    """Why that is the answer."""

    def blind(self) -> "Item":
        """Without what must not be told before the vote: who wrote which response, the known answer, the AI's suggestion."""
        unsigned = tuple(dataclasses.replace(r, by="", ids=None, tokenizer=None) for r in self.responses)
        return dataclasses.replace(self, responses=unsigned, role="work", suggestion="", answer={}, explanation="")


def read_items(path: Path, role: Role, written: Callable[[int], bool] = lambda k: False) -> Iterator[Item]:
    """The items of a file (.jsonl, .jsonl.gz, .parquet), in order. UserError, when iterated, with file, row and field: a fault in a
    row, an id given twice, the same prompt and responses twice."""
    seen: dict[str, str] = {}
    for record in records(path):
        made = item(record, role, written)
        if made.id in seen:
            what = "an id is given once" if record.has("id") else "give the rows ids of their own if both are meant"
            raise UserError(f"{record.where}: field 'id': is the item of {seen[made.id]} again ({made.id}); {what}")
        seen[made.id] = record.where
        yield made


def item(record: Record, role: Role = "work", written: Callable[[int], bool] = lambda k: False) -> Item:
    """A row as an item; `written` tells whether one with k responses asks for a text. UserError names file, row and field."""
    for name in record.values:
        if name not in FIELDS + ASKED:
            raise record.error(
                name, f"is no field of an item{closest(name, FIELDS + ASKED) or '; known are ' + ', '.join(ASKED[:1] + FIELDS)}"
            )
    prompt, responses = formats.prompt_of(record), _responses(record)
    answer = _answer(record)
    if role != "work" and not answer and (role == "gold" or not written(len(responses))):
        raise record.error("answer", f'is missing; an item of {role} has {{"answer": {{QUESTION: ANSWER}}}}')
    return Item(
        id=_id(record) or content_id("item", prompt.id, [r.id for r in responses], role),
        prompt=prompt,
        responses=responses,
        role=role,
        category=_word(record, "category"),
        expertise=_word(record, "expertise"),
        overlap=_overlap(record),
        warning=_word(record, "warning"),
        suggestion=_word(record, "suggestion"),
        answer=answer,
        explanation=_word(record, "explanation"),
    )


def _word(record: Record, name: str) -> str:
    return record.text(name) if record.has(name) else ""


def _id(record: Record) -> str:
    given = _word(record, "id")
    if len(given) > 200 or not given.isprintable():
        raise record.error("id", "expected at most 200 printable characters")
    return given


def _overlap(record: Record) -> int | None:
    value = record.values.get("overlap")
    if value is not None and (type(value) is not int or value < 1):
        raise record.error("overlap", f"expected a whole number of people, 1 or more, got {value!r}")
    return value


def _responses(record: Record) -> tuple[Response, ...]:
    value = record.values.get("responses")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise record.error("responses", f"expected a list of texts, got {kind(value)}")
    return tuple(_response(record, one, f"responses[{n}]") for n, one in enumerate(cast(list[object], value)))


def _response(record: Record, value: object, where: str) -> Response:
    if not isinstance(value, dict):
        return Response(record.as_text(value, where))
    given = cast(dict[str, Any], value)
    for name in given:
        if name not in RESPONSE:
            raise record.error(
                f"{where}.{name}", f"is no field of a response{closest(name, RESPONSE) or '; known are ' + ', '.join(RESPONSE)}"
            )
    finished = given.get("finished", True)
    if not isinstance(finished, bool):
        raise record.error(f"{where}.finished", f"expected true or false, got {kind(finished)}")
    return Response(
        record.as_text(given.get("text"), f"{where}.text"), finished=finished, by=record.as_text(given.get("by", ""), f"{where}.by")
    )


def _answer(record: Record) -> Mapping[str, Mapping[str, Any]]:
    value = record.values.get("answer")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in cast(dict[str, object], value).values()):
        raise record.error("answer", 'expected {QUESTION: ANSWER}, like {"order": {"tiers": [[1], [0, 2]]}}')
    return cast(dict[str, dict[str, Any]], value)
