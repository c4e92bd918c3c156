"""What each format's rows mean: people, answers, times; and what is passed over by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.feedback.foreign import samples
from tutelage.core.errors import UserError
from tutelage.feedback import foreign
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.foreign import Imported
from tutelage.feedback.given import Given
from tutelage.feedback.tasks import signals_of


def read(folder: Path, rows: list[dict[str, Any]], given: Given | None = None, name: str = "x.json") -> Imported:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(rows))
    return foreign.read(folder / name, "", given)


def told(found: Imported) -> list[tuple[str, str, dict[str, Any], str]]:
    return [(a.annotator, a.task, dict(a.answer), a.aspect) for a in found.annotations]


def test_argilla(tmp_path: Path) -> None:
    found = read(tmp_path, samples.argilla())
    assert told(found) == [
        (samples.ANN, "ranking", {"tiers": [[2, 0], [1]]}, "overall"),
        (samples.ANN, "score", {"values": [7, 1, 5]}, "helpful"),
        (samples.BEN, "ranking", {"tiers": [[0], [2], [1]]}, "overall"),
        (samples.BEN, "pair", {"winner": 1}, "overall"),
        (samples.ANN, "pair", {"winner": "tie"}, "overall"),
    ]
    assert found.passed == {
        "answers with the status draft": 1,
        "answers with the status discarded": 1,
        "remarks in 'comment'": 1,
        "records without an answer": 1,
    }
    first = found.annotations[0]
    assert first.prompt.last == "Name an animal." and first.prompt.tags == {"id": "rec-1", "source": "zoo"}
    assert [r.text for r in first.responses] == ["A fox.", "Why?", "An owl."]
    assert [m.role for m in found.annotations[3].prompt.messages] == ["system", "user"]


def test_argilla_flattened_and_of_earlier_releases(tmp_path: Path) -> None:
    flat = read(tmp_path, samples.argilla_flat())
    assert told(flat) == [
        (samples.ANN, "ranking", {"tiers": [[0], [1]]}, "overall"),
        (samples.BEN, "ranking", {"tiers": [[1], [0]]}, "overall"),
    ]
    assert flat.annotations[0].prompt.last == "Add 1 and 2."
    old = read(tmp_path, samples.argilla_old())
    assert told(old) == [(samples.ANN, "ranking", {"tiers": [[0, 1]]}, "overall")] and signals_of(old.annotations[0]) == []


def test_argilla_labels_texts_and_flags(tmp_path: Path) -> None:
    one = {"fields": {"prompt": "Hi", "response": "Ho"}, "responses": {}}
    written = {"fields": {"prompt": "Hi"}, "responses": {"answer": [{"value": "Hello there", "user_id": "a"}]}}
    answers = {"harmless": "yes", "edit": "Hello", "flags": ["hallucination", "violence"]}
    judged = one | {"responses": {q: [{"value": v, "user_id": "a"}] for q, v in answers.items()}}
    found = read(tmp_path, [judged, written])
    assert told(found) == [
        ("a", "binary", {"good": [True]}, "harmless"),
        ("a", "edit", {"response": 0, "text": "Hello"}, "overall"),
        ("a", "demonstration", {"text": "Hello there"}, "overall"),
    ]
    assert [a.flags for a in found.annotations] == [((0, "hallucination"), (0, "violence"))] * 2 + [()]


def test_a_remark_that_mentions_a_response_is_no_vote(tmp_path: Path) -> None:
    record = samples.argilla()[1]
    record["responses"]["why"] = [{"value": "I prefer answer 2", "user_id": samples.BEN}]
    found = read(tmp_path, [record])
    assert len(found.annotations) == 2 and found.passed == {"remarks in 'why'": 1}


def test_label_studio(tmp_path: Path) -> None:
    found = read(tmp_path, samples.label_studio())
    assert told(found) == [
        ("4", "pair", {"winner": 1}, "overall"),
        ("4", "edit", {"response": 0, "text": "A red fox."}, "overall"),
        ("ben@example.org", "pair", {"winner": 1}, "overall"),
        ("4", "ranking", {"tiers": [[0], [1], [2]]}, "overall"),
        ("5", "ranking", {"tiers": [[2, 1], [0]]}, "overall"),
        ("4", "score", {"values": [4]}, "overall"),
    ]
    assert found.passed == {"annotations that were canceled": 1}
    assert found.annotations[0].seconds == 12.5 and found.annotations[0].at == "2026-03-09T21:52:49Z"
    assert [r.text for r in found.annotations[3].responses] == ["Arrows", "Bolts", "Tips"]


def test_label_studio_reads_left_and_right_by_what_they_were_shown(tmp_path: Path) -> None:
    task = samples.label_studio()[0]
    task["annotations"][0]["result"][0]["to_name"] = "answer2,answer1"  # the second answer stood on the left
    assert told(read(tmp_path, [task]))[0][2] == {"winner": 0}


def test_potato(tmp_path: Path) -> None:
    found = read(tmp_path, samples.potato())
    assert (
        told(found)
        == [
            ("ann", "pair", {"winner": 0}, "overall"),
            ("ben", "pair", {"winner": "tie"}, "overall"),
            ("cid", "pair", {"winner": 0, "strength": 2.0}, "overall"),
            ("ann", "ranking", {"tiers": [[1], [3, 0], [2]]}, "overall"),
            ("ben", "best_worst", {"best": 0, "worst": 1}, "overall"),
            ("ann", "score", {"values": [5]}, "overall"),
        ]
        or [a.aspect for a in found.annotations][3] == "overall"
    )
    assert found.annotations[0].seconds == 72


def test_potato_with_its_own_files(tmp_path: Path) -> None:
    """One folder for each annotator, what was judged in the project's data."""
    row = {"id": 7, "displayed_text": "A. La B. Lo", "label_annotations": {"preference": {"selection": "B"}}, "span_annotations": {}}
    given = Given(items={"7": {"id": 7, "prompt": "Sing", "responses": ["La", "Lo"]}})
    found = read(tmp_path, [row], given, "out/ann-3/annotated_instances.json")
    assert told(found) == [("ann-3", "pair", {"winner": 1}, "overall")]
    with pytest.raises(UserError, match="the row doesn't hold what was judged; give the project's data file with --items FILE"):
        read(tmp_path, [row], None, "out/ann-3/annotated_instances.json")
    with pytest.raises(UserError, match="field 'user_id': is missing, and the file doesn't lie in an annotator's folder"):
        read(tmp_path, [row], given)


