from pathlib import Path

import pytest

from tests.recipes.pages import folder_model, page
from tutelage.core.run import Run
from tutelage.recipes.plan import Forecast, Network, fitting, forecast, memory_of, operations
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

PAGE = """\
schema: 1
model: {new: tiny}
memory: MEMORY
inputs: {text: synthetic:text}
stages:
  base: {method: pretrain, data: text}
  sft: {method: sft, init: base, data: text}
"""


def row(recipe, name):
    return next(r for r in forecast(recipe, Path("/nowhere/at/all")) if r.step.name == name)


def test_each_setting_that_is_offered_would_fit(tmp_path):
    path = page(tmp_path, PAGE.replace("MEMORY", "0.9"))
    sft = row(load(path), "sft")
    assert sft.memory > 0.9 * 2**30
    ways = fitting(load(path), sft, 0.9 * 2**30)
    assert len(ways) == 3
    for way in ways:
        changed = load(path, [way])
        assert row(changed, "sft").memory <= (changed.memory or 0) * 2**30, way


def test_memory_grows_with_what_needs_it(tmp_path):
    step = load(page(tmp_path, PAGE.replace("MEMORY", "null"))).steps["sft"]
    small, large = Network(192, 4, 512, 1024), Network(384, 6, 1024, 1024)
    assert memory_of(step, small) < memory_of(step, large)
    assert memory_of(step, small, micro=512) < memory_of(step, small) and memory_of(step, small, lora=True) < memory_of(step, small)
    assert small.parameters == 4 * (4 * 192**2 + 3 * 192 * 512) + 1024 * 192


def test_a_whole_stage_costs_nothing_and_a_known_method_goes_at_its_own_pace(tmp_path):
    path = page(tmp_path, folder_model(tmp_path))
    run(load(path), tmp_path / "run")
    rows = {r.step.name: r for r in forecast(load(path, ["stages.last.steps=9"]), tmp_path / "run")}
    assert rows["ppo"] == Forecast(rows["ppo"].step, "", None, 0.0, None) and rows["last"].why == "steps 5 -> 9"
    assert Run.view(tmp_path / "run").current(), "a forecast changes nothing"


@pytest.mark.parametrize("size", ["nano", "tiny"])
def test_every_stage_of_the_built_in_recipe_is_sized(size):
    rows = forecast(load("instructgpt", [f"model.new={size}"]), Path("/nowhere/at/all"))
    assert len(rows) == 8
    for row in rows:
        assert row.tokens and row.seconds and row.memory, row.step.name


def test_a_method_costs_the_networks_that_it_holds():
    steps = load("instructgpt", ["model.new=nano", "stages.grpo={like: ppo_no_ptx, method: grpo}"]).steps
    network = Network(64, 2, 128, 1024)
    memory, work = ({name: of(step) for name, step in steps.items()} for of in (lambda step: memory_of(step, network), operations))
    assert memory["ppo"] > memory["grpo"] > memory["dpo"] == memory["sft"] and work["ppo"] > work["grpo"] > work["dpo"] > work["sft"]


def test_what_costs_more_is_said_to():
    def tokens(*overrides):
        rows = forecast(load("instructgpt", ["model.new=nano", *overrides]), Path("/nowhere/at/all"))
        return {row.step.name: row.tokens for row in rows}

    usual = tokens("stages.base.tokens=5000", "stages.sft.epochs=1", "stages.ppo.updates=6")
    assert usual["base"] == 5000 and usual["ppo"] > usual["ppo_no_ptx"]
    more = tokens("stages.preferences.overlap=2", "stages.sft.epochs=3", "stages.ppo.updates=12", "stages.evaluate.models=[sft,ppo]")
    assert more["preferences"] == usual["preferences"], "an answer is sampled once, whoever judges it"
    assert more["reward_model"] == 2 * usual["reward_model"] and more["dpo"] == 2 * usual["dpo"]
    assert more["sft"] == 3 * usual["sft"] and more["ppo"] == 2 * usual["ppo"] and more["evaluate"] == usual["evaluate"] / 3


def test_files_are_sized_by_their_bytes(tmp_path):
    (tmp_path / "shown.jsonl").write_text('{"prompt": "Hi?", "completion": "Good day."}\n' * 100)
    small = load("instructgpt", ["model.new=nano", f"inputs.demonstrations={tmp_path}/shown.jsonl", "stages.sft.epochs=2"])
    assert row(small, "sft").tokens == 2 * (tmp_path / "shown.jsonl").stat().st_size // 4
