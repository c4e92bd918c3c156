"""An annotation: what one person (or judge) said about one prompt and its K responses, kept raw.

Everything that training uses (preferences, labels, aggregates) is made from annotations and can be made again; an annotation
itself is never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from tutelage.core.text import Message, Prompt, Response, content_id

ANONYMOUS = "anonymous"
"""The annotator where a file names none: one word for many people, so nobody's agreement with themselves."""


@dataclass(frozen=True)
class Annotation:
    """One answer of one annotator. Two annotations with the same content have the same id, however long they took."""

    prompt: Prompt
    responses: tuple[Response, ...]
    task: str
    """A file in `feedback/tasks/` (ranking, pair, ...) or an outsider's `package.module:Class`."""
    answer: Mapping[str, Any] = field(hash=False)
    """The task's answer as plain JSON, in terms of places in `responses` (not of the order shown)."""
    annotator: str
    weight: float = 1.0
    """How much the whole annotation counts, >= 0; multiplies its signals."""
    shown: tuple[int, ...] = ()
    """shown[place on the screen] = place in `responses`; empty: shown as stored."""
    guideline: str = ""
    """Version of the guideline that the annotator read."""
    seconds: float = 0.0
    """How long the answer took. Not part of the id."""
    at: str = ""
    """Wall clock, ISO 8601. Not part of the id."""
    flags: tuple[tuple[int, str], ...] = ()
    """(place in `responses`, name of a flag) of each flag that was set, sorted, each once."""
    aspect: str = "overall"
    """What was judged; every signal has it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "flags", tuple(sorted(set(self.flags))))

    @cached_property
    def id(self) -> str:
        said = [[r.text, r.finished] for r in self.responses]
        what = (self.prompt.id, said, self.task, dict(self.answer))
        how = (self.annotator, float(self.weight), self.shown, self.guideline)
        return content_id("annotation", *what, *how, *_beside(self).items())


def to_plain(annotation: Annotation) -> dict[str, Any]:
    """An annotation as plain JSON, everything in it: `from_plain` gives it back."""
    a = annotation
    return {
        "prompt": [_message_to_plain(m) for m in a.prompt.messages],
        "tags": dict(a.prompt.tags),
        "responses": [_response_to_plain(r) for r in a.responses],
        "task": a.task,
        "answer": dict(a.answer),
        "annotator": a.annotator,
        "weight": a.weight,
        "shown": list(a.shown),
        "guideline": a.guideline,
        "seconds": a.seconds,
        "at": a.at,
        **_beside(a),
    }


def from_plain(tree: Mapping[str, Any]) -> Annotation:
    """The annotation that `to_plain` wrote."""
    return Annotation(
        prompt=Prompt(tuple(_message_from_plain(m) for m in tree["prompt"]), dict(tree["tags"])),
        responses=tuple(_response_from_plain(r) for r in tree["responses"]),
        task=tree["task"],
        answer=cast(dict[str, Any], tree["answer"]),
        annotator=tree["annotator"],
        weight=tree["weight"],
        shown=tuple(tree["shown"]),
        guideline=tree["guideline"],
        seconds=tree["seconds"],
        at=tree["at"],
        flags=tuple((place, flag) for place, flag in tree.get("flags", ())),
        aspect=tree.get("aspect", "overall"),
    )


def _beside(a: Annotation) -> dict[str, Any]:
    """Flags and aspect where there are any: annotations without them keep the id that they had before there were such."""
    flags = {"flags": [list(flag) for flag in a.flags]} if a.flags else {}
    return {**flags, **({"aspect": a.aspect} if a.aspect != "overall" else {})}


def _message_to_plain(m: Message) -> list[Any]:
    return [m.role, list(m.content), list(m.tool_calls), m.name]


def _message_from_plain(parts: list[Any]) -> Message:
    role, content, tool_calls, name = parts
    return Message(role, tuple(content), tuple(tool_calls), name)


def _response_to_plain(r: Response) -> dict[str, Any]:
    ids = None if r.ids is None else list(r.ids)
    return {"text": r.text, "ids": ids, "tokenizer": r.tokenizer, "finished": r.finished, "by": r.by}


def _response_from_plain(tree: Mapping[str, Any]) -> Response:
    ids = None if tree["ids"] is None else tuple(tree["ids"])
    return Response(tree["text"], ids, tree["tokenizer"], tree["finished"], tree["by"])
