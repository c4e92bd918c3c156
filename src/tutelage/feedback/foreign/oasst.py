"""OpenAssistant's message trees (Köpf et al. 2023): conversations that branch, with the replies to each message ranked.

    {"message_tree_id": ..., "tree_state": ..., "prompt": {"text": ..., "role": "prompter", "replies": [{"text": ..., "role": "assistant",
     "rank": 0, "replies": [...]}, ...]}}

Which tree a message is of, and which of several equal ones it is, its id says (`message_tree_id`, `message_id`); where there is none, its
place. Both are kept as tags of the prompt, so trees that begin alike and siblings of equal text stay apart when they are written again.

A rank is a consensus of several volunteers (Tideman's ranked pairs), 0 the best: what each of them said isn't in the export, nor when,
nor the order shown. So a ranking here is one annotation by `oasst`, not by people, and agreement can't be measured on it. Replies
without a rank (null, or the NaN that a table puts there: deleted, or never ranked) are left out of it; a message with fewer than two
ranked replies is no annotation. Rankings of what prompters wrote are passed over: they judge people's prompts, not answers. So are
labels and emojis, which are counts over people.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, kind
from tutelage.core.text import Message, Prompt, Response, content_id
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.given import Given, Passed

CONSENSUS = "oasst"
"""The annotator: all volunteers together."""
ROLES = {"prompter": "user", "assistant": "assistant"}
TREE, PATH, REPLIES = "message_tree_id", "path", "replies"
"""Tags: the tree, the ids of the prompt's messages from the root on, and those of the ranked replies."""
WRITTEN = {role: name for name, role in ROLES.items()}


def recognize(row: Row) -> bool:
    """Rows with a message tree."""
    return "message_tree_id" in row and isinstance(row.get("prompt"), dict)


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One ranking for each message with two or more ranked answers, from the root on."""
    yield from _below(record, cast(dict[str, Any], record.values["prompt"]), (), ("0",), "prompt")


@dataclass
class _Node:
    """A message of a tree that is being put together."""

    text: str
    role: str
    by: str = ""
    rank: int | None = None
    replies: "dict[str, _Node]" = field(default_factory=lambda: cast("dict[str, _Node]", {}))
    """By their ids."""

    def holds(self, path: "Sequence[_Node]", ids: Sequence[str], answers: "Mapping[str, _Node]") -> bool:
        """Whether `take` would say nothing else than it is told: no id has another text here, and no ranking is there already."""
        node: _Node | None = self
        for at, one in enumerate(path):
            node = self if at == 0 else node.replies.get(ids[at]) if node else None
            if node and (node.text, node.role) != (one.text, one.role):
                return False
        there = {} if node is None else node.replies
        free = all(reply.rank is None for reply in there.values())
        return free and all(there[name].text == one.text for name, one in answers.items() if name in there)

    def take(self, path: "Sequence[_Node]", ids: Sequence[str], answers: "Mapping[str, _Node]") -> None:
        """Put a conversation into the tree, and below it the replies with their ranks."""
        node = self
        for name, one in zip(ids[1:], path[1:]):
            node = node.replies.setdefault(name, one)
        for name, one in answers.items():
            held = node.replies.setdefault(name, one)
            held.by, held.rank = one.by, one.rank

    def row(self, name: str) -> Row:
        made: Row = {"message_id": name, "text": self.text, "role": WRITTEN[self.role]}
        made |= ({"model_name": self.by, "synthetic": True} if self.by else {}) | ({} if self.rank is None else {"rank": self.rank})
        return made | {"replies": [reply.row(id_) for id_, reply in self.replies.items()]}


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """The trees that the tags name; what has none is put together by first messages. Another tree wherever the same message is ranked once
    more."""
    trees: dict[tuple[str, str], list[_Node]] = {}
    for a in sorted(annotations, key=lambda a: len(a.prompt.messages)):  # so that replies stand in the order of the ranking above them
        if a.task != "ranking" or any(m.role not in WRITTEN or len(m.content) != 1 or m.tool_calls for m in a.prompt.messages):
            what = f"the task {a.task}" if a.task != "ranking" else "a conversation with other speakers than prompter and assistant"
            raise UserError(f"annotation {a.id} by {a.annotator}: a message tree can't hold {what}; write raw rows instead")
        name, ids, replies = _named(a)
        path = [_Node(m.text, m.role) for m in a.prompt.messages]
        rank = {place: n for n, tier in enumerate(a.answer["tiers"]) for place in cast(list[int], tier)}
        answers = {id_: _Node(r.text, "assistant", r.by, rank[n]) for n, (id_, r) in enumerate(zip(replies, a.responses))}
        copies = trees.setdefault((name, ids[0]), [])
        tree = next((tree for tree in copies if tree.holds(path, ids, answers)), None)
        if tree is None:
            tree = path[0]
            copies.append(tree)
        tree.take(path, ids, answers)
    for (name, root), copies in trees.items():
        yield from ({"message_tree_id": name, "tree_state": "ready_for_export", "prompt": tree.row(root)} for tree in copies)


def _named(a: Annotation) -> tuple[str, list[str], list[str]]:
    """The tree, and the ids of the messages and of the replies: those of the tags, else made of what was said so far."""
    tags = a.prompt.tags
    ids, replies = tags.get(PATH, "").split(), tags.get(REPLIES, "").split()
    if TREE in tags and len(ids) == len(a.prompt.messages) and len(set(replies)) == len(a.responses):
        return tags[TREE], ids, replies
    ids = [content_id("tree", a.prompt.messages[0].text)]
    for m in a.prompt.messages[1:]:
        ids.append(_after(ids[-1], m.role, m.text, 0))
    times = Counter[str]()
    replies = list[str]()
    for response in a.responses:
        replies.append(_after(ids[-1], "assistant", response.text, times[response.text]))
        times[response.text] += 1
    return ids[0], ids, replies


def _after(above: str, role: str, text: str, nth: int) -> str:
    """The id of a message by what it says, and which of several siblings that say the same it is."""
    return content_id(above, role, text, *([nth] if nth else []))


def _below(record: Record, one: Any, said: tuple[Message, ...], ids: tuple[str, ...], where: str) -> Iterator[Annotation | Passed]:
    """The rankings of a message's replies, and of theirs; `ids`: its own, and before it of those above."""
    if not isinstance(one, dict):
        raise record.error(where, f"expected a message, got {kind(one)}")
    message = cast(dict[str, Any], one)
    role = message.get("role")
    if role not in ROLES:
        raise record.error(f"{where}.role", f"{role!r} is no role; roles are prompter and assistant")
    said = (*said, Message(ROLES[role], (record.as_text(message.get("text"), f"{where}.text"),)))
    ids = (*ids[:-1], _id(message) or ids[-1])
    replies: Any = message.get("replies") or []
    if not isinstance(replies, list):
        raise record.error(f"{where}.replies", f"expected a list of messages, got {kind(replies)}")
    below = cast(list[Any], replies)
    ranked: dict[int, int] = {}
    for number, reply in enumerate(below):
        rank = _rank(record, reply, f"{where}.replies[{number}]")
        if rank is not None:
            ranked[number] = rank
    if len(ranked) > 1:
        yield _ranking(record, below, ranked, said, ids, where)
    for number, reply in enumerate(below):
        yield from _below(record, reply, said, (*ids, f"{ids[-1]}.{number}"), f"{where}.replies[{number}]")


