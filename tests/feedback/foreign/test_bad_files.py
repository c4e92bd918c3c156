"""Broken and foreign files: file, row, field and what would be right, in one sentence."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.feedback.foreign import samples
from tutelage.core.errors import UserError
from tutelage.feedback import foreign


def fault(folder: Path, content: object, name: str = "x.json", form: str = "") -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    with pytest.raises(UserError) as error:
        foreign.read(folder / name, form)
    return str(error.value).removeprefix(f"{folder}/")


def test_a_file_that_was_cut_names_the_row_in_which_it_ends(tmp_path: Path) -> None:
    whole = json.dumps(samples.argilla())
    second = whole.index('"rec-2"')
    for at in (second + 20, second + 60, len(whole) - 2):
        row = 2 if at < whole.index('"rec-3"') else 3
        message = fault(tmp_path, whole[:at])
        assert message.startswith(f"x.json:{row}: broken JSON") and "copy or export it again" in message
    lines = "".join(json.dumps(row) + "\n" for row in samples.arena())
    assert fault(tmp_path, lines[:-40], "x.jsonl").startswith("x.jsonl:6: broken JSON")
    packed = gzip.compress(lines.encode())
    (tmp_path / "x.jsonl.gz").write_bytes(packed[:-20])
    with pytest.raises(UserError, match="the archive ends early; copy or download the file again"):
        foreign.read(tmp_path / "x.jsonl.gz")


def test_what_is_no_export(tmp_path: Path) -> None:
    assert "no known format of annotations; this row has a, b; known are alpaca_eval, arena, argilla" in fault(tmp_path, [{"a": 1, "b": 2}])
    assert "x.json:1: expected an object" in fault(tmp_path, "[1, 2]")
    assert "no rows" in fault(tmp_path, "[]") and "no rows" in fault(tmp_path, "")
    assert "there is no format 'argila'; did you mean 'argilla'?" in fault(tmp_path, samples.argilla(), form="argila")


def test_an_export_of_another_tool_is_refused_by_name(tmp_path: Path) -> None:
    assert "this row is not of the format argilla; it has id, data, annotations" in fault(tmp_path, samples.label_studio(), form="argilla")
    mixed: list[Any] = [*samples.arena()[:2], *samples.alpaca_eval()[:1]]
    assert fault(tmp_path, mixed).startswith("x.json:3: this row is not of the format arena; it has instruction, output_1")


def test_a_ranking_that_misses_a_response(tmp_path: Path) -> None:
    records = samples.argilla()
    records[0]["responses"]["preference"][1]["value"] = ["response-1", "response-3"]
    assert fault(tmp_path, records) == (
        "x.json:1: field 'preference': the ranking misses response-2; it must name each of response-1, response-2, response-3 once"
    )
    records[0]["responses"]["preference"][1]["value"] = ["response-1", "response-3", "response-1"]
    assert "the ranking names twice response-1" in fault(tmp_path, records)
    records[0]["responses"]["preference"][1]["value"] = ["response-1", "response-3", "response-9"]
    assert "ranks 'response-9', which is none of the responses" in fault(tmp_path, records)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda r: r["responses"].update(preference="a"), "field 'responses.preference': expected a list of"),
        (lambda r: r["responses"].pop("helpful-2"), "field 'helpful-1': was answered for other responses, but not for response-2"),
        (lambda r: r["responses"]["preference"][0].update(user_id=[1]), r"field 'responses.preference\[0\].user_id': names the annotator"),
        (
            lambda r: r["responses"].update(best=[{"value": "red", "user_id": "a"}]),
            "this question was answered 'red'; understood is one of",
        ),
        (lambda r: r["responses"].update(rate=[{"value": 3, "user_id": "a"}]), "this question doesn't say which of the 3 responses"),
        (lambda r: r["responses"]["preference"][0].update(value=True), "expected an answer, got true or false"),
        (lambda r: r["fields"].update({"response-2": 5}), "field 'fields.response-2': expected text, got a number"),
        (lambda r: r["fields"].update({"prompt": ""}), "none of the fields is known to be the prompt"),
        (lambda r: r["fields"].update({"response-2": "\ud800"}), "half a surrogate pair"),
    ],
)
def test_argilla(tmp_path: Path, change: Any, message: str) -> None:
    records = samples.argilla()
    change(records[0])
    found = fault(tmp_path, records)
    import re

    assert found.startswith("x.json:1: ") and re.search(message, found), found


def test_label_studios_short_form_is_refused_in_words(tmp_path: Path) -> None:
    data = {"prompt": "Name an animal.", "answer1": "A fox.", "answer2": "An owl.", "id": 11}
    who = {
        "annotator": 4,
        "annotation_id": 1,
        "created_at": "2026-03-09T21:52:49Z",
        "updated_at": "2026-03-09T21:52:49Z",
        "lead_time": 12.5,
    }
    message = (
        "x.json:1: this is Label Studio's short form (JSON_MIN), which doesn't say on what an answer was given, nor of which kind it is"
    )
    assert fault(tmp_path, [{**data, "better": [{"selected": "left"}], **who}]) == f"{message}; export the project once more, as JSON"


def test_label_studio(tmp_path: Path) -> None:
    task = samples.label_studio()[0]
    result = task["annotations"][0]["result"][0]
    result["type"] = "videorectangle"
    assert (
        "x.json:1: field 'annotations[0].result[0].type': the question 'better' is of the type 'videorectangle', which is not read"
        in fault(tmp_path, [task])
    )
    result |= {"type": "pairwise", "value": {"selected": "middle"}}
    assert "was answered 'middle'; understood is one of answer1, answer2" in fault(tmp_path, [task])
    result |= {"type": "ranker", "value": {"ranker": {"best": ["answer1"], "ads": ["answer2"]}}}
    assert "the bucket 'best' doesn't say how good what is in it is" in fault(tmp_path, [task])
    result |= {"type": "choices", "value": {"choices": ["a", "b"]}}
    assert "chooses 2 at once" in fault(tmp_path, [task])
    result["value"] = {}
    assert "has no answer of the type choices" in fault(tmp_path, [task])
    task["annotations"][0]["completed_by"] = None
    assert "field 'annotations[0].completed_by': names the annotator" in fault(tmp_path, [task | {"annotations": task["annotations"][:1]}])


@pytest.mark.parametrize(
    "sample, field, value, message",
    [
        (samples.arena, "winner", "model_c", "field 'winner': 'model_c' is no vote; a vote is one of model_a, model_b, tie"),
        (samples.arena, "conversation_a", "Hi", "field 'conversation_a': expected a list of messages, got text"),
        (samples.arena, "conversation_b", [{"role": "user", "content": "Hi"}], "must end with the model's answer"),
        (samples.arena, "tstamp", "yesterday", "field 'tstamp': expected seconds since 1970"),
        (
            samples.alpaca_eval,
            "preference",
            3,
            "field 'preference': expected a number from 1 (the first) to 2 (the second), or 0 for a tie",
        ),
        (samples.alpaca_eval, "output_2", None, "field 'output_2': expected text, got null"),
        (samples.potato, "label_annotations", {"p": {"selection": "E"}}, "field 'p': this question was answered 'E'"),
        (samples.potato, "label_annotations", {"p": {"scale_value": "-5"}}, "-5 is beyond the scale of -3 to 3"),
        (samples.potato, "label_annotations", {"p": {"rank_order": "A"}}, "the ranking misses 2"),
        (samples.potato, "label_annotations", {"p": {"x": 1, "y": 1}}, "holds 2 answers at once (x, y)"),
        (samples.oasst, "prompt", {"text": "a", "role": "robot"}, "field 'prompt.role': 'robot' is no role"),
        (samples.hh, "rejected", "Hi", "field 'rejected': expected a list of messages, got text"),
    ],
)
def test_other_formats(tmp_path: Path, sample: Any, field: str, value: Any, message: str) -> None:
    rows = sample()
    rows[0][field] = value
    found = fault(tmp_path, rows)
    assert found.startswith("x.json:1: ") and message in found, found


def test_tables_votes_pairs_and_raw_rows(tmp_path: Path) -> None:
    pair = {"prompt": "Sing", "response1": "La", "response2": "Lo", "annotator1": 2, "annotator2": 3}
    assert "field 'annotator2': 3 is no vote on two responses" in fault(tmp_path, [pair])
    alone = {"prompt": "Sing", "response": "La", "annotator1": "meh", "annotator2": 3}
    assert "field 'annotator1': 'meh' is no judgement of a response" in fault(tmp_path, [alone])
    votes = {"question": "Who?", "answers": ["a", "b", "c"], "votes": [{"worker": 1, "answer": "ans_3"}]}
    assert "field 'votes[0].answer': 'ans_3' is none of the 3 answers; write ans_0 to ans_2" in fault(tmp_path, [votes])
    assert "field 'votes[0]': lacks the worker" in fault(tmp_path, [votes | {"votes": [{"answer": "a"}]}])
    pairs = {"question": "Who?", "prediction 1": "a", "prediction 2": "b", "prediction 3": "c", "preference": [1, 2]}
    assert "field 'preference': holds 2 numbers; 3 responses have 3 pairs, each needs one" in fault(tmp_path, [pairs])
    assert "3 says nothing of a pair" in fault(tmp_path, [pairs | {"preference": [1, 2, 3]}])
    raw = foreign.write(foreign.read(_written(tmp_path, samples.arena())).annotations, "raw")
    raw[1]["answer"] = {"winner": 0}
    assert "x.json:2: field 'id': is" in fault(tmp_path, raw)
    del raw[0]["guideline"]
    assert "x.json:1: the field 'guideline' is missing" in fault(tmp_path, raw)


@pytest.mark.parametrize(
    ("sample", "field", "value"),
    [
        (samples.arena, "winner", ["model_a"]),
        (samples.label_studio, "meta", 5),
        (samples.potato, "tutelage", "x"),
        (samples.argilla, "metadata", {"tutelage": "[1]"}),
    ],
)
def test_forms_that_no_format_has_are_told_with_their_row(tmp_path: Path, sample: Any, field: str, value: Any) -> None:
    rows = sample()
    rows[0][field] = value
    (tmp_path / "x.json").write_text(json.dumps(rows))
    try:
        foreign.read(tmp_path / "x.json")
    except UserError as error:
        assert "x.json:1" in str(error)


def test_cells_that_hold_lists_and_answers_that_are_numbers(tmp_path: Path) -> None:
    listed = {"prompt": "Sing", "response": "La", "annotator1": ["yes"], "annotator2": "no"}
    assert "x.json:1" in fault(tmp_path, [listed])
    counted = {"question": "How many?", "answers": ["1", "2", "0"], "votes": [{"worker": 1, "answer": 2}]}
    (tmp_path / "y.json").write_text(json.dumps([counted]))
    (one,) = foreign.read(tmp_path / "y.json").annotations
    assert one.answer == {"tiers": [[1], [0, 2]]}


def test_records_of_argilla_1_that_nobody_answered_are_passed_over(tmp_path: Path) -> None:
    answered = samples.argilla_old()
    (tmp_path / "x.json").write_text(json.dumps([answered[0] | {"preference": []}, *answered]))
    found = foreign.read(tmp_path / "x.json")
    assert found.format == "argilla" and len(found.annotations) == 1 and found.passed == {"records without an answer": 1}


def test_several_answers_of_nobody_in_particular_are_kept_apart(tmp_path: Path) -> None:
    record = samples.argilla_old()[0]
    ranked = record["preference"][0]["value"]
    record["preference"] = [
        {"user_id": None, "value": [*ranked[:1], {"rank": n, "value": "response2"}], "status": "submitted"} for n in (1, 2, 3)
    ]
    (tmp_path / "x.json").write_text(json.dumps([record]))
    assert len({a.annotator for a in foreign.read(tmp_path / "x.json").annotations}) == 3


def _written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "good.json"
    path.write_text(json.dumps(rows))
    return path
