"""Files are read whole, by the reader that their use asks for, with the model's context in mind."""

import json

import pytest

from tests.recipes.pages import HERE
from tutelage.core.errors import UserError
from tutelage.recipes.recipe import load
from tutelage.recipes.rows import check_rows, reader_of

PAGE = f"""\
schema: 1
model: MODEL
inputs: {{prompts: PROMPTS}}
stages:
  asks: {{method: "{HERE}:Asks", prompts: prompts}}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from tutelage.models import create, tokenizer

    folder = tmp_path_factory.mktemp("model")
    words = tokenizer.words(["why", "?"], 64)
    create.new(create.Dimensions(width=8, layers=1, heads=1, context=16), words, seed=0).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def checked(model, folder, rows, *overrides):
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "asks.yaml").write_text(PAGE.replace("MODEL", str(model)).replace("PROMPTS", str(path)))
    recipe = load(str(folder / "asks.yaml"), overrides)
    check_rows(recipe, recipe.steps.values())
    return recipe


def test_rows_that_read_pass(model, tmp_path):
    recipe = checked(model, tmp_path, [{"prompt": "why ?"}])
    assert reader_of(recipe.steps["asks"], "prompts") == "prompts"


def test_a_prompt_longer_than_the_context_names_its_row_and_a_way_out(model, tmp_path):
    rows = [{"prompt": "why ?"}, {"prompt": "why " * 20}]
    with pytest.raises(UserError, match=r"the prompt of row 2 has .* the model's context is 16; .*too_long=leave_out"):
        checked(model, tmp_path, rows)
    checked(model, tmp_path, rows, "stages.asks.too_long=leave_out")


def test_text_beside_sft_is_read_as_text(tmp_path):
    text = tmp_path / "text.jsonl"
    text.write_text('{"text": "once there was a mill ."}\n')
    recipe = load("instructgpt", [f"inputs.text={text}"])
    assert reader_of(recipe.steps["sft"], "ptx.data") == "documents" and reader_of(recipe.steps["sft"], "data") == "demonstrations"
    check_rows(recipe, [recipe.steps["sft"]])


def test_a_source_of_the_world_that_is_something_else():
    recipe = load("instructgpt", ["stages.sft.ptx={data: prompts}"])
    with pytest.raises(UserError, match=r"ptx\.data: documents are read here, but inputs\.prompts is .*; give synthetic:text"):
        check_rows(recipe, recipe.steps.values())


def test_a_row_without_a_prompt(model, tmp_path):
    with pytest.raises(UserError, match=r"prompts\.jsonl:1"):
        checked(model, tmp_path, [{"question": "why ?"}])
