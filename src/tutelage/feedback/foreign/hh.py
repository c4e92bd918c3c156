"""Chosen and rejected: Anthropic's HH-RLHF (Bai et al. 2022), and TRL's preference rows that came of it.

    {"chosen": "\\n\\nHuman: ...\\n\\nAssistant: ...", "rejected": "\\n\\nHuman: ...\\n\\nAssistant: ..."}

Held: the conversation, two responses, which one is better. Not held: who said so (the annotator is `anonymous` unless the row says more
under `tutelage`), when, by how much; a tie can't be written, nor a ranking. HH-RLHF's text has no way to write white space around a
turn, two turns of one speaker in a row, or a turn that spells out "\\n\\nHuman:"; such conversations are written as TRL's, in messages.
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from tutelage.core import formats
from tutelage.core.conversations import spoken, turns
from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row
from tutelage.core.text import Message
from tutelage.feedback.annotation import ANONYMOUS, Annotation
from tutelage.feedback.beside import BESIDE, beside, with_beside
from tutelage.feedback.given import Given, Passed, annotator, asked

SPEAKERS = {"user": "Human", "assistant": "Assistant"}


def recognize(row: Row) -> bool:
    """Rows with `chosen` and `rejected`."""
    return "chosen" in row and "rejected" in row


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One pair a row; the chosen response stands first unless the row says that it was the second."""
    prompt, responses, answer = formats.pair(record)
    who = record.values.get("annotator")
    held: Any = record.values.get(BESIDE)
    told = dict(cast(dict[str, Any], held)) if isinstance(held, dict) else None
    if told is not None and told.pop("winner", 0) == 1:
        responses, answer = (responses[1], responses[0]), {"winner": 1}
    name = ANONYMOUS if who is None else annotator(record, who, "annotator")
    yield with_beside(Annotation(prompt, responses, "pair", answer, name), record, cast(object, held) if told is None else told or None)


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A row for each pair that has a winner."""
    for a in annotations:
        winner = a.answer.get("winner") if a.task == "pair" else None
        if winner not in (0, 1):
            what = f"the task {a.task}" if a.task != "pair" else f"'{winner}'"
            raise UserError(f"annotation {a.id} by {a.annotator}: rows of chosen and rejected can't hold {what}; write raw rows instead")
        texts = [a.responses[place].text for place in (winner, 1 - winner)]
        row: Row = _spoken(a, texts) or {"prompt": asked(a.prompt), "chosen": texts[0], "rejected": texts[1]}
        told = beside(a) | ({"winner": 1} if winner == 1 else {})
        named = {} if a.annotator == ANONYMOUS else {"annotator": a.annotator}
        yield row | named | ({BESIDE: told} if told else {})


def _spoken(a: Annotation, texts: Sequence[str]) -> Row | None:
    """Both conversations as HH-RLHF's text; None where that would say something else."""
    made: list[str] = []
    for text in texts:
        said = (*a.prompt.messages, Message("assistant", (text,)))
        if any(m.role not in SPEAKERS for m in said):
            return None
        whole = "".join(f"\n\n{SPEAKERS[m.role]}: {m.text}" for m in said)
        if not spoken(whole) or turns(whole) != said:
            return None
        made.append(whole)
    return {"chosen": made[0], "rejected": made[1]}
