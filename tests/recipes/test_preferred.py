"""What a recipe reads as preferences: chosen and rejected as ever, another tool's export, a store; and what of it counts."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.feedback.foreign import samples
from tutelage.core.errors import UserError
from tutelage.core.text import Response, ask
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store
from tutelage.recipes import material, preferred
from tutelage.recipes.sources import Input, input_of

TWO = (Response("a"), Response("b"))


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_of_chosen_and_rejected_are_the_inputs(tmp_path: Path) -> None:
    path = written(tmp_path / "pairs.jsonl", [{"prompt": "Hi", "chosen": "a", "rejected": "b"}])
    (made,) = preferred.annotations(path, "mine")
    assert made == Annotation(ask("Hi"), (Response("a", by="pairs.jsonl"), Response("b", by="pairs.jsonl")), "pair", {"winner": 0}, "mine")


def test_another_tools_export_keeps_its_people_and_only_what_orders(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(samples.argilla()))
    made = preferred.annotations(tmp_path / "x.json", "mine")
    assert [(a.annotator, a.task) for a in made] == [
        *((samples.ANN, "ranking"), (samples.BEN, "ranking")),
        *((samples.BEN, "pair"), (samples.ANN, "pair")),
    ]
    assert len(list(preferred.rows(tmp_path / "x.json"))) == 4
    with pytest.raises(UserError, match=r"x.json: holds no preferences between responses; it holds edit, score"):
        (tmp_path / "x.json").write_text(json.dumps([_judged({"edit": "A better song", "quality": 5})]))
        preferred.annotations(tmp_path / "x.json", "mine")


def _judged(answers: dict[str, Any]) -> dict[str, Any]:
    return {"fields": {"prompt": "Sing", "response": "La"}, "responses": {q: [{"value": v, "user_id": "a"}] for q, v in answers.items()}}


def test_aspects(tmp_path: Path) -> None:
    def store(name: str, *aspects: str) -> Path:
        given = [Annotation(ask("Hi"), TWO, "pair", {"winner": 0}, "ann", aspect=aspect) for aspect in aspects]
        Store(tmp_path / name).append(given)
        return tmp_path / name

    for name, aspects, kept in [("a.sqlite", ("overall", "harm"), "overall"), ("b.sqlite", ("harm",), "harm")]:
        assert [a.aspect for a in preferred.annotations(store(name, *aspects), "x")] == [kept]
    with pytest.raises(UserError, match="judges harm, help apart, and nothing overall; import what is meant"):
        preferred.annotations(store("c.sqlite", "harm", "help"), "x")


def test_a_stores_hash_is_that_of_its_annotations(tmp_path: Path) -> None:
    first = Annotation(ask("Hi"), TWO, "pair", {"winner": 0}, "ann", seconds=1.0)
    for name in ("one.sqlite", "other.sqlite"):
        Store(tmp_path / name).append([first])
    one, other = (input_of("preferences", str(tmp_path / name), 0, "x") for name in ("one.sqlite", "other.sqlite"))
    assert one.hash == other.hash
    Store(tmp_path / "other.sqlite").append([Annotation(ask("Hi"), TWO, "pair", {"winner": 1}, "ben")])
    assert Input("preferences", str(tmp_path / "other.sqlite")).hash != one.hash


def test_sides_are_kept_apart_by_prompt(tmp_path: Path) -> None:
    given = [Annotation(ask(f"Hi {n}"), TWO, "pair", {"winner": 0}, who) for n in range(200) for who in ("ann", "ben")]
    Store(tmp_path / "s.sqlite").append(given)
    source = Input("preferences", str(tmp_path / "s.sqlite"))
    learnt, held = ({a.prompt.id for a in material.preferences(source, side)} for side in ("label", "eval"))
    assert not learnt & held and len(learnt | held) == 200 and 5 <= len(held) <= 40
