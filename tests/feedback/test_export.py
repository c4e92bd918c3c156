"""Out of a store: TRL's types in both forms, JSON Lines, a list and Parquet, whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from tutelage.core import readers
from tutelage.core.errors import UserError
from tutelage.core.text import Message, Prompt, Response, ask
from tutelage.feedback import foreign
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.export import export, rows_of

THREE = (Response("a"), Response("b"), Response("c"))
RANKING = Annotation(ask("Hi"), THREE, "ranking", {"tiers": [[2], [0, 1]]}, "ann", weight=0.5)
STRONG = Annotation(ask("Hi"), THREE[:2], "pair", {"winner": 1, "strength": 3}, "ben")
UNSURE = Annotation(ask("Hi"), THREE[:2], "pair", {"winner": 0, "probability": 0.75}, "ben", aspect="helpful")
TIE = Annotation(ask("Hi"), THREE[:2], "pair", {"winner": "tie"}, "ben")
VERDICT = Annotation(ask("Hi"), THREE[:2], "binary", {"good": [True, False]}, "ann")
SCORE = Annotation(ask("Hi"), THREE[:1], "score", {"values": [7]}, "ann")
WRITTEN = Annotation(ask("Hi"), (), "demonstration", {"text": "Ho"}, "ann")
CORRECTED = Annotation(ask("Hi"), THREE, "edit", {"response": 1, "text": "b!"}, "ben")
TALK = Prompt((Message("user", ("Hi",)), Message("assistant", ("Ho",)), Message("user", ("He",))))
ALL = [RANKING, STRONG, UNSURE, TIE, VERDICT, SCORE, WRITTEN, CORRECTED]


def test_preferences_say_what_they_were_made_of() -> None:
    rows, without = rows_of(ALL, "preference", "standard", "majority")
    assert rows == [
        {
            "prompt": "Hi",
            "chosen": "c",
            "rejected": "a",
            "weight": 0.25,
            "aggregate": "majority",
            "annotator": "ann",
            "annotation": RANKING.id,
        },
        {
            "prompt": "Hi",
            "chosen": "c",
            "rejected": "b",
            "weight": 0.25,
            "aggregate": "majority",
            "annotator": "ann",
            "annotation": RANKING.id,
        },
        {
            "prompt": "Hi",
            "chosen": "b",
            "rejected": "a",
            "weight": 1.0,
            "margin": 3.0,
            "aggregate": "majority",
            "annotator": "ben",
            "annotation": STRONG.id,
        },
        {
            "prompt": "Hi",
            "chosen": "a",
            "rejected": "b",
            "weight": 1.0,
            "aspect": "helpful",
            "probability": 0.75,
            "aggregate": "majority",
            "annotator": "ben",
            "annotation": UNSURE.id,
        },
    ]
    assert without == {f"no order between responses ({task})": 1 for task in ("pair", "binary", "score", "demonstration", "edit")}


def test_unpaired_preferences_and_demonstrations() -> None:
    rows, without = rows_of(ALL, "unpaired", "standard", "none")
    assert [(row["prompt"], row["completion"], row["label"]) for row in rows] == [("Hi", "a", True), ("Hi", "b", False)]
    assert without["no word on good or bad (score)"] == 1
    rows, _ = rows_of(ALL, "demonstrations", "standard", "none")
    assert [(row["prompt"], row["completion"], row["annotator"]) for row in rows] == [("Hi", "Ho", "ann"), ("Hi", "b!", "ben")]


def test_conversations() -> None:
    talk = Annotation(TALK, THREE[:2], "pair", {"winner": 1}, "ann")
    (row,), _ = rows_of([talk], "preference", "conversational", "none")
    assert row["prompt"] == [{"role": r, "content": t} for r, t in (("user", "Hi"), ("assistant", "Ho"), ("user", "He"))]
    assert row["chosen"] == [{"role": "assistant", "content": "b"}] and row["rejected"] == [{"role": "assistant", "content": "a"}]
    with pytest.raises(UserError, match="is a conversation of 3 turns; write it with --form conversational"):
        rows_of([talk], "preference", "standard", "none")


@pytest.mark.parametrize("form", ["standard", "conversational"])
def test_what_is_written_is_read_as_a_recipe_reads_it(tmp_path: Path, form: Any) -> None:
    for name in ("out.jsonl", "out.json", "out.parquet"):
        made = export(ALL, tmp_path / name, "preference", form)
        assert (made.rows, made.annotations) == (4, 8)
        read = [(p.last, c.text, r.text) for p, (c, r), _ in readers.preferences(tmp_path / name)]
        assert read == [("Hi", "c", "a"), ("Hi", "c", "b"), ("Hi", "b", "a"), ("Hi", "a", "b")]
        export(ALL, tmp_path / name, "unpaired", form)
        assert [label for _, _, label in readers.labels(tmp_path / name)] == [True, False]
        export(ALL, tmp_path / name, "demonstrations", form)
        assert [d.response.text for d in readers.demonstrations(tmp_path / name)] == ["Ho", "b!"]


@pytest.mark.parametrize("name", ["raw.jsonl", "raw.json", "raw.parquet"])
def test_raw_rows_come_back_to_the_bit(tmp_path: Path, name: str) -> None:
    hostile = Annotation(ask("a\x00\u202eb", topic="x"), (Response("<b>\x1b", by="m", finished=False),), "score", {"values": [1.5]}, "ann")
    full = Annotation(
        TALK, THREE, "best_worst", {"best": 2, "worst": 0}, "ben", 0.5, (2, 0, 1), "g1", 3.25, "2026-11-22T10:00:00", ((1, "x"),), "harm"
    )
    export([*ALL, hostile, full], tmp_path / name)
    assert foreign.read(tmp_path / name).annotations == (*ALL, hostile, full)


def test_parquet_has_columns_of_one_type(tmp_path: Path) -> None:
    export(ALL, tmp_path / "x.parquet", "preference", "standard")
    table = parquet.read_table(tmp_path / "x.parquet")
    assert (
        table.num_rows == 4
        and str(table.schema.field("weight").type) == "double"
        and table.column("margin").to_pylist() == [None, None, 3.0, None]
    )


def test_another_tools_format(tmp_path: Path) -> None:
    export([RANKING, STRONG, TIE], tmp_path / "x.json", "argilla")
    assert {a.id for a in foreign.read(tmp_path / "x.json").annotations} == {RANKING.id, STRONG.id, TIE.id}


def test_mistakes_write_nothing_and_leave_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("before")
    for annotations, path, as_, message in [
        (ALL, "x.csv", "raw", "unknown kind of file; written are .jsonl, .json, .parquet"),
        (ALL, "x.jsonl", "preferences", "--as preferences: it is one of .*; did you mean 'preference'?"),
        (
            [TIE, SCORE],
            "x.jsonl",
            "preference",
            r"none of 2 annotations gives a row of preference: 1 have no order between responses \(pair\); 1 have",
        ),
        ([TIE], "x.jsonl", "hh", "rows of chosen and rejected can't hold 'tie'"),
    ]:
        with pytest.raises(UserError, match=message):
            export(annotations, tmp_path / path, as_)
    assert [p.name for p in tmp_path.iterdir()] == ["x.jsonl"] and (tmp_path / "x.jsonl").read_text() == "before"
    export(ALL, tmp_path / "x.jsonl")
    assert len([json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]) == 8
