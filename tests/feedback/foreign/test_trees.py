"""OpenAssistant's trees: what only looks alike stays apart, and ranks that aren't whole numbers are no ranks."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tutelage.core.errors import UserError
from tutelage.core.text import Message, Prompt, Response, ask
from tutelage.feedback import foreign
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.foreign import Imported, oasst
from tutelage.feedback.store import Store


def message(text: str, *replies: dict[str, Any], rank: Any = None, id_: str = "") -> dict[str, Any]:
    """The reply to a prompter is an assistant's, and the other way round: `tree` says which is which."""
    return {"text": text, "rank": rank, "replies": list(replies), **({"message_id": id_} if id_ else {})}


def tree(name: str, root: dict[str, Any]) -> dict[str, Any]:
    def spoken(one: dict[str, Any], role: str) -> dict[str, Any]:
        other = "assistant" if role == "prompter" else "prompter"
        return {**one, "role": role, "replies": [spoken(reply, other) for reply in one["replies"]]}

    return {"message_tree_id": name, "tree_state": "ready_for_export", "prompt": spoken(root, "prompter")}


def two(*texts: str) -> list[dict[str, Any]]:
    return [message(text, rank=n) for n, text in enumerate(texts)]


def read(folder: Path, rows: list[dict[str, Any]]) -> Imported:
    (folder / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return foreign.read(folder / "x.jsonl")


def told(found: Imported) -> list[tuple[list[str], list[str], Mapping[str, Any]]]:
    every = (*found.annotations, *found.repeats)
    return sorted([([m.text for m in a.prompt.messages], [r.text for r in a.responses], a.answer) for a in every], key=str)


ALIKE = {
    "two trees begin alike": [tree("t1", message("Hi", *two("a", "b"))), tree("t2", message("Hi", *two("c", "d")))],
    "two trees rank the same": [tree("t1", message("Hi", *two("a", "b"))), tree("t2", message("Hi", *two("b", "a")))],
    "two trees are the same": [tree("t1", message("Hi", *two("a", "b")))] * 2,
    "siblings of equal text": [tree("t", message("Hi", message("a", rank=1), message("a", rank=0), message("b", rank=2)))],
    "siblings of equal text, asked on": [
        tree("t", message("Hi", message("a", message("?", *two("x", "y"))), message("a", message("?", *two("y", "z", "x"))), rank=0))
    ],
    "a sibling without a rank": [tree("t", message("Hi", message("a"), message("a", rank=1), message("b", rank=0)))],
    "the same below two trees": [
        tree(name, message("Hi", message("a", message("On", *two("x", last)), rank=0), message("b", rank=1)))
        for name, last in (("t1", "y"), ("t2", "z"))
    ],
}


@pytest.mark.parametrize("rows", ALIKE.values(), ids=ALIKE)
@pytest.mark.parametrize("named", [True, False])
def test_what_only_looks_alike_stays_apart(tmp_path: Path, rows: list[dict[str, Any]], named: bool) -> None:
    """Whether the messages have ids of their own or are told by their places."""
    if named:
        count = 0

        def name(one: dict[str, Any]) -> dict[str, Any]:
            nonlocal count
            count += 1
            return {**one, "message_id": f"m-{count}", "replies": [name(reply) for reply in one["replies"]]}

        rows = [{**row, "prompt": name(row["prompt"])} for row in rows]
    found = read(tmp_path, rows)
    store = Store(tmp_path / "s.sqlite")
    store.append(found.annotations, "import", found.repeats)
    written = foreign.written(list(store.read()), "oasst", [event.annotation for event in store.repeats() if event.annotation])
    assert told(read(tmp_path, written.rows)) == told(found) and not written.lost
    assert Counter(row["message_tree_id"] for row in written.rows) == Counter(row["message_tree_id"] for row in rows)


def test_annotations_that_no_tree_names_are_put_into_trees() -> None:
    said = Prompt((Message("user", ("Hi",)), Message("assistant", ("a",)), Message("user", ("On",))))
    a, b = Response("a"), Response("b")
    given = [
        Annotation(prompt, responses, "ranking", {"tiers": [[1], [0]]}, "oasst")
        for prompt, responses in ((said, (b, a)), (ask("Hi"), (a, b)))
    ]
    (row,) = foreign.write(given, "oasst")
    assert [reply["text"] for reply in row["prompt"]["replies"]] == ["a", "b"] and row["prompt"]["replies"][0]["replies"][0]["text"] == "On"
    more = [*given, Annotation(ask("Hi"), (b, a), "ranking", {"tiers": [[0, 1]]}, "oasst"), given[1]]
    assert len(foreign.write(more, "oasst")) == 3, "the same message ranked once more is another tree"
    alike = Annotation(ask("Ho"), (a, a, b), "ranking", {"tiers": [[1], [0, 2]]}, "oasst")
    assert len(foreign.write([alike], "oasst")[0]["prompt"]["replies"]) == 3


@pytest.mark.parametrize("ranks, tiers", [((1.0, 0.0), [[1], [0]]), ((0.0, float("nan"), 1.0), [[0], [1]]), ((2, 2.0, 0), [[2], [0, 1]])])
def test_a_table_makes_ranks_floats(tmp_path: Path, ranks: tuple[float, ...], tiers: list[list[int]]) -> None:
    found = read(tmp_path, [tree("t", message("Hi", *(message(str(n), rank=rank) for n, rank in enumerate(ranks))))])
    assert [a.answer for a in found.annotations] == [{"tiers": tiers}]


@pytest.mark.parametrize("rank", [0.5, "0", True, float("inf"), [0]])
def test_what_is_no_rank_is_refused(tmp_path: Path, rank: Any) -> None:
    row = tree("t", message("Hi", message("a", message("On", message("x", rank=0), message("y", rank=rank)))))
    with pytest.raises(
        UserError, match=r"x\.jsonl:1: field 'prompt\.replies\[0\]\.replies\[0\]\.replies\[1\]\.rank': .* is no rank; a rank is a whole"
    ):
        read(tmp_path, [row])


def test_planted_losses_of_trees_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that tells siblings by their text, and one that puts every tree with the same beginning into one."""
    siblings, trees = (read(tmp_path, ALIKE[name]).annotations for name in ("siblings of equal text", "two trees begin alike"))
    assert foreign.write(siblings, "oasst") and foreign.write(trees, "oasst")
    named = oasst.__dict__["_named"]

    def by_text(a: Annotation) -> tuple[str, list[str], list[str]]:
        return "t", [m.text for m in a.prompt.messages], [r.text for r in a.responses]

    monkeypatch.setitem(oasst.__dict__, "_named", by_text)
    with pytest.raises(UserError, match="the format oasst can't hold its responses"):
        foreign.write(siblings, "oasst")
    monkeypatch.setattr(oasst.__dict__["_Node"], "holds", lambda *_: True)
    with pytest.raises(UserError, match="the format oasst can't hold its responses"):
        foreign.write(trees, "oasst")
    monkeypatch.setitem(oasst.__dict__, "_named", named)
    assert foreign.write(trees, "oasst")
