"""Label Studio's JSON export: tasks with the annotations of people.

    [{"id": 1, "data": {"prompt": ..., "answer1": ..., "answer2": ...}, "annotations": [{"completed_by": 2, "lead_time": 12.5,
      "result": [{"from_name": "better", "to_name": "a1,a2", "type": "pairwise", "value": {"selected": "left"}}]}], "predictions": []}]

Held: who (a number, or the address where the export carries it), when, how many seconds, and results of the types pairwise, ranker,
choices, rating, number and textarea. A ranker's ties are held where its buckets are numbered (`rank-1`, ...); buckets with other names
don't say which is better and are refused. Not held: the order shown, the guideline. Canceled annotations are passed over, and so are
predictions, which are a model's.

JSON_MIN and CSV are not read, and JSON_MIN is refused in words. They do say who answered, when and how fast; they leave out of each
answer its type and `to_name`, the fields that it was given on: without these `left` is no response, and a text may be chosen or written.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, kind
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.beside import BESIDE, beside, with_beside
from tutelage.feedback.foreign import by_item, tags_of
from tutelage.feedback.given import Given, Judged, Passed, annotator, asked, judged
from tutelage.feedback.questions import Said, Told, said_of, understood, word

SHORT = {"annotator", "annotation_id", "lead_time"}
"""The fields that every row of JSON_MIN has."""
TYPES = ("pairwise", "ranker", "choices", "rating", "number", "textarea")


def recognize(row: Row) -> bool:
    """Tasks with `data` and `annotations`; or a row of JSON_MIN, which `read` refuses in words."""
    return (isinstance(row.get("data"), dict) and isinstance(row.get("annotations"), list)) or set(row) >= SHORT


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One annotation for each person and question of a task."""
    if set(record.values) >= SHORT and "annotations" not in record.values:
        what = "this is Label Studio's short form (JSON_MIN), which doesn't say on what an answer was given, nor of which kind it is"
        raise UserError(f"{record.where}: {what}; export the project once more, as JSON")
    data = cast(dict[str, Any], record.values["data"])
    found = cast(list[Any], record.values["annotations"])
    if not found:
        yield Passed(record.where, "tasks without an annotation")
        return
    meta = record.values.get("meta")
    tags = tags_of(record.values, "id") | tags_of(
        cast(dict[str, Any], meta) if isinstance(meta, dict) else {}, *cast(dict[str, Any], meta or {})
    )
    on = judged(record, data, "data.", given, tags)
    for number, one in enumerate(found):
        where = f"annotations[{number}]"
        annotation = cast(dict[str, Any], one) if isinstance(one, dict) else {}
        if not isinstance(annotation.get("result"), list):
            raise record.error(where, 'expected an annotation like {"completed_by": ..., "result": [...]}')
        if annotation.get("was_cancelled"):
            yield Passed(record.where, "annotations that were canceled")
            continue
        yield from _annotations(record, on, annotation, where, given)


