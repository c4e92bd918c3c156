"""AlpacaEval's annotations (Dubois et al. 2023, 2024): which of two models' outputs a judge, or a person, preferred.

    {"instruction": ..., "output_1": ..., "generator_1": ..., "output_2": ..., "generator_2": ..., "annotator": ..., "preference": 1.23}

`preference` is 1 for the first output, 2 for the second, 0 or 1.5 for a tie; in between it is 1 + the probability that the second is
better. Held: the annotator (also `annotator_index`), both generators, the preference exactly (the probability of the better one is
preference - 1 or 2 - preference, which floats hold without rounding), seconds. Not held: the order shown, when. Rows without a
preference (null, NaN: the judge's answer could not be read) are passed over. Results that were regrouped by instruction, a baseline and
the models compared with it, are read as well.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, kind
from tutelage.core.text import Response
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.beside import BESIDE, beside, with_beside
from tutelage.feedback.foreign import tags_of
from tutelage.feedback.given import Given, Passed, annotator, asked, prompt_of

JUDGE = "alpaca_eval"
"""The annotator where a row names none."""


def recognize(row: Row) -> bool:
    """Rows with two outputs and a preference, or a baseline and models."""
    flat = {"output_1", "output_2", "preference"} <= set(row)
    return "instruction" in row and (flat or (isinstance(row.get("baseline"), dict) and isinstance(row.get("models"), list)))


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One pair for each comparison."""
    row = record.values
    if "models" not in row:
        yield _pair(record, row, "")
        return
    baseline = cast(dict[str, Any], row["baseline"])
    for number, one in enumerate(cast(list[Any], row["models"])):
        if not isinstance(one, dict):
            raise record.error(f"models[{number}]", f"expected a model's output and preference, got {kind(one)}")
        model = cast(dict[str, Any], one)
        flat = {"instruction": row["instruction"], "output_1": baseline.get("output"), "generator_1": baseline.get("model")}
        flat |= {"output_2": model.get("output"), "generator_2": model.get("model"), "preference": model.get("preference")}
        yield _pair(record, flat | {"dataset": row.get("dataset")}, f"models[{number}].")


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A row for each pair."""
    for a in annotations:
        if a.task != "pair" or not isinstance(asked(a.prompt), str):
            what = f"the task {a.task}" if a.task != "pair" else "a conversation of several turns"
            raise UserError(f"annotation {a.id} by {a.annotator}: AlpacaEval's rows can't hold {what}; write raw rows instead")
        row: Row = {"instruction": asked(a.prompt)}
        for number, response in enumerate(a.responses, 1):
            row |= {f"output_{number}": response.text, f"generator_{number}": response.by}
        winner, probability = a.answer["winner"], float(a.answer.get("probability", 1.0))
        if winner == "both_bad":
            raise UserError(f"annotation {a.id} by {a.annotator}: AlpacaEval's rows can't hold 'both_bad'; write raw rows instead")
        row["preference"] = 1.5 if winner == "tie" else 1 + probability if winner == 1 else 2 - probability
        row |= {"annotator": a.annotator} | ({"time_per_example": a.seconds} if a.seconds else {})
        row |= {"dataset": a.prompt.tags["dataset"]} if "dataset" in a.prompt.tags else {}
        told = beside(a, "seconds", "by", tags=("dataset",))
        if "strength" not in a.answer:
            told.pop("answer", None)  # `preference` holds the probability
        yield row | ({BESIDE: told} if told else {})


def _pair(record: Record, row: Row, place: str) -> Annotation | Passed:
    prompt = prompt_of(record, row["instruction"], "instruction", tags_of(row, "dataset"))
    responses = tuple(
        Response(record.as_text(row[f"output_{n}"], f"{place}output_{n}"), by=str(row.get(f"generator_{n}") or "")) for n in (1, 2)
    )
    value = row["preference"]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Passed(record.where, "rows without a preference")
    if isinstance(value, bool) or not isinstance(value, int | float) or not (value == 0 or 1 <= value <= 2):
        raise record.error(f"{place}preference", f"expected a number from 1 (the first) to 2 (the second), or 0 for a tie; got {value!r}")
    name = next((n for n in ("annotator", "annotator_index") if row.get(n) is not None), None)
    seconds = row.get("time_per_example")
    taken = float(seconds) if isinstance(seconds, int | float) and math.isfinite(seconds) else 0.0
    who = annotator(record, row[name], name) if name else JUDGE
    made = Annotation(prompt, responses, "pair", _answer(value), who, seconds=taken)
    return with_beside(made, record, row.get(BESIDE))


def _answer(value: float) -> dict[str, Any]:
    if value in (0, 1.5):
        return {"winner": "tie"}
    winner = int(value > 1.5)
    probability = float(value - 1 if winner else 2 - value)
    return {"winner": winner} if probability == 1 else {"winner": winner, "probability": probability}
