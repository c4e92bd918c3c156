"""Potato's public output (Pei et al. 2022; its documentation, read; none of its code): an item a line, with one annotator's answers.

    {"id": ..., "displayed_text": ..., "label_annotations": {"preference": {"selection": "A"}}, "behavioral_data": {...}}
    {"instance_id": ..., "user_id": ..., "annotations": {"quality": {"rank_order": "B,D=A,C"}}}

Held: pairwise choices (`selection`: A, B, tie) and scales (`scale_value`: below 0 the first is better, by up to 3), rankings with ties,
best and worst, single choices, numbers and texts; seconds. The annotator is `user_id`, or the folder that an `annotated_instances.jsonl`
lies in. What was judged is not in Potato's file but in the project's data: give that file as items (--items), or have `item` in the
rows, as these are written here. Not held: when, the guideline; the order shown only where Potato shuffled (it doesn't say). Spans are
passed over.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from tutelage.core.rows import Record, Row, kind
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.beside import BESIDE, beside, with_beside
from tutelage.feedback.foreign import tags_of
from tutelage.feedback.given import Given, Judged, Passed, annotator, asked, judged
from tutelage.feedback.questions import Said, Told, aspect_of, question_of, said_of, understood

ANSWERS = ("label_annotations", "annotations")
WHO = ("user_id", "user", "annotator", "username")
TIME = re.compile(r"([0-9]+)d ([0-9]+)h ([0-9]+)m ([0-9]+)s")
STRONGEST = 3


def recognize(row: Row) -> bool:
    """Rows with an id and one annotator's answers by question."""
    return ("id" in row or "instance_id" in row) and any(isinstance(row.get(name), dict) for name in ANSWERS)


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One annotation for each question of an item."""
    row = record.values
    field = next(name for name in ANSWERS if isinstance(row.get(name), dict))
    answers = {q: v for q, v in cast(dict[str, Any], row[field]).items() if v not in (None, {}, "")}
    if row.get("span_annotations"):
        yield Passed(record.where, "spans")
    if not answers:
        yield Passed(record.where, "items without an answer")
        return
    name = str(row.get("id", row.get("instance_id")))
    on = judged(record, _item(record, name, given), "item.", given, {"id": name} | tags_of(row, "category"))
    who, seconds = _who(record), _seconds(row)
    said: list[Said] = []
    for question, value in answers.items():
        if question in given.without:
            continue
        where = f"{field}.{question}"
        if not isinstance(value, dict):
            raise record.error(where, f'expected an answer like {{"selection": "A"}}, got {kind(value)}')
        one = cast(dict[str, Any], value)
        if "scale_value" in one:
            made = Annotation(
                on.prompt,
                on.responses,
                "pair",
                _scaled(record, one["scale_value"], where),
                who,
                seconds=seconds,
                aspect=aspect_of(question, "pair"),
            )
            yield with_beside(made, record, cast(dict[str, Any], row.get(BESIDE) or {}).get(question))
        else:
            said += _said(record, on, question, one, where)
    extra = cast(dict[str, Any], row.get(BESIDE) or {})
    for told in understood(record, on, said, given):
        if isinstance(told, Told):
            made = Annotation(on.prompt, on.responses, told.task, told.answer, who, seconds=seconds, aspect=told.aspect)
            yield with_beside(made, record, extra.get(question_of(told.task, told.aspect)))
        else:
            yield told


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A row for each annotation, with what was judged in `item`."""
    for number, a in enumerate(annotations, 1):
        letters = [chr(ord("A") + n) for n in range(len(a.responses))]
        answers: dict[str, dict[str, Any]] = {}
        for said in said_of(a, letters):
            if said.question in ("best", "worst"):
                answers.setdefault("bws", {})[said.question] = said.value
            else:
                answers[said.question] = _value(said, a)
        item = {"prompt": asked(a.prompt), "responses": [r.text for r in a.responses]}
        shown = "\n".join(f"{letter}. {r.text}" for letter, r in zip(letters, a.responses))
        row: Row = {"id": a.prompt.tags.get("id", str(number)), "user_id": a.annotator, "displayed_text": shown, "item": item}
        row |= {"label_annotations": answers, "span_annotations": {}, "behavioral_data": {"time_string": _time(a.seconds)}}
        told = beside(a, "aspect", *(["seconds"] if a.seconds == round(a.seconds) else []), tags=("id",))
        yield row | ({BESIDE: {question_of(a.task, a.aspect): told}} if told else {})