def _annotations(record: Record, on: Judged, one: Mapping[str, Any], where: str, given: Given) -> Iterator[Annotation | Passed]:
    by = one.get("completed_by")
    if isinstance(by, dict):
        named = cast(dict[str, Any], by)
        by = named.get("email") or named.get("id")
    person = annotator(record, by, f"{where}.completed_by")
    seconds = one.get("lead_time") or 0.0
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise record.error(f"{where}.lead_time", f"expected seconds, got {kind(seconds)}")
    results = cast(list[Any], one["result"])
    said = [s for n, result in enumerate(results) if (s := _said(record, on, result, f"{where}.result[{n}]", given)) is not None]
    if not said:
        yield Passed(record.where, "annotations without a result")
    extra = cast(dict[str, Any], one.get(BESIDE) or {})
    for told in understood(record, on, said, given):
        if isinstance(told, Told):
            at = str(one.get("created_at") or "")
            made = Annotation(on.prompt, on.responses, told.task, told.answer, person, seconds=float(seconds), at=at, aspect=told.aspect)
            yield with_beside(made, record, extra.get(f"{told.task} {told.aspect}"))
        else:
            yield told


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A task for each prompt with its responses; an annotation for each judgement."""
    count = 0
    for number, group in enumerate(by_item(annotations).values(), 1):
        first = group[0]
        names = [f"response{n}" for n in range(1, len(first.responses) + 1)]
        data: dict[str, Any] = {"prompt": asked(first.prompt), **{name: r.text for name, r in zip(names, first.responses)}}
        name = first.prompt.tags.get("id", str(number))
        meta = {k: v for k, v in first.prompt.tags.items() if k != "id"}
        made: list[dict[str, Any]] = []
        for a in group:
            count += 1
            told = beside(a, "aspect", "seconds", "at", tags=_tags(a.prompt.tags))
            one: dict[str, Any] = {"id": count, "completed_by": int(a.annotator) if _is_number(a.annotator) else {"email": a.annotator}}
            one |= {"was_cancelled": False, "lead_time": a.seconds, "created_at": a.at, "ground_truth": False}
            one["result"] = [_result(said, names) for said in said_of(a, names)]
            made.append(one | ({BESIDE: {f"{a.task} {a.aspect}": told}} if told else {}))
        yield {"id": int(name) if _is_number(name) else number, "data": data, "annotations": made, "predictions": [], "meta": meta}


def _said(record: Record, on: Judged, result: Any, where: str, given: Given) -> Said | None:
    """One result; None for a question that is left out."""
    if not isinstance(result, dict):
        raise record.error(where, f"expected a result, got {kind(result)}")
    one = cast(dict[str, Any], result)
    question, type_, value = str(one.get("from_name") or ""), one.get("type"), one.get("value")
    if question in given.without:
        return None
    if type_ not in TYPES:
        may = f"read are {', '.join(TYPES)}; leave the question out with --without {question}"
        raise record.error(f"{where}.type", f"the question '{question}' is of the type {type_!r}, which is not read; {may}")
    held: Any = (
        cast(dict[str, Any], value).get("selected" if type_ == "pairwise" else "text" if type_ == "textarea" else str(type_))
        if (isinstance(value, dict))
        else None
    )
    if held is None or held == []:
        raise record.error(f"{where}.value", f"has no answer of the type {type_}")
    if type_ == "pairwise":
        return Said(question, "choose", _side(record, on, word(record, held, where), one))
    if type_ == "ranker":
        return Said(question, "order", _tiers(record, held, where, question))
    if type_ in ("rating", "number"):
        return Said(question, "rate", held)
    words = [str(part) for part in cast(list[Any], held)] if isinstance(held, list) else [record.as_text(held, f"{where}.value")]
    if len(words) != 1 and type_ == "choices":
        raise record.error(f"{where}.value", f"chooses {len(words)} at once; leave the question out with --without {question}")
    return Said(question, "choose" if type_ == "choices" else "write", "\n".join(words))


def _side(record: Record, on: Judged, side: str, one: Mapping[str, Any]) -> str:
    """The response that `left` or `right` means: the first or second of `to_name`, where these are named as the responses are."""
    if len(on.responses) != 2 or side not in ("left", "right"):
        return side
    to = [name.strip() for name in str(one.get("to_name") or "").split(",")]
    places = [on.place(name) for name in to]
    return on.names[cast(int, places[side == "right"])] if sorted(p for p in places if p is not None) == [0, 1] else side


def _tiers(record: Record, value: Any, where: str, question: str) -> list[list[str]]:
    if isinstance(value, list):
        return [[str(name)] for name in cast(list[Any], value)]
    if not isinstance(value, dict):
        raise record.error(f"{where}.value.ranker", f"expected a list of items, or buckets of them, got {kind(value)}")
    numbered: dict[int, list[str]] = {}
    for bucket, inside in cast(dict[str, Any], value).items():
        found = re.search(r"([0-9]+)$", bucket)
        if not found:
            what = f"the bucket '{bucket}' doesn't say how good what is in it is; name buckets rank-1 (the best), rank-2, ..."
            raise record.error(f"{where}.value.ranker", f"{what}, or leave the question out with --without {question}")
        numbered[int(found[1])] = [str(name) for name in inside]
    return [numbered[n] for n in sorted(numbered) if numbered[n]]


def _result(said: Said, names: Sequence[str]) -> dict[str, Any]:
    """An answer as a result; a pair by choices, which hold a tie (pairwise doesn't)."""
    one: dict[str, Any] = {"from_name": said.question, "to_name": ",".join(names) or "prompt", "origin": "manual"}
    if said.kind == "order":
        value = {"ranker": {f"rank-{n}": tier for n, tier in enumerate(cast(list[list[str]], said.value), 1)}}
        return one | {"type": "ranker", "value": value}
    if said.kind == "choose" and said.question.startswith("pair") and said.value in names:
        return one | {"type": "pairwise", "value": {"selected": "right" if names.index(said.value) else "left"}}
    if said.kind == "choose":
        return one | {"type": "choices", "value": {"choices": [said.value]}}
    if said.kind == "rate":
        return one | {"type": "number", "value": {"number": said.value}}
    return one | {"type": "textarea", "value": {"text": [said.value]}}


def _tags(tags: Mapping[str, str]) -> list[str]:
    """Those that a task holds: all, but its id only where it is a number, as Label Studio's are."""
    return [tag for tag in tags if tag != "id" or _is_number(tags["id"])]


def _is_number(name: str) -> bool:
    return name.isdecimal() and str(int(name)) == name
