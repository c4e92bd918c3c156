"""OpenAssistant's message trees (Köpf et al. 2023): conversations that branch, with the replies to each message ranked.

    {"message_tree_id": ..., "tree_state": ..., "prompt": {"text": ..., "role": "prompter", "replies": [{"text": ..., "role": "assistant",
     "rank": 0, "replies": [...]}, ...]}}

A rank is a consensus of several volunteers (Tideman's ranked pairs), 0 the best: what each of them said isn't in the export, nor when,
nor the order shown. So a ranking here is one annotation by `oasst`, not by people, and agreement can't be measured on it. Replies
without a rank (deleted, or never ranked) are left out of it; a message with fewer than two ranked replies is no annotation. Rankings of
what prompters wrote are passed over: they judge people's prompts, not answers. So are labels and emojis, which are counts over people.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, kind
from tutelage.core.text import Message, Prompt, Response, content_id
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.given import Given, Passed

CONSENSUS = "oasst"
"""The annotator: all volunteers together."""
ROLES = {"prompter": "user", "assistant": "assistant"}
WRITTEN = {role: name for name, role in ROLES.items()}


def recognize(row: Row) -> bool:
    """Rows with a message tree."""
    return "message_tree_id" in row and isinstance(row.get("prompt"), dict)


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One ranking for each message with two or more ranked answers, from the root on."""
    yield from _below(record, cast(dict[str, Any], record.values["prompt"]), (), "prompt")


@dataclass
class _Node:
    """A message of a tree that is being put together."""

    text: str
    role: str
    by: str = ""
    rank: int | None = None
    replies: "dict[tuple[str, str], _Node]" = field(default_factory=dict)

    def reply(self, text: str, role: str) -> "_Node":
        return self.replies.setdefault((role, text), _Node(text, role))

    def row(self, name: str) -> Row:
        made: Row = {"message_id": name, "text": self.text, "role": WRITTEN[self.role]}
        made |= ({"model_name": self.by, "synthetic": True} if self.by else {}) | ({} if self.rank is None else {"rank": self.rank})
        return made | {"replies": [reply.row(content_id(name, *place)) for place, reply in self.replies.items()]}


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A tree for each first message."""
    roots: dict[str, _Node] = {}
    for a in annotations:
        if a.task != "ranking" or any(m.role not in WRITTEN or len(m.content) != 1 or m.tool_calls for m in a.prompt.messages):
            what = f"the task {a.task}" if a.task != "ranking" else "a conversation with other speakers than prompter and assistant"
            raise UserError(f"annotation {a.id} by {a.annotator}: a message tree can't hold {what}; write raw rows instead")
        first = a.prompt.messages[0]
        node = roots.setdefault(first.text, _Node(first.text, first.role))
        for m in a.prompt.messages[1:]:
            node = node.reply(m.text, m.role)
        for response in a.responses:
            node.reply(response.text, "assistant").by = response.by
        for rank, tier in enumerate(a.answer["tiers"]):
            for place in tier:
                node.reply(a.responses[place].text, "assistant").rank = rank
    for text, root in roots.items():
        name = content_id("tree", text)
        yield {"message_tree_id": name, "tree_state": "ready_for_export", "prompt": root.row(name)}


def _below(record: Record, one: Any, said: tuple[Message, ...], where: str) -> Iterator[Annotation | Passed]:
    if not isinstance(one, dict):
        raise record.error(where, f"expected a message, got {kind(one)}")
    message = cast(dict[str, Any], one)
    role = message.get("role")
    if role not in ROLES:
        raise record.error(f"{where}.role", f"{role!r} is no role; roles are prompter and assistant")
    said = (*said, Message(ROLES[role], (record.as_text(message.get("text"), f"{where}.text"),)))
    replies: Any = message.get("replies") or []
    if not isinstance(replies, list):
        raise record.error(f"{where}.replies", f"expected a list of messages, got {kind(replies)}")
    below = cast(list[Any], replies)
    ranked = [r for r in (cast(dict[str, Any], reply) for reply in below if isinstance(reply, dict)) if isinstance(r.get("rank"), int)]
    if len(ranked) > 1:
        yield _ranking(record, ranked, said, where)
    for number, reply in enumerate(below):
        yield from _below(record, reply, said, f"{where}.replies[{number}]")


def _ranking(record: Record, ranked: list[dict[str, Any]], said: tuple[Message, ...], where: str) -> Annotation | Passed:
    if said[-1].role != "user" or any(r.get("role") != "assistant" for r in ranked):
        return Passed(record.where, "rankings of what prompters wrote")
    if not 2 <= len(ranked) <= 9:
        return Passed(record.where, "rankings of more than nine replies")
    responses = tuple(Response(record.as_text(r.get("text"), f"{where}.replies.text"), by=str(r.get("model_name") or "")) for r in ranked)
    ranks = sorted({r["rank"] for r in ranked})
    tiers = [[n for n, r in enumerate(ranked) if r["rank"] == rank] for rank in ranks]
    return Annotation(Prompt(said), responses, "ranking", {"tiers": tiers}, CONSENSUS)
