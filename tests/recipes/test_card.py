"""The model card's parts that need no model: figures of a real report, stages, people, front matter."""

import pytest
import yaml

from tests.recipes.pages import HERE, PAGE, page
from tutelage.core.run import Run
from tutelage.recipes import card, licenses, lineage
from tutelage.recipes.card import Shape
from tutelage.recipes.licenses import Ingredient
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

MEASURED = (
    f'  measured: {{method: "{HERE}:Measure", models: [base, sft, ppo]}}\n  taught: {{method: "{HERE}:Judge", preferences: people}}\n'
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card")
    run(load(page(folder, PAGE + MEASURED)), folder / "run")
    return Run.view(folder / "run")


def written(opened, stage, shape=Shape("plain", "bf16", "")):  # noqa: B008  (frozen)
    found = lineage.origin(opened, stage)
    return card.write(opened, found, licenses.ingredients(opened, found), shape)


def test_figures_are_the_reports_with_intervals_beside_what_it_began_as(opened):
    rows, against = card.measured(opened, lineage.origin(opened, "ppo").artifact)
    assert against == "sft" and [row["title"] for row in rows] == ["Overall"] and rows[0]["n"] == "9"
    text = written(opened, "ppo")
    assert f"| Overall | {rows[0]['own']} | 9 | {rows[0]['other']} |" in text and rows[0]["own"].count(" to ") == 1
    assert "It was not measured" not in text and "It was not measured" in written(opened, "twin")
    assert card.measured(opened, lineage.origin(opened, "base").artifact)[1] == "", "nothing before it was measured"


def test_a_report_of_another_artifact_of_that_name_says_nothing(opened, tmp_path):
    run(load(page(tmp_path, PAGE + MEASURED)), tmp_path / "run")
    changed = (PAGE + MEASURED).replace("rate: 0.03", "rate: 0.04").replace("models: [base, sft, ppo]", "models: [base, sft]")
    run(load(page(tmp_path, changed)), tmp_path / "run")
    again = Run.view(tmp_path / "run")
    assert card.measured(again, lineage.origin(again, "ppo").artifact) == ([], "")


def test_people_are_a_number(opened):
    text = written(opened, "taught")
    assert "annotations of 2 annotators (3 annotations)" in text and "ann-01" not in text
    assert "No annotations are behind it." in written(opened, "base")


def test_every_stage_is_a_line_with_its_settings(opened):
    text = written(opened, "ppo")
    assert "| base | Chain | text, model | " in text and "| ppo | Chain | sft | steps 5, word a, rate 0.03 |" in text
    assert all(line.count("|") == 5 for line in text.splitlines() if line.startswith(("| base", "| sft", "| ppo")))


def test_a_bar_in_a_name_breaks_no_table():
    assert card.cell("a|b\nc") == "a\\|b c"


def ingredient(name, given, license, told=""):
    return Ingredient(name, given, license, told, ("sft",))


@pytest.mark.parametrize(
    ("parts", "shape", "fields"),
    [
        (
            [ingredient("model", "Qwen/Qwen3-8B", "apache-2.0"), ingredient("shown", "org/data", "apache-2.0")],
            Shape("plain", "bf16", ""),
            {"license": "apache-2.0", "base_model": "Qwen/Qwen3-8B", "base_model_relation": "finetune", "datasets": ["org/data"]},
        ),
        ([ingredient("model", "a/b", "mit"), ingredient("x", "/home/x.jsonl", "own")], Shape("gguf", "q8_0", ""), {"license": "mit"}),
        ([ingredient("model", "a/b", "mit"), ingredient("x", "x.jsonl", "cc-by-nc-4.0")], Shape("plain", "bf16", ""), {"license": "other"}),
        ([ingredient("model", "a/b", "mit"), ingredient("x", "x.jsonl", "")], Shape("plain", "bf16", ""), {"license": "other"}),
        (
            [ingredient("model", "a/b", "")],
            Shape("adapter", "bf16", "c/d"),
            {"license": "other", "base_model": "c/d", "library_name": "peft"},
        ),
        ([ingredient("model", "/home/me/model", "mit")], Shape("plain", "bf16", ""), {"base_model": None, "datasets": None}),
    ],
)
def test_the_front_matter_is_the_hubs(opened, parts, shape, fields):
    found = card.front(lineage.origin(opened, "ppo").artifact, parts, shape, scores=False)
    assert {key: found.get(key) for key in fields} == fields


def test_the_front_matter_reads_back(opened):
    front = yaml.safe_load(written(opened, "ppo").split("---\n")[1])
    assert front["license"] == "other", "of a new model in the built-in world nobody stated any"
    assert front["tags"][0] == "tutelage" and front["pipeline_tag"] == "text-generation"


def test_what_came_from_others_keeps_their_words(opened):
    parts = (ingredient("model", "a/b", "llama3.1"), ingredient("x", "/secret/x.jsonl", "cc-by-nc-4.0"), ingredient("y", "y.jsonl", ""))
    text = card.write(opened, lineage.origin(opened, "ppo"), parts, Shape("gguf", "q8_0", "", ("it rained",)))
    assert "700 million monthly users" in text and "| x (x.jsonl) | cc-by-nc-4.0 | **not for commercial use** |" in text
    assert "/secret" not in text and "| y (y.jsonl) | *not stated* |" in text and "- Of this export: it rained." in text
    assert "rounded to 8 bits" in text and card.CAUTION in text
