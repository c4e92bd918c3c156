"""Every format: what is read of a documented sample, and that writing and reading again loses no annotation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.feedback.foreign import samples
from tutelage.core.errors import UserError
from tutelage.core.text import Message, Prompt, Response, ask
from tutelage.feedback import foreign
from tutelage.feedback.annotation import Annotation

SAMPLES: list[tuple[str, Callable[[], list[dict[str, Any]]]]] = [
    ("argilla", samples.argilla),
    ("argilla", samples.argilla_flat),
    ("argilla", samples.argilla_old),
    ("label_studio", samples.label_studio),
    ("potato", samples.potato),
    ("arena", samples.arena),
    ("alpaca_eval", samples.alpaca_eval),
    ("oasst", samples.oasst),
    ("hh", samples.hh),
]
REAL = [
    ("pref_finegrained_qa", "pairs", 374, 814, 1),
    ("annotators_bbq_mturk", "votes", 1472, 7361, 105),
    ("annotators_qags_summaries", "votes", 356, 2187, 157),
    ("pref_pandalm_3annotators", "columns", 483, 1283, 3),
    ("trees_oasst_en100", "oasst", 84, 178, 1),
    ("safety_xstest_completions", "columns", 1145, 2284, 2),
    ("pref_hh_harmless", "hh", 1723, 1723, 1),
    ("pref_alpacaeval_turbo", "alpaca_eval", 503, 6885, 1),
]


def file(folder: Path, rows: list[dict[str, Any]], name: str = "export.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows))
    return path


def ids(annotations: Any) -> set[str]:
    return {annotation.id for annotation in annotations}


@pytest.mark.parametrize("name, sample", SAMPLES)
def test_a_sample_comes_back_whole(tmp_path: Path, name: str, sample: Callable[[], list[dict[str, Any]]]) -> None:
    found = foreign.read(file(tmp_path, sample()))
    assert found.format == name and found.annotations
    again = foreign.read(file(tmp_path, foreign.write(found.annotations, name), "again.jsonl"))
    assert again.format == name and ids(again.annotations) == ids(found.annotations)
    by_id = {a.id: a for a in again.annotations}
    for a in found.annotations:
        assert [r.text for r in by_id[a.id].responses] == [r.text for r in a.responses] and by_id[a.id].answer == a.answer
    kept = foreign.read(file(tmp_path, foreign.write(found.annotations, "raw"), "raw.jsonl"))
    assert kept.annotations == found.annotations  # raw rows keep times, writers and tags, too


@pytest.mark.parametrize("name, form, rows, annotations, people", REAL)
def test_real_data_comes_back_whole(
    shared_data: Path, tmp_path: Path, name: str, form: str, rows: int, annotations: int, people: int
) -> None:
    found = foreign.read(shared_data / f"{name}.jsonl.gz")
    assert (found.format, found.rows, len(found.annotations), len({a.annotator for a in found.annotations})) == (
        form,
        rows,
        annotations,
        people,
    )
    again = foreign.read(file(tmp_path, foreign.write(found.annotations, form), "again.jsonl"))
    assert again.format == form and ids(again.annotations) == ids(found.annotations)


def test_formats_tell_each_other_apart() -> None:
    for name, sample in SAMPLES:
        for row in sample():
            assert [n for n in foreign.names() if foreign.load(n).recognize(row)] == [name], row


def test_a_planted_loss_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check by reading again must see a writer that forgets a tie."""
    tied = Annotation(ask("Hi"), (Response("a"), Response("b")), "pair", {"winner": "tie"}, "arena_user_1")
    assert foreign.write([tied], "arena")
    arena = foreign.load("arena")
    monkeypatch.setitem(arena.__dict__["WRITTEN"], "tie", "model_a")
    with pytest.raises(UserError, match=f"annotation {tied.id} by arena_user_1: the format arena can't hold its answer"):
        foreign.write([tied], "arena")


