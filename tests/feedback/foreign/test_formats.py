"""Every format: what is read of a documented sample, and that writing and reading again loses no annotation."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.feedback.foreign import samples
from tutelage.core.errors import UserError
from tutelage.core.rows import Record, records
from tutelage.core.text import Message, Prompt, Response, ask
from tutelage.feedback import foreign
from tutelage.feedback.annotation import Annotation, to_plain
from tutelage.feedback.export import export
from tutelage.feedback.foreign import Imported
from tutelage.feedback.foreign.pairs import order_of
from tutelage.feedback.given import Given
from tutelage.feedback.store import Store

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
    ("pref_finegrained_qa", "pairs", 374, 814, 0, 1),
    ("annotators_bbq_mturk", "votes", 1472, 7361, 12, 105),
    ("annotators_qags_summaries", "votes", 356, 2187, 0, 157),
    ("pref_pandalm_3annotators", "columns", 483, 1283, 166, 3),
    ("trees_oasst_en100", "oasst", 84, 178, 0, 1),
    ("safety_xstest_completions", "columns", 1145, 2284, 6, 2),
    ("pref_hh_harmless", "hh", 1723, 1723, 0, 1),
    ("pref_hh_helpful", "hh", 1680, 1680, 0, 1),
    ("pref_llamafactory_dpo_demo", "hh", 253, 253, 0, 1),
    ("pref_alpacaeval_turbo", "alpaca_eval", 503, 6885, 151, 1),
    ("pref_alpacaeval_gpt4", "alpaca_eval", 503, 8934, 108, 1),
]


def counted(row: dict[str, Any]) -> int:
    """The judgements in a row of one of these files, by its fields alone."""
    if "models" in row:
        return sum(model["preference"] is not None for model in row["models"])
    if "prompt" in row and "message_tree_id" in row:
        below = list[dict[str, Any]]([row["prompt"]])
        ranked = [m for m in iter(lambda: below.pop() if below else None, None) if below.extend(m["replies"]) or m["role"] == "prompter"]
        return sum(2 <= sum(reply.get("rank") is not None for reply in m["replies"]) <= 9 for m in ranked)
    if "summary_sentences" in row:
        return sum(len(sentence["responses"]) for sentence in row["summary_sentences"])
    if "votes" in row:
        return sum(vote["answer"] not in (None, "") for vote in row["votes"])
    if "prediction 1" in row:
        ordered = order_of(dict(zip(combinations(range(4), 2), row["preference"])), 4)
        return (1 if ordered else 6) + bool(row["feedback"].get("corrected-prediction", "").strip())
    return sum(name.startswith(("annotator", "annotation_")) for name in row) or 1


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
    assert ids(foreign.read(file(tmp_path, foreign.write(found.annotations[::-1], name), "turned.jsonl")).annotations) == ids(
        found.annotations
    )
    again = foreign.read(file(tmp_path, foreign.write(found.annotations, name), "again.jsonl"))
    assert again.format == name and ids(again.annotations) == ids(found.annotations)
    by_id = {a.id: a for a in again.annotations}
    for a in found.annotations:
        assert [r.text for r in by_id[a.id].responses] == [r.text for r in a.responses] and by_id[a.id].answer == a.answer
    kept = foreign.read(file(tmp_path, foreign.write(found.annotations, "raw"), "raw.jsonl"))
    assert kept.annotations == found.annotations  # raw rows keep times, writers and tags, too


@pytest.mark.parametrize("name, form, rows, annotations, repeats, people", REAL)
def test_real_data_comes_back_whole(
    shared_data: Path, tmp_path: Path, name: str, form: str, rows: int, annotations: int, repeats: int, people: int
) -> None:
    """As many as stand in the file, in every direction: read, kept in a store, written in the file's own form and raw, read again."""
    found = foreign.read(shared_data / f"{name}.jsonl.gz")
    names = {a.annotator for a in found.annotations}
    assert (found.format, found.rows, len(found.annotations), len(found.repeats), len(names)) == (form, rows, annotations, repeats, people)
    assert annotations + repeats == sum(counted(record.values) for record in records(shared_data / f"{name}.jsonl.gz"))
    store, wanted = Store(tmp_path / "s.sqlite"), everything(found)
    assert store.append(found.annotations, "import", found.repeats) == wanted.total()
    kept, again = list(store.read()), [event.annotation for event in store.repeats() if event.annotation]
    assert Counter(map(whole, [*kept, *again])) == wanted
    for as_ in (form, "raw"):
        made = foreign.written(kept, as_, again)
        assert not made.lost and everything(foreign.read(file(tmp_path, made.rows, "again.jsonl"))) == wanted