def test_arena(tmp_path: Path) -> None:
    found = read(tmp_path, samples.arena())
    assert [a.answer["winner"] for a in found.annotations] == [0, 1, "tie", "both_bad", 0]
    assert found.passed == {"battles whose conversations differ before the last answer": 1}
    first, last = found.annotations[0], found.annotations[-1]
    assert first.at.startswith("2023-04-24T15:53:11") and first.annotator == "arena_user_973" and first.responses[0].by == "vicuna-13b"
    assert [m.text for m in last.prompt.messages] == ["Name an animal.", "A fox.", "Name an animal.1"] and last.responses[1].text == "Blue."


def test_alpaca_eval_keeps_probabilities_to_the_bit(tmp_path: Path) -> None:
    found = read(tmp_path, samples.alpaca_eval())
    answers = [dict(a.answer) for a in found.annotations]
    assert answers == [
        {"winner": 0, "probability": 2 - 1.2345678901234567},
        {"winner": 1, "probability": 1.9999999 - 1},
        {"winner": 1},
        {"winner": "tie"},
        {"winner": "tie"},
    ]
    assert [a.annotator for a in found.annotations[2:]] == ["13", "4", "5"] and found.passed == {"rows without a preference": 1}
    assert [row["preference"] for row in foreign.write(found.annotations, "alpaca_eval")] == [1.2345678901234567, 1.9999999, 2, 1.5, 1.5]


