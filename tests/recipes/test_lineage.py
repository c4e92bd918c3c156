import io

import pytest
from rich.console import Console

from tests.recipes.pages import HERE, PAGE, page
from tutelage.core.errors import UserError
from tutelage.core.run import Run
from tutelage.recipes.lineage import as_json, as_tree, origin
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

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
