"""What one person says of the same twice: two judgements, of which one is learnt from and both are counted, in a store and in files."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tutelage.core.errors import UserError
from tutelage.core.text import Response, ask
from tutelage.feedback import foreign
from tutelage.feedback.agreement.hours import worked
from tutelage.feedback.agreement.summary import summarize
from tutelage.feedback.annotation import ANONYMOUS, Annotation
from tutelage.feedback.export import export
from tutelage.feedback.foreign import Imported
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import Event

ROW = {"instruction": "Sing", "output_1": "La", "output_2": "La la", "annotator": "ann", "preference": 2, "time_per_example": 1800.0}
ROWS: list[dict[str, Any]] = [
    {**ROW, "generator_1": "base", "generator_2": "sft"},
    {**ROW, "generator_1": "base", "generator_2": "ppo"},
    {**ROW, "generator_1": "base", "generator_2": "dpo"},
    {**ROW, "annotator": "ben"},
    {**ROW, "preference": 1},
]
TWO = (Response("a"), Response("b"))
PAIR = Annotation(ask("Hi"), TWO, "pair", {"winner": 0}, "ann")


def read(folder: Path, rows: Iterable[dict[str, Any]] = ROWS, name: str = "x.jsonl") -> Imported:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return foreign.read(folder / name)


def times(found: Imported) -> Counter[str]:
    return Counter(a.id for a in (*found.annotations, *found.repeats))


def again(store: Store) -> list[Annotation]:
    return [event.annotation for event in store.repeats() if event.annotation]


def test_equal_rows_are_repeats(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert [a.annotator for a in found.annotations] == ["ann", "ben", "ann"] and found.rows == 5
    assert [a.responses[1].by for a in found.repeats] == ["ppo", "dpo"]
    assert {a.id for a in found.repeats} == {found.annotations[0].id}


def test_a_store_takes_each_once_and_learns_from_one(tmp_path: Path, place: str) -> None:
    found, store = read(tmp_path), Store(place)
    assert store.append(found.annotations, "import", found.repeats) == 5
    assert store.append(found.annotations, "import", found.repeats) == 0
    one = found.annotations[0].id
    assert sorted(event.id for event in store.events() if event.purpose == "repeat") == [f"{one}-2", f"{one}-3"]
    assert store.count == len(list(store.read())) == 3 and store.hash == Store(place).hash
    assert [a.responses[1].by for a in again(store)] == ["ppo", "dpo"], "each with its own writers"
    more = read(tmp_path, [*ROWS, ROWS[0]])
    assert store.append(more.annotations, "import", more.repeats) == 1 and len(again(store)) == 3


def test_what_stands_through_a_form_is_not_added_again(place: str) -> None:
    store = Store(place)
    store.record([Event("tok", "annotation", "ann", annotation=PAIR)])
    assert store.append([PAIR], "import") == 0 and store.append([PAIR], "import", [PAIR]) == 1
    store.record([Event("gone", "annotation", "ben", annotation=replace(PAIR, annotator="ben"))])
    store.record([Event("undone", "undo", "ben", supersedes="gone")])
    store.record([Event("drill", "annotation", "cid", "practice", annotation=replace(PAIR, annotator="cid"))])
    others = [replace(PAIR, annotator=name) for name in ("ben", "cid")]
    assert store.append(others, "import") == 2, "neither what was taken back nor practice stands"


def test_self_consistency_sees_them_and_nothing_else_does(tmp_path: Path) -> None:
    found, store = read(tmp_path), Store(tmp_path / "s.sqlite")
    store.append(found.annotations, "import", found.repeats)
    summary = summarize(list(store.read()), again(store), worked(store), draws=2)
    assert summary.consistency and summary.consistency.n == 3 and summary.consistency.mean == pytest.approx(2 / 3)
    alone = summarize(list(store.read()), draws=2)
    assert alone.consistency and alone.consistency.mean == 0, "what it was when equal rows were dropped"
    assert summary.done == alone.done == 3 and summary.questions == alone.questions
    assert worked(store) == {"ann": 2.0, "ben": 0.5}, "half an hour each, paid every time"
    nobody = [replace(PAIR, annotator=ANONYMOUS)]
    assert summarize(nobody, nobody, draws=2).consistency is None


def test_who_is_erased_leaves_no_hash_in_a_repeat(tmp_path: Path, place: str) -> None:
    found, store = read(tmp_path), Store(place)
    store.append(found.annotations, "import", found.repeats)
    assert store.erase("ann") == 4 and again(store) == []
    with store.database.reading() as connection:
        assert connection is not None
        left = repr(connection.exec_driver_sql("SELECT * FROM events").all())
    assert not [a.id for a in found.annotations if a.annotator == "ann" and a.id in left] and found.annotations[1].id in left


@pytest.mark.parametrize("name", foreign.names())
def test_every_format_holds_what_was_said_again(tmp_path: Path, name: str) -> None:
    who = {"columns": "annotator1", "oasst": "oasst"}.get(name, "9")
    task, answer = ("ranking", {"tiers": [[1], [0]]}) if name in ("oasst", "pairs") else ("pair", {"winner": 1})
    one = Annotation(ask("Hi"), TWO, task, answer, who)
    given = [one, replace(one, prompt=ask("Ho")), one, one]
    found = read(tmp_path, foreign.write(given, name))
    assert times(found) == Counter(a.id for a in given) and len(found.repeats) == 2
    kept = read(tmp_path, foreign.written([one], name, [one]).rows)
    assert (len(kept.annotations), len(kept.repeats)) == (1, 1)


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_raw_rows_say_that_somebody_was_asked_again_and_answered_otherwise(tmp_path: Path, ending: str) -> None:
    other = replace(PAIR, answer={"winner": 1})
    made = export([PAIR], tmp_path / f"x.{ending}", repeats=[PAIR, other])
    found = foreign.read(tmp_path / f"x.{ending}")
    assert (made.rows, made.annotations) == (3, 3)
    assert found.annotations == (PAIR,) and found.repeats == (PAIR, other)
    store = Store(tmp_path / "s.sqlite")
    assert store.append(found.annotations, "import", found.repeats) == 3 and list(store.read()) == [PAIR]
    assert export([PAIR], tmp_path / "p.jsonl", "preference", repeats=[PAIR, other]).rows == 1, "nothing is learnt from a repeat"


def test_a_planted_loss_of_what_was_said_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    argilla = foreign.load("argilla").__dict__
    assert len(foreign.write([PAIR, PAIR], "argilla")) == 2
    monkeypatch.setitem(argilla, "rounds", lambda group: [list({a.id: a for a in group}.values())])
    with pytest.raises(UserError, match=f"annotation {PAIR.id} by ann: the format argilla can't hold that it was said again"):
        foreign.write([PAIR, PAIR], "argilla")
    monkeypatch.setitem(argilla, "rounds", lambda group: [list(group), list(group)])
    with pytest.raises(UserError, match="the format argilla would say it oftener than it was said"):
        foreign.write([PAIR], "argilla")
