import io

import pytest
from rich.console import Console

from tests.recipes.pages import HERE, PAGE, page
from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.core.progress import Silent
from tutelage.core.run import Run
from tutelage.recipes.decisions import decide
from tutelage.recipes.lineage import as_json, as_tree, origin
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run
from tutelage.recipes.sources import Model
from tutelage.recipes.stages.evaluate import Evaluate
from tutelage.recipes.work import Work

TAUGHT = PAGE + f'  taught: {{method: "{HERE}:Judge", preferences: people, without: [ann-01]}}\n'


@pytest.fixture
def opened(tmp_path):
    run(load(page(tmp_path, TAUGHT)), tmp_path / "run")
    return Run.view(tmp_path / "run")


def test_it_leads_back_to_every_stage_input_and_annotator(opened):
    found = as_json(origin(opened, "judge"))
    assert set(found["stages"]) == {"base", "sft", "people", "judge"}
    assert found["people"] == {"ann-01": 2, "ann-02": 1} and set(found["inputs"]) == {"text", "model"}


def test_who_was_left_out_is_not_behind_it(opened):
    assert as_json(origin(opened, "taught"))["people"] == {"ann-02": 1}


def test_the_tree_names_people_and_unfolds_a_stage_once(opened):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(as_tree(origin(opened, "judge")))
    shown = console.export_text()
    assert "ann-01  2" in shown and "learnt from 2 annotators, 3 annotations" in shown and shown.count("base  (") == 1


def test_no_such_stage(opened):
    with pytest.raises(UserError, match="no finished stage 'juge'; did you mean 'judge'"):
        origin(opened, "juge")


def artifact(opened, stage, parents, results):
    opened.building(stage, f"{stage}-hash")
    made = {name: f"{name}-hash" for name in parents}
    opened.finish(Artifact(stage=stage, hash=f"{stage}-hash", method="m", parents=made, results=results))


def test_namesakes_of_two_studies_are_two_people(tmp_path):
    with Run.open(tmp_path / "run", "recipe", create=True) as made:
        artifact(made, "ours", [], {"annotators": {"ann-01": 2, "kim": 1}, "study": "aaaaaaaa11111111"})
        artifact(made, "theirs", [], {"annotators": {"ann-01": 3}, "study": "bbbbbbbb22222222"})
        artifact(made, "again", [], {"annotators": {"ann-01": 5}, "study": "bbbbbbbb22222222"})
        artifact(made, "simulated", [], {"annotators": {"ann-01": 9}, "study": "synthetic:annotators"})
        artifact(made, "old", [], {"annotators": {"ann-01": 1}})
        artifact(made, "all", ["ours", "theirs", "again", "simulated", "old"], {})
        artifact(made, "one", ["theirs", "again"], {})
    run_ = Run.view(tmp_path / "run")
    assert as_json(origin(run_, "all"))["people"] == {
        "ann-01 of a study that isn't known": 1,
        "ann-01 of study aaaaaaaa": 2,
        "ann-01 of study bbbbbbbb": 5,
        "ann-01 of study synthetic:annotators": 9,
        "kim": 1,
    }
    found = as_json(origin(run_, "one"))
    assert found["people"] == {"ann-01": 5} and found["stages"]["again"]["study"] == "bbbbbbbb22222222"
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(as_tree(origin(run_, "one")))
    assert "annotated by 1 annotators of study bbbbbbbb, 3 annotations" in console.export_text()


def test_the_report_tells_namesakes_apart_and_leaves_others_names_alone(tmp_path):
    with Run.open(tmp_path / "run", "recipe", create=True) as made:
        for stage, study, people in (("ours", "a" * 16, {"ann-01": 2, "kim": 1}), ("theirs", "b" * 16, {"ann-01": 3})):
            artifact(made, stage, [], {"annotators": people, "study": study, "store": "c" * 16})
        artifact(made, "ppo", ["ours", "theirs"], {})
        whole = {one.stage: one for one in made.artifacts()}
    work = Work("eval", tmp_path, 0, Model("nano"), decide(), Silent(), lambda event: None, sources={"models.0": whole["ppo"]}, whole=whole)
    told = Evaluate(models=("ppo",), evals=("overall",))._people(work)
    assert [(source.name, source.origin, source.rows) for source in told] == [
        ("ann-01", "ours, of study aaaaaaaa", 2),
        ("kim", "ours", 1),
        ("ann-01", "theirs, of study bbbbbbbb", 3),
    ]