def whole(a: Annotation) -> str:
    """All of an annotation: also what its id is not made from."""
    return json.dumps(to_plain(a), sort_keys=True)


def everything(found: Imported) -> Counter[str]:
    return Counter(map(whole, [*found.annotations, *found.repeats]))


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
    responses = (Response("a", finished=False, by="sft"), Response("b"))
    full = Annotation(
        Prompt((Message("system", ("Be brief",)), Message("user", ("Hi",))), {"id": "q-7", "topic": "x"}),
        responses,
        "pair",
        {"winner": 1, "strength": 2},
        "ann",
        weight=0.5,
        shown=(1, 0),
        guideline="g2",
        flags=((0, "hallucination"),),
        aspect="helpful",
        seconds=12.5,
        at="2026-11-22T10:00:00Z",
    )
    for name in ("argilla", "label_studio", "potato", "arena", "hh", "raw"):
        assert foreign.written([full], name).lost == {}, name
    other = replace(full, prompt=ask("Hi", id="q-7", topic="x", dataset="d"), answer={"winner": 1})
    assert foreign.written([other, replace(other, prompt=ask("Hi", id="8"))], "alpaca_eval").lost == {}


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


def test_what_comes_back_without_its_times_is_counted(tmp_path: Path) -> None:
    full = Annotation(
        ask("Hi", topic="x"), (Response("a", by="sft"), Response("b")), "pair", {"winner": 0}, "rater1", seconds=2, at="2026-11-22"
    )
    lost = {"how long it took": 1, "when": 1, "who wrote the responses": 1, "tags": 1}
    for name in ("votes", "columns"):
        assert foreign.written([full], name).lost == lost, name
    made = export([full, replace(full, prompt=ask("Ho"), at="", seconds=0)], tmp_path / "x.jsonl", "votes")
    assert made.lost == {**lost, "who wrote the responses": 2}


ALL = {"pair", "tie", "both bad", "order", "one chosen", "best and worst", "likert", "good", "good each", "score", "written", "edit"}
HOLDS: dict[str, set[str]] = {
    "raw": {*ALL, "prompt"},
    "argilla": ALL,
    "label_studio": ALL,
    "potato": ALL,
    "alpaca_eval": {"pair", "tie"},
    "arena": {"pair", "tie", "both bad"},
    "hh": {"pair"},
    "pairs": {"order", "one chosen"},
    "votes": {"pair", "tie", "both bad", "one chosen", "good"},
    "columns": {"pair", "tie", "both bad", "good", "score"},
    "oasst": {"order", "one chosen"},
}


