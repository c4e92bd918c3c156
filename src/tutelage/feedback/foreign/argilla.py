"""Argilla 2.x: records with the answers of people, as `dataset.records.to_json`, `to_list` or `to_datasets` write them.

    {"id": ..., "fields": {"prompt": ..., "response-1": ...}, "responses": {"preference": [{"value": ..., "user_id": ...}]}, ...}

Flattened records (`preference.responses`, `.users`, `.status`) and those of 1.x (`preference: [{"user_id", "value", "status"}]`) are
read as well. Held: who answered, every question of the kinds ranking, label, rating, text and multi-label (as flags). A ranking's ties
are held where its values carry ranks; 2.x itself writes only the order. Not held by Argilla itself: when and how long, the order shown,
the guideline (it belongs to the data set's settings, not to records); we write them into `metadata`, where they come back. Questions of
spans are refused by name. Drafts and discarded answers are passed over, and so are suggestions, which are a model's.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, kind
from tutelage.feedback.annotation import ANONYMOUS, Annotation
from tutelage.feedback.beside import BESIDE, beside, with_beside
from tutelage.feedback.foreign import by_item, rounds, tags_of
from tutelage.feedback.given import Given, Judged, Passed, annotator, asked, judged, squeezed
from tutelage.feedback.questions import Said, Told, said_of, stem_of, understood, word

SUGGESTED = ("-suggestion", ".suggestion", "-suggestion-metadata")
WORDS = ("yes", "no", "true", "false", "good", "bad", "tie", "bothbad", "neither", "positive", "negative")
OWN = ("id", "_server_id", "status", "inserted_at", "updated_at", "score", "vectors", "metadata", "external_id")


def recognize(row: Row) -> bool:
    """Records with `fields` and `responses`, flattened ones, those of 1.x."""
    if isinstance(row.get("fields"), dict) and isinstance(row.get("responses"), dict | list | type(None)):
        return "annotations" not in row
    return any(name.endswith(".responses.users") for name in row) or bool(_old(row)) or _unanswered(row)


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One annotation for each person and question."""
    fields, responses, metadata = _parts(record)
    if not any(responses.values()):
        yield Passed(record.where, "records without an answer")
        return
    tags = tags_of(record.values, "id") | {k: v for k, v in metadata.items() if isinstance(v, str) and k != BESIDE}
    on = judged(record, fields, "fields." if "fields" in record.values else "", given, tags)
    extra = _beside(record, metadata)
    by_person: dict[str, list[Said]] = {}
    for question, answers in responses.items():
        if question in given.without:
            continue
        for number, one in enumerate(answers):
            where = f"responses.{question}[{number}]"
            if one.get("status") in ("draft", "discarded"):
                yield Passed(record.where, f"answers with the status {one['status']}")
            elif one.get("value") is not None:
                person = annotator(record, one["user_id"], f"{where}.user_id") if one.get("user_id") not in (None, "None") else ANONYMOUS
                if person == ANONYMOUS and any(known.question == question for known in by_person.get(person, ())):
                    person = f"{ANONYMOUS}-{number + 1}"  # several answers of nobody in particular are several people's
                by_person.setdefault(person, []).append(_said(record, on, question, one["value"], f"{where}.value"))
    for person, said in by_person.items():
        flags = tuple(
            sorted((stem_of(one.question, len(on.responses))[1] or 0, flag) for one in said if one.kind == "flags" for flag in one.value)
        )
        for told in understood(record, on, [one for one in said if one.kind != "flags"], given):
            if isinstance(told, Told):
                made = Annotation(on.prompt, on.responses, told.task, told.answer, person, aspect=told.aspect, flags=flags)
                yield with_beside(made, record, extra.get(f"{person} {told.task} {told.aspect}"))
            else:
                yield told


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A record for each prompt with its responses; one more where somebody answered the same question twice."""
    groups = [once for group in by_item(annotations).values() for once in rounds(group)]
    for number, group in enumerate(groups, 1):
        first = group[0]
        names = [f"response_{n}" for n in range(1, len(first.responses) + 1)]
        fields: dict[str, Any] = {"prompt": asked(first.prompt), **{name: r.text for name, r in zip(names, first.responses)}}
        answers: dict[str, list[dict[str, Any]]] = {}
        extra: dict[str, Any] = {}
        for a in group:
            for said in said_of(a, names):
                one = {"value": _value(said), "user_id": a.annotator, "status": "submitted"}
                answers.setdefault(said.question, []).append(one)
            if told := beside(a, "aspect", tags=None):
                extra[f"{a.annotator} {a.task} {a.aspect}"] = told
        metadata = {k: v for k, v in first.prompt.tags.items() if k != "id"}
        if extra:
            metadata[BESIDE] = json.dumps(extra, ensure_ascii=False, sort_keys=True)
        name = first.prompt.tags.get("id", str(number))
        yield {"id": name, "fields": fields, "metadata": metadata, "suggestions": {}, "responses": answers, "vectors": {}}


def _parts(record: Record) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """Fields, answers by question, metadata; from any of the three forms."""
    row = record.values
    if isinstance(row.get("fields"), dict):
        answers: dict[str, list[dict[str, Any]]] = {}
        for question, found in cast(dict[str, Any], row.get("responses") or {}).items():
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in cast(list[Any], found)):
                raise record.error(
                    f"responses.{question}", f'expected a list of {{"value": ..., "user_id": ...}}, got {kind(cast(object, found))}'
                )
            answers[question] = cast(list[dict[str, Any]], found)
        metadata = row.get("metadata")
        return cast(dict[str, Any], row["fields"]), answers, cast(dict[str, Any], metadata) if isinstance(metadata, dict) else {}
    answers = _flat(record) or _old(row) or {name: [] for name, value in row.items() if value == []}
    questions = {name for question in answers for name in row if name == question or name.startswith((f"{question}.", f"{question}-sug"))}
    fields = {name: value for name, value in row.items() if name not in questions and name not in OWN and value is not None}
    return fields, answers, {}


def _flat(record: Record) -> dict[str, list[dict[str, Any]]]:
    """Answers of a flattened record: three lists for each question."""
    answers: dict[str, list[dict[str, Any]]] = {}
    for name in record.values:
        if name.endswith(".responses.users"):
            question = name.removesuffix(".responses.users")
            lists: list[Any] = [record.values.get(f"{question}.responses{end}") or [] for end in ("", ".users", ".status")]
            values, users, statuses = lists
            if len(values) != len(users):
                raise record.error(f"{question}.responses", f"holds {len(values)} answers of {len(users)} users; it must hold one for each")
            statuses = statuses or [None] * len(values)
            answers[question] = [{"value": v, "user_id": u, "status": s} for v, u, s in zip(values, users, statuses)]
    return answers


def _old(row: Row) -> dict[str, list[dict[str, Any]]]:
    """Answers of a record of 1.x: a list of objects with `user_id` and `value` under the question's name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, value in row.items():
        if isinstance(value, list) and value:
            ones = cast(list[Any], value)
            if all(isinstance(one, dict) and {"user_id", "value"} <= set(cast(dict[str, Any], one)) for one in ones):
                found[name] = cast(list[dict[str, Any]], ones)
    return found