def test_what_a_format_cannot_hold_is_refused_in_words() -> None:
    two, three = (Response("a"), Response("b")), (Response("a"), Response("b"), Response("c"))
    ranking = Annotation(ask("Hi"), three, "ranking", {"tiers": [[0], [1, 2]]}, "ann")
    tie = Annotation(ask("Hi"), two, "pair", {"winner": "tie"}, "ann")
    likert = Annotation(ask("Hi"), two, "likert", {"values": [1, 7]}, "ann")
    written = Annotation(ask("?"), (), "prompt", {"kind": "plain", "text": "Hi"}, "ann")
    long = Annotation(
        Prompt((Message("user", ("Hi",)), Message("assistant", ("Ho",)), Message("user", ("He",)))), two, "pair", {"winner": 0}, "ann"
    )
    for annotation, name, message in [
        (tie, "hh", "rows of chosen and rejected can't hold 'tie'"),
        (ranking, "hh", "can't hold the task ranking"),
        (ranking, "arena", "a battle can't hold the task ranking"),
        (likert, "votes", "a vote chooses one answer, this likert says something else"),
        (likert, "columns", "a column can't be called 'ann'"),
        (ranking, "oasst", "the format oasst can't hold its annotator"),
        (likert, "oasst", "a message tree can't hold the task likert"),
        (long, "alpaca_eval", "can't hold a conversation of several turns"),
        (written, "argilla", "no question for the task prompt"),
    ]:
        with pytest.raises(UserError, match=message):
            foreign.write([annotation], name)
    assert foreign.write([written], "raw")


def test_what_a_tool_has_no_place_for_stands_beside_its_own_fields() -> None:
    """Weight, shown order, guideline, flags, aspect, strength and a cut response survive in every tool that lets other fields be."""
    responses = (Response("a", finished=False), Response("b"))
    full = Annotation(
        Prompt((Message("system", ("Be brief",)), Message("user", ("Hi",)))),
        responses,
        "pair",
        {"winner": 1, "strength": 2},
        "ann",
        weight=0.5,
        shown=(1, 0),
        guideline="g2",
        flags=((0, "hallucination"),),
        aspect="helpful",
    )
    for name in ("argilla", "label_studio", "potato", "arena", "hh", "raw"):
        assert foreign.write([full], name), name


@pytest.mark.parametrize("name", ["argilla", "label_studio", "potato", "raw"])
def test_every_task_that_is_about_responses_can_be_handed_over(name: str) -> None:
    three = (Response("a"), Response("b"), Response("c"))
    answers: list[tuple[str, dict[str, Any], int]] = [
        ("ranking", {"tiers": [[2], [0, 1]]}, 3),
        ("pair", {"winner": "both_bad"}, 2),
        ("likert", {"values": [1, 7, 4]}, 3),
        ("score", {"values": [2.5, 7, 0]}, 3),
        ("score", {"values": [55.0], "low": 0, "high": 100}, 1),
        ("binary", {"good": [True, False]}, 2),
        ("best_worst", {"best": 2, "worst": 0}, 3),
        ("edit", {"response": 1, "text": "better"}, 3),
        ("edit", {"response": 0, "text": "yes"}, 1),
        ("demonstration", {"text": "yes"}, 0),
    ]
    given = [Annotation(ask(f"Hi {n}"), three[:k], task, answer, "ann") for n, (task, answer, k) in enumerate(answers)]
    assert foreign.write(given, name)
    assert foreign.write(
        [Annotation(a.prompt, a.responses, a.task, a.answer, "ben", aspect="harm") for a in given if a.task == "score"], name
    )


def test_responses_are_kept_as_they_are(tmp_path: Path) -> None:
    """Markup, control characters, marks that turn the text around, a megabyte: texts of people's data, never changed."""
    texts = ["<script>alert(1)</script>", "a\x00b\x1b[31m\x07\r\n", "\u202eevil\u2066\u200f", "x" * 1_000_000, "", "  "]
    for name in ("argilla", "label_studio", "potato", "arena", "alpaca_eval", "raw", "columns", "votes"):
        who = "annotator1" if name == "columns" else "9"
        given = [Annotation(ask("Hi"), (Response(text), Response("b")), "pair", {"winner": 0}, who) for text in texts]
        path = file(tmp_path, foreign.write(given, name), f"{name}.jsonl")
        assert [a.responses[0].text for a in foreign.read(path).annotations] == texts, name