def _id(message: Mapping[str, Any]) -> str:
    """A message's own id; nothing where it has none that fits into a tag."""
    name = message.get("message_id")
    return name if isinstance(name, str) and len(name.split()) == 1 else ""


def _rank(record: Record, reply: Any, where: str) -> int | None:
    """The rank of a reply, also where a table made it a float; None where there is none."""
    rank = cast(dict[str, Any], reply).get("rank") if isinstance(reply, dict) else None
    if rank is None or (isinstance(rank, float) and isnan(rank)):
        return None
    if isinstance(rank, bool) or not isinstance(rank, int | float) or rank != rank // 1:
        raise record.error(f"{where}.rank", f"{rank!r} is no rank; a rank is a whole number, 0 the best, or null")
    return int(rank)


def _ranking(
    record: Record, below: list[Any], ranked: Mapping[int, int], said: tuple[Message, ...], ids: tuple[str, ...], where: str
) -> Annotation | Passed:
    answers = [cast(dict[str, Any], below[number]) for number in ranked]
    if said[-1].role != "user" or any(one.get("role") != "assistant" for one in answers):
        return Passed(record.where, "rankings of what prompters wrote")
    if len(answers) > 9:
        return Passed(record.where, "rankings of more than nine replies")
    names = " ".join(_id(one) or f"{ids[-1]}.{number}" for number, one in zip(ranked, answers))
    tags = {TREE: str(record.values["message_tree_id"]), PATH: " ".join(ids), REPLIES: names}
    responses = tuple(
        Response(record.as_text(one.get("text"), f"{where}.replies.text"), by=str(one.get("model_name") or "")) for one in answers
    )
    order = list(ranked.values())
    tiers = [[n for n, rank in enumerate(order) if rank == best] for best in sorted(set(order))]
    return Annotation(Prompt(said, tags), responses, "ranking", {"tiers": tiers}, CONSENSUS)
