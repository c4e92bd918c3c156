"""A column for each annotator: the plain table in which many studies publish who said what of two responses, or of one.

    {"instruction": ..., "input": ..., "response1": ..., "response2": ..., "annotator1": 2, "annotator2": 0, "annotator3": 2}     PandaLM
    {"prompt": ..., "completion": ..., "annotation_1": "1_full_compliance", "annotation_2": "3_partial_refusal"}                  XSTest

Of two responses a column holds 1 or 2 (the better one) or 0 (a tie), or a word that says so. Of one it holds yes or no, a number, or one
of XSTest's three classes (Röttger et al. 2024), which are degrees of one thing and become a score of the aspect `compliance`: full
compliance 1, partial refusal 0.5, full refusal 0. Held: who, by the column's name. Not held: when, how long, the order shown, the
guideline. An empty cell is nobody's answer. Columns that hold a summary (`final_label`, `agreement`) are left alone: an aggregate can be
made again.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.foreign import by_item, tags_of
from tutelage.feedback.given import Given, Judged, Passed, asked, is_both_bad, is_tie, judged
from tutelage.feedback.questions import BAD, GOOD

COLUMN = re.compile(r"(annotator|annotation|rater|labeler|coder|judge)[-_ ]?[0-9]+")
COMPLIANCE = {"1_full_compliance": 1.0, "3_partial_refusal": 0.5, "2_full_refusal": 0.0}
TAGS = ("id", "idx", "type", "category", "dataset", "motivation_app", "cmp_key")


def recognize(row: Row) -> bool:
    """Rows with two or more columns that are called after annotators."""
    return len(_columns(row)) > 1


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One annotation for each filled cell."""
    row = record.values
    columns = _columns(row)
    fields = {name: value for name, value in row.items() if name not in (*columns, *TAGS, "model")}
    on = judged(record, fields, "", given, tags_of(row, *TAGS, "model"))
    if len(on.responses) not in (1, 2):
        raise record.error(
            columns[0], f"a column is about one response or two, but this row has {len(on.responses)} ({', '.join(on.names)})"
        )
    for name in columns:
        if row[name] in (None, ""):
            yield Passed(record.where, "empty cells")
        else:
            task, answer, aspect = _one(record, name, row[name]) if len(on.responses) == 1 else _two(record, on, name, row[name])
            yield Annotation(on.prompt, on.responses, task, answer, name, aspect=aspect)


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A row for each prompt with its responses; one more where somebody judged them twice."""
    for group in by_item(annotations).values():
        names = ["response"] if len(group[0].responses) == 1 else [f"response{n}" for n in range(1, len(group[0].responses) + 1)]
        rows: list[Row] = []
        for a in group:
            if not COLUMN.fullmatch(a.annotator):
                raise UserError(
                    f"annotation {a.id}: a column can't be called {a.annotator!r} (annotator1, rater_2, ...); write raw rows instead"
                )
            row = next((row for row in rows if a.annotator not in row), None)
            if row is None:
                row = {**a.prompt.tags, "prompt": asked(a.prompt), **{n: r.text for n, r in zip(names, a.responses)}}
                rows.append(row)
            row[a.annotator] = _cell(a)
        yield from (row | ({"annotator0": None} if len(_columns(row)) == 1 else {}) for row in rows)  # two columns make it known again


def _columns(row: Mapping[str, Any]) -> list[str]:
    return [name for name in row if COLUMN.fullmatch(name.lower())]


def _two(record: Record, on: Judged, column: str, value: Any) -> tuple[str, dict[str, Any], str]:
    word = str(value).strip().removesuffix(".0")
    if word == "0" or is_tie(word):
        return "pair", {"winner": "tie"}, "overall"
    if is_both_bad(word):
        return "pair", {"winner": "both_bad"}, "overall"
    place = on.place(word)
    if place is None or isinstance(value, bool):
        raise record.error(column, f"{value!r} is no vote on two responses; a vote is 1 or 2 (the better one), 0 or 'tie'")
    return "pair", {"winner": place}, "overall"


def _one(record: Record, column: str, value: Any) -> tuple[str, dict[str, Any], str]:
    if isinstance(value, str) and value in COMPLIANCE:
        return "score", {"values": [COMPLIANCE[value]], "low": 0.0, "high": 1.0}, "compliance"
    if isinstance(value, bool) or (isinstance(value, str) and value.lower() in (*GOOD, *BAD)):
        return "binary", {"good": [value if isinstance(value, bool) else value.lower() in GOOD]}, "overall"
    if isinstance(value, int | float):
        return "score", {"values": [value]}, "overall"
    raise record.error(column, f"{value!r} is no judgement of a response; read are yes, no, a number, {', '.join(COMPLIANCE)}")


def _cell(a: Annotation) -> Any:
    """What stands in the annotator's column."""
    if a.task == "pair":
        winner = a.answer["winner"]
        return winner + 1 if isinstance(winner, int) else 0 if winner == "tie" else winner
    if a.task == "binary":
        return "yes" if a.answer["good"][0] else "no"
    if a.task == "score" and a.aspect == "compliance":
        return next((word for word, value in COMPLIANCE.items() if value == a.answer["values"][0]), None)
    if a.task == "score":
        return a.answer["values"][0]
    raise UserError(f"annotation {a.id} by {a.annotator}: a column can't hold the task {a.task}; write raw rows instead")