def _unanswered(row: Row) -> bool:
    """A record of 1.x that nobody answered: an empty list with the suggestions to the same question beside it."""
    return any(value == [] and any(f"{name}{end}" in row for end in SUGGESTED) for name, value in row.items())


def _said(record: Record, on: Judged, question: str, value: Any, where: str) -> Said:
    """An answer, its question's kind told by the form of its value: records don't carry the settings of their data set."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | list):
        raise record.error(where, f"expected an answer, got {kind(value)}; leave the question out with --without {question}")
    if isinstance(value, int | float):
        return Said(question, "rate", value)
    if isinstance(value, str):
        return Said(question, "choose" if _is_choice(question, value, on) else "write", value)
    items = cast(list[Any], value)
    if items and all(isinstance(item, dict) and {"value", "rank"} <= set(cast(dict[str, Any], item)) for item in items):
        return Said(question, "order", _tiers(record, cast(list[dict[str, Any]], items), where))
    if all(isinstance(item, dict) and "start" in item for item in items) and items:
        raise record.error(where, f"is an answer of spans, which are not read; leave the question out with --without {question}")
    words = [word(record, cast(dict[str, Any], item).get("value") if isinstance(item, dict) else item, where) for item in items]
    if any(on.place(one) is not None for one in words) and squeezed(question.partition("-")[0]) != "flags":
        return Said(question, "order", [[one] for one in words])
    return Said(question, "flags", words)


def _is_choice(question: str, value: str, on: Judged) -> bool:
    """Whether a text was chosen rather than written: it names a response, a tie, yes or no, or the question's name says so."""
    if not on.responses or question.partition("-")[0] in ("edit", "demonstration"):
        return False
    if on.place(value) is not None or squeezed(value) in WORDS:
        return True
    return len(on.responses) > 1 and any(s in question.lower() for s in ("prefer", "choice", "best", "worst", "winner"))


def _tiers(record: Record, items: list[dict[str, Any]], where: str) -> list[list[str]]:
    """Values of equal rank share a tier."""
    for item in items:
        if not isinstance(item["rank"], int) or isinstance(item["rank"], bool):
            raise record.error(where, f"ranks {item['value']!r} as {item['rank']!r}; a rank is a whole number, 1 the best")
    ranks = sorted({cast(int, item["rank"]) for item in items})
    return [[word(record, item["value"], where) for item in items if item["rank"] == rank] for rank in ranks]


def _value(said: Said) -> Any:
    if said.kind != "order":
        return said.value
    return [{"value": name, "rank": n} for n, tier in enumerate(cast(list[list[str]], said.value), 1) for name in tier]


def _beside(record: Record, metadata: Mapping[str, Any]) -> dict[str, Any]:
    text = metadata.get(BESIDE)
    try:
        return cast(dict[str, Any], json.loads(text)) if isinstance(text, str) else {}
    except json.JSONDecodeError as error:
        raise UserError(f"{record.where}: field 'metadata.{BESIDE}': broken JSON ({error.msg}); remove it") from None