def test_oasst(tmp_path: Path) -> None:
    found = read(tmp_path, samples.oasst())
    assert told(found) == [
        ("oasst", "ranking", {"tiers": [[1], [2], [0]]}, "overall"),
        ("oasst", "ranking", {"tiers": [[1], [0]]}, "overall"),
    ]
    assert [m.text for m in found.annotations[1].prompt.messages] == ["Name an animal.", "A fox.", "And a bird?"]
    assert found.passed == {"rankings of what prompters wrote": 1}


def test_pairs_that_agree_are_a_ranking_and_others_stay_pairs(tmp_path: Path) -> None:
    row = {"question": "Who?", **{f"prediction {n}": f"p{n}" for n in (1, 2, 3)}, "feedback": {"corrected-prediction": "p1!"}}
    agreeing, contradicting = {**row, "preference": [2, 0, 1]}, {**row, "question": "Why?", "preference": [1, 0, 1]}
    found = read(tmp_path, [agreeing, contradicting])
    assert told(found)[:2] == [
        ("anonymous", "ranking", {"tiers": [[1], [0, 2]]}, "overall"),
        ("anonymous", "edit", {"response": 0, "text": "p1!"}, "overall"),
    ]
    apart: list[Annotation] = [a for a in found.annotations if a.task == "pair"]
    assert [([r.text for r in a.responses], a.answer["winner"]) for a in apart] == [
        (["p1", "p2"], 0),
        (["p1", "p3"], "tie"),
        (["p2", "p3"], 0),
    ]
    assert [row["preference"] for row in foreign.write(found.annotations, "pairs")] == [[2, 0, 1], [1, 0, 1]]


def test_votes_and_columns(tmp_path: Path) -> None:
    votes = [{"worker": 1, "answer": "ans_2"}, {"worker": 2, "answer": "b"}, {"worker": 3, "answer": ""}]
    found = read(tmp_path, [{"context": "Two came.", "question": "Who?", "answers": ["a", "b", "c"], "votes": votes, "gold": "1"}])
    assert told(found) == [("1", "ranking", {"tiers": [[2], [0, 1]]}, "overall"), ("2", "ranking", {"tiers": [[1], [0, 2]]}, "overall")]
    assert found.annotations[0].prompt.last == "Two came.\n\nWho?" and found.annotations[0].prompt.tags == {"gold": "1"}
    assert found.passed == {"votes without an answer": 1}
    table = {"instruction": "Sing", "input": "", "response1": "La", "response2": "Lo", "annotator1": 2, "annotator2": 0, "annotator3": None}
    assert told(read(tmp_path, [table])) == [
        ("annotator1", "pair", {"winner": 1}, "overall"),
        ("annotator2", "pair", {"winner": "tie"}, "overall"),
    ]
    degrees = {"prompt": "Sing", "completion": "No", "annotation_1": "2_full_refusal", "annotation_2": "3_partial_refusal"}
    assert [(a.answer["values"], a.aspect) for a in read(tmp_path, [degrees]).annotations] == [([0.0], "compliance"), ([0.5], "compliance")]


def test_fields_may_be_named_by_hand_and_questions_left_out(tmp_path: Path) -> None:
    answers = {"better": [{"value": "alpha", "user_id": "a"}], "topic": [{"value": [{"start": 0, "end": 2, "label": "x"}], "user_id": "a"}]}
    record = {"fields": {"say": "Hi", "alpha": "Ho", "beta": "He"}, "responses": answers}
    with pytest.raises(
        UserError, match=r"x.json:1: none of the fields is known to be the prompt; there are say, alpha, beta; name it with --prompt"
    ):
        read(tmp_path, [record])
    with pytest.raises(
        UserError, match=r"x.json:1: field 'responses.topic\[0\].value': is an answer of spans, which are not read; .* --without topic"
    ):
        read(tmp_path, [record], Given(("say",), ("alpha", "beta")))
    found = read(tmp_path, [record], Given(("say",), ("beta", "alpha"), ("topic",)))
    assert told(found) == [("a", "pair", {"winner": 1}, "overall")]
    with pytest.raises(UserError, match=r"field 'fields.gamma': is missing; there are say, alpha, beta"):
        read(tmp_path, [record], Given(("say",), ("gamma",)))
