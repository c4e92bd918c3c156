"""What a tool has no place for: written beside its own fields under `tutelage`, where it lets other fields be, and read from there.

    {"id": ..., <the tool's own fields>, "tutelage": {"weight": 0.5, "shown": [1, 0], "seconds": 12.5, "by": ["sft", "ppo"], ...}}

Each format names what its own fields hold (`held`); of the rest whatever isn't the default is written. So what a tool deletes is lost
there and nowhere else.
"""

import dataclasses
from collections.abc import Collection
from typing import Any, cast

from tutelage.core.rows import Record
from tutelage.core.text import Prompt
from tutelage.feedback.annotation import Annotation

BESIDE = "tutelage"
"""The field."""
OWN = ("weight", "shown", "guideline", "flags", "aspect", "seconds", "at")
KNOWN = {*OWN, "answer", "cut", "by", "tags"}


def beside(annotation: Annotation, *held: str, tags: Collection[str] | None = ()) -> dict[str, Any]:
    """What is written: whatever isn't the default and isn't `held`; of the prompt's tags those that aren't among `tags` (None: all are)."""
    plain = dataclasses.asdict(annotation)
    fields = {field.name: field.default for field in dataclasses.fields(Annotation) if field.name in OWN and field.name not in held}
    told: dict[str, Any] = {name: plain[name] for name, default in fields.items() if plain[name] != default}
    if set(annotation.answer) - {"winner", "values"} and annotation.task in ("pair", "score"):
        told["answer"] = dict(annotation.answer)
    if cut := [n for n, response in enumerate(annotation.responses) if not response.finished]:
        told["cut"] = cut
    if "by" not in held and any(response.by for response in annotation.responses):
        told["by"] = [response.by for response in annotation.responses]
    if tags is not None and (rest := {name: tag for name, tag in annotation.prompt.tags.items() if name not in tags}):
        told["tags"] = rest
    return told


def with_beside(annotation: Annotation, record: Record, told: object) -> Annotation:
    """An annotation with what `beside` wrote. UserError where it has another form."""
    if told is None:
        return annotation
    given = cast(dict[str, Any], told) if isinstance(told, dict) else {}
    by, tags = given.get("by"), given.get("tags", {})
    fits = isinstance(tags, dict) and (by is None or (isinstance(by, list) and len(cast(list[Any], by)) == len(annotation.responses)))
    if not isinstance(told, dict) or set(given) - KNOWN or not fits:
        raise record.error(BESIDE, f"expected an object of {', '.join(sorted(KNOWN))}; remove the field or write it as Tutelage does")
    cut = given.get("cut", [])
    names = [r.by for r in annotation.responses] if by is None else [str(name) for name in cast(list[Any], by)]
    named = {str(name): str(tag) for name, tag in cast(dict[str, Any], tags).items()}
    return dataclasses.replace(
        annotation,
        prompt=Prompt(annotation.prompt.messages, {**annotation.prompt.tags, **named}),
        responses=tuple(dataclasses.replace(r, finished=n not in cut, by=by) for n, (r, by) in enumerate(zip(annotation.responses, names))),
        answer=given.get("answer", annotation.answer),
        weight=given.get("weight", annotation.weight),
        shown=tuple(given.get("shown", annotation.shown)),
        guideline=given.get("guideline", annotation.guideline),
        flags=tuple((int(place), str(flag)) for place, flag in given.get("flags", annotation.flags)),
        aspect=given.get("aspect", annotation.aspect),
        seconds=given.get("seconds", annotation.seconds),
        at=given.get("at", annotation.at),
    )