@pytest.mark.parametrize("name", foreign.names())
def test_a_format_holds_what_the_page_says(name: str) -> None:
    """docs/annotations.md, "What comes back"."""
    three = (Response("a"), Response("b"), Response("c"))
    said: dict[str, tuple[str, dict[str, Any], int]] = {
        "pair": ("pair", {"winner": 1}, 2),
        "tie": ("pair", {"winner": "tie"}, 2),
        "both bad": ("pair", {"winner": "both_bad"}, 2),
        "order": ("ranking", {"tiers": [[2], [0], [1]]}, 3),
        "one chosen": ("ranking", {"tiers": [[2], [0, 1]]}, 3),
        "best and worst": ("best_worst", {"best": 2, "worst": 0}, 3),
        "likert": ("likert", {"values": [1, 7]}, 2),
        "good": ("binary", {"good": [True]}, 1),
        "good each": ("binary", {"good": [True, False]}, 2),
        "score": ("score", {"values": [7]}, 1),
        "written": ("demonstration", {"text": "Ho"}, 0),
        "edit": ("edit", {"response": 0, "text": "a!"}, 2),
        "prompt": ("prompt", {"kind": "plain", "text": "Hi"}, 0),
    }
    who = {"columns": "annotator1", "oasst": "oasst"}.get(name, "ann")
    given = {what: Annotation(ask("Hi"), three[:k], task, answer, who) for what, (task, answer, k) in said.items()}
    assert {what for what, a in given.items() if holds(a, name)} == HOLDS[name]
    plain = given["order" if name in ("pairs", "oasst") else "pair"]
    wide = name not in ("votes", "columns", "pairs", "oasst")
    for one in (
        replace(plain, weight=0.5),
        replace(plain, guideline="g"),
        replace(plain, flags=((0, "x"),)),
        replace(plain, aspect="harm"),
    ):
        assert holds(one, name) == wide, one


def holds(annotation: Annotation, name: str) -> bool:
    try:
        return bool(foreign.write([annotation], name))
    except UserError as error:
        assert "write raw rows instead" in str(error)
        return False


def test_equal_prompts_of_two_rows_keep_their_tags() -> None:
    two = (Response("a"), Response("b"))
    given = [Annotation(ask("Hi", id=str(n)), two, "pair", {"winner": 0}, f"rater{n % 2}") for n in range(4)]
    for name in ("argilla", "label_studio", "potato", "votes", "columns"):
        assert foreign.written(given, name).lost == {}, name


def test_rows_of_pairs_that_contradict_one_another_stay_apart() -> None:
    """Two rows on the same four answers, one of them said twice, two of the answers the same text, with and without a correction."""
    row = {"question": "Hi", **{f"prediction {n}": text for n, text in enumerate(("a", "b", "a", "c"), 1)}}
    cycle, other, corrected = [1, 0, 2, 1, 0, 1], [2, 0, 2, 1, 1, 1], {"feedback": {"corrected-prediction": "a!"}}
    rows = [{**row, "preference": said, **more} for said, more in ((cycle, corrected), (other, {}), (cycle, {}), ([0] * 6, corrected))]
    pairs = foreign.load("pairs")
    given = [a for n, one in enumerate(rows) for a in pairs.read(Record(one, f"x:{n}"), Given()) if isinstance(a, Annotation)]
    assert Counter(a.task for a in given) == {"pair": 18, "edit": 2, "ranking": 1}
    written = foreign.written(sorted(given, key=lambda a: a.id), "pairs")
    assert sorted(one["preference"] for one in written.rows) == sorted(one["preference"] for one in rows) and not written.lost


def test_responses_are_kept_as_they_are(tmp_path: Path) -> None:
    """Markup, control characters, marks that turn the text around, a megabyte: texts of people's data, never changed."""
    texts = ["<script>alert(1)</script>", "a\x00b\x1b[31m\x07\r\n", "\u202eevil\u2066\u200f", "x" * 1_000_000, "", "  "]
    for name in ("argilla", "label_studio", "potato", "arena", "alpaca_eval", "raw", "columns", "votes"):
        who = "annotator1" if name == "columns" else "9"
        given = [Annotation(ask("Hi"), (Response(text), Response("b")), "pair", {"winner": 0}, who) for text in texts]
        path = file(tmp_path, foreign.write(given, name), f"{name}.jsonl")
        assert [a.responses[0].text for a in foreign.read(path).annotations] == texts, name