def _item(record: Record, name: str, given: Given) -> Mapping[str, Any]:
    """What was judged: from the row, or from the project's data."""
    row = record.values
    inside = next((row[field] for field in ("item", "instance", "data") if isinstance(row.get(field), dict)), None)
    if inside is not None:
        return cast(dict[str, Any], inside)
    if name in given.items:
        return {field: value for field, value in given.items[name].items() if field != "id"}
    if "responses" in row or given.responses:
        return {field: value for field, value in row.items() if field not in (*ANSWERS, *WHO, "id", "behavioral_data", "displayed_text")}
    what = f"there is no item {name!r} in the file of items" if given.items else "the row doesn't hold what was judged"
    raise record.error("id", f"{what}; give the project's data file with --items FILE (rows with id, prompt and responses)")


def _who(record: Record) -> str:
    field = next((name for name in WHO if record.values.get(name) not in (None, "")), None)
    if field:
        return annotator(record, record.values[field], field)
    path = Path(record.where.rpartition(":")[0])
    if path.name.startswith("annotated_instances") and path.parent.name:
        return annotator(record, path.parent.name, "user_id")
    raise record.error("user_id", "is missing, and the file doesn't lie in an annotator's folder as annotated_instances.jsonl")


def _said(record: Record, on: Judged, question: str, one: dict[str, Any], where: str) -> list[Said]:
    """An answer to one scheme, its kind told by the names that Potato's documentation gives to it."""
    if "selection" in one:
        return [Said(question, "choose", str(one["selection"]))]
    if "rank_order" in one:
        tiers = str(one["rank_order"]).split(",")
        return [Said(question, "order", [[name.strip() for name in tier.split("=")] for tier in tiers])]
    if {"best", "worst"} <= set(one):
        return [Said(end, "choose", str(one[end])) for end in ("best", "worst")]
    if texts := [name for name in one if name.startswith("text")]:
        return [Said(question, "write", record.as_text(one[texts[0]], f"{where}.{texts[0]}"))]
    chosen = [name for name, value in one.items() if value not in (False, None, "", "false")]
    if len(chosen) != 1:
        raise record.error(
            where, f"holds {len(chosen)} answers at once ({', '.join(chosen)}); leave the question out with --without {question}"
        )
    label = chosen[0].removeprefix("scale_")
    if re.fullmatch(r"-?[0-9]+", label):
        return [Said(question, "rate", int(label))]
    if re.fullmatch(r"-?[0-9]+\.[0-9]+", label):
        return [Said(question, "rate", float(label))]
    return [Said(question, "choose", label)]


def _scaled(record: Record, value: Any, where: str) -> dict[str, Any]:
    """A place on the scale from the first (below 0) to the second as a pair with its strength."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise record.error(f"{where}.scale_value", f"expected a number, got {value!r}") from None
    if not -STRONGEST <= number <= STRONGEST:
        raise record.error(
            f"{where}.scale_value", f"{value} is beyond the scale of -{STRONGEST} to {STRONGEST}; a strength is at most {STRONGEST}"
        )
    if number == 0:
        return {"winner": "tie"}
    return {"winner": int(number > 0), "strength": abs(number)}


def _value(said: Said, a: Annotation) -> dict[str, Any]:
    if said.kind == "order":
        return {"rank_order": ",".join("=".join(tier) for tier in cast(list[list[str]], said.value))}
    if said.kind == "choose" and a.task == "pair":
        return {"selection": said.value}
    if said.kind == "write":
        return {"text_box": said.value}
    return {str(said.value): True}


def _seconds(row: Row) -> float:
    """Potato's `Time spent: 0d 0h 0m 12s`, in seconds; 0 where it isn't there."""
    data = row.get("behavioral_data")
    behavior = cast(dict[str, Any], data) if isinstance(data, dict) else {}
    found = TIME.search(str(behavior.get("time_string", "")))
    if found:
        days, hours, minutes, seconds = (int(part) for part in found.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    spent = behavior.get("total_time_ms")
    return spent / 1000 if isinstance(spent, int | float) and not isinstance(spent, bool) else 0.0


def _time(seconds: float) -> str:
    whole = round(seconds)
    return f"Time spent: {whole // 86400}d {whole // 3600 % 24}h {whole // 60 % 60}m {whole % 60}s"
