"""What a label stage may ask, and who may learn from it; told before anything runs."""

import pytest

from tests.recipes.pages import page
from tutelage.core.errors import UserError
from tutelage.core.text import Response, ask
from tutelage.feedback import tasks, written
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store
from tutelage.recipes.judged import preference_trees
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run
from tutelage.recipes.stages.label import Label
from tutelage.synthetic.judging import TASKS

TASK = Label.__dataclass_fields__["task"].type
PAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:    {method: pretrain, data: text, tokens: 8000}
  rated:   {method: label, policy: base, prompts: prompts, count: 12, responses: 1, task: likert, sampling: {max_tokens: 8}}
  written: {like: rated, responses: 0, task: demonstration}
  better:  {like: rated, responses: 2, task: edit}
  chosen:  {like: rated, responses: 3, task: best_worst, overlap: 2}
  judge:   {method: reward, init: base, preferences: chosen}
"""


def asks(task: str, responses: int, *more: str):
    return load("instructgpt", [f"stages.preferences.task={task}", f"stages.preferences.responses={responses}", *more])


def test_it_asks_for_whatever_the_simulated_annotators_can_do():
    assert set(TASK.__args__) == set(TASKS)


@pytest.mark.parametrize("task", ["likert", "binary", "score", "demonstration", "edit"])
def test_who_learns_from_preferences_refuses_the_rest_before_anything_runs(task: str):
    k = tasks.load(task).responses[0]
    with pytest.raises(UserError, match=f"learns from ranking or pair or best_worst, but 'preferences' asks for {task}"):
        asks(task, k)


@pytest.mark.parametrize(("task", "k"), [("ranking", 9), ("pair", 2), ("best_worst", 4)])
def test_who_learns_from_preferences_takes_these(task: str, k: int):
    assert asks(task, k).steps["preferences"].stage.task == task


@pytest.mark.parametrize(
    ("task", "k", "said"),
    [
        ("pair", 4, "the task pair can't be asked about 4 responses; set responses: 2"),
        ("best_worst", 2, "the task best_worst can't be asked about 2 responses; set responses: 3"),
        ("ranking", 1, "the task ranking can't be asked about 1 responses; set responses: 2"),
        ("ranking", 10, "responses"),
    ],
)
def test_a_task_that_cannot_be_asked_about_so_many(task: str, k: int, said: str):
    with pytest.raises(UserError, match=said) as caught:
        asks(task, k)
    assert "stages.preferences.responses" in str(caught.value)


@pytest.mark.parametrize(
    ("task", "answer", "gives"),
    [
        ("likert", {"values": [7, 1]}, "labels"),
        ("binary", {"good": [True, False]}, "labels"),
        ("edit", {"response": 0, "text": "x"}, "texts"),
    ],
)
def test_a_store_of_another_task_is_refused_by_name(task, answer, gives):
    """A store may hold what no recipe asked for: annotations of the site, or imported ones."""
    said = Annotation(ask("hi"), (Response("a"), Response("b")), task, answer, "ann-01")
    with pytest.raises(UserError, match=f"annotation {said.id}: reward learns from preferences; the task {task} gives {gives}"):
        preference_trees([said], None, "reward")


def test_two_bad_ones_are_tied_to_who_learns():
    bad = Annotation(ask("hi"), (Response("a"), Response("b")), "pair", {"winner": "both_bad"}, "ann-01")
    with pytest.raises(UserError, match="all responses of all 1 annotations are tied"):
        preference_trees([bad], None, "reward")


def test_stores_of_other_tasks_are_filled_and_best_worst_is_learnt_from(tmp_path):
    made = run(load(page(tmp_path, PAGE)), tmp_path / "run").artifacts
    stores = {
        name: list(Store(made[name].path / "annotations.sqlite", create=False).read()) for name in made if name not in ("base", "judge")
    }
    assert {name: {(a.task, len(a.responses)) for a in found} for name, found in stores.items()} == {
        "rated": {("likert", 1)},
        "written": {("demonstration", 0)},
        "better": {("edit", 2)},
        "chosen": {("best_worst", 3)},
    }
    assert {name: len(found) for name, found in stores.items()} == {"rated": 12, "written": 12, "better": 12, "chosen": 24}
    assert len(list(written.demonstrations(stores["written"]))) == 12 and list(written.edits(stores["better"]))
    assert made["judge"].results["annotations"] == 24 and made["judge"].results["tied"] == 0
