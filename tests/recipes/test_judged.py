"""Annotations on their way into an objective: filtered, weighed and joined, and noted by whose they were."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.feedback.crowd import rankings
from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.data.tree import Tree
from tutelage.feedback.filters import Filter
from tutelage.feedback.store import Store
from tutelage.objectives.preferences import collate_preferences, preference_sums
from tutelage.recipes.judged import consumed, preference_trees
from tutelage.recipes.sources import Input
from tutelage.recipes.work import Work

PEOPLE = ("ann-01", "ann-02", "ann-03")


class Letters:
    """Renders letters as tokens: what the loss sees of a tree doesn't depend on words."""

    def tree(self, prompt, responses, where="", **columns):
        return Tree((3, 5), tuple((*(ord(letter) % 50 + 4 for letter in r.text), 0) for r in responses), columns=columns)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    store = Store(tmp_path / "annotations.sqlite")
    store.append(rankings(0, prompts=30, people=PEOPLE, noise=1.2))
    source = Artifact(stage="preferences", hash="0" * 64, method="label", path=tmp_path)
    return Work("reward_model", tmp_path, 0, None, None, None, None, sources={"preferences": source})  # type: ignore[arg-type]


def test_what_was_joined_is_noted_with_the_people_behind_it(work):
    raw, told = consumed(work, "preferences")
    assert told["consumed"] == dict.fromkeys(PEOPLE, 30) and len(raw) == 90 and "aggregate" not in told
    joined, told_joined = consumed(work, Filter("preferences", ("ann-03",), "dawid_skene", 0.6))
    dropped = told_joined["dropped_prompts"]
    assert told_joined["aggregate"] == "dawid_skene" and 0 < dropped < 30 and len(joined) == 30 - dropped
    assert told_joined["single_prompts"] == 0
    assert consumed(work, Filter("preferences", ("ann-01", "ann-02"), "dawid_skene"))[1]["single_prompts"] == 30
    assert told_joined["consumed"] == {"ann-01": 30 - dropped, "ann-02": 30 - dropped}
    assert told_joined["consumed_hash"] != told["consumed_hash"]


def test_a_prompt_is_one_unit_of_the_loss(work):
    """Each prompt's pairs weigh 1 together, so joined annotations weigh as many prompts as there are."""
    joined, _ = consumed(work, Filter("preferences", aggregate="dawid_skene"))
    trees = preference_trees(joined, Letters(), "reward")
    batch = collate_preferences(trees)
    assert batch.counts["preference"] == len(trees) == 30
    assert batch["weight_P"].sum().item() == pytest.approx(30) and batch["probability_P"].min() > 0.5
    assert all(len(tree.responses) == 4 for tree in trees), "read once, however many pairs"


def test_probabilities_and_weights_reach_the_loss(work):
    joined, _ = consumed(work, Filter("preferences", aggregate="dawid_skene"))
    batch = collate_preferences(preference_trees(joined[:1], Letters(), "reward"))
    score = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    preference_sums(score, batch)["preference"].backward()
    winner, loser = batch["pairs_P2"].unbind(-1)
    pull = torch.zeros(4, dtype=torch.float64)
    for w, l_, weight, p in zip(winner, loser, batch["weight_P"], batch["probability_P"]):
        pull[w] -= weight * (p - 0.5)
        pull[l_] += weight * (p - 0.5)
    assert score.grad is not None and torch.allclose(score.grad, pull, atol=1e-12)
    light, _ = consumed(work, Filter("preferences", weights={"ann-02": 0.25}))
    weights = {tree.columns["weight"] for tree in preference_trees(light, Letters(), "reward")}
    assert weights == {1.0, 0.25}
    batch = collate_preferences(preference_trees(light, Letters(), "reward"))
    assert batch.counts["preference"] == pytest.approx(30 * 2.25) and batch["weight_P"].sum().item() == pytest.approx(30 * 2.25)


def test_a_file_names_nobody(work):
    rows = [{"prompt": f"why {n}?", "chosen": "so", "rejected": "no"} for n in range(40)]
    (work.dir / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Input("pairs", str(work.dir / "pairs.jsonl"))
    for asked in (Filter("pairs", ("x",)), Filter("pairs", aggregate="majority"), Filter("pairs", weights={"x": 2.0})):
        with pytest.raises(UserError, match=r"stage reward_model: .* a file's rows name nobody"):
            consumed(replace(work, sources={"preferences": source}), asked)


def test_nothing_left_to_learn_from(work):
    """Two who turn each other's order around agree on no pair of any prompt."""
    one = rankings(1, prompts=5, people=("a",), noise=0.0)
    other = [replace(a, annotator="b", answer={"tiers": a.answer["tiers"][::-1]}) for a in one]
    Store(work.dir / "odds" / "annotations.sqlite").append([*one, *other])
    source = Artifact(stage="preferences", hash="0" * 64, method="label", path=work.dir / "odds")
    with pytest.raises(UserError, match="no annotations to learn from"):
        consumed(replace(work, sources={"preferences": source}), Filter("preferences", minimum_agreement=0.5))


def test_whose_names_they_are_is_noted_where_it_is_known(work: Work, tmp_path: Path):
    place, store = tmp_path / "annotations.sqlite", Store(tmp_path / "annotations.sqlite")
    assert "study" not in consumed(work, "preferences")[1]  # made by an earlier release
    stage = replace(work.parent("preferences"), results={"study": "a" * 16})
    assert consumed(replace(work, sources={"preferences": stage}), "preferences")[1]["study"] == "a" * 16
    given = Input("preferences", str(place))
    for filter_ in (Filter("preferences"), Filter("preferences", without=("ann-01",))):
        assert consumed(replace(work, sources={"preferences": given}), filter_)[1]["study"] == store.id
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"q{n}", "chosen": "yes", "rejected": "no"}) + "\n" for n in range(60)))
    assert "study" not in consumed(replace(work, sources={"preferences": Input("preferences", str(rows))}), "preferences")[1]
